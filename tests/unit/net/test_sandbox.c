#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "net/loop.h"
#include "net/sandbox_priv.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define CHILD_CHECK(cond) \
    ((cond) ? (void)0 : (dprintf(2, "line %d: %s (errno %d)\n", __LINE__, #cond, errno), _exit(1)))

/* Made by the parent, looked at from inside the sandbox. */
static char inside[] = "/tmp/test_sandbox_in.XXXXXX", outside[] = "/tmp/test_sandbox_out.XXXXXX";
static int servers[2];
static uint16_t ports[2];

static int server_open(uint16_t *port)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in4;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&in4, len) != 0 || listen(fd, 5) != 0 ||
        getsockname(fd, (struct sockaddr *)&in4, &len) != 0)
        return -1;
    *port = ntohs(in4.sin_port);
    return fd;
}

static void make_file(const char *folder)
{
    char path[64];
    int fd;

    snprintf(path, sizeof path, "%s/file", folder);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd >= 0)
        close(fd);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(inside) || !mkdtemp(outside))
        return -1;
    make_file(inside);
    make_file(outside);
    for (size_t i = 0; i < 2; i++)
        if ((servers[i] = server_open(&ports[i])) < 0)
            return -1;
    return 0;
}

static int tear_down(void **state)
{
    char path[64];

    (void)state;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/file", i ? inside : outside);
        unlink(path);
        rmdir(i ? inside : outside);
        close(servers[i]);
    }
    return 0;
}

/* Runs body in a child and returns how it ended. */
static int child_status(void (*body)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &none);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void must_pass(void (*body)(void))
{
    assert_int_equal(child_status(body), 0);
}

static struct sandbox_report enter(enum sandbox_mode seccomp, enum sandbox_mode landlock)
{
    const char *const read_paths[] = {inside, "/no/such/path", NULL};
    struct sandbox s = {
        .seccomp = seccomp,
        .landlock = landlock,
        .read_paths = read_paths,
        .connect_ports = &ports[0],
        .connect_port_count = 1,
    };
    struct sandbox_report report;
    struct err err;

    if (!sandbox_enter(&s, &report, &err)) {
        dprintf(2, "%s\n", err.text);
        _exit(1);
    }
    return report;
}

/* Landlock */

static int try_connect(uint16_t port)
{
    struct sockaddr_in in4 = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int errnum = connect(fd, (struct sockaddr *)&in4, sizeof in4) == 0 ? 0 : errno;

    close(fd);
    return errnum;
}

static int try_bind(uint16_t port)
{
    struct sockaddr_in in4 = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    int errnum;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    errnum = bind(fd, (struct sockaddr *)&in4, sizeof in4) == 0 ? 0 : errno;
    close(fd);
    return errnum;
}

static int try_open(const char *folder, int flags)
{
    char path[64];
    int fd, errnum = 0;

    snprintf(path, sizeof path, "%s/file", folder);
    fd = open(path, flags);
    if (fd < 0)
        errnum = errno;
    else
        close(fd);
    return errnum;
}

static void looks_at_files(void)
{
    struct sandbox_report r = enter(SANDBOX_OFF, SANDBOX_REQUIRED);

    CHILD_CHECK(r.landlock_files && r.no_new_privs && !r.seccomp);
    CHILD_CHECK(try_open(inside, O_RDONLY) == 0);
    CHILD_CHECK(try_open(inside, O_WRONLY) == EACCES);
    CHILD_CHECK(try_open(outside, O_RDONLY) == EACCES);
    CHILD_CHECK(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
}

static void writes_files(void)
{
    const char *const write_paths[] = {inside, NULL};
    struct sandbox s = {
        .landlock = SANDBOX_REQUIRED, .seccomp = SANDBOX_REQUIRED, .write_paths = write_paths};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sandbox_report report;
    struct err err;
    char path[64];
    int fd;

    snprintf(path, sizeof path, "%s/folder", inside);
    CHILD_CHECK(mkdir(path, 0700) == 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s/sock", inside);
    CHILD_CHECK(sandbox_enter(&s, &report, &err));
    CHILD_CHECK(try_open(inside, O_WRONLY) == 0);
    CHILD_CHECK(try_open(outside, O_WRONLY) == EACCES);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHILD_CHECK(bind(fd, (struct sockaddr *)&un, sizeof un) == 0);
    CHILD_CHECK(unlink(un.sun_path) == 0);
    CHILD_CHECK(file_write(un.sun_path, VIEW("whole"), 0600, &err)); /* beside it, then renamed */
    CHILD_CHECK(unlink(un.sun_path) == 0);
    CHILD_CHECK(rmdir(path) == 0);
    snprintf(un.sun_path, sizeof un.sun_path, "%s/file", outside);
    CHILD_CHECK(!file_write(un.sun_path, VIEW("whole"), 0600, &err));
    CHILD_CHECK(unlink(un.sun_path) != 0 && errno == EACCES);
}

static void removes_files(void)
{
    const char *const remove_paths[] = {inside, NULL};
    struct sandbox s = {.landlock = SANDBOX_REQUIRED, .remove_paths = remove_paths};
    struct sandbox_report report;
    struct err err;
    char path[64];
    int fd;

    snprintf(path, sizeof path, "%s/late", inside);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHILD_CHECK(fd >= 0 && close(fd) == 0);
    CHILD_CHECK(sandbox_enter(&s, &report, &err));
    CHILD_CHECK(try_open(inside, O_RDONLY) == 0);
    CHILD_CHECK(try_open(inside, O_WRONLY) == EACCES);
    CHILD_CHECK(unlink(path) == 0);
    CHILD_CHECK(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0 && errno == EACCES);
}

/* A request that devices of a trust domain know, and /dev/null does not. */
#define ASKED 0x80315403ul

static void asks_a_device(void)
{
    static const unsigned long ioctls[] = {ASKED, 0};
    const char *const write_paths[] = {"/dev/null", NULL};
    struct sandbox s = {.landlock = SANDBOX_REQUIRED,
                        .seccomp = SANDBOX_REQUIRED,
                        .write_paths = write_paths,
                        .ioctls = ioctls};
    int zero = open("/dev/zero", O_RDWR), null;
    struct sandbox_report report;
    struct err err;

    CHILD_CHECK(sandbox_enter(&s, &report, &err));
    null = open("/dev/null", O_RDWR);
    CHILD_CHECK(null >= 0 && zero >= 0);
    CHILD_CHECK(ioctl(null, ASKED, 0) != 0 && errno == ENOTTY); /* it was the device that said no */
    CHILD_CHECK(open("/dev/zero", O_RDWR) < 0 && errno == EACCES);
}

static void lets_a_device_be_asked(void **state)
{
    (void)state;
    must_pass(asks_a_device);
}

static void connects(void)
{
    struct sandbox_report r = enter(SANDBOX_OFF, SANDBOX_REQUIRED);

    CHILD_CHECK(r.landlock_net);
    CHILD_CHECK(try_connect(ports[0]) == 0);
    CHILD_CHECK(try_connect(ports[1]) == EACCES);
    CHILD_CHECK(try_bind(ports[1]) == EACCES);
    CHILD_CHECK(try_bind(0) == 0);
}

static void connects_anywhere(void)
{
    struct sandbox s = {.landlock = SANDBOX_ON};
    struct sandbox_report report;
    struct err err;

    CHILD_CHECK(sandbox_enter(&s, &report, &err));
    CHILD_CHECK(try_connect(ports[0]) == 0 && try_connect(ports[1]) == 0);
}

static void keeps_files_out_of_sight(void **state)
{
    (void)state;
    if (landlock_abi() == 0) {
        print_message("this kernel has no Landlock\n");
        skip();
    }
    must_pass(looks_at_files);
    must_pass(writes_files);
    must_pass(removes_files);
}

static void keeps_ports_out_of_reach(void **state)
{
    (void)state;
    if (landlock_abi() < 4) {
        print_message("this kernel's Landlock (%d) has no rules for TCP\n", landlock_abi());
        skip();
    }
    must_pass(connects);
    must_pass(connects_anywhere);
}

/* seccomp: what a server does */

static int signals_seen;

static void note_signal(int signo)
{
    signals_seen += signo != 0;
}

static void *thread_main(void *context)
{
    void *memory = malloc(1 << 20);
    int *sum = context;

    if (memory) {
        memset(memory, 1, 1 << 20);
        *sum += ((unsigned char *)memory)[4095];
    }
    free(memory);
    return NULL;
}

static void stop_fire(struct loop *loop, struct timer *t)
{
    (void)t;
    loop_stop(loop);
}

static void serves(void)
{
    struct sandbox_report r = enter(SANDBOX_REQUIRED, SANDBOX_ON);
    cpu_set_t cpus;
    pthread_t thread;
    struct loop *loop;
    struct timer t;
    struct err err;
    int sum = 0, fds[2];
    char byte;

    CHILD_CHECK(r.seccomp && strstr(r.text, "seccomp"));
    CHILD_CHECK(pthread_create(&thread, NULL, thread_main, &sum) == 0);
    CHILD_CHECK(pthread_join(thread, NULL) == 0 && sum == 1);
    CHILD_CHECK(loop_new(&clock_system, &loop, &err));
    timer_init(&t, stop_fire);
    timer_set(loop, &t, loop_now_ms(loop) + 1);
    CHILD_CHECK(loop_run(loop, &err));
    loop_free(loop);
    CHILD_CHECK(pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 && write(fds[1], "x", 1) == 1);
    CHILD_CHECK(read(fds[0], &byte, 1) == 1);
    CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHILD_CHECK(socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
    CHILD_CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) < 0 && errno == EAFNOSUPPORT);
    CHILD_CHECK(try_connect(ports[0]) == 0);
    CHILD_CHECK(try_open(inside, O_RDONLY) == 0);
    CHILD_CHECK(try_open(inside, O_WRONLY) == EACCES && try_open(inside, O_RDWR) == EACCES);
    CHILD_CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    CHILD_CHECK(sched_setaffinity(0, sizeof cpus, &cpus) == 0);
    CHILD_CHECK(getrandom(&byte, 1, 0) == 1);
    CHILD_CHECK(signal(SIGUSR1, note_signal) != SIG_ERR && raise(SIGUSR1) == 0);
    CHILD_CHECK(signals_seen == 1);
    CHILD_CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
}

static void lets_a_server_do_its_work(void **state)
{
    (void)state;
    must_pass(serves);
}

/* seccomp: what it must not do */

static void do_execve(void)
{
    char *const none[] = {NULL};

    execve("/bin/true", none, none);
}

static void do_io_uring(void)
{
    syscall(SYS_io_uring_setup, 1, NULL);
}

static void do_listen(void)
{
    listen(servers[0], 1);
}

static void do_raw_socket(void)
{
    (void)socket(AF_PACKET, SOCK_RAW, 0);
}

static void do_mount(void)
{
    syscall(SYS_mount, "none", "/", "none", 0, NULL);
}

static void do_unknown(void)
{
    syscall(9999);
}

#if !SANDBOX_SANITIZED
static void do_fork(void)
{
    if (fork() == 0)
        _exit(0);
}

static void do_ptrace(void)
{
    syscall(SYS_ptrace, 0, 0, NULL, NULL);
}

static void do_kill_others(void)
{
    kill(getppid(), 0);
}

static void do_executable_memory(void)
{
    (void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_make_memory_executable(void)
{
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
#endif

static const struct {
    const char *name;
    void (*act)(void);
} forbidden[] = {
    {"execve", do_execve},
    {"io_uring_setup", do_io_uring},
    {"listen", do_listen},
    {"socket(AF_PACKET)", do_raw_socket},
    {"mount", do_mount},
    {"a call that does not exist", do_unknown},
#if !SANDBOX_SANITIZED
    {"fork", do_fork},
    {"ptrace", do_ptrace},
    {"kill", do_kill_others},
    {"mmap(PROT_EXEC)", do_executable_memory},
    {"mprotect(PROT_EXEC)", do_make_memory_executable},
#endif
};

static void (*act)(void);
static enum sandbox_mode act_mode;

static void act_inside(void)
{
    enter(act_mode, SANDBOX_OFF);
    act();
}

static void a_forbidden_call_ends_the_process(void **state)
{
    (void)state;
    act_mode = SANDBOX_ON;
    for (size_t i = 0; i < COUNT(forbidden); i++) {
        int status;

        act = forbidden[i].act;
        status = child_status(act_inside);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("%s: status %x", forbidden[i].name, (unsigned)status);
    }
}

static void log_mode_lets_everything_pass(void **state)
{
    (void)state;
    act_mode = SANDBOX_LOG;
    for (size_t i = 0; i < COUNT(forbidden); i++) {
        act = forbidden[i].act;
        assert_true(WIFEXITED(child_status(act_inside)));
    }
}

static void *waiting_thread_main(void *context)
{
    int fd = *(int *)context;
    char byte;

    if (read(fd, &byte, 1) == 1)
        do_io_uring();
    return NULL;
}

static void filters_earlier_threads(void)
{
    pthread_t thread;
    int fds[2];

    CHILD_CHECK(pipe(fds) == 0);
    CHILD_CHECK(pthread_create(&thread, NULL, waiting_thread_main, &fds[0]) == 0);
    enter(SANDBOX_REQUIRED, SANDBOX_OFF);
    CHILD_CHECK(write(fds[1], "x", 1) == 1);
    pthread_join(thread, NULL);
}

static void the_filter_covers_threads_that_were_there_before(void **state)
{
    int status = child_status(filters_earlier_threads);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

#if !SANDBOX_SANITIZED
static void locks_memory(void)
{
    static const char *const calls[] = {"mlock", "no such call", NULL};
    struct sandbox s = {.seccomp = SANDBOX_REQUIRED, .calls = act_mode ? calls : NULL};
    struct sandbox_report report;
    struct err err;
    char byte;

    CHILD_CHECK(sandbox_enter(&s, &report, &err));
    (void)mlock(&byte, 1);
}

static void calls_beyond_a_servers_own_are_named(void **state)
{
    int status;

    (void)state;
    act_mode = SANDBOX_ON;
    must_pass(locks_memory);
    act_mode = SANDBOX_OFF;
    status = child_status(locks_memory);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}
#endif

static void off(void)
{
    struct sandbox_report r = enter(SANDBOX_OFF, SANDBOX_OFF);

    CHILD_CHECK(r.no_new_privs && !r.seccomp && !r.landlock_files && !r.landlock_net);
    CHILD_CHECK(strcmp(r.text, "no_new_privs, landlock off, seccomp off") == 0);
    do_execve(); /* /bin/true takes over */
    _exit(1);
}

static void off_means_off(void **state)
{
    (void)state;
    must_pass(off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_files_out_of_sight),
        cmocka_unit_test(lets_a_device_be_asked),
        cmocka_unit_test(keeps_ports_out_of_reach),
        cmocka_unit_test(lets_a_server_do_its_work),
        cmocka_unit_test(a_forbidden_call_ends_the_process),
        cmocka_unit_test(log_mode_lets_everything_pass),
        cmocka_unit_test(the_filter_covers_threads_that_were_there_before),
#if !SANDBOX_SANITIZED
        cmocka_unit_test(calls_beyond_a_servers_own_are_named),
#endif
        cmocka_unit_test(off_means_off),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
