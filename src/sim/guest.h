/* guest: a simulated dstack guest: it boots, measures, and keeps the log that tells of it. */
#pragma once

#include "attest/event_log.h"
#include "sim/platform.h"

enum { SIM_EVENTS_MAX = 256, SIM_PAYLOAD_MAX = 1024 };

struct sim_event {
    unsigned imr;
    uint32_t type;
    char name[EVENT_NAME_MAX + 1];
    uint8_t payload[SIM_PAYLOAD_MAX];
    size_t payload_len;
    uint8_t digest[MEASUREMENT_BYTES];
};

struct sim_guest {
    struct sim_td td;
    struct sim_event events[SIM_EVENTS_MAX];
    unsigned count;
    uint8_t compose_hash[32], os_image_hash[32], app_id[20], instance_id[20];
    struct buf compose; /* the text of app-compose.json */
};

/* Boots with this app-compose.json. instance: any text; it becomes the instance id. */
MUST_USE bool sim_guest_boot(struct view compose, struct sim_guest **out, struct err *err);
void sim_guest_free(struct sim_guest *g); /* NULL is fine */
CLEANUP_DEFINE(struct sim_guest, sim_guest_free)

/* A runtime event: extends RTMR3 and the log. */
MUST_USE bool sim_guest_emit(struct sim_guest *g, const char *name, struct view payload,
                             struct err *err);
/* "New TLS Certificate" for a leaf with that SHA-256. */
MUST_USE bool sim_guest_certificate(struct sim_guest *g, const uint8_t sha256[static 32],
                                    struct err *err);
/* The log as JSON, appended. digests: also those of runtime events, which newer guests leave out. */
MUST_USE bool sim_guest_log(const struct sim_guest *g, bool digests, struct buf *out,
                            struct err *err);
/* A policy that this guest on this platform satisfies, appended. strict: with boot chain, compose and image. */
MUST_USE bool sim_policy(const struct sim_guest *g, const struct sim_platform *p, bool strict,
                         const char *pccs_url, struct buf *out, struct err *err);
/* "{\"os_image_hash\":…}", appended. */
MUST_USE bool sim_vm_config(const struct sim_guest *g, struct buf *out, struct err *err);
