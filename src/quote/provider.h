/* provider: where quotes come from, behind one small interface. Calls block, for seconds on real hardware; one at a time.
 *
 *   dstack   the guest agent's Unix socket (HTTP/1.1, JSON): GetQuote, EmitEvent, Info. The simulator speaks the same.
 *   tsm      Linux' configfs-tsm: /sys/kernel/config/tsm/report; the event log is the firmware's and ours (measure.h, ccel.h).
 *
 * Read in order: provider.c dstack.c tsm.c measure.c ccel.c */
#pragma once

#include "attest/quote.h"
#include "base/buf.h"

enum {
    PROVIDER_ANSWER_MAX = 8 * 1024 * 1024,
    PROVIDER_PAYLOAD_MAX = 1024,
    PROVIDER_FILES_MAX = 4,
    PROVIDER_KEY_BYTES = 32
};

struct provider;

/* What a quote comes with. The caller owns the buffers. */
struct provider_quote {
    struct buf quote;     /* bytes */
    struct buf event_log; /* JSON text of an array */
    struct buf vm_config; /* JSON text, or empty */
};
void provider_quote_done(struct provider_quote *q);

struct provider_options {
    /* "dstack" (what DSTACK_SIMULATOR_ENDPOINT names, or the usual sockets), "dstack:PATH", "dstack:http://host:port", "tsm",
     * "tsm:FOLDER" */
    const char *spec;
    uint64_t timeout_ms; /* of one call */
    const char *ccel;    /* tsm: the firmware's event log; NULL: ACPI's, or FOLDER/ccel */
    const char
        *event_log; /* tsm: runtime events since the start; NULL: in /run, or FOLDER/events */
};
/* tsm:FOLDER is for tests: FOLDER stands for configfs' reports, with rtmr3, ccel and events in it. */
MUST_USE bool provider_open(const struct provider_options *options, struct provider **out,
                            struct err *err);
void provider_free(struct provider *p); /* NULL is fine */
CLEANUP_DEFINE(struct provider, provider_free)

MUST_USE bool provider_get_quote(struct provider *p,
                                 const uint8_t report_data[static REPORT_DATA_BYTES],
                                 struct provider_quote *out, struct err *err);
/* Measures a runtime event into RTMR3. */
MUST_USE bool provider_emit(struct provider *p, const char *name, struct view payload,
                            struct err *err);
/* The guest's TcbInfo as JSON text, appended; nothing when the provider has none. */
MUST_USE bool provider_tcb_info(struct provider *p, struct buf *out, struct err *err);
/* 32 secret bytes that belong to the application and follow from path: the same after each start, and on each machine that runs
 * it. For the caller to wipe. */
MUST_USE bool provider_key(struct provider *p, const char *path,
                           uint8_t out[static PROVIDER_KEY_BYTES], struct err *err);
/* What it goes on using once it is open, for a sandbox: files, and folders with all in them; NULL-terminated. Sockets are not
 * among them. */
struct provider_files {
    const char *read[PROVIDER_FILES_MAX + 1], *write[PROVIDER_FILES_MAX + 1];
    unsigned long ioctls[2]; /* asked of those; 0 ends them */
    uint16_t port;           /* of TCP that it connects to, and to name servers; 0: none */
};
const struct provider_files *provider_files(const struct provider *p);
const char *provider_name(const struct provider *p); /* "dstack:/var/run/dstack.sock" */
