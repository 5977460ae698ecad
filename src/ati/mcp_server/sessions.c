/* Two small tables under one mutex: calls by (subject, session, id), and (subject, session) of those that have ended: of what falls into one
 * bucket the last few. A call that is being cancelled from another thread lives until its loop has heard of it. */
#include "ati/mcp_server/mcp_server.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/codec.h"
#include "base/hash.h"
#include "base/secret.h"

#include "base/poison.h"

/* Who knows another's id can end nothing with it: an id has ended for one subject. */
enum { CALL_BUCKETS = 1024, ENDED_BUCKETS = 1024, ENDED_EACH = 8 };

struct mcp_server_call {
    struct post post;
    struct mcp_server_sessions *sessions;
    struct mcp_server_call *next, **link;
    struct loop *loop;
    char *key; /* subject, session, id, each with a NUL behind it */
    size_t key_len, id_at;
    bool posted; /* the loop is being told */
    bool over;   /* its owner is gone */
    void (*cancelled)(void *context);
    void *context;
};

struct mcp_server_sessions {
    pthread_mutex_t lock;
    uint64_t seed;
    struct mcp_server_call *buckets[CALL_BUCKETS];
    struct ended {
        uint8_t ids[ENDED_EACH][SHA256_BYTES]; /* of subject and session */
        size_t count;
    } ended[ENDED_BUCKETS];
};

bool mcp_server_sessions_new(struct mcp_server_sessions **out, struct err *err)
{
    struct mcp_server_sessions *s = calloc(1, sizeof *s);

    if (!s || pthread_mutex_init(&s->lock, NULL) != 0) {
        free(s);
        return err_set(err, ERR_MEMORY, "no memory for sessions");
    }
    random_bytes(&s->seed, sizeof s->seed);
    *out = s;
    return true;
}

void mcp_server_sessions_free(struct mcp_server_sessions *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < CALL_BUCKETS; i++)
        CHECK(!s->buckets[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void mcp_server_session_id(char out[static MCP_SERVER_SESSION_BYTES + 1])
{
    uint8_t bytes[MCP_SERVER_SESSION_BYTES / 2];

    random_bytes(bytes, sizeof bytes);
    hex_encode(view_from(bytes, sizeof bytes), out);
}

static bool well_formed(struct view session)
{
    for (size_t i = 0; i < session.len; i++)
        if (!((session.at[i] >= '0' && session.at[i] <= '9') ||
              (session.at[i] >= 'a' && session.at[i] <= 'f')))
            return false;
    return session.len == MCP_SERVER_SESSION_BYTES;
}

/* On the loop of the call. */
static void told(struct loop *loop, struct post *post)
{
    struct mcp_server_call *c =
        (struct mcp_server_call *)(void *)((char *)post - offsetof(struct mcp_server_call, post));
    bool over;

    (void)loop;
    pthread_mutex_lock(&c->sessions->lock);
    over = c->over;
    c->posted = false;
    pthread_mutex_unlock(&c->sessions->lock);
    if (over) {
        free(c->key);
        free(c);
        return;
    }
    c->cancelled(c->context); /* may end c */
}

static void forget(struct mcp_server_call *c)
{
    if (!c->link)
        return;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
}

/* Under the lock: it can be cancelled once. */
static void tell(struct mcp_server_call *c)
{
    forget(c);
    c->posted = true;
    loop_post(c->loop, &c->post);
}

static bool key_make(struct mcp_server_call *c, const char *subject, struct view session,
                     struct view id)
{
    struct view parts[] = {view_str(subject), session, id};
    size_t n = 0;

    c->key_len = parts[0].len + parts[1].len + parts[2].len + 3;
    c->key = malloc(c->key_len);
    for (size_t i = 0; c->key && i < 3; i++) {
        if (i == 2)
            c->id_at = n;
        if (parts[i].len)
            memcpy(c->key + n, parts[i].at, parts[i].len);
        n += parts[i].len;
        c->key[n++] = '\0';
    }
    return c->key != NULL;
}

/* Of the key's beginning: subject and session. */
static bool ended_id(const struct mcp_server_call *c, uint8_t out[static SHA256_BYTES])
{
    return secret_sha256(c->key, c->id_at, out);
}

static size_t ended_bucket(const struct mcp_server_sessions *s,
                           const uint8_t id[static SHA256_BYTES])
{
    return hash_bytes(view_from(id, SHA256_BYTES), s->seed) % ENDED_BUCKETS;
}

static bool has_ended(const struct mcp_server_sessions *s, const uint8_t id[static SHA256_BYTES])
{
    const struct ended *e = &s->ended[ended_bucket(s, id)];

    for (size_t i = 0; i < e->count && i < ENDED_EACH; i++)
        if (memcmp(e->ids[i], id, SHA256_BYTES) == 0)
            return true;
    return false;
}

bool mcp_server_session_good(struct mcp_server_sessions *s, const char *subject,
                             struct view session)
{
    struct mcp_server_call like = {.sessions = NULL};
    uint8_t id[SHA256_BYTES];
    bool good;

    if (!well_formed(session) || !key_make(&like, subject, session, VIEW("")))
        return false;
    good = ended_id(&like, id);
    free(like.key);
    pthread_mutex_lock(&s->lock);
    good = good && !has_ended(s, id);
    pthread_mutex_unlock(&s->lock);
    return good;
}

static struct mcp_server_call **bucket_of(struct mcp_server_sessions *s,
                                          const struct mcp_server_call *c)
{
    return &s->buckets[hash_bytes(view_from(c->key, c->key_len), s->seed) % CALL_BUCKETS];
}

bool mcp_server_call_begin(struct mcp_server_sessions *s, struct loop *loop, const char *subject,
                           struct view session, struct view id, void (*cancelled)(void *context),
                           void *context, struct mcp_server_call **out, struct err *err)
{
    struct mcp_server_call *c = calloc(1, sizeof *c);

    if (!c || !key_make(c, subject, session, id)) {
        free(c);
        return err_set(err, ERR_MEMORY, "no memory for a call");
    }
    c->post.run = told;
    c->sessions = s;
    c->loop = loop;
    c->cancelled = cancelled;
    c->context = context;
    pthread_mutex_lock(&s->lock);
    c->link = bucket_of(s, c);
    c->next = *c->link;
    if (c->next)
        c->next->link = &c->next;
    *c->link = c;
    pthread_mutex_unlock(&s->lock);
    *out = c;
    return true;
}

void mcp_server_call_end(struct mcp_server_call *c)
{
    bool posted;

    if (!c)
        return;
    pthread_mutex_lock(&c->sessions->lock);
    forget(c);
    c->over = true;
    posted = c->posted;
    pthread_mutex_unlock(&c->sessions->lock);
    if (posted)
        return; /* told frees it */
    free(c->key);
    free(c);
}

void mcp_server_cancel(struct mcp_server_sessions *s, const char *subject, struct view session,
                       struct view id)
{
    struct mcp_server_call like = {.sessions = NULL};

    if (!key_make(&like, subject, session, id))
        return;
    pthread_mutex_lock(&s->lock);
    for (struct mcp_server_call *c = *bucket_of(s, &like); c; c = c->next) {
        if (c->key_len == like.key_len && memcmp(c->key, like.key, like.key_len) == 0) {
            tell(c);
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    free(like.key);
}

void mcp_server_session_end(struct mcp_server_sessions *s, const char *subject, struct view session)
{
    struct mcp_server_call like = {.sessions = NULL};
    uint8_t id[SHA256_BYTES];
    bool known;

    if (!well_formed(session) || !key_make(&like, subject, session, VIEW("")))
        return;
    known = ended_id(&like, id);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < CALL_BUCKETS; i++) {
        struct mcp_server_call *next;

        for (struct mcp_server_call *c = s->buckets[i]; c; c = next) {
            next = c->next;
            if (c->id_at == like.id_at && memcmp(c->key, like.key, like.id_at) == 0)
                tell(c);
        }
    }
    if (known && !has_ended(s, id)) {
        struct ended *e = &s->ended[ended_bucket(s, id)];

        memcpy(e->ids[e->count++ % ENDED_EACH], id, SHA256_BYTES);
    }
    pthread_mutex_unlock(&s->lock);
    free(like.key);
}
