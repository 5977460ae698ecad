#include "tee/staple.h"

#include "base/clock.h"
#include "base/json.h"
#include "fetch/fetch.h"

#include "base/poison.h"

enum { REFRESH_S = 3600, RETRY_S = 60, FETCH_TIMEOUT_MS = 30000 };

void staple_init(struct staple *s, const char *url, const char *cache, struct log *log)
{
    *s = (struct staple){.url = url, .cache = cache, .log = log};
    buf_init(&s->json, COLLATERAL_BYTES_MAX, "collateral");
}

void staple_done(struct staple *s)
{
    buf_done(&s->json);
}

void staple_learn(struct staple *s, const struct quote *q)
{
    struct attest_err why;

    if (!s->has_need)
        s->has_need = dcap_need(q, &s->need, &why);
}

bool staple_due(const struct staple *s, int64_t now_s)
{
    return s->url && s->has_need && now_s >= s->due_s;
}

int64_t staple_next(const struct staple *s, int64_t latest_s)
{
    return s->url && s->has_need && s->due_s < latest_s ? s->due_s : latest_s;
}

void staple_refresh(struct staple *s)
{
    struct fetch_options options = {
        .url = s->url,
        .timeout_ms = FETCH_TIMEOUT_MS,
        .cache = s->cache,
        .now_s = clock_wall_ms(&clock_system) / 1000,
    };
    struct collateral *c = NULL;
    struct attest_err why;
    struct json_writer w;

    if (!fetch_collateral(&options, &s->need, &c, &why)) {
        log_event(s->log, LOG_WARN, "collateral.failed",
                  "collateral could not be fetched; clients will have to",
                  F_STR("error", why.text));
        s->due_s = options.now_s + RETRY_S;
        return;
    }
    buf_reset(&s->json);
    json_begin(&w, &s->json);
    collateral_write(c, &w);
    if (!json_end(&w, NULL))
        buf_reset(&s->json);
    collateral_free(c);
    s->due_s = options.now_s + REFRESH_S;
    log_event(s->log, LOG_INFO, "collateral.fetched", "collateral will be stapled",
              F_U64("bytes", buf_len(&s->json)));
}
