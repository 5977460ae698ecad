#include "attest/report.h"
#include "wasm/module.h"

#include "base/poison.h"

enum { ERROR_JSON_MAX = 16 * 1024 };

int32_t wasm_fail(const struct attest_err *err)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, ERROR_JSON_MAX, "error");
    json_begin(&w, &json);
    report_write_error(err, &w);
    if (json_end(&w, NULL))
        (void)wasm_answer_buf(&json);
    else
        wasm_answer_bytes(VIEW("{\"class\":\"internal\",\"code\":\"out_of_memory\",\"number\":900,"
                               "\"message\":\"no memory\",\"retryable\":false}"));
    buf_done(&json);
    return WASM_FAILED;
}

int32_t wasm_fail_text(enum attest_code code, const char *text)
{
    struct attest_err err;

    attest_fail(&err, code, "%s", text);
    return wasm_fail(&err);
}
