#include "net/resolve.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/secret.h"
#include "net/resolve_priv.h"

static struct resolve_query *query_new(struct resolver *r, struct err *err);
static void query_drop(struct resolve_query *q);
static void query_link(struct resolve_query *q, struct resolve_query **list);
static bool query_fixed(struct resolve_query *q, struct view name);
static void query_run(struct loop *loop, struct task *task);
static void query_deliver(struct resolve_query *q);
static void query_take(struct resolve_query *q, struct resolve_answer *answer);
static void take_family(struct resolve_query *q, const struct family *f, size_t room,
                        struct resolve_answer *answer);
static bool nothing_found(const struct resolve_query *q, struct err *err);

CLEANUP_DEFINE(struct resolver, resolver_free)

bool resolver_new(struct loop *loop, const struct resolve_options *options, struct resolver **out,
                  struct err *err)
{
    CLEANUP(resolver_free_cleanup) struct resolver *r = calloc(1, sizeof *r);

    if (!r)
        return err_set(err, ERR_MEMORY, "no memory for a resolver");
    r->loop = loop;
    r->options = *options;
    r->own_servers = options->servers != NULL;
    random_bytes(&r->seed, sizeof r->seed);
    if (!dns_open(r, err))
        return false;
    r->options.servers = NULL; /* lent for this call only */
    files_open(r);
    *out = take(r);
    return true;
}

void resolver_free(struct resolver *r)
{
    struct resolve_query *q;

    if (!r)
        return;
    r->closing = true;
    dns_close(r);
    cache_clear(r);
    while ((q = r->live) != NULL)
        query_drop(q);
    while ((q = r->spare) != NULL) {
        r->spare = q->next;
        free(q);
    }
    files_close(r);
    free(r);
}

struct resolve_query *resolve_ask(struct resolver *r, struct view name, resolve_done *done,
                                  void *context, struct err *err)
{
    struct resolve_query *q = query_new(r, err);

    if (!q)
        return NULL;
    q->done = done;
    q->context = context;
    if (query_fixed(q, name) || !resolve_name_ok(name)) {
        query_link(q, &r->live);
        task_queue(r->loop, &q->task);
        return q;
    }
    q->entry = cache_entry(r, name, err);
    if (!q->entry) {
        query_drop(q);
        return NULL;
    }
    query_link(q, &q->entry->queries);
    q->entry->asked_ms = loop_now_ms(r->loop);
    entry_look_up(q->entry);
    if (entry_known(q->entry))
        metric_add(&r->stats.hits, 1);
    task_queue(r->loop, &q->task);
    return q;
}

void resolve_cancel(struct resolve_query *q)
{
    query_drop(q);
}

void resolve_prefetch(struct resolver *r, struct view name)
{
    struct addr literal;
    struct entry *e;

    if (addr_parse_ip(name, false, &literal) || !resolve_name_ok(name) || resolve_name_local(name))
        return;
    e = cache_entry(r, name, NULL);
    if (e) {
        e->asked_ms = loop_now_ms(r->loop);
        entry_look_up(e);
    }
}

struct resolve_stats resolver_stats(const struct resolver *r)
{
    return (struct resolve_stats){
        .queries = metric_get(&r->stats.queries),
        .hits = metric_get(&r->stats.hits),
        .stale_hits = metric_get(&r->stats.stale_hits),
        .failures = metric_get(&r->stats.failures),
        .entries = metric_get(&r->stats.entries),
    };
}

void query_wake(struct entry *e)
{
    for (struct resolve_query *q = e->queries; q; q = q->next)
        task_queue(e->resolver->loop, &q->task);
}

static struct resolve_query *query_new(struct resolver *r, struct err *err)
{
    struct resolve_query *q = r->spare;

    if (q)
        r->spare = q->next;
    else
        q = malloc(sizeof *q);
    if (!q) {
        (void)err_set(err, ERR_MEMORY, "no memory to resolve a name");
        return NULL;
    }
    *q = (struct resolve_query){.resolver = r};
    task_init(&q->task, query_run);
    return q;
}

static void query_drop(struct resolve_query *q)
{
    struct resolver *r = q->resolver;

    task_cancel(r->loop, &q->task);
    if (q->link) {
        *q->link = q->next;
        if (q->next)
            q->next->link = q->link;
    }
    *q = (struct resolve_query){.next = r->spare};
    r->spare = q;
}

static void query_link(struct resolve_query *q, struct resolve_query **list)
{
    q->next = *list;
    q->link = list;
    if (q->next)
        q->next->link = &q->next;
    *list = q;
}

/* Literals and localhost. */
static bool query_fixed(struct resolve_query *q, struct view name)
{
    static const struct addr local[] = {
        {.ip = {[15] = 1}, .family = AF_INET6},
        {.ip = {127, 0, 0, 1}, .family = AF_INET},
    };

    if (addr_parse_ip(name, name.len && name.at[0] == '[', &q->fixed[0])) {
        q->fixed[0].port = 0;
        q->fixed_count = 1;
        return true;
    }
    if (!resolve_name_local(name))
        return false;
    memcpy(q->fixed, local, sizeof local);
    q->fixed_count = 2;
    return true;
}

static void query_run(struct loop *loop, struct task *task)
{
    (void)loop;
    query_deliver(OWNER(task, struct resolve_query, task));
}

static void query_deliver(struct resolve_query *q)
{
    struct resolve_answer answer = {0};
    struct err err = {0};
    bool failed;
    resolve_done *done = q->done;
    void *context = q->context;

    query_take(q, &answer);
    if (answer.more && answer.count == 0)
        return; /* woken for the other family, or too early: another wake-up follows */
    if (answer.count)
        q->answered = true;
    failed = !answer.more && !q->answered && !nothing_found(q, &err);
    if (!answer.more)
        query_drop(q);
    done(context, &answer, failed ? &err : NULL);
}

/* What is new since the last time. */
static void query_take(struct resolve_query *q, struct resolve_answer *answer)
{
    const struct family *v4, *v6;
    size_t share = RESOLVE_ADDRESSES_MAX / 2;

    if (!q->entry) {
        memcpy(answer->addrs, q->fixed, sizeof q->fixed);
        answer->count = q->fixed_count;
        return;
    }
    v4 = &q->entry->families[FAMILY_V4];
    v6 = &q->entry->families[FAMILY_V6];
    /* Of many addresses of both families half are of each. */
    if (v4->waiting || q->told[FAMILY_V4])
        share = RESOLVE_ADDRESSES_MAX;
    else if (v4->count < share)
        share = RESOLVE_ADDRESSES_MAX - v4->count;
    take_family(q, v6, share, answer);
    take_family(q, v4, RESOLVE_ADDRESSES_MAX - answer->count, answer);
    answer->more = !q->told[FAMILY_V4] || !q->told[FAMILY_V6];
    if (answer->stale)
        metric_add(&q->resolver->stats.stale_hits, 1);
}

static void take_family(struct resolve_query *q, const struct family *f, size_t room,
                        struct resolve_answer *answer)
{
    bool *told = &q->told[f - q->entry->families];
    size_t n = f->count < room ? f->count : room;

    if (*told || f->waiting)
        return;
    *told = true;
    if (f->state != FAMILY_FOUND || n == 0)
        return;
    memcpy(answer->addrs + answer->count, f->addrs, n * sizeof f->addrs[0]);
    answer->count += n;
    answer->stale = answer->stale || f->stale;
}

static bool nothing_found(const struct resolve_query *q, struct err *err)
{
    const struct family *v4, *v6;

    if (!q->entry)
        return err_set(err, ERR_NAME, "this is not a host name");
    metric_add(&q->resolver->stats.failures, 1);
    v4 = &q->entry->families[FAMILY_V4];
    v6 = &q->entry->families[FAMILY_V6];
    if (v4->state == FAMILY_LATE || v6->state == FAMILY_LATE)
        return err_set(err, ERR_TIMEOUT, "no answer about \"%s\" from DNS within %llu ms",
                       q->entry->name, (unsigned long long)q->resolver->options.timeout_ms);
    if (v4->state == FAMILY_FAILED || v6->state == FAMILY_FAILED)
        return err_set(err, ERR_NAME, "DNS could not resolve \"%s\"", q->entry->name);
    return err_set(err, ERR_NAME, "\"%s\" has no address", q->entry->name);
}
