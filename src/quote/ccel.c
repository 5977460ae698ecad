#include "quote/ccel.h"

#include "base/poison.h"

enum {
    EV_NO_ACTION = 3,
    ALG_SHA1 = 0x0004, /* TCG Algorithm Registry, 6 */
    ALG_SHA256 = 0x000B,
    ALG_SHA384 = 0x000C,
    ALG_SHA512 = 0x000D,
    ALG_SM3_256 = 0x0012,
    SHA1_BYTES = 20,
    DIGEST_MAX = 64,
    INDEX_MRTD = 0,
    INDEX_RTMR3 = 4,
    /* signature, platform class, versions and errata, size of UINTN */
    SPEC_ID_BYTES = 16 + 4 + 4,
};

static bool take_bytes(struct view *rest, size_t n, struct view *out)
{
    if (rest->len < n)
        return false;
    *out = view_first(*rest, n);
    *rest = view_skip(*rest, n);
    return true;
}

static bool take_u16(struct view *rest, uint16_t *out)
{
    struct view v;

    if (!take_bytes(rest, 2, &v))
        return false;
    *out = (uint16_t)(v.at[0] | v.at[1] << 8);
    return true;
}

static bool take_u32(struct view *rest, uint32_t *out)
{
    struct view v;

    if (!take_bytes(rest, 4, &v))
        return false;
    *out = (uint32_t)v.at[0] | (uint32_t)v.at[1] << 8 | (uint32_t)v.at[2] << 16 |
           (uint32_t)v.at[3] << 24;
    return true;
}

static bool all_are(struct view v, uint8_t byte)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.at[i] != byte)
            return false;
    return true;
}

/* at: where the record begins. */
static bool wrong(const struct ccel *c, struct view at, struct err *err, const char *what)
{
    return err_set(err, ERR_SYNTAX, "record %u of the firmware's event log, at byte %zu: %s",
                   c->events + 1, (size_t)(at.at - c->table.at), what);
}

/* --- the first record --- */

static size_t usual_bytes(uint16_t algorithm)
{
    switch (algorithm) {
    case ALG_SHA1:
        return SHA1_BYTES;
    case ALG_SHA256:
    case ALG_SM3_256:
        return 32;
    case ALG_SHA384:
        return CCEL_DIGEST_BYTES;
    case ALG_SHA512:
        return DIGEST_MAX;
    default:
        return 0; /* the log says so itself */
    }
}

/* Index of the algorithm, or their count. */
static uint32_t find(const struct ccel *c, uint16_t id)
{
    uint32_t i = 0;

    while (i < c->algorithm_count && c->algorithms[i].id != id)
        i++;
    return i;
}

static bool algorithms(struct ccel *c, struct view *rest, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint16_t id, bytes;

        if (!take_u16(rest, &id) || !take_u16(rest, &bytes) || !bytes || bytes > DIGEST_MAX ||
            (usual_bytes(id) && usual_bytes(id) != bytes) || find(c, id) < c->algorithm_count)
            return false;
        c->algorithms[c->algorithm_count].id = id;
        c->algorithms[c->algorithm_count++].bytes = bytes;
    }
    return find(c, ALG_SHA384) < c->algorithm_count;
}

/* TCG_EfiSpecIDEvent, to its last byte. */
static bool spec_id(struct ccel *c, struct view data)
{
    static const char signature[16] = "Spec ID Event03";
    struct view head, vendor;
    uint32_t count;

    return take_bytes(&data, SPEC_ID_BYTES, &head) &&
           view_starts(head, view_from(signature, sizeof signature)) && take_u32(&data, &count) &&
           count && count <= CCEL_ALGORITHMS_MAX && algorithms(c, &data, count) &&
           take_bytes(&data, 1, &vendor) && take_bytes(&data, vendor.at[0], &vendor) && !data.len;
}

bool ccel_begin(struct ccel *c, struct view table, struct err *err)
{
    uint32_t index, type, size;
    struct view digest, data;

    *c = (struct ccel){.table = table, .rest = table};
    if (table.len > CCEL_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "the firmware's event log has %zu bytes, at most %d",
                       table.len, CCEL_BYTES_MAX);
    if (!take_u32(&c->rest, &index) || !take_u32(&c->rest, &type) ||
        !take_bytes(&c->rest, SHA1_BYTES, &digest) || !take_u32(&c->rest, &size) ||
        !take_bytes(&c->rest, size, &data))
        return wrong(c, table, err, "it ends within the record");
    if (index != 0 || type != EV_NO_ACTION || !all_are(digest, 0) || !spec_id(c, data))
        return wrong(c, table, err,
                     "expected \"Spec ID Event03\" with SHA-384 among at most 8 algorithms");
    c->events = 1;
    return true;
}

/* --- the others --- */

/* Each at most once. *sha384 is empty where there is none. */
static bool digests(const struct ccel *c, struct view *rest, uint32_t count, struct view *sha384)
{
    bool seen[CCEL_ALGORITHMS_MAX] = {false};

    *sha384 = view_from(NULL, 0);
    for (uint32_t i = 0; i < count; i++) {
        struct view digest;
        uint16_t id;
        uint32_t k;

        if (!take_u16(rest, &id))
            return false;
        k = find(c, id);
        if (k == c->algorithm_count || seen[k] ||
            !take_bytes(rest, c->algorithms[k].bytes, &digest))
            return false;
        seen[k] = true;
        if (id == ALG_SHA384)
            *sha384 = digest;
    }
    return true;
}

static bool record(struct ccel *c, uint32_t *index, struct ccel_event *e, struct err *err)
{
    struct view at = c->rest;
    uint32_t count, size;

    if (c->events == CCEL_EVENTS_MAX)
        return wrong(c, at, err, "there are more than 2048");
    if (!take_u32(&c->rest, index) || !take_u32(&c->rest, &e->type) || !take_u32(&c->rest, &count))
        return wrong(c, at, err, "it ends within the record");
    if (*index > INDEX_RTMR3)
        return wrong(c, at, err, "its register is none of MRTD and RTMR0 to RTMR3");
    if (!count || count > c->algorithm_count || !digests(c, &c->rest, count, &e->digest))
        return wrong(c, at, err,
                     "its digests are cut, or not of the algorithms that the log announces");
    if (!e->digest.len)
        return wrong(c, at, err, "it has no digest of SHA-384");
    if (!take_u32(&c->rest, &size) || !take_bytes(&c->rest, size, &e->data))
        return wrong(c, at, err, "it ends within the record");
    c->events++;
    return true;
}

enum ccel_step ccel_next(struct ccel *c, struct ccel_event *out, struct err *err)
{
    while (!all_are(c->rest, 0x00) && !all_are(c->rest, 0xFF)) {
        uint32_t index = INDEX_MRTD;

        if (!record(c, &index, out, err))
            return CCEL_FAILED;
        if (index == INDEX_MRTD || out->type == EV_NO_ACTION)
            continue;
        out->imr = index - 1;
        return CCEL_EVENT;
    }
    return CCEL_END;
}
