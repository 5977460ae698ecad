/* What message.c and listing.c share. */
#pragma once

#include "ati/mcp_server/mcp_server.h"

/* The result of tools/list, appended: {"tools":[…]}. */
MUST_USE bool mcp_server_listing(const struct mcp_server_state *state, struct buf *out,
                                 struct err *err);
