/* A document from a file, or downloaded: in one request, by the address rules, without redirects. */
#include <errno.h>
#include <strings.h>

#include "ati/cli/provider.h"
#include "ati/cli/work.h"
#include "ati/exec/exec.h"
#include "base/file.h"
#include "base/text.h"

#include "base/poison.h"

enum { DOWNLOAD_MS = 30 * 1000, URL_SHOWN_BYTES = 160, REDIRECT_LEAST = 300, REDIRECT_MOST = 399 };

struct download {
    struct cli_work *work;
    const char *url;
    struct buf *out;
    struct err *err;
    bool good;
};

static bool redirected(const struct client_answer *answer, struct err *err)
{
    char shown[URL_SHOWN_BYTES];
    struct view location;

    if (!client_answer_field(answer, VIEW("location"), &location))
        location = VIEW("");
    (void)text_escape(location, sizeof shown - 8, shown, sizeof shown);
    return err_set(err, ERR_DENIED,
                   "URL redirected to '%s' — fetch the target URL directly to avoid SSRF", shown);
}

/* URLs of people's own may hold credentials, as "user:password@" or behind '?': neither is told. */
static void show_url(const char *url, char out[static URL_SHOWN_BYTES])
{
    struct view v = view_str(url), authority;
    size_t start = view_find(v, '/') + 2, at;

    v = view_first(v, view_find(v, '?'));
    authority = view_skip(v, start);
    authority = view_first(authority, view_find(authority, '/'));
    at = view_find_last(authority, '@');
    (void)snprintf(out, URL_SHOWN_BYTES, "%.*s", (int)(start < v.len ? start : v.len),
                   (const char *)v.at);
    start = at < authority.len ? start + at + 1 : start;
    (void)text_escape(view_skip(v, start), URL_SHOWN_BYTES, out + strlen(out),
                      URL_SHOWN_BYTES - strlen(out));
}

static bool judge(const struct download *d, struct client_answer *answer)
{
    char url[URL_SHOWN_BYTES];

    show_url(d->url, url);
    if (answer->end.outcome == CLIENT_DENIED)
        return err_set(d->err, ERR_DENIED,
                       "SSRF protection: URL '%s' targets a private/internal network address", url);
    if (answer->end.outcome == CLIENT_TOO_LARGE)
        return err_set(d->err, ERR_LIMIT, "the document at %s has more than %d bytes", url,
                       OPENAPI_BYTES_MAX);
    if (answer->end.outcome == CLIENT_TIMEOUT)
        return err_set(d->err, ERR_TIMEOUT, "timeout after %d s while downloading %s",
                       DOWNLOAD_MS / 1000, url);
    if (answer->end.outcome != CLIENT_OK)
        return err_set(d->err, answer->end.err.code, "Failed to download %s: %s", url,
                       answer->end.err.text);
    if (answer->status >= REDIRECT_LEAST && answer->status <= REDIRECT_MOST)
        return redirected(answer, d->err);
    if (answer->status != 200)
        return err_set(d->err, ERR_IO, "Failed to download %s: HTTP status %d", url,
                       answer->status);
    return buf_append(d->out, buf_view(&answer->body), d->err);
}

static void downloaded(void *context, struct client_answer *answer)
{
    struct download *d = context;

    d->good = judge(d, answer);
    cli_work_finish(d->work);
}

static bool fetch(struct cli_work *work, const struct cli *cli, const char *url, struct buf *out,
                  struct err *err)
{
    const struct client_field accept = {
        .name = VIEW("Accept"),
        .value = VIEW("application/json, application/yaml, text/yaml, */*;q=0.8")};
    const struct client_request request = {.method = VIEW("GET"),
                                           .url = view_str(url),
                                           .fields = &accept,
                                           .field_count = 1,
                                           .reach = exec_reach_from(cli->environment),
                                           .timeout_ms = DOWNLOAD_MS};
    struct download d = {.work = work, .url = url, .out = out, .err = err};
    struct client_call *call =
        client_collect(work->client, &request, OPENAPI_BYTES_MAX, downloaded, &d, err);

    if (!call)
        return false;
    if (cli_work_run(work, err))
        return d.good;
    if (work->signo)
        (void)err_set(err, ERR_IO, "interrupted");
    client_cancel(call);
    return false;
}

static bool download(const struct cli *cli, const char *url, struct buf *out, struct err *err)
{
    struct cli_work work;
    bool good;

    if (strncasecmp(url, "http://", 7) == 0)
        log_event(cli->log, LOG_WARN, "provider.insecure",
                  "downloading spec over insecure HTTP — consider using HTTPS");
    good = cli_work_open(&work, cli, "downloading the document", err) &&
           fetch(&work, cli, url, out, err);
    cli_work_close(&work);
    return good;
}

bool provider_read_spec(const struct cli *cli, const char *spec, struct buf *out, struct err *err)
{
    if (strncasecmp(spec, "http://", 7) == 0 || strncasecmp(spec, "https://", 8) == 0)
        return download(cli, spec, out, err);
    return file_read(spec, out, err) || err_in(err, "Failed to read spec file");
}
