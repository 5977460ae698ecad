/* Private to the command line: the proxy's client. */
#pragma once

#include "ati/cli/cli.h"

enum { REMOTE_MS = 120 * 1000, REMOTE_BYTES_MAX = 1500 * 1024 * 1024 };

enum remote_outcome {
    REMOTE_OK,
    REMOTE_FAILED, /* error says why: "Proxy error (404): …"; may be long */
    REMOTE_SIGNAL, /* *status is how to end */
};
/* One request to ATI_PROXY_URL with the session token. path: "/call", "/tools?provider=x". body: JSON text; empty: none. label: for the
 * line that says that it takes long. upstream: the MCP server that is to be asked; empty: the proxy's own. answer: the JSON text of a 2xx. */
enum remote_outcome cli_remote(const struct cli *cli, const char *method, struct view path,
                               struct view body, struct view upstream, const char *label,
                               struct buf *answer, struct buf *error, int *status);

/* Pure: what an answer means. False: error. */
MUST_USE bool remote_judge(int status, struct view body, struct buf *error);
/* Appends value with everything but letters, digits and "-._~" as %XX. */
MUST_USE bool remote_encode(struct view value, struct buf *out, struct err *err);
