/* remake: one certificate of the world's platform made anew, with what a case changes; quote and collateral follow. */
#pragma once

#include "faults.h"

#define PCK_NAME    SIM_MAKER " PCK Certificate"
#define CA_NAME     SIM_MAKER " PCK Platform CA"
#define SIGNER_NAME SIM_MAKER " TCB Signing"

struct remake {
    const char *name;
    int64_t from, to; /* around now; both 0: ten seconds each way */
    bool ca;
    int path_length;
    X509 *issuer; /* NULL: its own; the root signs itself */
    EVP_PKEY *issuer_key;
    bool self;             /* it signs itself */
    struct view extension; /* instead of the platform's */
    bool other_extension;  /* that one, or none */
};

static inline void remake(struct world *w, X509 **which, const struct remake *how)
{
    struct sim_platform *p = w->platform;
    bool pck = which == &p->pck, self = how->self || which == &p->root;
    struct buf extension;
    struct sim_certificate_spec spec = {
        .name = how->name,
        .key = pck                 ? p->pck_key
               : which == &p->ca   ? p->ca_key
               : which == &p->root ? p->root_key
                                   : p->signer_key,
        .issuer = self          ? NULL
                  : how->issuer ? how->issuer
                  : pck         ? p->ca
                                : p->root,
        .issuer_key = self              ? NULL
                      : how->issuer_key ? how->issuer_key
                      : pck             ? p->ca_key
                                        : p->root_key,
        .ca = how->ca,
        .path_length = how->path_length,
        .not_before_s = w->now_s + (how->from || how->to ? how->from : -10),
        .not_after_s = w->now_s + (how->from || how->to ? how->to : 10),
        .sgx_extension = how->extension,
    };
    X509 *made;

    buf_init(&extension, 4096, "extension");
    assert_true(sim_sgx_extension(&p->recipe, &extension, NULL));
    if (pck && !how->other_extension)
        spec.sgx_extension = buf_view(&extension);
    assert_true(sim_certificate(&spec, &made, NULL));
    X509_free(*which);
    *which = made;
    buf_done(&extension);
    world_collateral(w);
    world_quote(w);
}
#define REMAKE(which, ...) remake(w, &w->platform->which, &(struct remake){__VA_ARGS__})
