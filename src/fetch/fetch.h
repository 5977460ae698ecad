/* fetch: collateral from Intel's certification service or a PCCS, over HTTPS by libcurl, kept on disk for as long as it is good. The
 * only part of attestation that asks the network. It blocks.
 *
 * What comes is not judged here: it is signed, and dcap checks that. Redirects are not followed, answers are bounded, and http
 * is spoken to this machine alone.
 *
 * The cache is a folder of files with mode 0600, one for each service, TEE, platform family and CA. An entry is fetched anew
 * after FETCH_CACHE_TTL_S, or a minute before the first of its documents and CRLs ends; when that fails and they have
 * not ended yet, the old one serves. What cannot be read is as if it were not there. Of those who want the same entry, in
 * whatever process, one asks and the others wait; a failure is theirs, too, and everybody's for FETCH_FAILURE_S. */
#pragma once

#include "attest/collateral.h"
#include "attest/dcap.h"

enum {
    FETCH_BODY_MAX = 4 * 1024 * 1024,
    FETCH_CACHE_TTL_S = 8 * 3600,
    FETCH_FAILURE_S = 10, /* a failure is remembered for so long */
};

struct fetch_options {
    const char *url; /* of the service; with or without /sgx/certification/v4 or /tdx/… behind it */
    uint64_t timeout_ms; /* of each request */
    const char *cache;   /* folder; NULL: none. It is made when it is not there */
    bool anew;           /* what lies in the cache does not do; what comes goes there */
    const char *ca_file; /* PEM of CAs to trust instead of the system's; NULL */
    int64_t now_s;
};

MUST_USE bool fetch_collateral(const struct fetch_options *options,
                               const struct collateral_need *need, struct collateral **out,
                               struct attest_err *err);
/* For a process that confines itself before it fetches: warms what would be loaded late, makes the cache's folder (NULL: none),
 * and has the whole process look names up in /etc/hosts and by DNS alone, for other name services are loaded when they are
 * asked. Before threads are made. */
MUST_USE bool fetch_prepare(const char *cache, struct err *err);
/* Files and folders in which the certificates lie that servers are judged by; NULL-terminated, lent for good. */
const char *const *fetch_trust_paths(void);
/* The TCP ports that fetching from this service connects to; 0: any, for a proxy is set in the environment. */
enum { FETCH_PORTS_MAX = 2 };
size_t fetch_ports(const char *url, uint16_t out[static FETCH_PORTS_MAX]);
/* $XDG_CACHE_HOME/postern, or ~/.cache/postern; NULL: no home. Static storage. */
const char *fetch_cache_default(void);
