#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ati/cli/claims.h"
#include "ati/cli/cli.h"
#include "ati/token/token.h"
#include "base/secret.h"

#include "base/poison.h"

enum { STATUS_BYTES_MAX = 64 * 1024, HOUR_S = 3600, MINUTE_S = 60 };
#define YEAR_10000_S 253402300800

struct status {
    struct cli_claims claims;
    struct caller *caller; /* of the claims, verified or not: to count with */
    int64_t now_s;
    bool verified, judged; /* judged: there is a key to verify with */
    struct err why;        /* not verified */
};

/* A token that is over may have been a good one: it is asked about the time it was still there. */
static bool verify(struct status *s, const struct cli *cli, struct view token, struct err *err)
{
    CLEANUP(token_authority_unref_cleanup) struct token_authority *a = NULL;
    CLEANUP(caller_unref_cleanup) struct caller *caller = NULL;
    struct token_config config = token_config_from(cli->environment);
    int64_t when = s->now_s < s->claims.expires_s ? s->now_s : s->claims.expires_s;

    if (!token_authority_load(&config, &a, err))
        return false;
    s->judged = a != NULL;
    s->verified = a && token_validate(a, token, when, &caller, &s->why);
    return true;
}

static bool caller_make(struct status *s, struct err *err)
{
    const struct caller_claims claims = {.scope = view_str(s->claims.scope)};

    return caller_new(&claims, &s->caller, err);
}

static bool is_over(const struct status *s)
{
    return s->claims.expires_s && s->now_s > s->claims.expires_s;
}

static int64_t left_s(const struct status *s)
{
    return is_over(s) ? 0 : s->claims.expires_s - s->now_s;
}

static void number(struct json_writer *w, const char *name, size_t value)
{
    json_key(w, name);
    json_u64(w, value);
}

static void boolean(struct json_writer *w, const char *name, bool value)
{
    json_key(w, name);
    json_bool(w, value);
}

static bool show_json(const struct status *s, const struct cli *cli, struct err *err)
{
    const struct cli_claims *c = &s->claims;
    struct json_writer w;
    struct buf out;
    bool good;

    buf_init(&out, STATUS_BYTES_MAX, "status");
    json_begin(&w, &out);
    json_object(&w);
    cli_claims_write(c, "aud", &w);
    cli_claims_write(c, "exp", &w);
    boolean(&w, "expired", is_over(s));
    /* Of its scope: whether that is over is said beside it. */
    boolean(&w, "help_enabled", caller_may_help(s->caller, 0));
    cli_claims_write(c, "iat", &w);
    cli_claims_write(c, "iss", &w);
    cli_claims_write(c, "job_id", &w);
    cli_claims_write(c, "jti", &w);
    cli_claims_write(c, "sandbox_id", &w);
    cli_claims_write(c, "scope", &w);
    cli_claims_scopes(c, &w);
    boolean(&w, "signature_verified", s->verified);
    number(&w, "skill_scopes", caller_scopes_of(s->caller, "skill:"));
    cli_claims_write(c, "sub", &w);
    json_key(&w, "time_remaining_secs");
    if (c->expires_s)
        json_i64(&w, left_s(s));
    else
        json_null(&w);
    number(&w, "tool_scopes", caller_scopes_of(s->caller, "tool:"));
    json_object_end(&w);
    good = json_end(&w, err) && cli_show(cli, buf_view(&out), err);
    buf_done(&out);
    return good;
}

static void print_claim(const struct status *s, const char *label, const char *name)
{
    char *text = cli_claims_text(&s->claims, name);

    if (text)
        (void)printf("%-9s %s\n", label, text);
    free(text);
}

static void print_expiry(const struct status *s)
{
    int64_t expires_s = s->claims.expires_s, left = left_s(s);
    char when[CLOCK_RFC3339_BYTES];

    if (!expires_s)
        (void)printf("Expires:  never\n");
    else if (is_over(s))
        (void)printf("Expires:  EXPIRED\n");
    else if (expires_s >= YEAR_10000_S)
        (void)printf("Expires:  %" PRId64 " (%" PRId64 "h %" PRId64 "m remaining)\n", expires_s,
                     left / HOUR_S, left % HOUR_S / MINUTE_S);
    else
        (void)printf("Expires:  %.19sZ (%" PRId64 "h %" PRId64 "m remaining)\n",
                     clock_rfc3339(expires_s * 1000, when), left / HOUR_S,
                     left % HOUR_S / MINUTE_S);
}

static void show_text(const struct status *s, const struct cli *cli)
{
    print_claim(s, "Agent:", "sub");
    print_claim(s, "Issuer:", "iss");
    print_claim(s, "Audience:", "aud");
    print_claim(s, "Job ID:", "job_id");
    print_claim(s, "Sandbox:", "sandbox_id");
    (void)printf("Scopes:   %zu tools, %zu skills, help %s\n", caller_scopes_of(s->caller, "tool:"),
                 caller_scopes_of(s->caller, "skill:"),
                 caller_may_help(s->caller, 0) ? "enabled" : "disabled");
    if (s->caller->scope_count)
        (void)printf("  %s\n", s->claims.scope);
    print_expiry(s);
    if (s->verified)
        (void)printf("Verified: YES\n");
    else
        (void)printf("Verified: NO (%s)\n", s->judged ? s->why.text : "public key not available");
    if (is_over(s))
        log_event(cli->log, LOG_WARN, "cli.session_expired",
                  "your session has expired — tool calls will be denied");
}

static int show(const struct cli *cli, struct view token)
{
    struct status s = {.now_s = clock_wall_ms(&clock_system) / 1000};
    struct err err = {0};
    int status = 0;

    if (!cli_claims_read(&s.claims, token, &err)) {
        (void)err_in(&err, "Cannot decode ATI_SESSION_TOKEN");
        status = cli_fail_err(cli, &err);
    } else if (!verify(&s, cli, token, &err) || !caller_make(&s, &err) ||
               (cli->format == CLI_JSON && !show_json(&s, cli, &err))) {
        status = cli_fail_err(cli, &err);
    } else if (cli->format != CLI_JSON) {
        show_text(&s, cli);
    }
    cli_claims_done(&s.claims);
    caller_unref(s.caller);
    return status;
}

static int auth_status(struct cli *cli, const struct cli_words *words)
{
    struct buf token;
    struct err err;
    int status = 0;

    (void)words;
    buf_init(&token, TOKEN_BYTES_MAX, "session token");
    if (!token_session(cli->environment, &token, &err)) {
        status = cli_fail_err(cli, &err);
    } else if (buf_len(&token)) {
        status = show(cli, buf_view(&token));
    } else {
        (void)printf("No session token set (ATI_SESSION_TOKEN not configured)\n"
                     "Running in unrestricted mode — all tools accessible.\n");
    }
    buf_wipe(&token);
    return status;
}

static const struct cli_command commands[] = {
    {.name = "status",
     .summary = "show what the session token allows, and for how long",
     .run = auth_status},
};

const struct cli_command cli_auth = {
    .name = "auth",
    .summary = "the session of this sandbox",
    .commands = commands,
    .command_count = sizeof commands / sizeof *commands,
};
