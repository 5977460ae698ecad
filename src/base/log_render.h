/* Private to log*.c: one event as one line. */
#pragma once

#include "base/log.h"

struct log_line {
    char at[LOG_LINE_MAX];
    size_t len; /* with the newline */
};

void log_render(struct log_line *line, bool json, bool colour, int64_t wall_ms,
                enum log_level level, const char *event, const char *message,
                const struct log_field *fields, size_t count);
