/* rate: "10/hour". */
#include "ati/caller/caller.h"
#include "base/text.h"

#include "base/poison.h"

static const struct {
    const char *name;
    uint64_t seconds;
} units[] = {{"s", 1},    {"sec", 1},   {"second", 1},  {"m", 60},    {"min", 60},   {"minute", 60},
             {"h", 3600}, {"hr", 3600}, {"hour", 3600}, {"d", 86400}, {"day", 86400}};

bool caller_unit_parse(struct view unit, uint64_t *seconds)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (view_eq(unit, view_str(units[i].name))) {
            *seconds = units[i].seconds;
            return true;
        }
    return false;
}

bool caller_rate_parse(struct view spec, uint64_t *limit, uint64_t *window_s, struct err *err)
{
    size_t slash = view_find(spec, '/');
    char shown[64];
    uint64_t n, s;

    if (slash < spec.len && text_u64(view_first(spec, slash), UINT64_MAX, true, &n) &&
        caller_unit_parse(view_skip(spec, slash + 1), &s)) {
        *limit = n;
        *window_s = s;
        return true;
    }
    (void)text_escape(spec, 40, shown, sizeof shown);
    return err_set(err, ERR_SYNTAX,
                   "\"%s\" is no rate: count/unit, as in 10/hour (second, minute, hour, day)",
                   shown);
}
