#include "base/log_render.h"
#include "base/text.h"

#include "base/poison.h"

/* "trace" is louder than anything we say. */
static bool level_parse(struct view word, int *out)
{
    enum log_level level;

    if (view_eq_nocase(word, VIEW("off")))
        *out = LOG_OFF;
    else if (view_eq_nocase(word, VIEW("trace")))
        *out = LOG_DEBUG;
    else if (log_level_parse(word, &level))
        *out = (int)level;
    else
        return false;
    return true;
}

/* One of "level", "target=level", "target": which targets it is about, and what it says. A bare target may say everything. */
static bool directive(struct view text, struct view *about, int *level)
{
    size_t equals = view_find(text, '=');

    *about = (struct view){text.at, 0};
    if (equals < text.len) {
        *about = text_trim(view_first(text, equals));
        return level_parse(text_trim(view_skip(text, equals + 1)), level);
    }
    if (level_parse(text, level))
        return true;
    *about = text;
    *level = LOG_DEBUG;
    return text.len > 0;
}

int log_filter_level(struct view filter, struct view target)
{
    struct view one, about;
    size_t nearest = 0;
    int level, best = LOG_ERROR;

    while (view_next(&filter, ',', &one))
        if (directive(text_trim(one), &about, &level) && view_starts(target, about) &&
            about.len >= nearest) {
            nearest = about.len;
            best = level;
        }
    return best;
}
