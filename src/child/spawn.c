#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "child/child_priv.h"

enum { STACK_BYTES = 64 * 1024, SIGNALS = 64 };

/* Of pidfd_send_signal, since 6.9. */
#define TO_ITS_GROUP (1U << 2)

/* The kernel's own: glibc's cannot name its two inner signals. */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* What parent and child share while the parent waits: at the foot of the child's stack. */
struct launch {
    struct spawn_image *image;
    const int *streams;
    enum spawn_stage stage; /* where the child stumbled */
    int errnum;             /* 0: the new program runs */
};

/* --- the command ------------------------------------------------------------------------------------ */

static size_t list_bytes(const char *const *list, size_t *count)
{
    size_t bytes = 0;

    for (*count = 0; list && list[*count]; (*count)++)
        bytes += strlen(list[*count]) + 1;
    return bytes;
}

static char *copy(char **at, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *begin = *at;

    memcpy(begin, text, bytes);
    *at += bytes;
    return begin;
}

/* Folders of PATH in this environment; the system's usual ones when it has none. */
static const char *path_of(char *const *environment)
{
    for (; environment && *environment; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

bool spawn_image_new(const struct child_command *command, struct spawn_image **out, struct err *err)
{
    const char *path = strchr(command->program, '/') ? NULL : path_of(command->environment);
    size_t program = strlen(command->program) + 1, arguments, variables, bytes;
    struct spawn_image *image;
    char *at;

    bytes = list_bytes(command->arguments, &arguments) +
            list_bytes((const char *const *)command->environment, &variables) + 2 * program +
            (command->folder ? strlen(command->folder) + 1 : 0) +
            (path ? 2 * (strlen(path) + 1) : 0);
    if (arguments > CHILD_ARGUMENTS_MAX)
        return err_set(err, ERR_LIMIT, "%.200s: more than %d arguments", command->program,
                       (int)CHILD_ARGUMENTS_MAX);
    bytes += sizeof *image + (arguments + variables + 3) * sizeof(char *);
    image = calloc(1, bytes);
    if (!image)
        return err_set(err, ERR_MEMORY, "%.200s: no memory for its arguments", command->program);
    image->bytes = bytes;
    image->argument_count = arguments;
    image->variable_count = variables;
    image->arguments = (char **)(void *)(image + 1);
    image->environment = image->arguments + arguments + 2;
    at = (char *)(image->environment + variables + 1);
    image->program = image->arguments[0] = copy(&at, command->program);
    for (size_t i = 0; i < arguments; i++)
        image->arguments[i + 1] = copy(&at, command->arguments[i]);
    for (size_t i = 0; i < variables; i++)
        image->environment[i] = copy(&at, command->environment[i]);
    if (command->folder)
        image->folder = copy(&at, command->folder);
    image->texts = view_from(image->program, (size_t)(at - image->program));
    if (path) {
        image->path = copy(&at, path);
        image->found = at;
    }
    *out = image;
    return true;
}

void spawn_image_free(struct spawn_image *image)
{
    if (!image)
        return;
    secret_wipe(image, image->bytes);
    free(image);
}

/* --- in the child ----------------------------------------------------------------------------------- */

/* Until exec it runs in our memory, on a stack of its own, beside our other threads: system calls alone, nothing that takes a
 * lock, keeps a state or is watched by a sanitizer. */
#define IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

IN_CHILD static void reset_signals(void)
{
    struct kernel_sigaction usual = {.handler = SIG_DFL};
    uint64_t none = 0;

    for (int signo = 1; signo <= SIGNALS; signo++)
        if (signo != SIGKILL && signo != SIGSTOP)
            syscall(SYS_rt_sigaction, signo, &usual, NULL, sizeof usual.mask);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
}

/* Puts folder (of PATH), a slash and the program's name together. False: no folder is left. Empty ones would mean the folder that
 * we happen to be in: they are passed over. */
IN_CHILD static bool next_candidate(struct spawn_image *image, const char **rest)
{
    char *to = image->found;

    while (**rest == ':')
        ++*rest;
    if (!**rest)
        return false;
    while (**rest && **rest != ':')
        *to++ = *(*rest)++;
    *to++ = '/';
    for (const char *from = image->program; *from; from++)
        *to++ = *from;
    *to = '\0';
    return true;
}

IN_CHILD static void run(struct spawn_image *image, const char *file)
{
    syscall(SYS_execve, file, image->arguments, image->environment);
}

/* As execvp: what is not there is looked for in the next folder, and what may not be run is remembered. No shell for files
 * that say of themselves no interpreter. */
IN_CHILD static int run_found(struct spawn_image *image)
{
    const char *rest = image->path;
    int errnum = ENOENT;

    if (!image->path) {
        run(image, image->program);
        return errno;
    }
    while (next_candidate(image, &rest)) {
        run(image, image->found);
        if (errno == EACCES)
            errnum = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
            return errno;
    }
    return errnum;
}

IN_CHILD static bool prepare(struct launch *l)
{
    for (int i = 0; i < 3; i++)
        if (syscall(SYS_dup3, l->streams[i], i, 0) < 0) {
            l->stage = SPAWN_STREAMS;
            return false;
        }
    /* What others opened without CLOEXEC. Kernels before 5.9 lack the call. */
    syscall(SYS_close_range, 3, ~0U, 0);
    syscall(SYS_setsid);
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    l->stage = SPAWN_PRIVILEGES;
    if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false;
    l->stage = SPAWN_FOLDER;
    if (l->image->folder && syscall(SYS_chdir, l->image->folder) != 0)
        return false;
    l->stage = SPAWN_EXEC;
    return true;
}

IN_CHILD static int launched(void *context)
{
    struct launch *l = context;

    reset_signals();
    l->errnum = prepare(l) ? run_found(l->image) : errno;
    syscall(SYS_exit_group, 127);
    return 0;
}

/* clone(2), by the name under which no sanitizer lies in wait: it would take this for a fork, and lock what the child shares. */
int spawn_clone(int (*run)(void *), void *stack, int flags, void *context, ...) __asm__("__clone");

/* --- in the parent ---------------------------------------------------------------------------------- */

/* Every signal, the inner ones of glibc, too: a handler of ours must not run in the child. */
static void block_signals(uint64_t *before)
{
    uint64_t all = UINT64_MAX;

    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, before, sizeof all);
}

static void restore_signals(uint64_t before)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}

bool spawn_failed(const struct spawn_image *image, const struct spawned *s, struct err *err)
{
    enum err_code code = s->errnum == ENOENT || s->errnum == ENOTDIR ? ERR_NOT_FOUND
                         : s->errnum == EACCES || s->errnum == EPERM || s->errnum == ELOOP
                             ? ERR_DENIED
                         : s->errnum == E2BIG ? ERR_LIMIT
                                              : ERR_IO;

    switch (s->stage) {
    case SPAWN_EXEC:
        return err_system(err, code, s->errnum, "%.200s", image->program);
    case SPAWN_FOLDER:
        return err_system(err, code, s->errnum, "%.100s: folder %.150s", image->program,
                          image->folder);
    case SPAWN_STREAMS:
        return err_system(err, ERR_IO, s->errnum, "%.200s: its streams", image->program);
    case SPAWN_PRIVILEGES:
        return err_system(err, ERR_IO, s->errnum, "%.200s: giving up privileges", image->program);
    case SPAWN_PROCESS:
        break;
    }
    return err_system(err, s->errnum == ENOMEM ? ERR_MEMORY : ERR_IO, s->errnum,
                      "%.200s: a new process", image->program);
}

void spawn(struct spawn_image *image, const int streams[static 3], struct spawned *out)
{
    uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    struct launch *l = (struct launch *)(void *)stack;
    uint64_t before;

    *out = (struct spawned){.pidfd = -1, .stage = SPAWN_PROCESS};
    if (stack == MAP_FAILED) {
        out->errnum = errno;
        return;
    }
    *l = (struct launch){.image = image, .streams = streams};
    block_signals(&before);
    out->pid = spawn_clone(launched, stack + STACK_BYTES,
                           CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, l, &out->pidfd);
    out->errnum = out->pid < 0 ? errno : l->errnum;
    restore_signals(before);
    if (out->pid >= 0 && out->errnum) {
        (void)spawn_reap(out->pid);
        close(out->pidfd);
        out->pidfd = -1;
        out->stage = l->stage;
    }
    munmap(stack, STACK_BYTES);
}

void spawn_kill(int pidfd, bool group)
{
    if (group && (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, TO_ITS_GROUP) == 0 ||
                  errno != EINVAL))
        return;
    syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

int spawn_reap(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return W_EXITCODE(127, 0);
    return status;
}
