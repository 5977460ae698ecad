#include "attest/pck.h"

#include "base/poison.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_OCTETS = 0x04,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0A,
    DER_SEQUENCE = 0x30,
    PREFIX_BYTES = 9,
    PAIRS_MAX = 64,
};

/* 1.2.840.113741.1.13.1 */
static const uint8_t prefix[PREFIX_BYTES] = {0x2A, 0x86, 0x48, 0x86, 0xF8, 0x4D, 0x01, 0x0D, 0x01};

/* Bits of what has been seen. */
enum {
    SEEN_PPID = 1 << 0,
    SEEN_TCB = 1 << 1,
    SEEN_PCEID = 1 << 2,
    SEEN_FMSPC = 1 << 3,
    SEEN_TYPE = 1 << 4,
    SEEN_NEEDED = (1 << 5) - 1,
    SEEN_TCB_NEEDED = (1 << 18) - 1,
};

/* One element: tag, length of one to three bytes in the shortest form, content. */
static bool element(struct view *rest, uint8_t *tag, struct view *content)
{
    size_t n, head = 2;

    if (rest->len < 2)
        return false;
    n = rest->at[1];
    if (n == 0x81 && rest->len >= 3) {
        n = rest->at[2];
        head = 3;
        if (n < 0x80)
            return false;
    } else if (n == 0x82 && rest->len >= 4) {
        n = (size_t)rest->at[2] << 8 | rest->at[3];
        head = 4;
        if (n < 0x100)
            return false;
    } else if (n >= 0x80) {
        return false;
    }
    if (rest->len - head < n)
        return false;
    *tag = rest->at[0];
    *content = view_from(rest->at + head, n);
    *rest = view_skip(*rest, head + n);
    return true;
}

static bool expect(struct view *rest, uint8_t want, struct view *content)
{
    uint8_t tag;

    return element(rest, &tag, content) && tag == want;
}

/* A number from 0 to most, in the shortest form. */
static bool integer(struct view v, uint32_t most, uint32_t *out)
{
    uint32_t n = 0;

    if (!v.len || v.len > 4 || v.at[0] & 0x80 || (v.len > 1 && v.at[0] == 0 && !(v.at[1] & 0x80)))
        return false;
    for (size_t i = 0; i < v.len; i++)
        n = n << 8 | v.at[i];
    *out = n;
    return n <= most;
}

/* A pair { OID, value } below our prefix. tail: the OID's bytes behind it. */
static bool pair(struct view *rest, struct view *tail, uint8_t *tag, struct view *value)
{
    struct view inside, oid;

    if (!expect(rest, DER_SEQUENCE, &inside) || !expect(&inside, DER_OID, &oid) ||
        !element(&inside, tag, value) || inside.len ||
        !view_starts(oid, view_from(prefix, sizeof prefix)))
        return false;
    *tail = view_skip(oid, PREFIX_BYTES);
    return true;
}

static bool octets(uint8_t tag, struct view value, uint8_t *out, size_t n)
{
    if (tag != DER_OCTETS || value.len != n)
        return false;
    memcpy(out, value.at, n);
    return true;
}

static bool tcb_pair(struct pck *p, uint8_t which, uint8_t tag, struct view value)
{
    uint32_t n;

    if (which >= 1 && which <= SVN_COUNT) {
        if (tag != DER_INTEGER || !integer(value, 255, &n))
            return false;
        p->components[which - 1] = (uint8_t)n;
        return true;
    }
    if (which == 17) {
        if (tag != DER_INTEGER || !integer(value, 65535, &n))
            return false;
        p->pcesvn = (uint16_t)n;
        return true;
    }
    return which == 18 && octets(tag, value, p->cpusvn, sizeof p->cpusvn);
}

static bool tcb(struct pck *p, struct view rest)
{
    uint32_t seen = 0;

    while (rest.len) {
        struct view tail, value;
        uint32_t bit;
        uint8_t tag;

        if (!pair(&rest, &tail, &tag, &value) || tail.len != 2 || tail.at[0] != 2 || !tail.at[1] ||
            tail.at[1] > 18)
            return false;
        bit = 1u << (tail.at[1] - 1);
        if (seen & bit || !tcb_pair(p, tail.at[1], tag, value))
            return false;
        seen |= bit;
    }
    return seen == SEEN_TCB_NEEDED && memcmp(p->components, p->cpusvn, SVN_COUNT) == 0;
}

/* Dynamic platform, cached keys, SMT: of no account here, but of their shape. */
static bool configuration(struct view rest)
{
    uint32_t seen = 0;

    while (rest.len) {
        struct view tail, value;
        uint8_t tag;

        if (!pair(&rest, &tail, &tag, &value) || tail.len != 2 || tail.at[0] != 7 || !tail.at[1] ||
            tail.at[1] > 31 || seen & 1u << tail.at[1] || tag != DER_BOOLEAN || value.len != 1)
            return false;
        seen |= 1u << tail.at[1];
    }
    return true;
}

static bool top_pair(struct pck *p, uint8_t which, uint8_t tag, struct view value)
{
    uint8_t instance[16];
    uint32_t n;

    switch (which) {
    case 1:
        return octets(tag, value, p->ppid, sizeof p->ppid);
    case 2:
        return tag == DER_SEQUENCE && tcb(p, value);
    case 3:
        return octets(tag, value, p->pceid, sizeof p->pceid);
    case 4:
        return octets(tag, value, p->fmspc, sizeof p->fmspc);
    case 5:
        if (tag != DER_ENUMERATED || !integer(value, 2, &n))
            return false;
        p->sgx_type = (uint8_t)n;
        return true;
    case 6:
        return octets(tag, value, instance, sizeof instance);
    case 7:
        return tag == DER_SEQUENCE && configuration(value);
    default:
        return true; /* of a later profile: what it holds is not looked into */
    }
}

static bool parse(struct view extension, struct pck *p)
{
    struct view rest;
    uint32_t seen = 0;

    if (!expect(&extension, DER_SEQUENCE, &rest) || extension.len)
        return false;
    for (int i = 0; rest.len; i++) {
        struct view tail, value;
        uint32_t bit;
        uint8_t tag;

        if (i == PAIRS_MAX || !pair(&rest, &tail, &tag, &value) || tail.len != 1 || !tail.at[0] ||
            tail.at[0] > 31)
            return false;
        bit = 1u << (tail.at[0] - 1);
        if (seen & bit || !top_pair(p, tail.at[0], tag, value))
            return false;
        seen |= bit;
    }
    return (seen & SEEN_NEEDED) == SEEN_NEEDED;
}

bool pck_parse(struct view extension, struct pck *out, struct attest_err *err)
{
    struct pck p = {.pcesvn = 0};

    if (!extension.len)
        return attest_fail(err, ATTEST_PCK_EXTENSION,
                           "Failed to get FMSPC: Intel extension not found in the PCK certificate");
    if (!parse(extension, &p))
        return attest_fail(err, ATTEST_PCK_EXTENSION,
                           "Failed to get FMSPC: the Intel extension of the PCK certificate has an "
                           "element that is missing, given twice, or of a wrong type or length");
    *out = p;
    return true;
}
