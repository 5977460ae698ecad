/* evidence: what the commands are given that verify offline: a quote, what Intel says about its platform, and what is expected of
 * it; and the settings that name the files. */
#pragma once

#include "atls_cli/input.h"
#include "attest/verify.h"
#include "base/settings.h"

struct evidence_config {
    const char *collateral, *policy, *event_log, *root, *at, *report_data, *certificate_hash;
};

/* Rows for a table whose struct begins with a struct evidence_config. */
#define EVIDENCE_ROW(field, text, ...)                                                         \
    {                                                                                          \
        .name = text, .kind = SETTING_TEXT, .offset = offsetof(struct evidence_config, field), \
        __VA_ARGS__                                                                            \
    }
#define EVIDENCE_ROWS                                                                             \
    EVIDENCE_ROW(                                                                                 \
        collateral, "collateral", .group = "Evidence", .value_name = "FILE",                      \
        .help = "Intel's signed statements about the platform: a QuoteCollateralV3 JSON object"), \
        EVIDENCE_ROW(event_log, "event-log", .group = "Evidence", .value_name = "FILE",           \
                     .help = "The guest's event log, or an answer that holds it as dstack's "     \
                             "GetQuote does"),                                                    \
        EVIDENCE_ROW(policy, "policy", .group = "Expectations", .value_name = "FILE",             \
                     .help =                                                                      \
                         "What the quote must be; without it, it must be genuine and no more"),   \
        EVIDENCE_ROW(report_data, "report-data", .group = "Expectations", .value_name = "HEX",    \
                     .help = "The 64 bytes that the quote must carry"),                           \
        EVIDENCE_ROW(certificate_hash, "certificate-sha256", .group = "Expectations",             \
                     .value_name = "HEX",                                                         \
                     .help = "Hash of the certificate that the event log must name last"),        \
        EVIDENCE_ROW(at, "at", .group = "Expectations", .value_name = "TIME",                     \
                     .help = "Verify as of this time (RFC 3339) instead of now"),                 \
        EVIDENCE_ROW(root, "root", .group = "Expectations", .value_name = "FILE",                 \
                     .help =                                                                      \
                         "Trust this root certificate (PEM) instead of Intel's: for simulators")

/* Stays where it is: input points into it. */
struct evidence {
    struct buf quote, event_log;
    struct collateral *collateral;
    struct policy *policy; /* NULL: none was given */
    struct trust *trust;   /* NULL: the policy's */
    uint8_t report_data[REPORT_DATA_BYTES], leaf[HASH_BYTES];
    struct attest_input input;
};

/* quote: a path, "-" for standard input. Whatever it says, evidence_done. */
MUST_USE bool evidence_read(const struct evidence_config *c, const char *quote,
                            struct evidence *out, struct err *err);
void evidence_done(struct evidence *e);
