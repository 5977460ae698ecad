/* The extension that tells what a PCK's platform is, in DER. */
#include "sim/platform.h"

#include "base/poison.h"

enum { OID_PREFIX_BYTES = 9, PART_BYTES = 2048 };

static const uint8_t prefix[OID_PREFIX_BYTES] = {0x2A, 0x86, 0x48, 0x86, 0xF8,
                                                 0x4D, 0x01, 0x0D, 0x01};

static bool put(struct buf *out, uint8_t tag, struct view content)
{
    bool good = buf_append_byte(out, tag, NULL);

    if (content.len >= 0x100)
        good = good && buf_append_byte(out, 0x82, NULL) &&
               buf_append_byte(out, (uint8_t)(content.len >> 8), NULL);
    else if (content.len >= 0x80)
        good = good && buf_append_byte(out, 0x81, NULL);
    return good && buf_append_byte(out, (uint8_t)content.len, NULL) &&
           buf_append(out, content, NULL);
}

/* SEQUENCE { OID prefix.tail, value } */
static bool pair(struct buf *out, struct view tail, uint8_t tag, struct view value)
{
    uint8_t oid[OID_PREFIX_BYTES + 2];
    struct buf inside;
    bool good;

    memcpy(oid, prefix, sizeof prefix);
    memcpy(oid + OID_PREFIX_BYTES, tail.at, tail.len);
    buf_init(&inside, PART_BYTES, "DER");
    good = put(&inside, 0x06, view_from(oid, OID_PREFIX_BYTES + tail.len)) &&
           put(&inside, tag, value) && put(out, 0x30, buf_view(&inside));
    buf_done(&inside);
    return good;
}

static bool top(struct buf *out, uint8_t which, uint8_t tag, struct view value)
{
    return pair(out, view_from(&which, 1), tag, value);
}

static bool tcb_number(struct buf *out, uint8_t which, uint32_t n)
{
    const uint8_t tail[] = {2, which};
    uint8_t bytes[3] = {0, (uint8_t)(n >> 8), (uint8_t)n};
    size_t from = bytes[1] & 0x80 ? 0 : bytes[1] ? 1 : bytes[2] & 0x80 ? 1 : 2;

    return pair(out, view_from(tail, 2), 0x02, view_from(bytes + from, 3 - from));
}

static bool tcb(const struct sim_recipe *r, struct buf *out)
{
    static const uint8_t cpusvn[] = {2, 18};
    bool good = true;

    for (unsigned i = 0; i < SVN_COUNT; i++)
        good = good && tcb_number(out, (uint8_t)(i + 1), r->cpusvn[i]);
    return good && tcb_number(out, 17, r->pcesvn) &&
           pair(out, view_from(cpusvn, 2), 0x04, view_from(r->cpusvn, SVN_COUNT));
}

static bool content(const struct sim_recipe *r, struct buf *tcb_part, struct buf *out)
{
    static const uint8_t ppid[16] = "simulated ppid", instance[16] = "simulated inst.";
    const uint8_t scalable = 1;

    return tcb(r, tcb_part) && top(out, 1, 0x04, view_from(ppid, 16)) &&
           top(out, 2, 0x30, buf_view(tcb_part)) && top(out, 3, 0x04, view_from(r->pceid, 2)) &&
           top(out, 4, 0x04, view_from(r->fmspc, 6)) &&
           top(out, 5, 0x0A, view_from(&scalable, 1)) && top(out, 6, 0x04, view_from(instance, 16));
}

bool sim_sgx_extension(const struct sim_recipe *r, struct buf *out, struct err *err)
{
    struct buf tcb_part, all;
    bool good;

    buf_init(&tcb_part, PART_BYTES, "DER");
    buf_init(&all, PART_BYTES, "DER");
    good = content(r, &tcb_part, &all) && put(out, 0x30, buf_view(&all));
    buf_done(&tcb_part);
    buf_done(&all);
    return good || err_set(err, ERR_MEMORY, "no memory for an extension");
}
