#include "tee/answer.h"

#include <stdio.h>

#include "base/json.h"

#include "base/poison.h"

static void put_hex(struct json_writer *w, const char *key, struct view v)
{
    json_key(w, key);
    json_hex(w, v);
}

static void put_text(struct json_writer *w, const char *key, struct view v)
{
    json_key(w, key);
    json_text(w, v);
}

static void put_quote(struct json_writer *w, const struct answer *a)
{
    json_key(w, "quote");
    json_object(w);
    put_hex(w, "quote", a->quote);
    json_key(w, "event_log");
    json_raw(w, a->event_log);
    put_hex(w, "report_data", view_from(a->report_data, REPORT_DATA_BYTES));
    put_text(w, "vm_config", a->vm_config);
    json_object_end(w);
}

bool answer_write(const struct answer *a, struct buf *out, struct err *err)
{
    struct json_writer w;
    char now[32];

    (void)snprintf(now, sizeof now, "%lld", (long long)a->now_s);
    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "success");
    json_bool(&w, true);
    put_quote(&w, a);
    json_key(&w, "tcb_info");
    if (a->tcb_info.len)
        json_raw(&w, a->tcb_info);
    else
        json_null(&w);
    put_text(&w, "timestamp", view_str(now));
    put_text(&w, "quote_type", VIEW("tdx"));
    json_key(&w, "error");
    json_null(&w);
    if (a->collateral.len) {
        json_key(&w, "collateral");
        json_raw(&w, a->collateral);
    }
    json_object_end(&w);
    return json_end(&w, err);
}
