#include "net/dial.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/secret.h"
#include "net/dial_priv.h"

static struct dial *dial_new(struct dialer *d);
static void dial_retired(struct loop *loop, struct retired *retired);
static void dialer_unuse(struct dialer *d);
static void dial_close(struct dial *dial);
static void dial_begin(struct dial *dial, struct view host, const struct addr *fixed,
                       size_t fixed_count);
static void dial_resolve(struct dial *dial);
static void dial_add(struct dial *dial, const struct addr *addrs, size_t count);
static void dial_resolved(void *context, const struct resolve_answer *answer,
                          const struct err *err);
static bool dial_may_start(const struct dial *dial);
static void dial_late(struct loop *loop, struct timer *timer);
static void dial_report_run(struct loop *loop, struct task *task);
static void dial_report(struct dial *dial);

CLEANUP_DEFINE(struct dialer, dialer_free)

const char *dial_outcome_name(enum dial_outcome o)
{
    static const char *const names[] = {
        [DIAL_OK] = "ok",
        [DIAL_NAME] = "dns-failure",
        [DIAL_DENIED] = "address-denied",
        [DIAL_REFUSED] = "connect-refused",
        [DIAL_RESET] = "target-reset",
        [DIAL_TIMEOUT] = "connect-timeout",
        [DIAL_UNREACHABLE] = "network-unreachable",
        [DIAL_NO_PORTS] = "no-local-ports",
        [DIAL_NO_RESOURCES] = "no-resources",
    };

    return names[o];
}

bool dialer_new(struct loop *loop, struct resolver *resolver, const struct dial_options *options,
                struct dialer **out, struct err *err)
{
    CLEANUP(dialer_free_cleanup) struct dialer *d = calloc(1, sizeof *d);

    if (!d)
        return err_set(err, ERR_MEMORY, "no memory for a dialer");
    d->users = 1;
    d->loop = loop;
    d->resolver = resolver;
    d->options = *options;
    d->options.sources = d->sources;
    if (options->source_count > DIAL_SOURCES_MAX)
        return err_set(err, ERR_CONFIG, "more than %d source addresses", DIAL_SOURCES_MAX);
    if (options->source_count)
        memcpy(d->sources, options->sources, options->source_count * sizeof d->sources[0]);
    random_bytes(&d->seed, sizeof d->seed);
    *out = take(d);
    return true;
}

void dialer_free(struct dialer *d)
{
    if (!d)
        return;
    while (d->live)
        dial_cancel(d->live);
    dialer_unuse(d);
}

struct dial *dial_start(struct dialer *d, struct view host, uint16_t port, const struct addr *fixed,
                        size_t fixed_count, dial_judge *judge, void *judge_context, dial_done *done,
                        void *context)
{
    struct dial *dial = dial_new(d);

    CHECK(judge && done);
    if (!dial)
        return NULL;
    dial->judge = judge;
    dial->judge_context = judge_context;
    dial->done = done;
    dial->context = context;
    dial->port = port;
    dial->started_us = dial->connecting_us = clock_monotonic_us();
    metric_add(&d->stats.started, 1);
    if (d->options.timeout_ms)
        timer_set(d->loop, &dial->deadline, loop_now_ms(d->loop) + d->options.timeout_ms);
    dial->starting = true;
    dial_begin(dial, host, fixed, fixed_count);
    dial->starting = false;
    return dial;
}

void dial_cancel(struct dial *dial)
{
    if (!dial->link)
        return; /* done is being called, or has been */
    if (dial->ended && dial->result.fd >= 0)
        close(dial->result.fd);
    dial_close(dial);
}

const struct dial_stats *dialer_stats(const struct dialer *d)
{
    return &d->stats;
}

void dial_end(struct dial *dial, int fd, const struct addr *address)
{
    struct dialer *d = dial->dialer;
    struct dial_result *result = &dial->result;

    CHECK(!dial->ended);
    dial->ended = true;
    if (fd >= 0) {
        result->outcome = DIAL_OK;
        result->fd = fd;
        result->address = *address;
        result->err = (struct err){0};
        result->connect_us = clock_monotonic_us() - dial->connecting_us;
        histogram_observe(&d->stats.connect_us, result->connect_us);
        metric_add(&d->stats.connected, 1);
        if (dial->lists[DIAL_V4].count && dial->lists[DIAL_V6].count)
            dial_prefer(d, dial_host(dial), address->family == AF_INET6 ? DIAL_V6 : DIAL_V4);
    } else {
        CHECK(result->outcome != DIAL_OK);
        if (dial->tried)
            result->connect_us = clock_monotonic_us() - dial->connecting_us;
    }
    if (dial->starting)
        task_queue(d->loop, &dial->report);
    else
        dial_report(dial);
}

static struct dial *dial_new(struct dialer *d)
{
    struct dial *dial = d->spare;

    if (dial)
        d->spare = dial->next;
    else
        dial = malloc(sizeof *dial);
    if (!dial)
        return NULL;
    /* The lists of addresses are the bulk, and need no wiping. */
    memset(dial, 0, offsetof(struct dial, lists));
    for (size_t i = 0; i < DIAL_FAMILIES; i++)
        dial->lists[i].count = dial->lists[i].next = 0;
    dial->result = (struct dial_result){.fd = -1};
    dial->dialer = d;
    dial->last_family = DIAL_FAMILIES;
    timer_init(&dial->deadline, dial_late);
    timer_init(&dial->next_try, dial_next_try_fired);
    task_init(&dial->report, dial_report_run);
    dial->next = d->live;
    dial->link = &d->live;
    if (dial->next)
        dial->next->link = &dial->next;
    d->live = dial;
    return dial;
}

/* Releases all that the dial holds but the descriptor it won. Its memory is back in the pool after
 * this batch of events. */
static void dial_close(struct dial *dial)
{
    struct dialer *d = dial->dialer;

    if (!dial->link)
        return;
    timer_cancel(&dial->deadline);
    timer_cancel(&dial->next_try);
    task_cancel(d->loop, &dial->report);
    if (dial->query)
        resolve_cancel(dial->query);
    dial->query = NULL;
    dial_drop_attempts(dial);
    *dial->link = dial->next;
    if (dial->next)
        dial->next->link = dial->link;
    dial->link = NULL;
    d->users++;
    dial->retired.free = dial_retired;
    loop_retire(d->loop, &dial->retired);
}

static void dial_retired(struct loop *loop, struct retired *retired)
{
    struct dial *dial = OWNER(retired, struct dial, retired);
    struct dialer *d = dial->dialer;

    (void)loop;
    dial->next = d->spare;
    d->spare = dial;
    dialer_unuse(d);
}

static void dialer_unuse(struct dialer *d)
{
    struct dial *dial;

    if (--d->users > 0)
        return;
    while ((dial = d->spare) != NULL) {
        d->spare = dial->next;
        free(dial);
    }
    free(d);
}

static void dial_begin(struct dial *dial, struct view host, const struct addr *fixed,
                       size_t fixed_count)
{
    struct addr literal;

    if (host.len > HOST_BYTES_MAX) {
        (void)err_set(&dial->result.err, ERR_NAME, "the host name is longer than %d bytes",
                      HOST_BYTES_MAX);
        dial->result.outcome = DIAL_NAME;
        dial_end(dial, -1, NULL);
        return;
    }
    if (host.len)
        memcpy(dial->host, host.at, host.len);
    dial->host_len = (uint16_t)host.len;
    dial->host[host.len] = '\0';
    if (fixed_count) {
        dial->literal = true;
        dial->preferred = dial_preferred(dial->dialer, dial_host(dial));
        dial_add(dial, fixed, fixed_count);
        dial_try(dial);
    } else if (addr_parse_ip(host, host.len && host.at[0] == '[', &literal)) {
        dial->literal = true;
        dial_add(dial, &literal, 1);
        dial_try(dial);
    } else {
        dial_resolve(dial);
    }
}

static void dial_resolve(struct dial *dial)
{
    struct dialer *d = dial->dialer;
    struct dial_result *result = &dial->result;

    dial->preferred = dial_preferred(d, dial_host(dial));
    dial->more = true;
    dial->query = resolve_ask(d->resolver, dial_host(dial), dial_resolved, dial, &result->err);
    if (!dial->query) {
        result->outcome = DIAL_NO_RESOURCES;
        dial_end(dial, -1, NULL);
    }
}

static void dial_add(struct dial *dial, const struct addr *addrs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct address_list *list;
        struct addr a = addrs[i];

        /* First of all: an IPv4 address in IPv6 clothes is judged as what it is. */
        addr_unmap(&a);
        a.port = dial->port;
        list = &dial->lists[a.family == AF_INET6 ? DIAL_V6 : DIAL_V4];
        if (list->count < RESOLVE_ADDRESSES_MAX)
            list->addrs[list->count++] = a;
    }
}

static void dial_resolved(void *context, const struct resolve_answer *answer, const struct err *err)
{
    struct dial *dial = context;
    bool first = dial->lists[DIAL_V4].count + dial->lists[DIAL_V6].count == 0;

    dial->more = answer->more;
    if (!answer->more)
        dial->query = NULL;
    if (first && !dial->tried) {
        dial->connecting_us = clock_monotonic_us();
        dial->result.resolve_us = dial->connecting_us - dial->started_us;
        histogram_observe(&dial->dialer->stats.resolve_us, dial->result.resolve_us);
    }
    if (err) {
        dial->result.outcome = DIAL_NAME;
        dial->result.err = *err;
        dial_end(dial, -1, NULL);
        return;
    }
    dial_add(dial, answer->addrs, answer->count);
    if (dial->open > 0)
        return; /* its failure, or the stagger, comes to the new ones */
    if (dial_may_start(dial))
        dial_try(dial);
    else if (!timer_armed(&dial->next_try))
        timer_set(dial->dialer->loop, &dial->next_try,
                  loop_now_ms(dial->dialer->loop) + DIAL_AAAA_WAIT_MS);
}

/* At once, unless all there is are IPv4 addresses and better ones may be on their way. */
static bool dial_may_start(const struct dial *dial)
{
    return !dial->more || dial->tried > 0 || dial->lists[dial->preferred].count > 0 ||
           dial->lists[DIAL_V6].count > 0;
}

static void dial_late(struct loop *loop, struct timer *timer)
{
    struct dial *dial = OWNER(timer, struct dial, deadline);
    unsigned long long ms = dial->dialer->options.timeout_ms;

    (void)loop;
    if (dial->ended)
        return;
    for (size_t i = 0; i < dial->tried; i++)
        if (dial->attempts[i].io.fd >= 0)
            dial_failed(dial, DIAL_TIMEOUT, &dial->attempts[i].address, 0);
    if (dial->result.outcome == DIAL_OK) {
        dial->result.outcome = DIAL_NAME;
        (void)err_set(&dial->result.err, ERR_TIMEOUT, "\"%s\" was not resolved within %llu ms",
                      dial->host, ms);
    }
    dial_end(dial, -1, NULL);
}

static void dial_report_run(struct loop *loop, struct task *task)
{
    (void)loop;
    dial_report(OWNER(task, struct dial, report));
}

static void dial_report(struct dial *dial)
{
    dial_close(dial);
    dial->done(dial->context, &dial->result);
}
