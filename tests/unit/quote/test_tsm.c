/* configfs-tsm, by a folder that behaves as its entries do: what is written to inblob advances generation and fills outblob. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "attest/event_log.h"
#include "base/file.h"
#include "quote/provider.h"

struct kernel {
    char folder[64], rtmr3[96];
    pthread_t thread;
    atomic_bool stop;
    unsigned generation, extra; /* extra: somebody else's writes, each time */
};

static void put(const struct kernel *k, const char *name, struct view content)
{
    char path[160];

    (void)snprintf(path, sizeof path, "%s/postern/%s", k->folder, name);
    assert_true(file_write(path, content, 0600, NULL));
}

static void put_generation(struct kernel *k)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%u\n", k->generation);
    put(k, "generation", view_str(text));
}

/* Answers each 64 bytes of inblob with a "quote" that ends in them. */
static void *serve(void *context)
{
    struct kernel *k = context;
    char path[160];

    (void)snprintf(path, sizeof path, "%s/postern/inblob", k->folder);
    while (!atomic_load(&k->stop)) {
        uint8_t quote[8 + 64] = "a quote:";
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd >= 0 && read(fd, quote + 8, 64) == 64 && ftruncate(fd, 0) == 0) {
            put(k, "outblob", view_from(quote, sizeof quote));
            k->generation += 1 + k->extra;
            put_generation(k);
        }
        if (fd >= 0)
            close(fd);
        usleep(500);
    }
    return NULL;
}

static void kernel_open(struct kernel *k, const char *provider, unsigned extra)
{
    char path[96];

    *k = (struct kernel){.generation = 7, .extra = extra};
    (void)snprintf(k->folder, sizeof k->folder, "/tmp/tsm-XXXXXX");
    assert_non_null(mkdtemp(k->folder));
    (void)snprintf(path, sizeof path, "%s/postern", k->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    put(k, "provider", view_str(provider));
    put(k, "inblob", VIEW(""));
    put_generation(k);
    (void)snprintf(k->rtmr3, sizeof k->rtmr3, "%s/rtmr3", k->folder);
    assert_true(file_write(k->rtmr3, VIEW(""), 0600, NULL));
    assert_int_equal(pthread_create(&k->thread, NULL, serve, k), 0);
}

static void kernel_close(struct kernel *k)
{
    char command[128];

    atomic_store(&k->stop, true);
    pthread_join(k->thread, NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", k->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own folder */
}

static bool open_provider(const struct kernel *k, struct provider **out, struct err *err)
{
    char spec[96];

    (void)snprintf(spec, sizeof spec, "tsm:%s", k->folder);
    return provider_open(spec, 5000, out, err);
}

static void quotes_carry_what_was_written(void **state)
{
    struct provider *p;
    struct kernel k;
    struct err err;

    (void)state;
    kernel_open(&k, "tdx_guest\n", 0);
    assert_true(open_provider(&k, &p, &err));
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t data[REPORT_DATA_BYTES];
        struct provider_quote q;

        memset(data, 'a' + i, sizeof data);
        if (!provider_get_quote(p, data, &q, &err))
            fail_msg("%s", err.text);
        assert_int_equal(buf_len(&q.quote), 72);
        assert_memory_equal(q.quote.area + q.quote.head + 8, data, sizeof data);
        assert_true(view_eq(buf_view(&q.event_log), VIEW("[]")));
        provider_quote_done(&q);
    }
    provider_free(p);
    kernel_close(&k);
}

static void events_extend_the_register_and_are_logged(void **state)
{
    uint8_t data[REPORT_DATA_BYTES] = {0}, digest[MEASUREMENT_BYTES];
    struct provider_quote q;
    struct attest_err why;
    struct event_log *log;
    struct provider *p;
    struct kernel k;
    struct buf written;
    struct err err;

    (void)state;
    kernel_open(&k, "tdx_guest\n", 0);
    assert_true(open_provider(&k, &p, &err));
    assert_true(provider_emit(p, "one", VIEW("payload"), &err));
    assert_true(provider_emit(p, "two", VIEW(""), &err));
    assert_true(event_digest(1, VIEW("two"), VIEW(""), digest));
    buf_init(&written, 1024, "register");
    assert_true(file_read(k.rtmr3, &written, &err));
    assert_int_equal(buf_len(&written), MEASUREMENT_BYTES); /* the last write, in sysfs' way */
    assert_memory_equal(written.area, digest, sizeof digest);
    buf_done(&written);
    assert_true(provider_get_quote(p, data, &q, &err));
    if (!event_log_parse(buf_view(&q.event_log), &log, &why))
        fail_msg("%s", why.text);
    assert_int_equal(log->count, 2);
    assert_memory_equal(event_log_first(log, "two")->digest, digest, sizeof digest);
    event_log_free(log);
    provider_quote_done(&q);
    provider_free(p);
    kernel_close(&k);
}

static void what_is_wrong_is_said(void **state)
{
    uint8_t data[REPORT_DATA_BYTES] = {0};
    struct provider_quote q;
    struct provider *p;
    struct kernel k;
    struct err err;

    (void)state;
    kernel_open(&k, "sev_guest\n", 0);
    assert_false(open_provider(&k, &p, &err));
    assert_non_null(strstr(err.text, "\"sev_guest\", not tdx_guest"));
    kernel_close(&k);
    kernel_open(&k, "tdx_guest\n", 1); /* another program writes in between, each time */
    assert_true(open_provider(&k, &p, &err));
    assert_false(provider_get_quote(p, data, &q, &err));
    assert_non_null(strstr(err.text, "another program uses the same report entry"));
    provider_free(p);
    kernel_close(&k);
    assert_false(provider_open("tsm:/nonexistent", 100, &p, &err));
    assert_false(provider_open("paper", 100, &p, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_carry_what_was_written),
        cmocka_unit_test(events_extend_the_register_and_are_logged),
        cmocka_unit_test(what_is_wrong_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
