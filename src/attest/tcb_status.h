/* tcb_status: how well patched a part of a platform is, and how the parts' statuses become one. */
#pragma once

#include "base/json.h"

/* In the order of severity: the worst one wins. */
#define TCB_STATUS_LIST(X)                                                 \
    X(UP_TO_DATE, "UpToDate")                                              \
    X(SW_HARDENING, "SWHardeningNeeded")                                   \
    X(CONFIGURATION, "ConfigurationNeeded")                                \
    X(CONFIGURATION_AND_SW_HARDENING, "ConfigurationAndSWHardeningNeeded") \
    X(RELAUNCH, "TDRelaunchAdvised")                                       \
    X(RELAUNCH_CONFIGURATION, "TDRelaunchAdvisedConfigurationNeeded")      \
    X(OUT_OF_DATE, "OutOfDate")                                            \
    X(OUT_OF_DATE_CONFIGURATION, "OutOfDateConfigurationNeeded")           \
    X(REVOKED, "Revoked")

enum tcb_status {
#define X(name, text) TCB_STATUS_##name,
    TCB_STATUS_LIST(X)
#undef X
        TCB_STATUS_COUNT
};

const char *tcb_status_name(enum tcb_status s);
/* Exact, case and all. */
MUST_USE bool tcb_status_parse(struct view text, enum tcb_status *out);

enum { ADVISORIES_MAX = 48, ADVISORY_BYTES = 20 };

/* Identifiers of advisories (INTEL-SA-nnnnn), in the order in which they were first named. */
struct advisories {
    unsigned count;
    char ids[ADVISORIES_MAX][ADVISORY_BYTES];
};

struct tcb_verdict {
    enum tcb_status status;
    struct advisories advisories;
};

/* The strings of an array; 0: there is none. False: an element is no short text, or there are too many. */
MUST_USE bool advisories_add(struct advisories *all, const struct json_doc *doc, uint32_t array);
bool advisories_have(const struct advisories *all, const char *id);
/* into becomes the worse of both, with the advisories of both. False: too many of them. */
MUST_USE bool tcb_merge(struct tcb_verdict *into, const struct tcb_verdict *other);
