#include <stdlib.h>

#include "wasm/module.h"

#include "base/poison.h"

static struct {
    const void *at;
    uint32_t len;
    struct buf owned; /* what at points into, where it is ours */
} answer;

void *WASM_EXPORT(alloc)(uint32_t n)
{
    return malloc(n ? n : 1);
}

void WASM_EXPORT(release)(void *at)
{
    free(at);
}

const void *WASM_EXPORT(answer_at)(void)
{
    return answer.at;
}

uint32_t WASM_EXPORT(answer_len)(void)
{
    return answer.len;
}

void wasm_answer_bytes(struct view bytes)
{
    buf_done(&answer.owned);
    answer.at = bytes.at;
    answer.len = (uint32_t)bytes.len;
}

int32_t wasm_answer_buf(struct buf *bytes)
{
    struct buf owned = *bytes;

    *bytes = (struct buf){.what = owned.what};
    wasm_answer_bytes(buf_view(&owned));
    answer.owned = owned;
    return WASM_DONE;
}

int32_t wasm_answer(struct json_writer *w, struct buf *json)
{
    struct attest_err err;
    struct err why;

    if (json_end(w, &why))
        return wasm_answer_buf(json);
    buf_done(json);
    attest_fail(&err, ATTEST_MEMORY, "%s", why.text);
    return wasm_fail(&err);
}
