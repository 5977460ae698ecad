/* Private to log*.c: one event as one line, and who may speak. */
#pragma once

#include "base/log.h"

struct log_line {
    char at[LOG_LINE_MAX];
    size_t len;  /* with the newline */
    size_t kept; /* room for what comes last */
};

void log_render(struct log_line *line, bool json, bool colour, int64_t wall_ms,
                enum log_level level, const char *event, const char *message,
                const struct log_field *fields, size_t count);

void log_render_flat(struct log_line *line, int64_t wall_us, enum log_level level,
                     const char *target, const char *message, const struct log_field *fields,
                     size_t count);

/* log_filter.c: the level that filter gives to target; pure. */
enum { LOG_OFF = -1 };
int log_filter_level(struct view filter, struct view target);
