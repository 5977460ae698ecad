#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/process.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Runs what changes the process for good in a child; the child's status tells the line that failed.
 */
#define CHILD_CHECK(cond) \
    ((cond) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #cond), _exit(1)))

static void in_child(void (*body)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* notify */

static int manager(const char *name)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    memcpy(un.sun_path + 1, name + 1, strlen(name) - 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&un,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    return fd;
}

static const char *received(int fd)
{
    static char text[1024];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);

    if (n < 0)
        return "";
    text[n] = '\0';
    return text;
}

static void tells_the_service_manager_how_it_is(void **state)
{
    char name[64];
    uint64_t us;
    int fd;

    (void)state;
    snprintf(name, sizeof name, "@test_process.%ld", (long)getpid());
    fd = manager(name);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_open();
    notify_ready("listening on 127.0.0.1:9000");
    assert_string_equal(received(fd), "READY=1\nSTATUS=listening on 127.0.0.1:9000");
    notify_ready(NULL);
    assert_string_equal(received(fd), "READY=1");
    notify_reloading();
    assert_int_equal(sscanf(received(fd), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &us), 1);
    assert_true(us > 0);
    notify_stopping("draining");
    assert_string_equal(received(fd), "STOPPING=1\nSTATUS=draining");
    notify_status("a\nREADY=1");
    assert_string_equal(received(fd), "STATUS=a READY=1");
    notify_watchdog();
    assert_string_equal(received(fd), "WATCHDOG=1");
    close(fd);
    notify_status("nobody listens"); /* and nobody minds */
    unsetenv("NOTIFY_SOCKET");
}

static void stays_silent_without_a_manager(void **state)
{
    static const char *const bad[] = {"", "relative", "@", "/"};

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    notify_open();
    for (size_t i = 0; i < COUNT(bad); i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        notify_open();
        notify_ready(NULL);
    }
    unsetenv("NOTIFY_SOCKET");
}

static void knows_when_the_watchdog_is_meant_for_it(void **state)
{
    char pid[24];

    (void)state;
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_int_equal(notify_watchdog_ms(), 0);
    setenv("WATCHDOG_USEC", "20000000", 1);
    assert_int_equal(notify_watchdog_ms(), 10000);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog_ms(), 0);
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_watchdog_ms(), 10000);
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(notify_watchdog_ms(), 0);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

/* signals */

static int seen[8], seen_count;

static void note_signal(void *context, int signo)
{
    seen[seen_count++] = signo;
    if (signo == SIGTERM)
        signals_unwatch(context);
}

static void turns_signals_into_events(void **state)
{
    static const int signos[] = {SIGTERM, SIGHUP};
    struct loop *loop = NULL;
    struct err err;

    (void)state;
    assert_true(loop_new(&clock_system, &loop, &err));
    assert_true(signals_watch(loop, signos, COUNT(signos), note_signal, loop, &err));
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    assert_true(loop_turn(loop, 0, &err));
    assert_int_equal(seen_count, 1);
    assert_int_equal(seen[0], SIGHUP);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_true(loop_turn(loop, 0, &err));
    assert_int_equal(seen_count, 2);
    assert_int_equal(seen[1], SIGTERM);
    assert_int_equal(raise(SIGPIPE), 0); /* ignored: we are still here */
    signals_unwatch(loop);
    loop_free(loop);
}

/* rights */

static void raises_the_limit_of_descriptors(void)
{
    struct rlimit limit;

    CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHILD_CHECK(descriptors_raise() == limit.rlim_max);
    CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == limit.rlim_max);
}

static void raises_the_descriptor_limit_to_the_hard_one(void **state)
{
    (void)state;
    in_child(raises_the_limit_of_descriptors);
}

static void reads_the_cpu_quota_of_a_cgroup(void **state)
{
    static const struct {
        const char *text;
        unsigned cpus;
    } cases[] = {
        {"max 100000\n", 0},
        {"100000 100000\n", 1},
        {"50000 100000\n", 1},
        {"150000 100000\n", 2},
        {"400000 100000", 4},
        {"1 100000", 1},
        {"", 0},
        {"100000", 0},
        {"100000 0", 0},
        {"0 100000", 0},
        {"x y", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(cpus_quota(view_str(cases[i].text)), cases[i].cpus);
}

static void knows_how_much_memory_there_is(void **state)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

    (void)state;
    assert_in_range(memory_usable(), 1, all);
}

static void pins_one(void)
{
    cpu_set_t all, one;
    struct err err;
    unsigned count;

    CHILD_CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    count = (unsigned)CPU_COUNT(&all);
    CHILD_CHECK(cpus_usable() >= 1 && cpus_usable() <= count);
    CHILD_CHECK(cpu_pin(count - 1 + count, &err)); /* counts round */
    CHILD_CHECK(sched_getaffinity(0, sizeof one, &one) == 0 && CPU_COUNT(&one) == 1);
    for (size_t cpu = CPU_SETSIZE; cpu-- > 0;)
        if (CPU_ISSET(cpu, &all)) {
            CHILD_CHECK(CPU_ISSET(cpu, &one)); /* the last one */
            break;
        }
    CHILD_CHECK(cpus_usable() == 1);
}

static void pins_a_thread_to_one_of_the_usable_cpus(void **state)
{
    (void)state;
    in_child(pins_one);
}

static void finds_users_by_name_and_by_number(void **state)
{
    static const char *const bad[] = {"",      ":",  "no-such-user", "root:no-such-group",
                                      "root:", ":0", "4294967296"};
    struct user user;
    struct err err;

    (void)state;
    assert_true(user_find("root", &user, &err));
    assert_int_equal(user.uid, 0);
    assert_int_equal(user.gid, 0);
    assert_true(user_find("54321:12345", &user, &err));
    assert_int_equal(user.uid, 54321);
    assert_int_equal(user.gid, 12345);
    assert_true(user_find("54321", &user, &err));
    assert_int_equal(user.gid, 54321);
    assert_true(user_find("54321:root", &user, &err));
    assert_int_equal(user.gid, 0);
    for (size_t i = 0; i < COUNT(bad); i++) {
        err = (struct err){0};
        assert_false(user_find(bad[i], &user, &err));
        assert_int_equal(err.code, ERR_CONFIG);
    }
}

static void leaves_root(void)
{
    struct user root = {0, 0}, nobody = {65534, 65534}, other = {54321, 54321};
    gid_t groups[4] = {0};
    struct err err;

    CHILD_CHECK(setgroups(2, groups) == 0);
    CHILD_CHECK(!user_become(&root, &err));
    CHILD_CHECK(user_become(&nobody, &err));
    CHILD_CHECK(getuid() == 65534 && geteuid() == 65534 && getgid() == 65534);
    CHILD_CHECK(getgroups(4, groups) == 0);
    CHILD_CHECK(setuid(0) != 0 && setgid(0) != 0);
    CHILD_CHECK(prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0);
    CHILD_CHECK(user_become(&nobody, &err)); /* once more changes nothing */
    CHILD_CHECK(!user_become(&other, &err));
}

#ifndef __SANITIZE_THREAD__
static void drops(void)
{
    struct err err;

    CHILD_CHECK(capabilities_drop(&err));
    CHILD_CHECK(setgroups(0, NULL) != 0 && errno == EPERM); /* root in name only */
    CHILD_CHECK(capabilities_drop(&err));
}

static void keeps(void)
{
    const uint64_t groups = UINT64_C(1) << CAP_SETGID;
    struct err err;

    CHILD_CHECK(capabilities_keep(groups, &err));
    CHILD_CHECK(setgroups(0, NULL) == 0);
    CHILD_CHECK(setuid(65534) != 0 && errno == EPERM);
    CHILD_CHECK(prctl(PR_CAPBSET_READ, CAP_SETGID, 0, 0, 0) == 1);
    CHILD_CHECK(prctl(PR_CAPBSET_READ, CAP_SETUID, 0, 0, 0) == 0);
    CHILD_CHECK(capabilities_drop(&err));
    CHILD_CHECK(capabilities_keep(groups, &err)); /* what is gone does not come back */
    CHILD_CHECK(setgroups(0, NULL) != 0 && errno == EPERM);
}
#endif

static void leaves_root_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("not root: there is nothing to leave\n");
        skip();
    }
    in_child(leaves_root);
#ifdef __SANITIZE_THREAD__
    print_message("the sanitizer's own thread keeps its capabilities: nothing to compare\n");
#else
    in_child(drops);
    in_child(keeps);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_service_manager_how_it_is),
        cmocka_unit_test(stays_silent_without_a_manager),
        cmocka_unit_test(knows_when_the_watchdog_is_meant_for_it),
        cmocka_unit_test(turns_signals_into_events),
        cmocka_unit_test(raises_the_descriptor_limit_to_the_hard_one),
        cmocka_unit_test(reads_the_cpu_quota_of_a_cgroup),
        cmocka_unit_test(knows_how_much_memory_there_is),
        cmocka_unit_test(pins_a_thread_to_one_of_the_usable_cpus),
        cmocka_unit_test(finds_users_by_name_and_by_number),
        cmocka_unit_test(leaves_root_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
