#include "tee/access.h"

#include "base/poison.h"

static size_t copy(uint8_t *out, size_t size, struct view v)
{
    size_t n = v.len < size ? v.len : size;

    if (n)
        memcpy(out, v.at, n);
    return n;
}

void access_begin(struct access *a, struct view method, struct view path, bool attested)
{
    a->open = true;
    a->attested = attested;
    a->status = 0;
    a->bytes_up = a->bytes_down = 0;
    a->method_len = copy(a->method, sizeof a->method, method);
    a->path_len = copy(a->path, sizeof a->path, path);
}

/* Probes come every few seconds and say nothing. */
static enum log_level level_of(const struct access *a, struct view path)
{
    return view_eq(path, VIEW("/health")) && a->status == 200 ? LOG_DEBUG : LOG_INFO;
}

void access_end(struct access *a, struct log *log, const struct addr *client, uint64_t now_ms,
                bool complete)
{
    struct view path = view_from(a->path, a->path_len);
    char address[ADDR_TEXT_BYTES];

    if (!a->open)
        return;
    a->open = false;
    if (!log || !log_wants(log, level_of(a, path)))
        return;
    (void)addr_ip_format(client, address);
    log_event(log, level_of(a, path), "request.answered",
              complete ? "request answered" : "request cut short", F_STR("client", address),
              F_VIEW("method", view_from(a->method, a->method_len)), F_VIEW("path", path),
              F_U64("status", (uint64_t)a->status), F_U64("bytes_up", a->bytes_up),
              F_U64("bytes_down", a->bytes_down), F_SECONDS("duration", now_ms - a->start_ms),
              F_BOOL("attested", a->attested), F_BOOL("complete", complete));
}
