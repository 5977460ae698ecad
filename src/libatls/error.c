#include <stdio.h>
#include <stdlib.h>

#include "attest/report.h"
#include "base/version.h"
#include "libatls/libatls_priv.h"

#include "base/poison.h"

_Static_assert((int)ATLS_ERROR_BYTES == (int)ATTEST_TEXT_BYTES, "messages fit");

enum { ERROR_JSON_MAX = 16 * 1024 };

const char *atls_version(void)
{
    return POSTERN_VERSION;
}

void atls_free(void *text)
{
    free(text);
}

const char *atls_error_name(atls_result code)
{
    return attest_code_name((enum attest_code)code);
}

const char *atls_error_class(atls_result code)
{
    return attest_class_name(attest_class_of((enum attest_code)code));
}

bool atls_error_retryable(atls_result code)
{
    return attest_retryable((enum attest_code)code);
}

char *atls_error_json(const struct atls_error *error)
{
    struct attest_err why = {.code = (enum attest_code)error->code};
    struct json_writer w;
    struct buf json;
    char *out = NULL;

    memcpy(why.text, error->message, sizeof why.text);
    why.text[sizeof why.text - 1] = '\0';
    buf_init(&json, ERROR_JSON_MAX, "error");
    json_begin(&w, &json);
    report_write_error(&why, &w);
    (void)!libatls_text(&w, &json, &out, NULL);
    return out;
}

atls_result libatls_failed(const struct attest_err *why, struct atls_error *error)
{
    if (error) {
        error->code = (atls_result)why->code;
        memcpy(error->message, why->text, sizeof error->message);
    }
    return (atls_result)why->code;
}

atls_result libatls_memory(struct atls_error *error)
{
    struct attest_err why = {.code = ATTEST_MEMORY};

    attest_fail(&why, ATTEST_MEMORY, "no memory");
    return libatls_failed(&why, error);
}

atls_result libatls_usage(struct atls_error *error, const char *text)
{
    struct attest_err why = {.code = ATTEST_POLICY};

    attest_fail(&why, ATTEST_POLICY, "%s", text);
    return libatls_failed(&why, error);
}

atls_result libatls_copy(struct buf *text, char **out, struct atls_error *error)
{
    struct view from = buf_view(text);
    char *copy = malloc(from.len + 1);

    if (copy) {
        if (from.at && from.len)
            memcpy(copy, from.at, from.len);
        copy[from.len] = '\0';
    }
    buf_done(text);
    if (!copy)
        return libatls_memory(error);
    *out = copy;
    return ATLS_OK;
}

atls_result libatls_text(struct json_writer *w, struct buf *json, char **out,
                         struct atls_error *error)
{
    if (json_end(w, NULL))
        return libatls_copy(json, out, error);
    buf_done(json);
    return libatls_memory(error);
}

bool libatls_options(void *to, size_t size, const void *from, size_t given)
{
    if (given <= sizeof(size_t) || given > size)
        return false;
    memcpy(to, from, given);
    return true;
}
