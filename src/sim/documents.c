/* What Intel would say of the platform: TCB info, QE identity. Compact JSON, as its services write it. */
#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "sim/platform.h"
#include "sim/platform_priv.h"

#include "base/poison.h"

enum { DAY_S = 86400, HOUR_S = 3600 };

static const char *date(int64_t s, char out[static CLOCK_RFC3339_BYTES])
{
    (void)clock_rfc3339(s * 1000, out);
    memcpy(out + 19, "Z", 2);
    return out;
}

static bool components(struct buf *out, const char *name, const uint8_t *svn)
{
    bool good = buf_appendf(out, NULL, "\"%s\":[", name);

    for (unsigned i = 0; i < SVN_COUNT; i++)
        good = good && buf_appendf(out, NULL, "%s{\"svn\":%u}", i ? "," : "", svn[i]);
    return good && buf_append_str(out, "]", NULL);
}

struct level {
    uint8_t sgx[SVN_COUNT], tdx[SVN_COUNT];
    unsigned pcesvn;
    const char *date, *status, *advisories;
};

static bool put_level(struct buf *out, const struct level *l, bool last)
{
    return buf_append_str(out, "{\"tcb\":{", NULL) && components(out, "sgxtcbcomponents", l->sgx) &&
           buf_appendf(out, NULL, ",\"pcesvn\":%u,", l->pcesvn) &&
           components(out, "tdxtcbcomponents", l->tdx) &&
           buf_appendf(out, NULL, "},\"tcbDate\":\"%s\",\"tcbStatus\":\"%s\"", l->date,
                       l->status) &&
           (!l->advisories || buf_appendf(out, NULL, ",\"advisoryIDs\":%s", l->advisories)) &&
           buf_append_str(out, last ? "}" : "},", NULL);
}

/* What the platform reaches; what it would have reached before two updates; what nobody may run any more. */
static bool levels(const struct sim_recipe *r, struct buf *out)
{
    struct level l = {.pcesvn = r->pcesvn,
                      .date = "2024-03-13T00:00:00Z",
                      .status = r->status,
                      .advisories = r->advisories};
    bool good;

    memcpy(l.sgx, r->cpusvn, SVN_COUNT);
    memcpy(l.tdx, r->tee_tcb_svn, SVN_COUNT);
    l.tdx[1] = 0;
    good = put_level(out, &l, false);
    for (unsigned i = 0; i < 3; i++) {
        l.sgx[i] = l.sgx[i] ? (uint8_t)(l.sgx[i] - 1) : 0;
        l.tdx[i] = l.tdx[i] ? (uint8_t)(l.tdx[i] - 1) : 0;
    }
    l.date = "2023-08-09T00:00:00Z";
    l.status = "OutOfDate";
    l.advisories = "[\"INTEL-SA-00960\",\"INTEL-SA-00982\"]";
    good = good && put_level(out, &l, false);
    memset(l.sgx, 0, sizeof l.sgx);
    memset(l.tdx, 0, sizeof l.tdx);
    l.pcesvn = 5;
    l.date = "2018-01-04T00:00:00Z";
    l.status = "Revoked";
    l.advisories = "[\"INTEL-SA-00106\"]";
    return good && put_level(out, &l, true);
}

static bool module_identity(const struct sim_recipe *r, struct buf *out, const char *id, bool last)
{
    char zeros[2 * MEASUREMENT_BYTES + 1];

    memset(zeros, '0', sizeof zeros - 1);
    zeros[sizeof zeros - 1] = '\0';
    return buf_appendf(out, NULL,
                       "{\"id\":\"%s\",\"mrsigner\":\"%s\",\"attributes\":\"0000000000000000\","
                       "\"attributesMask\":\"FFFFFFFFFFFFFFFF\",\"tcbLevels\":[{\"tcb\":{"
                       "\"isvsvn\":%u},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\"},{"
                       "\"tcb\":{\"isvsvn\":2},\"tcbDate\":\"2023-08-09T00:00:00Z\",\"tcbStatus\":"
                       "\"OutOfDate\",\"advisoryIDs\":[\"INTEL-SA-01036\"]}]}%s",
                       id, zeros, r->tee_tcb_svn[0], r->module_status, last ? "" : ",");
}

static bool tcb_info(const struct sim_recipe *r, struct buf *out)
{
    char fmspc[13], pceid[5], issued[CLOCK_RFC3339_BYTES], next[CLOCK_RFC3339_BYTES];

    hex_encode(view_from(r->fmspc, 6), fmspc);
    hex_encode(view_from(r->pceid, 2), pceid);
    return buf_appendf(out, NULL,
                       "{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\","
                       "\"fmspc\":\"%s\",\"pceId\":\"%s\",\"tcbType\":0,"
                       "\"tcbEvaluationDataNumber\":%u,\"tdxModule\":{\"mrsigner\":\"%096d\","
                       "\"attributes\":\"0000000000000000\",\"attributesMask\":"
                       "\"FFFFFFFFFFFFFFFF\"},\"tdxModuleIdentities\":[",
                       date(r->now_s - HOUR_S, issued),
                       date(r->now_s + r->document_days * DAY_S, next), fmspc, pceid, r->evaluation,
                       0) &&
           module_identity(r, out, "TDX_03", false) && module_identity(r, out, "TDX_01", true) &&
           buf_append_str(out, "],\"tcbLevels\":[", NULL) && levels(r, out) &&
           buf_append_str(out, "]}", NULL);
}

bool sim_tcb_info(const struct sim_recipe *r, struct buf *out, struct err *err)
{
    return tcb_info(r, out) || err_set(err, ERR_MEMORY, "no memory for a TCB info");
}

bool sim_qe_identity(const struct sim_recipe *r, struct buf *out, struct err *err)
{
    char signer[65], issued[CLOCK_RFC3339_BYTES], next[CLOCK_RFC3339_BYTES];

    hex_encode(view_from(sim_qe_signer, sizeof sim_qe_signer), signer);
    return buf_appendf(out, err,
                       "{\"id\":\"TD_QE\",\"version\":2,\"issueDate\":\"%s\",\"nextUpdate\":\"%s\","
                       "\"tcbEvaluationDataNumber\":%u,\"miscselect\":\"00000000\","
                       "\"miscselectMask\":\"FFFFFFFF\",\"attributes\":"
                       "\"11000000000000000000000000000000\",\"attributesMask\":"
                       "\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":\"%s\",\"isvprodid\":2,"
                       "\"tcbLevels\":[{\"tcb\":{\"isvsvn\":%u},\"tcbDate\":"
                       "\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\"},{\"tcb\":{\"isvsvn\":1},"
                       "\"tcbDate\":\"2023-08-09T00:00:00Z\",\"tcbStatus\":\"OutOfDate\","
                       "\"advisoryIDs\":[\"INTEL-SA-00477\"]}]}",
                       date(r->now_s - HOUR_S, issued),
                       date(r->now_s + r->document_days * DAY_S, next), r->evaluation, signer,
                       r->qe_isvsvn, r->qe_status);
}
