/* cache: good verdicts, by the SHA-256 of their tokens. Rows of a few places; a new one takes the place that is free, over, or was
 * asked for the longest ago. */
#include <stdlib.h>

#include "ati/token/token_priv.h"
#include "base/secret.h"

#include "base/poison.h"

enum { PLACES = 4 };

struct verdict {
    uint8_t sha256[SHA256_BYTES];
    struct caller *caller; /* NULL: free */
    uint64_t used;
};

struct token_cache {
    struct token_authority *authority; /* held, so that no other one has its address */
    uint64_t turn;
    size_t rows; /* a power of two */
    struct verdict verdicts[];
};

bool token_cache_new(size_t entries_max, struct token_cache **out, struct err *err)
{
    size_t rows = 1;
    struct token_cache *c;

    while (rows * 2 * PLACES <= entries_max)
        rows *= 2;
    c = calloc(1, sizeof *c + rows * PLACES * sizeof *c->verdicts);
    if (!c)
        return err_set(err, ERR_MEMORY, "token cache");
    c->rows = rows;
    *out = c;
    return true;
}

static void forget(struct verdict *v)
{
    caller_unref(v->caller);
    *v = (struct verdict){.caller = NULL};
}

static void follow(struct token_cache *c, struct token_authority *a)
{
    if (c->authority == a)
        return;
    for (size_t i = 0; i < c->rows * PLACES; i++)
        forget(&c->verdicts[i]);
    token_authority_unref(c->authority);
    c->authority = a ? token_authority_ref(a) : NULL;
}

void token_cache_free(struct token_cache *c)
{
    if (!c)
        return;
    follow(c, NULL);
    free(c);
}

static bool is_over(const struct verdict *v, int64_t now_s)
{
    return v->caller->expires_s < now_s - TOKEN_LEEWAY_S;
}

static struct verdict *row_of(struct token_cache *c, const uint8_t sha256[static SHA256_BYTES])
{
    uint64_t n;

    memcpy(&n, sha256, sizeof n);
    return c->verdicts + (n & (c->rows - 1)) * PLACES;
}

/* NULL: nothing is known of it. */
static struct verdict *look_up(struct verdict *row, const uint8_t sha256[static SHA256_BYTES],
                               int64_t now_s)
{
    struct verdict *found = NULL;

    for (size_t i = 0; i < PLACES; i++) {
        if (row[i].caller && is_over(&row[i], now_s))
            forget(&row[i]);
        if (row[i].caller && secret_equal(row[i].sha256, sha256, SHA256_BYTES))
            found = &row[i];
    }
    return found;
}

static void remember(struct token_cache *c, struct verdict *row,
                     const uint8_t sha256[static SHA256_BYTES], struct caller *caller)
{
    struct verdict *place = row;

    for (size_t i = 0; i < PLACES && place->caller; i++)
        if (!row[i].caller || row[i].used < place->used)
            place = &row[i];
    forget(place);
    *place = (struct verdict){.caller = caller_ref(caller), .used = ++c->turn};
    memcpy(place->sha256, sha256, SHA256_BYTES);
}

bool token_cache_validate(struct token_cache *c, struct token_authority *a, struct view token,
                          int64_t now_s, struct caller **out, struct err *err)
{
    uint8_t sha256[SHA256_BYTES];
    struct verdict *row, *known;

    follow(c, a);
    if (token.len > TOKEN_BYTES_MAX || !secret_sha256(token.at, token.len, sha256))
        return token_validate(a, token, now_s, out, err);
    row = row_of(c, sha256);
    known = look_up(row, sha256, now_s);
    if (known) {
        known->used = ++c->turn;
        *out = caller_ref(known->caller);
        return true;
    }
    if (!token_validate(a, token, now_s, out, err))
        return false;
    remember(c, row, sha256, *out);
    return true;
}
