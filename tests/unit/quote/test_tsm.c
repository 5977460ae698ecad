/* configfs-tsm, by a folder that behaves as a kernel does, and by a kernel's moods: what it answers when it is busy. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "attest/event_log.h"
#include "base/file.h"
#include "platform.h"
#include "quote/provider.h"
#include "support/tsm_kernel.h"

enum { PATIENCE_MS = 20000, SOON_MS = 40, PATH_BYTES = 200, EXTEND_RTMR = (int)0x80315403 };

/* --- moods: how often the next calls fail, and with what --- */

static struct {
    atomic_int writes, reads, asks; /* to fail: of inblob, of outblob, of the device */
    int write_code, read_code, ask_code;
    unsigned long asked;
    uint8_t digest[49]; /* and the register behind it */
} moods;

/* These stand before libc's, for the provider's calls. */
ssize_t pwrite(int fd, const void *at, size_t n, off_t offset)
{
    if (atomic_fetch_sub(&moods.writes, 1) > 0) {
        errno = moods.write_code;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, at, n, offset);
}

ssize_t pread(int fd, void *at, size_t n, off_t offset)
{
    if (atomic_fetch_sub(&moods.reads, 1) > 0) {
        errno = moods.read_code;
        return -1;
    }
    return syscall(SYS_pread64, fd, at, n, offset);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;

    (void)fd;
    if (atomic_fetch_sub(&moods.asks, 1) > 0) {
        errno = moods.ask_code;
        return -1;
    }
    va_start(rest, request);
    memcpy(moods.digest, va_arg(rest, const void *), sizeof moods.digest);
    va_end(rest);
    moods.asked = request;
    return 0;
}

static void mood_good(void)
{
    atomic_store(&moods.writes, 0);
    atomic_store(&moods.reads, 0);
    atomic_store(&moods.asks, 0);
}

/* --- a machine --- */

struct machine {
    char folder[32];
    struct sim_guest *guest;
    struct tsm_kernel kernel;
};

static void machine_open(struct machine *m, const char *provider)
{
    mood_good();
    (void)snprintf(m->folder, sizeof m->folder, "/tmp/tsm-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    assert_true(sim_guest_boot(VIEW("{}"), &m->guest, NULL));
    tsm_kernel_open(&m->kernel, m->folder, provider, platform, m->guest);
}

static void machine_close(struct machine *m)
{
    char command[128];

    tsm_kernel_close(&m->kernel);
    sim_guest_free(m->guest);
    (void)snprintf(command, sizeof command, "rm -r %s", m->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own folder */
}

static char *path_in(const struct machine *m, const char *name, char out[static PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%s", m->folder, name);
    return out;
}

static bool try_open(const struct machine *m, uint64_t patience_ms, struct provider **out,
                     struct err *err)
{
    char spec[64];
    const struct provider_options options = {.spec = spec, .timeout_ms = patience_ms};

    (void)snprintf(spec, sizeof spec, "tsm:%s", m->folder);
    return provider_open(&options, out, err);
}

static struct provider *open_provider(const struct machine *m, uint64_t patience_ms)
{
    struct provider *p;
    struct err err;

    if (!try_open(m, patience_ms, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

/* A quote that carries data, whose log replays to all of its registers and holds so many events of that name. */
static void check_quote(struct provider *p, uint8_t filling, const char *name, unsigned times)
{
    uint8_t data[REPORT_DATA_BYTES], rtmr[RTMR_COUNT][MEASUREMENT_BYTES];
    struct provider_quote q;
    struct event_log *log = NULL;
    struct attest_err why;
    struct quote quote;
    struct err err;

    memset(data, filling, sizeof data);
    if (!provider_get_quote(p, data, &q, &err))
        fail_msg("%s", err.text);
    if (!quote_parse(buf_view(&q.quote), &quote, &why) ||
        !event_log_parse(buf_view(&q.event_log), &log, &why))
        fail_msg("%s", why.text);
    assert_true(view_eq(quote.td.report_data, view_from(data, sizeof data)));
    assert_true(event_log_replay(log, rtmr));
    for (unsigned i = 0; i < RTMR_COUNT; i++)
        assert_true(view_eq(quote.td.rtmr[i], view_from(rtmr[i], MEASUREMENT_BYTES)));
    for (uint32_t i = 0; i < log->count; i++)
        times -= view_eq(log->events[i].name, view_str(name));
    assert_int_equal(times, 0);
    event_log_free(log);
    provider_quote_done(&q);
}

/* --- */

static void quotes_come_with_the_log_of_all_registers(void **state)
{
    struct provider *p;
    struct machine m;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    p = open_provider(&m, PATIENCE_MS);
    for (uint8_t i = 0; i < 3; i++)
        check_quote(p, i, EVENT_COMPOSE_HASH, 1);
    provider_free(p);
    machine_close(&m);
}

static void events_are_measured_and_outlive_the_program(void **state)
{
    struct provider *p;
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    for (unsigned i = 1; i <= 3; i++) {
        p = open_provider(&m, PATIENCE_MS);
        assert_true(provider_emit(p, "started", VIEW("payload"), &err));
        check_quote(p, 'x', "started", i);
        provider_free(p);
    }
    machine_close(&m);
}

enum { EACH = 12 };

static void *emit_many(void *context)
{
    for (unsigned i = 0; i < EACH; i++)
        if (!provider_emit(context, "busy", VIEW(""), NULL))
            return context;
    return NULL;
}

/* In the register and in the log in the same order, or it would not replay. */
static void two_programs_share_a_register(void **state)
{
    struct provider *p[2];
    pthread_t threads[2];
    struct machine m;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    for (size_t i = 0; i < 2; i++) {
        p[i] = open_provider(&m, PATIENCE_MS);
        assert_int_equal(pthread_create(&threads[i], NULL, emit_many, p[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    check_quote(p[0], 'x', "busy", 2 * EACH);
    provider_free(p[0]);
    provider_free(p[1]);
    machine_close(&m);
}

static void a_busy_kernel_is_asked_again(void **state)
{
    uint8_t data[REPORT_DATA_BYTES] = {0};
    struct provider_quote q;
    struct provider *p;
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    p = open_provider(&m, PATIENCE_MS);
    moods.write_code = EBUSY;
    moods.read_code = EINTR;
    atomic_store(&moods.writes, 2);
    atomic_store(&moods.reads, 2);
    check_quote(p, 'x', EVENT_SYSTEM_READY, 1);
    moods.write_code = EINTR;
    moods.read_code = EBUSY;
    atomic_store(&moods.writes, 1);
    atomic_store(&moods.reads, 1);
    check_quote(p, 'y', EVENT_SYSTEM_READY, 1);
    moods.read_code = ENXIO; /* no patience with what does not pass */
    atomic_store(&moods.reads, 1);
    assert_false(provider_get_quote(p, data, &q, &err));
    assert_non_null(strstr(err.text, "outblob: No such device"));
    mood_good();
    provider_free(p);
    p = open_provider(&m, SOON_MS);
    moods.read_code = EBUSY;
    atomic_store(&moods.reads, INT32_MAX);
    assert_false(provider_get_quote(p, data, &q, &err));
    assert_non_null(strstr(err.text, "outblob: Device or resource busy"));
    mood_good();
    provider_free(p);
    machine_close(&m);
}

static void others_at_the_entry_are_noticed(void **state)
{
    uint8_t data[REPORT_DATA_BYTES] = {0};
    struct provider_quote q;
    char path[PATH_BYTES];
    struct provider *p;
    struct machine m;
    struct err err;
    int fd;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    p = open_provider(&m, SOON_MS);
    fd = open(path_in(&m, "postern/inblob", path), O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_false(provider_get_quote(p, data, &q, &err));
    assert_non_null(strstr(err.text, "inblob: locking: Resource temporarily unavailable"));
    close(fd);
    fd = open(path_in(&m, "events", path), O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    assert_false(provider_emit(p, "late", VIEW(""), &err));
    assert_non_null(strstr(err.text, "events: locking: Resource temporarily unavailable"));
    close(fd);
    provider_free(p);
    p = open_provider(&m, PATIENCE_MS);
    check_quote(p, 'x', "late", 0);
    m.kernel.others = 1; /* writes in between, each time, without a lock */
    assert_false(provider_get_quote(p, data, &q, &err));
    assert_non_null(strstr(err.text, "another program uses the same report entry"));
    provider_free(p);
    machine_close(&m);
}

static void what_the_register_does_not_take_is_not_logged(void **state)
{
    char path[PATH_BYTES];
    struct provider *p;
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    p = open_provider(&m, PATIENCE_MS);
    assert_int_equal(unlink(path_in(&m, "rtmr3", path)), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(provider_emit(p, "lost", VIEW(""), &err));
    assert_non_null(strstr(err.text, "rtmr3: Is a directory"));
    check_quote(p, 'x', "lost", 0);
    provider_free(p);
    machine_close(&m);
}

/* The other way round: measured and not told. The log no longer replays, and the next event would not mend it. */
static void a_log_that_cannot_grow_says_so(void **state)
{
    const struct rlimit none = {0, RLIM_INFINITY}, all = {RLIM_INFINITY, RLIM_INFINITY};
    struct buf before, after;
    char path[PATH_BYTES];
    struct provider *p;
    struct machine m;
    struct err err;
    bool good;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    p = open_provider(&m, PATIENCE_MS);
    buf_init(&before, EVENT_LOG_BYTES_MAX, "before");
    buf_init(&after, EVENT_LOG_BYTES_MAX, "after");
    assert_true(file_read(path_in(&m, "events", path), &before, &err));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    good = provider_emit(p, "untold", VIEW(""), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_false(good);
    assert_non_null(strstr(err.text, "RTMR3 has been extended, but not the log"));
    assert_true(file_read(path, &after, &err));
    assert_true(view_eq(buf_view(&before), buf_view(&after)));
    buf_done(&before);
    buf_done(&after);
    provider_free(p);
    machine_close(&m);
}

static void kernels_without_the_file_are_asked_by_ioctl(void **state)
{
    uint8_t digest[MEASUREMENT_BYTES];
    char path[PATH_BYTES];
    struct provider *p;
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    p = open_provider(&m, PATIENCE_MS);
    assert_int_equal(unlink(path_in(&m, "rtmr3", path)), 0);
    assert_false(provider_emit(p, "name", VIEW("payload"), &err));
    assert_non_null(strstr(err.text, "tdx_guest: No such file"));
    assert_true(file_write(path_in(&m, "tdx_guest", path), VIEW(""), 0600, &err));
    moods.ask_code = EBUSY;
    atomic_store(&moods.asks, 2);
    assert_true(provider_emit(p, "name", VIEW("payload"), &err));
    assert_int_equal(moods.asked, (unsigned)EXTEND_RTMR);
    assert_true(event_digest(1, VIEW("name"), VIEW("payload"), digest));
    assert_memory_equal(moods.digest, digest, sizeof digest);
    assert_int_equal(moods.digest[48], 3);
    moods.ask_code = ENOTTY;
    atomic_store(&moods.asks, 1);
    assert_false(provider_emit(p, "name", VIEW("payload"), &err));
    assert_non_null(strstr(err.text, "RTMR3 cannot be extended by this kernel"));
    provider_free(p);
    machine_close(&m);
}

static void what_is_wrong_is_said_at_the_start(void **state)
{
    const struct provider_options paper = {.spec = "paper"}, nowhere = {.spec = "tsm:/nonexistent"};
    char path[PATH_BYTES];
    struct provider *p;
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, "sev_guest\n");
    assert_false(try_open(&m, SOON_MS, &p, &err));
    assert_non_null(strstr(err.text, "\"sev_guest\", not tdx_guest"));
    machine_close(&m);
    machine_open(&m, "tdx_guest\n");
    assert_true(file_write(path_in(&m, "ccel", path), VIEW("CCEL"), 0600, &err));
    assert_false(try_open(&m, SOON_MS, &p, &err));
    assert_non_null(strstr(err.text, "ccel: record 1 of the firmware's event log, at byte 0"));
    assert_int_equal(unlink(path), 0);
    assert_false(try_open(&m, SOON_MS, &p, &err));
    assert_non_null(strstr(err.text, "without the firmware's event log no client can replay"));
    machine_close(&m);
    assert_false(provider_open(&nowhere, &p, &err));
    assert_non_null(strstr(err.text, "/nonexistent/postern: No such file"));
    assert_false(provider_open(&paper, &p, &err));
    assert_int_equal(err.code, ERR_USAGE);
}

static void an_entry_of_our_own_goes_with_us(void **state)
{
    char folder[] = "/tmp/tsm-XXXXXX", spec[64];
    const struct provider_options options = {.spec = spec};
    struct provider *p;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(spec, sizeof spec, "tsm:%s", folder);
    assert_false(provider_open(&options, &p, NULL)); /* no kernel fills it */
    assert_int_equal(rmdir(folder), 0);              /* but nothing is left in it */
}

/* Paths that are given count, wherever the rest is. */
static void the_logs_may_be_elsewhere(void **state)
{
    char spec[64], ccel[PATH_BYTES], other[PATH_BYTES], events[PATH_BYTES];
    const struct provider_options options = {
        .spec = spec, .timeout_ms = PATIENCE_MS, .ccel = other, .event_log = events};
    struct provider *p;
    struct machine m;
    struct stat about;
    struct err err;

    (void)state;
    machine_open(&m, "tdx_guest\n");
    (void)snprintf(spec, sizeof spec, "tsm:%s", m.folder);
    assert_int_equal(rename(path_in(&m, "ccel", ccel), path_in(&m, "elsewhere", other)), 0);
    (void)path_in(&m, "run/events", events);
    assert_true(provider_open(&options, &p, &err));
    assert_true(provider_emit(p, "first", VIEW(""), &err));
    assert_int_equal(stat(events, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    provider_free(p);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_come_with_the_log_of_all_registers),
        cmocka_unit_test(events_are_measured_and_outlive_the_program),
        cmocka_unit_test(two_programs_share_a_register),
        cmocka_unit_test(a_busy_kernel_is_asked_again),
        cmocka_unit_test(others_at_the_entry_are_noticed),
        cmocka_unit_test(what_the_register_does_not_take_is_not_logged),
        cmocka_unit_test(a_log_that_cannot_grow_says_so),
        cmocka_unit_test(kernels_without_the_file_are_asked_by_ioctl),
        cmocka_unit_test(what_is_wrong_is_said_at_the_start),
        cmocka_unit_test(an_entry_of_our_own_goes_with_us),
        cmocka_unit_test(the_logs_may_be_elsewhere),
    };

    return cmocka_run_group_tests(tests, platform_make, platform_free);
}
