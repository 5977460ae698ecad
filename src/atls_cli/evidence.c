#include "atls_cli/evidence.h"

#include "base/clock.h"
#include "base/command.h"

#include "base/poison.h"

/* Intel's, but for what the policy says: read once, however often it is verified. */
static bool read_trust(const struct evidence_config *c, struct evidence *e, struct err *err)
{
    struct attest_err why;

    if (c->root)
        return input_trust(c->root, &e->trust, err);
    return c->policy || trust_intel(&e->trust, &why) || err_set(err, ERR_MEMORY, "%s", why.text);
}

static bool read_collateral(const char *path, struct evidence *e, struct err *err)
{
    struct attest_err why;
    struct buf text;
    bool good;

    if (!path)
        return err_set(err, ERR_USAGE,
                       "--collateral is missing: a quote says nothing without Intel's statements "
                       "about its platform; \"atls collateral fetch QUOTE\" gets them");
    if (!input_file(path, COLLATERAL_BYTES_MAX, "collateral", &text, err))
        return false;
    good = collateral_parse(buf_view(&text), &e->collateral, &why);
    buf_done(&text);
    return good || err_set(err, ERR_SYNTAX, "%s: %s", path, why.text);
}

bool evidence_read(const struct evidence_config *c, const char *quote, struct evidence *out,
                   struct err *err)
{
    struct evidence *e = out;
    int64_t now_s = clock_wall_ms(&clock_system) / 1000;

    *e = (struct evidence){.collateral = NULL};
    if (c->at && !clock_rfc3339_parse(view_str(c->at), &now_s))
        return err_set(err, ERR_USAGE, "--at: expected a time like 2026-11-21T10:00:00Z");
    if (!command_hex(c->report_data, "report-data", e->report_data, sizeof e->report_data, err) ||
        !command_hex(c->certificate_hash, "certificate-sha256", e->leaf, sizeof e->leaf, err) ||
        !input_quote(quote, &e->quote, err) || !read_collateral(c->collateral, e, err) ||
        (c->event_log && !input_event_log(c->event_log, &e->event_log, err)) ||
        (c->policy && !input_policy(c->policy, &e->policy, err)) || !read_trust(c, e, err))
        return false;
    e->input = (struct attest_input){
        .quote = buf_view(&e->quote),
        .event_log = buf_view(&e->event_log),
        .collateral = e->collateral,
        .now_s = now_s,
        .leaf_sha256 = c->certificate_hash ? e->leaf : NULL,
        .report_data = c->report_data ? e->report_data : NULL,
    };
    return true;
}

void evidence_done(struct evidence *e)
{
    buf_done(&e->quote);
    buf_done(&e->event_log);
    collateral_free(e->collateral);
    policy_free(e->policy);
    trust_free(e->trust);
}
