/* The helper itself: what it keeps, and how it ends. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "child_world.h"

static bool helper_holds(const char *text)
{
    char path[64], line[256];
    size_t len = strlen(text);
    bool found = false;
    FILE *maps;
    int mem;

    snprintf(path, sizeof path, "/proc/%d/mem", (int)child_helper_pid());
    mem = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)child_helper_pid());
    maps = fopen(path, "r");
    if (mem < 0 || !maps) {
        print_message("its memory can be seen by root alone\n");
        skip();
    }
    while (!found && fgets(line, sizeof line, maps)) {
        char *end, *rights = strchr(line, ' ');
        unsigned long from = strtoul(line, &end, 16), to = strtoul(end + 1, NULL, 16);
        char *bytes;
        ssize_t n;

        if (!rights || strncmp(rights, " rw", 3) != 0 || to - from > (256UL << 20))
            continue;
        bytes = malloc(to - from);
        assert_non_null(bytes);
        n = pread(mem, bytes, to - from, (off_t)from);
        found = n > 0 && memmem(bytes, (size_t)n, text, len);
        free(bytes);
    }
    assert_int_equal(fclose(maps), 0);
    assert_int_equal(close(mem), 0);
    return found;
}

/* Put together here, so that the program's own text does not hold it. */
static void planted(char out[static 64], const char *what)
{
    snprintf(out, 64, "%s-%s-%d", "planted", what, (int)getpid());
}

/* What it has from us, and had no reason to forget. */
static char kept[64];

static void the_helper_keeps_nothing_of_what_it_forwards(void **state)
{
    struct world *w = *state;
    char secret[64], line[128], *environment[] = {usual[0], line, NULL};
    const char *arguments[] = {"-c", "test ${#SECRET} -gt 8", NULL};
    struct child_command command = {
        .program = "sh", .arguments = arguments, .environment = environment, .folder = w->folder};
    struct child_job *job = NULL;
    struct outcome o = {0};

    planted(secret, "variable");
    snprintf(line, sizeof line, "SECRET=%s", secret);
    assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, NULL));
    while (!o.done)
        turn(w);
    assert_int_equal(o.exit_code, 0);
    assert_false(helper_holds(secret + 8));
    assert_true(helper_holds(kept));
    planted(secret, "environment"); /* of ours, from before it was started */
    assert_false(helper_holds(secret + 8));
}

/* Somebody who has a helper with two children, one of which has a child of its own, and is killed. */
static _Noreturn void be_killed(struct world *w)
{
    struct talk t[2];

    if (!child_helper_start("second", NULL, NULL) || !loop_new(&clock_system, &w->loop, NULL))
        _exit(1);
    open_talk(w, &t[0], "echo $PPID >helper; trap '' TERM; sleep 1000 & echo $! >inner; wait");
    open_talk(w, &t[1], "echo $$ >child; exec sleep 1000");
    for (;;)
        (void)!loop_turn(w->loop, 1000, NULL);
}

static void all_end_with_the_one_they_work_for(void **state)
{
    struct world *w = *state;
    pid_t user = fork(), helper, child, inner;

    assert_true(user >= 0);
    if (user == 0)
        be_killed(w);
    helper = number_in(w, "helper");
    inner = number_in(w, "inner");
    child = number_in(w, "child");
    assert_true(alive(helper) && alive(inner) && alive(child));
    assert_int_equal(kill(helper, SIGTERM), 0); /* which is not for it */
    assert_int_equal(kill(user, SIGKILL), 0);
    assert_int_equal(waitpid(user, NULL, 0), user);
    while (alive(helper) || alive(inner) || alive(child))
        look_again(w);
}

/* Fails as on a kernel that lacks the call. */
static void forbid_close_range(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, (unsigned long)SECCOMP_MODE_FILTER, &filter), 0);
}

/* Many descriptors of this user's are on their way, more than the helper may have open. */
static void fill_the_way(int ends[static 2])
{
    enum { MANY = 200 };
    struct rlimit few = {.rlim_cur = MANY / 2, .rlim_max = MANY / 2};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(MANY * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec byte = {.iov_base = &few, .iov_len = 1};
    struct msghdr m = {.msg_iov = &byte,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    int fds[MANY];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    for (size_t i = 0; i < MANY; i++)
        fds[i] = ends[0];
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
    assert_int_equal(sendmsg(ends[0], &m, 0), 1);
    assert_int_equal(prlimit(child_helper_pid(), RLIMIT_NOFILE, &few, NULL), 0);
}

/* Somebody who is not root, and whose kernel is old. */
static _Noreturn void live_with_less(struct world *w)
{
    struct outcome o;
    struct talk t;
    int ends[2];

    if (geteuid() == 0) {
        assert_int_equal(chmod(w->folder, 0777), 0);
        assert_int_equal(setresgid(65534, 65534, 65534), 0);
        assert_int_equal(setresuid(65534, 65534, 65534), 0);
    }
    forbid_close_range();
    assert_true(child_helper_start("third", NULL, NULL));
    assert_true(loop_new(&clock_system, &w->loop, NULL));
    open_talk(w, &t, "echo $PPID >helper; exec sleep 1000");
    (void)pid_of(w, &t);

    fill_the_way(ends);
    run(w, &o, "exit 3");
    assert_string_equal(o.failed.text, "a process's descriptor: Too many open files");
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    run(w, &o, "exit 3"); /* on the same line */
    assert_int_equal(o.exit_code, 3);
    assert_false(t.ended);

    run(w, &o, "echo $$ >ready; read x <go");
    child_end_all(w->loop);
    child_helper_stop();
    _exit(0);
}

static void one_answer_that_does_not_fit_is_its_own_matter(void **state)
{
    struct world *w = *state;
    char path[128];
    unsigned found = 0;
    pid_t user, helper;
    struct dirent *e;
    int status;
    DIR *dir;

    snprintf(path, sizeof path, "%s/go", w->folder);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_int_equal(chmod(path, 0666), 0);
    user = fork();
    assert_true(user >= 0);
    if (user == 0)
        live_with_less(w);
    (void)number_in(w, "ready");
    helper = number_in(w, "helper");
    snprintf(path, sizeof path, "/proc/%d/fd", (int)helper);
    dir = opendir(path);
    if (dir) { /* root alone may look */
        while ((e = readdir(dir)))
            found += e->d_name[0] != '.';
        assert_int_equal(closedir(dir), 0);
        assert_int_equal(found,
                         5); /* three streams, the control, one line: not the other end of either */
    }
    snprintf(path, sizeof path, "%s/go", w->folder);
    status = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(status >= 0);
    assert_int_equal(close(status), 0);
    assert_int_equal(waitpid(user, &status, 0), user);
    assert_int_equal(status, 0);
}

/* Stopped: it does nothing, and keeps everything. */
static void hang_helper(struct world *w)
{
    char path[64], line[512] = "";
    FILE *file;

    assert_int_equal(kill(child_helper_pid(), SIGSTOP), 0);
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child_helper_pid());
    while (!strstr(line, ") T ")) {
        file = fopen(path, "r");
        assert_non_null(file);
        assert_non_null(fgets(line, sizeof line, file));
        assert_int_equal(fclose(file), 0);
        look_again(w);
    }
}

/* Of processes known by their descriptors, since Linux 6.9. */
static bool groups_can_be_killed(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    bool can = syscall(SYS_pidfd_send_signal, self, 0, NULL, 1U << 2) == 0 || errno != EINVAL;

    assert_int_equal(close(self), 0);
    return can;
}

static void a_helper_that_hangs_holds_nobody_up(void **state)
{
    struct world *w = *state;
    struct outcome late, over;
    pid_t outer, inner;
    struct talk t, quick;

    open_talk(w, &t, "trap '' TERM; sleep 1000 & echo $! >inner; wait");
    outer = pid_of(w, &t);
    inner = number_in(w, "inner");
    open_talk(w, &quick, "read x");
    (void)pid_of(w, &quick);
    hang_helper(w);
    begin(w, &late, "exit 0", OUTPUT_MAX, 1); /* whose start is not answered */
    child_stop(t.child);                      /* which it does not hear of */
    child_close_input(quick.child);           /* whose status nobody tells */
    look_again(w);
    child_stop(quick.child);
    while (!late.done || !t.ended || !quick.ended)
        turn(w);
    assert_true(late.timed_out);
    assert_int_equal(late.signo, SIGKILL);
    assert_int_equal(late.failed.code, 0);
    assert_int_equal(WTERMSIG(t.status), SIGKILL);
    assert_int_equal(WTERMSIG(quick.status), SIGKILL);
    while (alive(outer) || (groups_can_be_killed() && alive(inner)))
        look_again(w);
    assert_int_equal(kill(child_helper_pid(), SIGCONT), 0);
    run(w, &over, "exit 3");
    assert_int_equal(over.exit_code, 3);
    buf_done(&late.text);
    buf_done(&over.text);
    buf_done(&t.text);
    buf_done(&quick.text);
}

static void what_cannot_be_sent_is_its_own_matter(void **state)
{
    struct world *w = *state;
    enum { ALLOWED = 64 * 1024 };
    char *lots = malloc(2 * ALLOWED + 1);
    const char *arguments[] = {lots, NULL};
    struct child_command command = {
        .program = "true", .arguments = arguments, .environment = usual};
    struct rlimit before, small;
    struct child_job *job = NULL;
    struct outcome o = {0}, other;
    struct talk t;

    assert_non_null(lots);
    memset(lots, 'x', 2 * ALLOWED);
    lots[2 * ALLOWED] = '\0';
    open_talk(w, &t, "sleep 1000");
    (void)pid_of(w, &t);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){ALLOWED, before.rlim_max};
    assert_ptr_not_equal(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_true(child_run(w->loop, &command, 1, LONG_MS, taken, &o, &job, NULL));
    while (!o.done)
        turn(w);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_string_equal(o.failed.text, "true: a new process: File too large");
    run(w, &other, "exit 3");
    assert_int_equal(other.exit_code, 3);
    assert_false(t.ended);
    child_stop(t.child);
    while (!t.ended)
        turn(w);
    assert_int_equal(WTERMSIG(t.status), SIGTERM);
    buf_done(&other.text);
    buf_done(&t.text);
    free(lots);
}

static void gone(void *context, int status)
{
    *(int *)context = status;
}

/* The last one: there is no helper any more. */
static void without_its_helper_nothing_is_started_and_nobody_hangs(void **state)
{
    struct world *w = *state;
    pid_t helper = child_helper_pid(), pid, inner;
    struct child_command command = {
        .program = "true", .arguments = (const char *const[]){NULL}, .environment = usual};
    struct child_job *job = NULL;
    int status = -1;
    struct outcome o[2];
    struct err err = {0};
    struct talk t;

    assert_true(child_helper_watch(w->loop, gone, &status, NULL));
    open_talk(w, &t, "sleep 1000 & echo $! >inner; wait");
    pid = pid_of(w, &t);
    inner = number_in(w, "inner");
    hang_helper(w);
    begin(w, &o[0], "true", OUTPUT_MAX, LONG_MS);
    begin(w, &o[1], "true", OUTPUT_MAX, 1);
    assert_int_equal(kill(helper, SIGKILL), 0);
    while (!o[0].done || !o[1].done || !t.ended || status < 0)
        turn(w);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_false(alive(pid));
    while (groups_can_be_killed() && alive(inner))
        look_again(w);
    assert_int_equal(WTERMSIG(t.status), SIGKILL);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(o[i].failed.text, "sh: the process that starts programs has ended");
    assert_false(child_run(w->loop, &command, 1, LONG_MS, taken, &o[0], &job, &err));
    assert_string_equal(err.text, "true: the process that starts programs has ended");
    child_end_all(w->loop);
    assert_false(child_run(w->loop, &command, 1, LONG_MS, taken, &o[0], &job, &err));
    assert_string_equal(err.text, "true: the process that starts programs has ended");
    child_end_all(w->loop);
    child_helper_stop();
    w->fds -= 2; /* the line to it, and its own */
    buf_done(&t.text);
}

int main(void)
{
    const struct CMUnitTest helper_tests[] = {
        IN_WORLD(the_helper_keeps_nothing_of_what_it_forwards),
        IN_WORLD(a_helper_that_hangs_holds_nobody_up),
        IN_WORLD(what_cannot_be_sent_is_its_own_matter),
        IN_WORLD(without_its_helper_nothing_is_started_and_nobody_hangs),
    };
    const struct CMUnitTest before[] = {IN_WORLD(all_end_with_the_one_they_work_for),
                                        IN_WORLD(one_answer_that_does_not_fit_is_its_own_matter)};
    static char variable[128];
    char secret[64];
    int failed = cmocka_run_group_tests_name("somebody else's helper", before, NULL, NULL);

    planted(secret, "environment");
    snprintf(variable, sizeof variable, "CHILD_TEST_ENVIRONMENT=%s", secret);
    failed += putenv(variable);         /* setenv leaves a copy on the stack */
    secret_wipe(secret, sizeof secret); /* the helper is a copy of us */
    planted(kept, "memory");
    if (!child_helper_start("test-helper", environ, NULL))
        return 1;
    failed += cmocka_run_group_tests_name("the helper", helper_tests, NULL, NULL);
    return failed;
}
