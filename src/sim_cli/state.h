/* state: a simulated platform and the guest on it, as `atlas-sim init` left them in a folder.
 *
 *   root-cert.pem …-key.pem    the PKI (platform.h)       app-compose.json   what the guest runs
 *   tls-ca.pem tls-cert.pem tls-key.pem                   a certificate for a TLS server, and its CA
 *   collateral.json policy.json policy-dev.json           made anew by every init */
#pragma once

#include "sim/guest.h"

enum { STATE_PATH_BYTES = 4096 };

struct sim_state {
    struct sim_platform *platform;
    struct sim_guest *guest;
};

/* now_s: the time that documents are made for. */
MUST_USE bool sim_state_load(const char *folder, int64_t now_s, struct sim_state *out,
                             struct err *err);
/* Types of certification data that quotes can have, as choices of a setting, and the type of a choice. */
#define STATE_CERTIFICATIONS "5|2|3"
uint16_t sim_state_certification(int choice);
void sim_state_done(struct sim_state *s);
MUST_USE bool sim_state_write(const char *folder, const char *name, struct view content,
                              unsigned mode, struct err *err);
