#include "net/sandbox.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "net/sandbox_priv.h"

static bool enter_landlock(const struct sandbox *s, struct sandbox_report *r, struct err *err);
static bool enter_seccomp(const struct sandbox *s, struct sandbox_report *r, struct err *err);
static void say(struct sandbox_report *r, const char *fmt, ...) PRINTF(2, 3);

bool sandbox_enter(const struct sandbox *s, struct sandbox_report *report, struct err *err)
{
    struct sandbox_report r = {0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        return err_system(err, ERR_INTERNAL, errno, "no_new_privs");
    r.no_new_privs = true;
    say(&r, "no_new_privs");
    if (!enter_landlock(s, &r, err) || !enter_seccomp(s, &r, err))
        return false;
    *report = r;
    return true;
}

static bool enter_landlock(const struct sandbox *s, struct sandbox_report *r, struct err *err)
{
    bool required = s->landlock == SANDBOX_REQUIRED;
    struct err cause;

    r->landlock_abi = landlock_abi();
    if (s->landlock == SANDBOX_OFF || s->landlock == SANDBOX_LOG) {
        say(r, "landlock off%s", s->landlock == SANDBOX_LOG ? " (it cannot only log)" : "");
        return true;
    }
    if (r->landlock_abi == 0) {
        if (required)
            return err_set(err, ERR_CONFIG, "the kernel has no Landlock");
        say(r, "no landlock in this kernel");
        return true;
    }
    if (!landlock_enter(s, r->landlock_abi, r, &cause)) {
        if (required)
            return err_set(err, cause.code, "%.300s", cause.text);
        say(r, "landlock failed");
        return true;
    }
    if (!r->landlock_net && s->connect_ports && required)
        return err_set(err, ERR_CONFIG, "the kernel's Landlock (version %d) has no rules for TCP",
                       r->landlock_abi);
    say(r, "landlock %d %s", r->landlock_abi, r->landlock_net ? "(files, TCP ports)" : "(files)");
    return true;
}

static bool enter_seccomp(const struct sandbox *s, struct sandbox_report *r, struct err *err)
{
    bool only_log = s->seccomp == SANDBOX_LOG;
    struct err cause;

    if (s->seccomp == SANDBOX_OFF) {
        say(r, "seccomp off");
        return true;
    }
    r->seccomp = seccomp_enter(s, only_log, &cause);
    if (!r->seccomp && s->seccomp == SANDBOX_REQUIRED)
        return err_set(err, cause.code, "%.300s", cause.text);
    if (!r->seccomp)
        say(r, "seccomp failed");
    else
        say(r, "seccomp%s%s", only_log ? " (log only)" : "",
            SANDBOX_SANITIZED ? " (wider for sanitizers)" : "");
    return true;
}

static void say(struct sandbox_report *r, const char *fmt, ...)
{
    size_t len = strlen(r->text);
    va_list args;

    if (len > 0)
        len += (size_t)snprintf(r->text + len, sizeof r->text - len, ", ");
    va_start(args, fmt);
    if (len < sizeof r->text)
        vsnprintf(r->text + len, sizeof r->text - len, fmt, args);
    va_end(args);
}
