#include "tee/acme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/poison.h"

enum { TOKEN_MAX = 128 };

static const char challenges[] = "/.well-known/acme-challenge/";

bool acme_open(struct acme *a, const char *webroot, struct log *log, struct err *err)
{
    *a = (struct acme){.log = log, .opened = true, .webroot = -1};
    if (!webroot)
        return true;
    a->webroot = open(webroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return a->webroot >= 0 || err_system(err, ERR_CONFIG, errno, "--acme-webroot: %s", webroot);
}

void acme_close(struct acme *a)
{
    if (a->opened && a->webroot >= 0)
        close(a->webroot);
    a->opened = false;
}

static bool is_token(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = ascii_lower(v.at[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return v.len > 0 && v.len <= TOKEN_MAX;
}

/* Below folder, which is closed; -1: not there, or not what it should be. */
static int step(int folder, const char *name, int flags)
{
    int fd = folder < 0 ? -1 : openat(folder, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (folder >= 0)
        close(folder);
    return fd;
}

/* Each part of the path is a name that we wrote ourselves, or a token; none of them may be a link. */
static int open_challenge(const struct acme *a, struct view token)
{
    char name[TOKEN_MAX + 1];
    struct stat st;
    int fd;

    (void)snprintf(name, sizeof name, "%.*s", VIEW_ARG(token));
    fd = a->webroot < 0 ? -1 : fcntl(a->webroot, F_DUPFD_CLOEXEC, 0);
    fd = step(fd, ".well-known", O_DIRECTORY);
    fd = step(fd, "acme-challenge", O_DIRECTORY);
    fd = step(fd, name, O_NONBLOCK); /* nobody waits for a pipe's other end */
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= ACME_CHALLENGE_MAX)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool challenge(const struct acme *a, struct view token, struct serve_answer *answer,
                      struct err *err)
{
    uint8_t bytes[ACME_CHALLENGE_MAX];
    int fd = is_token(token) ? open_challenge(a, token) : -1;
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

    if (fd >= 0)
        close(fd);
    log_event_limited(a->log, LOG_INFO, "acme.challenge",
                      n < 0 ? "a challenge that is not there was asked for"
                            : "a challenge was answered",
                      F_VIEW("token", token));
    if (n < 0)
        return err_set(err, ERR_NOT_FOUND, "no such challenge");
    answer->content_type = "application/octet-stream";
    return buf_append(answer->body, view_from(bytes, (size_t)n), err);
}

/* Without the port, which is that of plain HTTP. */
static struct view host_of(struct view authority)
{
    size_t end = authority.len && authority.at[0] == '[' ? view_find(authority, ']') + 1
                                                         : view_find(authority, ':');

    return view_first(authority, end);
}

static bool redirect(struct acme *a, const struct serve_request *request,
                     struct serve_answer *answer, struct err *err)
{
    struct view host, query = request->query;
    int n;

    if (!http_field(request->head, VIEW("Host"), &host) || !(host = host_of(host)).len ||
        !view_starts(request->path, VIEW("/")))
        return err_set(err, ERR_SYNTAX, "this port serves nothing; ask https");
    n = snprintf(a->location, sizeof a->location, "Location: https://%.*s%.*s%s%.*s\r\n",
                 VIEW_ARG(host), VIEW_ARG(request->path), query.at ? "?" : "", (int)query.len,
                 query.at ? (const char *)query.at : "");
    if (n >= (int)sizeof a->location)
        return err_set(err, ERR_SYNTAX, "the request target is too long");
    answer->status = 301;
    answer->extra = a->location;
    return buf_append_str(answer->body, "this is served over https alone\n", err);
}

bool acme_answer(void *context, const struct serve_request *request, struct serve_answer *answer,
                 struct err *err)
{
    struct acme *a = context;
    bool get =
        view_eq(request->head->method, VIEW("GET")) || view_eq(request->head->method, VIEW("HEAD"));

    if (get && view_starts(request->path, view_str(challenges)))
        return challenge(a, view_skip(request->path, sizeof challenges - 1), answer, err);
    return redirect(a, request, answer, err);
}
