#include "net/resolve_priv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { SERVERS_TEXT_BYTES = 256, RESOLV_CONF_BYTES_MAX = 64 * 1024 };

static bool file_changed(struct watched_file *f);
static bool file_read(const char *path, size_t max, uint8_t **text, size_t *len);
static void hosts_read(struct resolver *r);
static void servers_read(struct resolver *r);

void files_open(struct resolver *r)
{
    r->hosts.path = "/etc/hosts";
    r->resolv_conf.path = "/etc/resolv.conf";
    r->files_ms = loop_now_ms(r->loop);
    /* c-ares has read resolv.conf itself. */
    (void)file_changed(&r->resolv_conf);
    if (file_changed(&r->hosts))
        hosts_read(r);
}

void files_close(struct resolver *r)
{
    free(r->hosts_text);
    r->hosts_text = NULL;
}

void files_look(struct resolver *r)
{
    uint64_t now = loop_now_ms(r->loop);

    if (now - r->files_ms < RESOLVE_FILES_MS)
        return;
    r->files_ms = now;
    if (file_changed(&r->hosts))
        hosts_read(r);
    /* c-ares takes new servers only when it has nothing to do; otherwise the next look does it. */
    if (!r->own_servers && r->asked == 0 && file_changed(&r->resolv_conf))
        servers_read(r);
}

/* Since the last call. A file that is missing counts as unchanged: what was read stays. */
static bool file_changed(struct watched_file *f)
{
    struct stat now;
    bool same;

    if (stat(f->path, &now) != 0)
        return false;
    same = now.st_ino == f->seen.st_ino && now.st_dev == f->seen.st_dev &&
           now.st_size == f->seen.st_size && now.st_mtim.tv_sec == f->seen.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec;
    f->seen = now;
    return !same;
}

static bool file_read(const char *path, size_t max, uint8_t **text, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    uint8_t *at = NULL;
    struct stat st;
    ssize_t n = 1;
    size_t room;

    *len = 0;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        room = (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
        at = malloc(room + 1);
        while (at && *len < room && (n = read(fd, at + *len, room - *len)) > 0)
            *len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    *text = at;
    return at != NULL && n >= 0;
}

static void hosts_read(struct resolver *r)
{
    uint8_t *text;
    size_t len;

    if (!file_read(r->hosts.path, HOSTS_FILE_BYTES_MAX, &text, &len)) {
        free(text);
        return;
    }
    free(r->hosts_text);
    r->hosts_text = text;
    r->hosts_len = len;
}

static void servers_read(struct resolver *r)
{
    char servers[SERVERS_TEXT_BYTES];
    uint8_t *text;
    size_t len;

    if (file_read(r->resolv_conf.path, RESOLV_CONF_BYTES_MAX, &text, &len) &&
        resolv_conf_servers(view_from(text, len), servers, sizeof servers) > 0)
        (void)ares_set_servers_ports_csv(r->channel, servers);
    free(text);
}
