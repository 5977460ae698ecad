/* Private to `ati tool`. */
#pragma once

#include "ati/cli/local.h"

enum { TOOL_HELP_MS = 5000, TOOL_HELP_CHARACTERS = 3000, TOOL_BYTES_MAX = 256 * 1024 * 1024 };

/* tool_help.c: what a command line program tells of itself: the output of --help, else of help; cut at TOOL_HELP_CHARACTERS. Nothing is
 * appended when it tells nothing. False: err, or a signal came. */
MUST_USE bool tool_help(struct cli_local *l, const struct tool_provider *provider, struct buf *out,
                        struct err *err);

/* tool_info.c: one tool, as JSON and as text. help: of tool_help, may be empty. */
MUST_USE bool tool_info_json(const struct tool *tool, struct view help, struct buf *out,
                             struct err *err);
MUST_USE bool tool_info_text(const struct tool *tool, struct view help, struct buf *out,
                             struct err *err);
/* The answer of the proxy's /tools/{name} as text. */
MUST_USE bool tool_info_remote(struct view answer, struct buf *out, struct err *err);
