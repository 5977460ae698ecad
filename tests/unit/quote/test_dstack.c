/* dstack's guest agent, as it answers and as it should not. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "attest/event_log.h"
#include "platform.h"
#include "quote/provider.h"
#include "support/guest_agent.h"

enum { PATIENCE_MS = 20000, SOON_MS = 40, WAITING_MAX = 64 };

/* --- which sockets are there: stands before libc's --- */

static struct {
    bool ours;        /* else libc's answer */
    const char *only; /* the one that exists, or NULL */
    char asked[512];  /* in order, each with a blank after it */
} files;

int access(const char *path, int mode)
{
    if (!files.ours)
        return (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
    (void)snprintf(files.asked + strlen(files.asked), sizeof files.asked - strlen(files.asked),
                   "%s ", path);
    return files.only && strcmp(files.only, path) == 0 ? 0 : -1;
}

/* --- */

struct machine {
    char folder[32], path[64];
    struct sim_guest *guest;
    struct guest_agent agent;
    struct provider *provider;
};

static struct provider *open_spec(const char *spec, uint64_t timeout_ms)
{
    const struct provider_options options = {.spec = spec, .timeout_ms = timeout_ms};
    struct provider *p;
    struct err err;

    if (!provider_open(&options, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

static void machine_open(struct machine *m, enum agent_mood mood, uint64_t timeout_ms)
{
    char spec[96];

    (void)snprintf(m->folder, sizeof m->folder, "/tmp/dstack-XXXXXX");
    assert_non_null(mkdtemp(m->folder));
    (void)snprintf(m->path, sizeof m->path, "%s/dstack.sock", m->folder);
    assert_true(sim_guest_boot(VIEW("{}"), &m->guest, NULL));
    guest_agent_open(&m->agent, m->path, platform, m->guest);
    atomic_store(&m->agent.mood, mood);
    (void)snprintf(spec, sizeof spec, "dstack:%s", m->path);
    m->provider = open_spec(spec, timeout_ms);
}

static void machine_close(struct machine *m)
{
    provider_free(m->provider);
    guest_agent_close(&m->agent);
    sim_guest_free(m->guest);
    assert_int_equal(rmdir(m->folder), 0);
}

static void check_quote(struct provider *p, uint8_t filling)
{
    uint8_t data[REPORT_DATA_BYTES];
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
    assert_non_null(event_log_first(log, EVENT_COMPOSE_HASH));
    assert_true(view_find_text(buf_view(&q.vm_config), VIEW("os_image_hash")));
    event_log_free(log);
    provider_quote_done(&q);
}

static void an_agent_is_asked_in_its_own_words(void **state)
{
    static const enum agent_mood moods[] = {AGENT_FAITHFUL, AGENT_CHUNKED, AGENT_UNTIL_END,
                                            AGENT_KEEPS_OPEN};

    (void)state;
    for (uint8_t i = 0; i < sizeof moods / sizeof *moods; i++) {
        struct buf info;
        struct machine m;
        struct err err;

        machine_open(&m, moods[i], PATIENCE_MS);
        check_quote(m.provider, i);
        assert_non_null(strstr(m.agent.asked, "POST /GetQuote HTTP/1.1\r\nHost: dstack\r\n"));
        assert_true(provider_emit(m.provider, "an event", VIEW("its payload"), &err));
        assert_non_null(strstr(m.agent.asked, "POST /EmitEvent HTTP/1.1\r\n"));
        assert_string_equal(m.guest->events[m.guest->count - 1].name, "an event");
        assert_memory_equal(m.guest->events[m.guest->count - 1].payload, "its payload", 11);
        buf_init(&info, PROVIDER_ANSWER_MAX, "tcb_info");
        assert_true(provider_tcb_info(m.provider, &info, &err));
        assert_true(view_find_text(buf_view(&info), VIEW("\"app_compose\":\"{}\"")));
        buf_done(&info);
        machine_close(&m);
    }
}

static void a_simulator_may_be_on_tcp(void **state)
{
    static const struct {
        const char *host, *path, *asked;
    } rows[] = {
        {"127.0.0.1", "", "POST /GetQuote HTTP/1.1\r\nHost: 127.0.0.1:"},
        {"127.0.0.1", "/", "POST /GetQuote HTTP/1.1\r\nHost: 127.0.0.1:"},
        {"localhost", "/v1/agent/", "POST /v1/agent/GetQuote HTTP/1.1\r\nHost: localhost:"},
    };
    struct guest_agent agent;
    struct sim_guest *guest;
    struct provider *p;

    (void)state;
    assert_true(sim_guest_boot(VIEW("{}"), &guest, NULL));
    guest_agent_open(&agent, NULL, platform, guest);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char spec[96];

        (void)snprintf(spec, sizeof spec, "dstack:http://%s:%u%s", rows[i].host, agent.port,
                       rows[i].path);
        p = open_spec(spec, PATIENCE_MS);
        check_quote(p, 'x');
        assert_non_null(strstr(agent.asked, rows[i].asked));
        provider_free(p);
    }
    guest_agent_close(&agent);
    sim_guest_free(guest);
}

static void check_name(const char *wanted)
{
    struct provider *p = open_spec("dstack", PATIENCE_MS);

    assert_string_equal(provider_name(p), wanted);
    provider_free(p);
}

static void the_usual_places_are_looked_at_in_order(void **state)
{
    static const char *const sockets[] = {"/var/run/dstack.sock", "/run/dstack.sock",
                                          "/var/run/dstack/dstack.sock", "/run/dstack/dstack.sock"};
    char wanted[128];

    (void)state;
    files.ours = true;
    assert_int_equal(unsetenv("DSTACK_SIMULATOR_ENDPOINT"), 0);
    for (size_t i = 0; i < 4; i++) {
        files.only = sockets[i];
        files.asked[0] = '\0';
        (void)snprintf(wanted, sizeof wanted, "dstack:%s", sockets[i]);
        check_name(wanted);
        wanted[0] = '\0';
        for (size_t k = 0; k <= i; k++)
            (void)snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s ",
                           sockets[k]);
        assert_string_equal(files.asked, wanted);
    }
    files.only = NULL; /* none: the first is named */
    check_name("dstack:/var/run/dstack.sock");
    files.only = sockets[0]; /* a developer's word goes first */
    assert_int_equal(setenv("DSTACK_SIMULATOR_ENDPOINT", "/tmp/simulator.sock", 1), 0);
    check_name("dstack:/tmp/simulator.sock");
    assert_int_equal(setenv("DSTACK_SIMULATOR_ENDPOINT", "http://localhost:8090", 1), 0);
    check_name("dstack:http://localhost:8090");
    assert_int_equal(setenv("DSTACK_SIMULATOR_ENDPOINT", "", 1), 0);
    check_name("dstack:/var/run/dstack.sock");
    assert_int_equal(unsetenv("DSTACK_SIMULATOR_ENDPOINT"), 0);
    files.ours = false;
}

static void places_that_cannot_be_are_refused(void **state)
{
    static const struct {
        const char *spec, *why;
    } rows[] = {
        {"dstack:", "1 to 107 bytes"},
        {"dstack:/"
         "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "90"
         "12345678901234567",
         "1 to 107 bytes"},
        {"dstack:https://agent.example", "asked over http://"},
        {"dstack:http://", "expected http://host[:port]"},
        {"dstack:http://host:0", "expected http://host[:port]"},
        {"dstack:http://host:port", "expected http://host[:port]"},
        {"dstack:http://host/a b", "no blank"},
        {"dstack:http://host/a?b", "no blank"},
        {"dstack:http://host/\r\nX: y", "no blank"},
    };
    struct provider *p;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct provider_options options = {.spec = rows[i].spec};

        assert_false(provider_open(&options, &p, &err));
        assert_int_equal(err.code, ERR_USAGE);
        if (!strstr(err.text, rows[i].why))
            fail_msg("%s: %s", rows[i].spec, err.text);
    }
}

static void an_agent_that_fails_is_quoted(void **state)
{
    static const struct {
        enum agent_mood mood;
        int status;
        const char *text, *why;
        enum err_code code;
    } rows[] = {
        {AGENT_CUT, 0, "", "GetQuote: the guest agent's answer is not complete", ERR_IO},
        {AGENT_NO_HTTP, 0, "", "GetQuote: the guest agent's answer is no HTTP response", ERR_IO},
        {AGENT_REFUSES, 500, "{\"error\":\"no\nTD\"}",
         "GetQuote: the guest agent answered 500: {\\\"error\\\":\\\"no\\nTD\\\"}", ERR_IO},
        {AGENT_REFUSES, 404, "", "GetQuote: the guest agent answered 404", ERR_NOT_FOUND},
        {AGENT_REFUSES, 200, "{}", "\"quote\" of the answer is not in hex", ERR_SYNTAX},
        {AGENT_REFUSES, 200, "{\"quote\":\"00\"}", "no text \"event_log\"", ERR_SYNTAX},
        {AGENT_REFUSES, 200, "{\"quote\":\"0\",\"event_log\":\"[]\"}", "not in hex", ERR_SYNTAX},
        {AGENT_REFUSES, 200, "nonsense", "", ERR_SYNTAX},
    };
    uint8_t data[REPORT_DATA_BYTES] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct provider_quote q;
        struct machine m;
        struct err err;

        machine_open(&m, rows[i].mood, PATIENCE_MS);
        m.agent.status = rows[i].status;
        m.agent.text = rows[i].text;
        assert_false(provider_get_quote(m.provider, data, &q, &err));
        if (err.code != rows[i].code || !strstr(err.text, rows[i].why) || !strstr(err.text, m.path))
            fail_msg("row %zu: %s", i, err.text);
        machine_close(&m);
    }
}

static void an_agent_that_measures_no_events_is_named(void **state)
{
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, AGENT_REFUSES, PATIENCE_MS);
    m.agent.status = 404;
    m.agent.text = "";
    assert_false(provider_emit(m.provider, "name", VIEW(""), &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.text, "has no EmitEvent"));
    machine_close(&m);
}

static void silence_ends(void **state)
{
    uint8_t data[REPORT_DATA_BYTES] = {0};
    struct provider_quote q;
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, AGENT_SILENT, SOON_MS);
    assert_false(provider_get_quote(m.provider, data, &q, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.text, "did not answer within 40 ms"));
    machine_close(&m);
}

/* Nobody accepts, and the queue is full: connecting itself would wait for ever. */
static void a_full_queue_is_not_waited_for(void **state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    uint8_t data[REPORT_DATA_BYTES] = {0};
    char folder[] = "/tmp/dstack-XXXXXX", spec[160];
    int listener, waiting[WAITING_MAX], count = 0;
    struct provider_quote q;
    struct provider *p;
    struct err err;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s/full", folder);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&un, sizeof un), 0);
    assert_int_equal(listen(listener, 0), 0);
    for (;;) {
        assert_true(count < WAITING_MAX);
        waiting[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(waiting[count++], (const struct sockaddr *)&un, sizeof un) != 0)
            break;
    }
    assert_int_equal(errno, EAGAIN);
    (void)snprintf(spec, sizeof spec, "dstack:unix:%s", un.sun_path);
    p = open_spec(spec, SOON_MS);
    assert_false(provider_get_quote(p, data, &q, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    provider_free(p);
    while (count)
        close(waiting[--count]);
    close(listener);
    assert_int_equal(unlink(un.sun_path), 0);
    p = open_spec(spec, SOON_MS);
    assert_false(provider_get_quote(p, data, &q, &err));
    assert_non_null(strstr(err.text, "the guest agent does not answer: No such file"));
    provider_free(p);
    assert_int_equal(rmdir(folder), 0);
}

static void long_payloads_are_refused(void **state)
{
    static const uint8_t much[PROVIDER_PAYLOAD_MAX + 1];
    struct machine m;
    struct err err;

    (void)state;
    machine_open(&m, AGENT_FAITHFUL, PATIENCE_MS);
    assert_true(provider_emit(m.provider, "name", view_from(much, sizeof much - 1), &err));
    assert_false(provider_emit(m.provider, "name", view_from(much, sizeof much), &err));
    assert_int_equal(err.code, ERR_LIMIT);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_agent_is_asked_in_its_own_words),
        cmocka_unit_test(a_simulator_may_be_on_tcp),
        cmocka_unit_test(the_usual_places_are_looked_at_in_order),
        cmocka_unit_test(places_that_cannot_be_are_refused),
        cmocka_unit_test(an_agent_that_fails_is_quoted),
        cmocka_unit_test(an_agent_that_measures_no_events_is_named),
        cmocka_unit_test(silence_ends),
        cmocka_unit_test(a_full_queue_is_not_waited_for),
        cmocka_unit_test(long_payloads_are_refused),
    };

    return cmocka_run_group_tests(tests, platform_make, platform_free);
}
