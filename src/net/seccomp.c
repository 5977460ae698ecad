#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sandbox_priv.h"

static bool add_all(scmp_filter_ctx filter, const struct sandbox *s);
static bool allow_names(scmp_filter_ctx filter, const char *const *names);
static bool add_conditions(scmp_filter_ctx filter, const unsigned long *ioctls);
static bool add_open(scmp_filter_ctx filter, bool writing);
static bool rule(scmp_filter_ctx filter, uint32_t action, const char *name,
                 struct scmp_arg_cmp condition);
static struct scmp_arg_cmp equal(unsigned arg, uint64_t value);
static struct scmp_arg_cmp masked(unsigned arg, uint64_t mask, uint64_t value);

/* Without a condition, so that the kernel answers from its bitmap and never runs the filter. */
static const char *const allowed[] = {
    /* bytes */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "splice",
    "tee",
    "vmsplice",
    "sendfile",
    "lseek",
    "fsync",
    "fdatasync",
    "close",
    "close_range",
    "shutdown",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "fcntl",
    /* sockets that exist */
    "socketpair",
    "connect",
    "bind",
    "accept",
    "accept4",
    "getsockname",
    "getpeername",
    "setsockopt",
    "getsockopt",
    /* waiting */
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "eventfd2",
    "signalfd4",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    /* looking at files; which ones is Landlock's to say */
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    "unlink",
    "unlinkat",
    /* memory */
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "membarrier",
    "mincore",
    /* threads and time */
    "futex",
    "futex_waitv",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "gettid",
    "getpid",
    "getppid",
    "exit",
    "exit_group",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "getcpu",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "gettimeofday",
    "time",
    "nanosleep",
    "getrusage",
    "times",
    "restart_syscall",
    /* signals */
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "rt_sigpending",
    "rt_sigsuspend",
    "sigaltstack",
    /* facts */
    "getrandom",
    "uname",
    "sysinfo",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrlimit",
    NULL,
};

/* With folders to write to: which ones is Landlock's to say. */
static const char *const writes[] = {
    "open",  "openat",  "rename", "renameat", "renameat2", "fchmod",
    "mkdir", "mkdirat", "rmdir",  "flock",    "ftruncate", NULL,
};

#if SANDBOX_SANITIZED
/* The leak checker stops all threads by tracing them from a clone; reports ask about the machine.
 */
static const char *const sanitizers[] = {
    "clone",    "ptrace",    "wait4",       "kill",    "tkill",          "tgkill",
    "prctl",    "prlimit64", "setrlimit",   "mmap",    "mprotect",       "process_vm_readv",
    "openat",   "open",      "personality", "mlock",   "munlock",        "arch_prctl",
    "getpgrp",  "getpgid",   "ioctl",       "getppid", "sched_getparam", "getdents64",
    "getdents", "readlink",  "readlinkat",  "waitid",  "lseek",          "pread64",
    NULL,
};
#endif

bool seccomp_enter(const struct sandbox *s, bool only_log, struct err *err)
{
    uint32_t otherwise = only_log ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
    scmp_filter_ctx filter = seccomp_init(otherwise);
    int failed;

    if (!filter)
        return err_set(err, ERR_MEMORY, "no memory for a seccomp filter");
    /* Level 2 sorts the calls into a binary tree. */
    if (seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) != 0 ||
        seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0 ||
        seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, otherwise) != 0 || !add_all(filter, s)) {
        seccomp_release(filter);
        return err_set(err, ERR_INTERNAL, "the seccomp filter cannot be built");
    }
    failed = seccomp_load(filter);
    seccomp_release(filter);
    if (failed)
        return err_system(err, ERR_INTERNAL, -failed, "seccomp");
    return true;
}

static bool add_all(scmp_filter_ctx filter, const struct sandbox *s)
{
    bool writing = s->write_paths && s->write_paths[0];

    if (!allow_names(filter, allowed) || (s->calls && !allow_names(filter, s->calls)))
        return false;
#if SANDBOX_SANITIZED
    if (!allow_names(filter, sanitizers))
        return false;
#endif
    return add_conditions(filter, s->ioctls) && add_open(filter, writing);
}

/* Names that this machine's kernel interface has not are skipped. */
static bool allow_names(scmp_filter_ctx filter, const char *const *names)
{
    for (; *names; names++) {
        int number = seccomp_syscall_resolve_name(*names);

        if (number != __NR_SCMP_ERROR && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0)
            return false;
    }
    return true;
}

static bool add_conditions(scmp_filter_ctx filter, const unsigned long *ioctls)
{
    static const int domains[] = {AF_INET, AF_INET6, AF_UNIX};
    static const unsigned long requests[] = {FIONREAD,    FIONBIO, TIOCOUTQ,
                                             SIOCOUTQNSD, TCGETS,  TIOCGWINSZ};
    static const int names[] = {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA};
    const uint64_t thread = CLONE_VM | CLONE_THREAD;
    bool ok = true;

    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        ok &= rule(filter, SCMP_ACT_ALLOW, "socket", equal(0, (uint64_t)domains[i]));
    /* The C library asks netlink for interfaces on its own account; it copes without. */
    ok &= rule(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", equal(0, AF_NETLINK));
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        ok &= rule(filter, SCMP_ACT_ALLOW, "ioctl", equal(1, requests[i]));
    for (; ioctls && *ioctls; ioctls++)
        ok &= rule(filter, SCMP_ACT_ALLOW, "ioctl", equal(1, *ioctls));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ok &= rule(filter, SCMP_ACT_ALLOW, "prctl", equal(0, (uint64_t)names[i]));
    ok &= rule(filter, SCMP_ACT_ALLOW, "mmap", masked(2, PROT_EXEC, 0));
    ok &= rule(filter, SCMP_ACT_ALLOW, "mprotect", masked(2, PROT_EXEC, 0));
    ok &= rule(filter, SCMP_ACT_ALLOW, "clone", masked(0, thread, thread));
    ok &= rule(filter, SCMP_ACT_ALLOW, "tgkill", equal(0, (uint64_t)getpid()));
    ok &= rule(filter, SCMP_ACT_ALLOW, "prlimit64", equal(0, 0));
    /* Its flags lie in memory, where a filter cannot look; the C library then uses clone. */
    return ok && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

static bool add_open(scmp_filter_ctx filter, bool writing)
{
    static const int modes[] = {O_WRONLY, O_RDWR};
    bool ok;

    if (writing)
        return allow_names(filter, writes);
    ok = rule(filter, SCMP_ACT_ALLOW, "open", masked(1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY)) &&
         rule(filter, SCMP_ACT_ALLOW, "openat", masked(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        ok &= rule(filter, SCMP_ACT_ERRNO(EACCES), "openat",
                   masked(2, O_ACCMODE, (uint64_t)modes[i]));
    return ok;
}

/* A call that is allowed without a condition already stays so. */
static bool rule(scmp_filter_ctx filter, uint32_t action, const char *name,
                 struct scmp_arg_cmp condition)
{
    int number = seccomp_syscall_resolve_name(name), status;

    if (number == __NR_SCMP_ERROR)
        return true;
    status = seccomp_rule_add_array(filter, action, number, 1, &condition);
    return status == 0 || status == -EEXIST;
}

static struct scmp_arg_cmp equal(unsigned arg, uint64_t value)
{
    return (struct scmp_arg_cmp){.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value};
}

static struct scmp_arg_cmp masked(unsigned arg, uint64_t mask, uint64_t value)
{
    return (struct scmp_arg_cmp){
        .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}
