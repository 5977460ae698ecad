/* jsonrpc: envelopes of JSON-RPC 2.0, as MCP uses them: what kind of message is this, and its parts as spans.
 *
 * Nothing is copied: spans are pieces of the text that was parsed. Ids are kept as they were written (a string or a number, and
 * null in answers to what could not be read), so that they go back unchanged.
 * Batches (arrays, MCP 2025-03-26 and older) are walked by the caller: each element is a message.
 *
 * Read in order   read.c write.c */
#pragma once

#include "base/json.h"

enum {
    JSONRPC_PARSE_ERROR = -32700,
    JSONRPC_INVALID_REQUEST = -32600,
    JSONRPC_METHOD_NOT_FOUND = -32601,
    JSONRPC_INVALID_PARAMS = -32602,
    JSONRPC_INTERNAL_ERROR = -32603
};

enum jsonrpc_kind { JSONRPC_REQUEST, JSONRPC_NOTIFICATION, JSONRPC_RESULT, JSONRPC_ERROR };

struct jsonrpc {
    enum jsonrpc_kind kind;
    struct view id;   /* JSON text; empty: a notification */
    char method[128]; /* decoded; longer ones are invalid */
    uint32_t params;  /* token; 0: none */
    uint32_t result;  /* token of a RESULT */
    int64_t code;     /* of an ERROR; -1 when there is none */
    uint32_t error;   /* token of the error object; 0: it is none */
    uint32_t message; /* token of its message; 0: none */
};
/* token: of the message, an object (0 for a document that is one message). False (ERR_SYNTAX): not a JSON-RPC 2.0 message; out->id is
 * its id where one could be seen, else empty.
 * lenient, for what others get wrong: "jsonrpc" may be missing, members that are null count as missing, except the id of a
 * request; and an error wins over a result beside it. */
MUST_USE bool jsonrpc_read(const struct json_doc *doc, uint32_t token, bool lenient,
                           struct jsonrpc *out, struct err *err);
/* id is this number, as we write them. */
bool jsonrpc_id_is(struct view id, uint64_t number);

/* Writers of whole messages. params, result: JSON text; params empty: left out. */
MUST_USE bool jsonrpc_write_request(struct buf *out, uint64_t id, const char *method,
                                    struct view params, struct err *err);
MUST_USE bool jsonrpc_write_notification(struct buf *out, const char *method, struct view params,
                                         struct err *err);
MUST_USE bool jsonrpc_write_result(struct buf *out, struct view id, struct view result,
                                   struct err *err);
/* data: JSON text; empty: left out. */
MUST_USE bool jsonrpc_write_error(struct buf *out, struct view id, int64_t code,
                                  struct view message, struct view data, struct err *err);
