#include "net/confine.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/secret.h"
#include "base/view.h"
#include "net/process.h"

static void add(struct confine_paths *p, struct view path)
{
    for (size_t i = 0; i < p->count; i++)
        if (view_eq(path, view_str(p->text[i])))
            return;
    if (p->count == CONFINE_PATHS_MAX || path.len >= CONFINE_PATH_BYTES) {
        p->full = true;
        return;
    }
    (void)snprintf(p->text[p->count], CONFINE_PATH_BYTES, "%.*s", VIEW_ARG(path));
    p->list[p->count] = p->text[p->count];
    p->count++;
}

static struct view folder_of(struct view path)
{
    size_t slash = view_find_last(path, '/');

    if (slash == path.len)
        return VIEW(".");
    return slash == 0 ? VIEW("/") : view_first(path, slash);
}

void confine_path(struct confine_paths *p, const char *path)
{
    if (path)
        add(p, view_str(path));
}

void confine_folder_of(struct confine_paths *p, const char *path)
{
    char real[PATH_MAX];

    if (!path)
        return;
    add(p, folder_of(view_str(path)));
    if (realpath(path, real))
        add(p, folder_of(view_str(real)));
}

static void add_always(struct confine_paths *p)
{
    static const char *const always[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
                                         "/etc/host.conf",   "/dev/null",  "/proc/self"};

    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        add(p, view_str(always[i]));
}

bool confine(struct confinement *c, struct sandbox_report *report, struct err *err)
{
    struct sandbox sandbox = {
        .seccomp = c->seccomp,
        .landlock = c->landlock,
        .read_paths = c->read.list,
        .remove_paths = c->remove.list,
        .write_paths = c->write.list,
        .ioctls = c->ioctls,
        .calls = c->calls,
        .connect_ports = c->connect_ports,
        .connect_port_count = c->connect_port_count,
    };
    struct user user;

    add_always(&c->read);
    if (c->read.full || c->remove.full || c->write.full)
        return err_set(err, ERR_LIMIT,
                       "the sandbox knows at most %d files and folders, of at most %d bytes each",
                       CONFINE_PATHS_MAX, CONFINE_PATH_BYTES - 1);
    if (c->user ? !user_find(c->user, &user, err) || !user_become(&user, err)
                : !capabilities_keep(c->capabilities, err))
        return false;
    secret_no_dumps(); /* becoming somebody else has set it back */
    return sandbox_enter(&sandbox, report, err);
}
