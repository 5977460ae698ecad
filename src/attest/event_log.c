#include "attest/event_log.h"

#include <stdlib.h>

#include "attest/digest.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

enum { TOKENS_MAX = 64 * 1024, RTMR_RUNTIME = 3 };

struct reader {
    const struct json_doc *doc;
    struct event_log *log;
    size_t used, room; /* of the log's area */
    struct attest_err *err;
    uint32_t index; /* of the event */
};

/* What the guest's system emits itself, and at most once, before applications run. */
static const char *const system_events[] = {
    "app-id",       EVENT_COMPOSE_HASH, "instance-id",      EVENT_OS_IMAGE_HASH,
    "key-provider", EVENT_BOOT_DONE,    EVENT_SYSTEM_READY,
};

static bool wrong(struct reader *r, enum attest_code code, const char *what)
{
    return attest_fail(r->err, code, "event %u: %s", r->index + 1, what);
}

static bool text_member(struct reader *r, uint32_t object, const char *key, bool needed,
                        struct view *out)
{
    uint32_t token = json_member(r->doc, object, key);
    char *at = (char *)r->log->area + r->used;

    *out = view_from(NULL, 0);
    if (!token)
        return !needed || attest_fail(r->err, ATTEST_EVENT_SYNTAX, "event %u: \"%s\" is missing",
                                      r->index + 1, key);
    if (!json_string(r->doc, token, at, r->room - r->used))
        return attest_fail(r->err, ATTEST_EVENT_SYNTAX, "event %u: \"%s\" must be a text",
                           r->index + 1, key);
    *out = view_str(at);
    r->used += out->len + 1;
    return true;
}

static bool hex_member(struct reader *r, uint32_t object, const char *key, bool needed,
                       struct view *out)
{
    uint8_t *at = r->log->area + r->used;
    struct view hex;

    if (!text_member(r, object, key, needed, &hex))
        return false;
    *out = view_from(hex.at, hex.len / 2);
    if (!hex.len)
        return true;
    /* In place: two digits are read before their byte is written. */
    return (hex.len % 2 == 0 && hex_decode(hex, at, hex.len / 2)) ||
           attest_fail(r->err, ATTEST_EVENT_SYNTAX, "event %u: Invalid %s in event log: not hex",
                       r->index + 1, key);
}

static bool number_member(struct reader *r, uint32_t object, const char *key, int64_t most,
                          int64_t *out)
{
    uint32_t token = json_member(r->doc, object, key);

    return (token && json_integer(r->doc, token, out) && *out >= 0 && *out <= most) ||
           attest_fail(r->err, ATTEST_EVENT_SYNTAX,
                       "event %u: \"%s\" must be a number from 0 to %lld", r->index + 1, key,
                       (long long)most);
}

static bool printable(struct view name)
{
    if (!name.len || name.len > EVENT_NAME_MAX || !utf8_valid(name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] < ' ' || name.at[i] == 0x7F)
            return false;
    return true;
}

/* "compose-hash:x" with payload "y" has the digest of "compose-hash" with payload "x:y". */
static bool ambiguous(struct view name)
{
    struct view head = view_first(name, view_find(name, ':'));

    if (head.len == name.len)
        return false;
    for (size_t i = 0; i < sizeof system_events / sizeof *system_events; i++)
        if (view_eq(head, view_str(system_events[i])))
            return true;
    return view_eq(head, VIEW(EVENT_CERTIFICATE));
}

/* Its digest is that of what it says. */
static bool runtime(struct reader *r, struct event *e, struct view claimed, struct view preimage,
                    bool has_preimage)
{
    struct buf canonical;
    bool same;

    if (e->imr != RTMR_RUNTIME)
        return wrong(r, ATTEST_EVENT_REGISTER, "a runtime event stands outside RTMR3");
    if (!printable(e->name))
        return wrong(r, ATTEST_EVENT_NAME,
                     "the name of a runtime event is 1 to 128 bytes of printable text");
    if (e->version == 1 && ambiguous(e->name))
        return wrong(r, ATTEST_EVENT_NAME, "the name could be taken for a system event's");
    if (has_preimage && e->version == 2) {
        buf_init(&canonical, 2 * r->room + 4096, "canonical event");
        same = event_canonical(e->name, e->payload, &canonical) && canonical.area &&
               view_eq(buf_view(&canonical), preimage);
        buf_done(&canonical);
        if (!same)
            return wrong(r, ATTEST_EVENT_DIGEST, "its preimage is not its canonical text");
    }
    if (!event_digest(e->version, e->name, e->payload, e->digest))
        return attest_fail(r->err, ATTEST_MEMORY, "no memory for a digest");
    return !claimed.len || view_eq(claimed, view_from(e->digest, sizeof e->digest)) ||
           wrong(r, ATTEST_EVENT_DIGEST,
                 "the digest is not that of its name and payload: the log is forged");
}

static bool event(struct reader *r, uint32_t object, struct event *e)
{
    struct view digest = VIEW(""), preimage = VIEW("");
    int64_t imr = 0, type = 0, version = 1;

    if (r->doc->tokens[object].kind != JSON_OBJECT)
        return wrong(r, ATTEST_EVENT_SYNTAX, "it is not an object");
    if (!number_member(r, object, "imr", RTMR_COUNT - 1, &imr) ||
        !number_member(r, object, "event_type", UINT32_MAX, &type) ||
        !hex_member(r, object, "digest", false, &digest) ||
        !text_member(r, object, "event", true, &e->name) ||
        !hex_member(r, object, "event_payload", true, &e->payload) ||
        !hex_member(r, object, "preimage", false, &preimage))
        return false;
    if (json_member(r->doc, object, "version") &&
        (!number_member(r, object, "version", 2, &version) || !version))
        return wrong(r, ATTEST_EVENT_SYNTAX, "\"version\" must be 1 or 2");
    e->imr = (uint8_t)imr;
    e->type = (uint32_t)type;
    e->version = (uint8_t)version;
    if (digest.len && digest.len != MEASUREMENT_BYTES)
        return wrong(r, ATTEST_EVENT_SYNTAX, "Invalid digest in event log: expected 96 hex digits");
    if (e->type == EVENT_TYPE_RUNTIME)
        return runtime(r, e, digest, preimage, json_member(r->doc, object, "preimage") != 0);
    if (e->imr == RTMR_RUNTIME)
        return wrong(r, ATTEST_EVENT_REGISTER, "RTMR3 holds an event that is no runtime event");
    if (!digest.len)
        return wrong(r, ATTEST_EVENT_SYNTAX, "Invalid digest in event log: it is empty");
    memcpy(e->digest, digest.at, sizeof e->digest);
    return true;
}

/* --- the order of what the system emits --- */

static bool named(const struct event *e, const char *name)
{
    return e->type == EVENT_TYPE_RUNTIME && view_eq(e->name, view_str(name));
}

/* Index of the first event of that name, or the count of all. */
static uint32_t index_of(const struct event_log *log, const char *name)
{
    uint32_t i = 0;

    while (i < log->count && !named(&log->events[i], name))
        i++;
    return i;
}

static bool out_of_order(uint32_t index, const char *name, const char *what, struct attest_err *err)
{
    return attest_fail(err, ATTEST_EVENT_ORDER, "event %u: \"%s\" %s", index + 1, name, what);
}

static bool once_before_ready(const struct event_log *log, const char *name, uint32_t ready,
                              struct attest_err *err)
{
    uint32_t first = index_of(log, name);

    for (uint32_t i = first + 1; i < log->count; i++)
        if (named(&log->events[i], name))
            return out_of_order(i, name, "stands there a second time", err);
    return first <= ready || first == log->count ||
           out_of_order(first, name, "comes after system-ready, when applications run", err);
}

static bool ordered(const struct event_log *log, struct attest_err *err)
{
    uint32_t ready = index_of(log, EVENT_SYSTEM_READY), none = log->count;
    uint32_t boot = index_of(log, EVENT_BOOT_DONE), compose = index_of(log, EVENT_COMPOSE_HASH);
    uint32_t certificate = index_of(log, EVENT_CERTIFICATE);

    for (size_t i = 0; i < sizeof system_events / sizeof *system_events; i++)
        if (!once_before_ready(log, system_events[i], ready, err))
            return false;
    if (compose != none && boot != none && compose > boot)
        return out_of_order(compose, EVENT_COMPOSE_HASH, "comes after boot-mr-done", err);
    if (certificate != none && ready != none && certificate < ready)
        return out_of_order(certificate, EVENT_CERTIFICATE, "comes before system-ready", err);
    return true;
}

/* --- */

static bool events(struct reader *r)
{
    uint32_t at = json_first(0);

    for (r->index = 0; r->index < r->log->count; r->index++) {
        if (!event(r, at, &r->log->events[r->index]))
            return false;
        at = r->doc->tokens[at].next;
    }
    return ordered(r->log, r->err);
}

static bool read_doc(const struct json_doc *doc, struct event_log *log, struct attest_err *err)
{
    struct reader r = {.doc = doc, .log = log, .room = doc->text.len + 16, .err = err};

    if (doc->tokens[0].kind != JSON_ARRAY)
        return attest_fail(err, ATTEST_EVENT_SYNTAX, "it is not an array");
    if (doc->tokens[0].count > EVENTS_MAX)
        return attest_fail(err, ATTEST_EVENT_SYNTAX, "%u events, at most %d", doc->tokens[0].count,
                           EVENTS_MAX);
    log->events = calloc(doc->tokens[0].count + 1, sizeof *log->events);
    log->area = malloc(r.room);
    if (!log->events || !log->area)
        return attest_fail(err, ATTEST_MEMORY, "no memory for an event log");
    log->count = doc->tokens[0].count;
    return events(&r);
}

bool event_log_parse(struct view text, struct event_log **out, struct attest_err *err)
{
    CLEANUP(event_log_free_cleanup) struct event_log *log = calloc(1, sizeof *log);
    struct json_tree tree;
    struct err why;
    bool good;

    if (!log)
        return attest_fail(err, ATTEST_MEMORY, "no memory for an event log");
    if (text.len > EVENT_LOG_BYTES_MAX)
        return attest_fail(err, ATTEST_EVENT_SYNTAX, "%zu bytes, at most %d", text.len,
                           EVENT_LOG_BYTES_MAX);
    if (!json_load(text, TOKENS_MAX, &tree, &why))
        return attest_fail(err, ATTEST_EVENT_SYNTAX, "%s", why.text);
    good = read_doc(&tree.doc, log, err);
    json_unload(&tree);
    if (good)
        *out = take(log);
    return good;
}

void event_log_free(struct event_log *log)
{
    if (!log)
        return;
    free(log->events);
    free(log->area);
    free(log);
}

bool event_log_replay(const struct event_log *log,
                      uint8_t out[static RTMR_COUNT][MEASUREMENT_BYTES])
{
    memset(out, 0, RTMR_COUNT * sizeof *out);
    for (uint32_t i = 0; i < log->count; i++) {
        const struct event *e = &log->events[i];
        const struct view pieces[] = {view_from(out[e->imr], MEASUREMENT_BYTES),
                                      view_from(e->digest, MEASUREMENT_BYTES)};

        if (!digest_sha384(pieces, 2, out[e->imr]))
            return false;
    }
    return true;
}

const struct event *event_log_first(const struct event_log *log, const char *name)
{
    uint32_t i = index_of(log, name);

    return i < log->count ? &log->events[i] : NULL;
}

const struct event *event_log_last(const struct event_log *log, const char *name)
{
    for (uint32_t i = log->count; i > 0; i--)
        if (named(&log->events[i - 1], name))
            return &log->events[i - 1];
    return NULL;
}
