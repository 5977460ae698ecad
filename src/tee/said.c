#include "tee/said.h"

#include "attest/event_log.h"
#include "base/json.h"

#include "base/poison.h"

enum { LOG_MAX = 16 * 1024 * 1024, TOKENS_MAX = 64 * 1024 };

void said_init(struct said *s)
{
    buf_init(&s->event_log, LOG_MAX, "event log");
    buf_init(&s->log, LOG_MAX, "event log");
    buf_init(&s->tcb_info, LOG_MAX, "tcb_info");
}

void said_done(struct said *s)
{
    buf_done(&s->event_log);
    buf_done(&s->log);
    buf_done(&s->tcb_info);
}

void said_forget(struct said *s)
{
    buf_reset(&s->event_log);
    buf_reset(&s->log);
    buf_reset(&s->tcb_info);
}

bool said_known(const struct said *s, const struct quote *q, struct view event_log)
{
    for (unsigned i = 0; i < RTMR_COUNT; i++)
        if (!view_eq(q->td.rtmr[i], view_from(s->rtmr[i], MEASUREMENT_BYTES)))
            return false;
    return buf_len(&s->log) && view_eq(buf_view(&s->event_log), event_log);
}

static void put_digest(struct json_writer *w, const struct event *e)
{
    json_key(w, "digest");
    json_hex(w, view_from(e->digest, sizeof e->digest));
}

static void copy_member(const struct json_doc *doc, uint32_t key, struct json_writer *w)
{
    uint32_t value = doc->tokens[key].next;
    char name[64];

    if (!json_string(doc, key, name, sizeof name))
        return;
    json_key(w, name);
    if (doc->tokens[value].kind == JSON_STRING) {
        struct view raw = json_span(doc, value);

        json_raw(w, view_from(raw.at - 1, raw.len + 2)); /* with its quotes */
    } else {
        json_raw(w, json_span(doc, value));
    }
}

static void copy_event(const struct json_doc *doc, uint32_t object, const struct event *e,
                       struct json_writer *w)
{
    uint32_t key = json_first(object);
    bool digest = false;

    json_object(w);
    for (uint32_t i = 0; i < doc->tokens[object].count; i++) {
        if (view_eq(json_span(doc, key), VIEW("digest"))) {
            put_digest(w, e);
            digest = true;
        } else {
            copy_member(doc, key, w);
        }
        key = doc->tokens[doc->tokens[key].next].next;
    }
    if (!digest)
        put_digest(w, e);
    json_object_end(w);
}

/* What does not replay is refused by every client: better said here, where it can be mended. */
static bool replays(const struct quote *q, const struct event_log *log, struct err *err)
{
    uint8_t rtmr[RTMR_COUNT][MEASUREMENT_BYTES];

    if (!event_log_replay(log, rtmr))
        return err_set(err, ERR_MEMORY, "no memory for a digest");
    for (unsigned i = 0; i < RTMR_COUNT; i++)
        if (!view_eq(q->td.rtmr[i], view_from(rtmr[i], MEASUREMENT_BYTES)))
            return err_set(err, ERR_CONFIG,
                           "the provider's event log does not replay to RTMR%u of its quote: no "
                           "client would accept it. Something was measured that the log does not "
                           "tell, or the log is of another start of this machine",
                           i);
    return true;
}

static bool with_digests(const struct quote *q, struct view text, struct buf *out, struct err *err)
{
    CLEANUP(event_log_free_cleanup) struct event_log *log = NULL;
    struct attest_err why;
    struct json_tree tree;
    struct json_writer w;
    uint32_t at;

    if (!event_log_parse(text, &log, &why))
        return err_set(err, ERR_SYNTAX, "the provider's event log: %s", why.text);
    if (!replays(q, log, err) || !json_load(text, TOKENS_MAX, &tree, err))
        return false;
    json_begin(&w, out);
    json_array(&w);
    at = json_first(0);
    for (uint32_t i = 0; i < log->count; i++) {
        copy_event(&tree.doc, at, &log->events[i], &w);
        at = tree.doc.tokens[at].next;
    }
    json_array_end(&w);
    json_unload(&tree);
    return json_end(&w, err);
}

bool said_learn(struct said *s, const struct quote *q, struct view event_log, struct err *err)
{
    struct json_writer w;
    struct buf log;
    bool good;

    buf_init(&log, LOG_MAX, "event log");
    good = with_digests(q, event_log, &log, err) && buf_append(&s->event_log, event_log, err);
    json_begin(&w, &s->log);
    if (good)
        json_text(&w, buf_view(&log));
    good = good && json_end(&w, err);
    buf_done(&log);
    if (!good)
        said_forget(s);
    for (unsigned i = 0; good && i < RTMR_COUNT; i++)
        memcpy(s->rtmr[i], q->td.rtmr[i].at, MEASUREMENT_BYTES);
    return good;
}
