/* Private to exec: file_manager, up and down, on behalf of who calls.
 *
 *   download   url ─► address rules, allowlist (each hop) ─► answer, in base64 as it comes
 *   upload     base64 ─► bytes, a slice a turn ─► gcs (gcs.c, with a token of gcs_token.c) or fal_storage (fal.c)
 *
 * Memory   a download is its base64 text alone, an upload its bytes; FILES_BYTES_MAX each. */
#pragma once

#include "ati/exec/exec_priv.h"
#include "base/json.h"

enum {
    FILES_BYTES_MAX = 1024 * 1024 * 1024, /* of a file, whatever max_bytes says */
    FILES_DOWNLOAD_BYTES = 500 * 1024 * 1024,
    FILES_DOWNLOAD_S = 120,
    FILES_UPLOAD_MS = 60000, /* each request of an upload */
    FILES_ANSWER_BYTES_MAX = 1024 * 1024,
    FILES_SHOWN_BYTES = 512, /* of an upstream's error */
    FILES_NAME_BYTES = 32    /* of an argument's name */
};

/* What download and upload begin with: the execution's state. */
struct files_call {
    struct execution *e;
    struct json_tree arguments;
    struct client_call *call; /* under way, or NULL */
    void (*free)(struct files_call *f);
};
MUST_USE bool download_start(struct execution *e, struct err *err);
MUST_USE bool upload_start(struct execution *e, struct err *err);

/* files.c: arguments, also where '-' stands for '_'. False: the call has failed with 400, as the argument's name says. */
/* 0: it is not there, or null. */
uint32_t files_find(const struct files_call *f, const char *name);
/* *out: without blanks around it, the caller's; NULL when there is no such text, or a blank one, and it is not required. */
MUST_USE bool files_text(struct files_call *f, const char *name, bool required, char **out);
/* A number or its text, over 0. */
MUST_USE bool files_number(struct files_call *f, const char *name, uint64_t fallback,
                           uint64_t *out);
bool files_bool(const struct files_call *f, const char *name, bool fallback); /* or its text */
MUST_USE bool files_missing(struct files_call *f, const char *name);          /* fails the call */
MUST_USE bool files_memory(struct files_call *f);                             /* fails the call */
/* A URL as errors show it: without user info and query. Returns out. */
enum { FILES_URL_SHOWN = 512 };
const char *files_url_shown(const char *url, char out[static FILES_URL_SHOWN]);

/* An upload, and what its sink works with. */
struct upload {
    struct files_call files;
    const struct upload_destination *destination;
    char *filename, *content_type;
    struct view text; /* base64 */
    char *text_copy;  /* when it had escapes */
    uint8_t *bytes;
    size_t text_at, size, held; /* held: of the budget */
    struct task slice;
    void *sink; /* of gcs.c or fal.c */
    void (*sink_free)(void *sink);
};
/* Each ends with upload_stored or upload_failed. False: err. */
MUST_USE bool gcs_store(struct upload *u, struct err *err);
MUST_USE bool fal_store(struct upload *u, struct err *err);
void upload_stored(struct upload *u, struct view url);
void upload_failed(struct upload *u, const char *text);
/* An answer that is not good: why, without what it may have of a secret. */
MUST_USE bool upload_answer_good(const struct execution *e, const struct client_answer *a,
                                 const char *doing, struct err *err);
/* Credentials go over https, and in the clear to hosts that are no one else's (emulators). */
MUST_USE bool upload_url_good(struct view url, struct err *err);
enum client_reach upload_reach(const struct upload *u);

/* gcs_token.c: an access token for a service account by a signed assertion (RFC 7523); how: grant.h. credentials: the account's JSON key. */
struct gcs_token;
typedef void gcs_token_done(void *context, const char *error);
MUST_USE bool gcs_token_start(struct execution *e, struct view credentials, enum client_reach reach,
                              gcs_token_done *done, void *context, struct gcs_token **out,
                              bool *ready, struct err *err);
struct view gcs_token_value(const struct gcs_token *t);
void gcs_token_end(struct gcs_token *t); /* NULL is fine */
/* Pure: the assertion, appended: a secret. */
MUST_USE bool gcs_assertion(struct view email, struct view key_pem, struct view key_id,
                            struct view audience, int64_t now_s, struct buf *out, struct err *err);
/* Pure. "{prefix}/{YYYY-MM-DD}/{uuid}-{filename}", appended. */
MUST_USE bool gcs_object(const char *prefix, int64_t now_s, const uint8_t random[static 16],
                         const char *filename, struct buf *out, struct err *err);
/* Pure. Without folders and control characters; what is then no name becomes "upload-{ms}". The caller's. */
char *upload_filename(const char *given, int64_t now_ms);
/* Pure. May this host be asked? list: of ATI_DOWNLOAD_ALLOWLIST; NULL or blank: there is none. */
bool download_allowed(const char *list, struct view host);
