/* Private to the shell of the command line. */
#pragma once

#include "ati/cli/cli.h"

/* show.c: JSON text as the format wants it, without a newline at the end; pure. width: of tables, in columns; 0: as wide as they are. What is no
 * JSON by our limits (depth, size) is left as it stands. */
MUST_USE bool cli_render(struct view json, enum cli_format format, size_t width, struct buf *out,
                         struct err *err);
size_t cli_width(void); /* of the terminal on standard output; 0: it is none */
