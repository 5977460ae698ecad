#include "base/settings_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"

#include "base/poison.h"

static void bound_text(const struct setting *row, uint64_t value, char out[static 24])
{
    if (row->kind == SETTING_DURATION)
        text_duration_format(value, out);
    else if (row->kind == SETTING_SIZE)
        text_size_format(value, out);
    else
        (void)snprintf(out, 24, "%" PRIu64, value);
}

static bool in_bounds(const struct setting *row, uint64_t value, const char *shown, struct err *err)
{
    char least[24], most[24];

    if (value >= row->least && (!row->most || value <= row->most))
        return true;
    bound_text(row, row->least, least);
    bound_text(row, row->most, most);
    if (!row->most)
        return err_set(err, ERR_USAGE, "\"%s\" is less than %s", shown, least);
    return err_set(err, ERR_USAGE, "\"%s\" is not between %s and %s", shown, least, most);
}

static bool number(const struct setting *row, const char *text, uint64_t *out, struct err *err)
{
    struct view v = text_trim(view_str(text));
    char shown[SETTING_SHOWN_ROOM];

    settings_shown(v, shown);
    switch (row->kind) {
    case SETTING_U32:
        if (!text_u64(v, UINT32_MAX, true, out))
            return err_set(err, ERR_USAGE,
                           "\"%s\" is not a whole number up to %" PRIu32 "; write for example %s",
                           shown, UINT32_MAX, row->fallback ? row->fallback : "10");
        break;
    case SETTING_U64:
        if (!text_u64(v, UINT64_MAX, true, out))
            return err_set(err, ERR_USAGE, "\"%s\" is not a whole number; write for example %s",
                           shown, row->fallback ? row->fallback : "10");
        break;
    case SETTING_SIZE:
        if (!text_size(v, out))
            return err_set(err, ERR_USAGE,
                           "\"%s\" is not a size; write for example 65536, 64KiB or 1MiB", shown);
        break;
    case SETTING_DURATION:
        if (!text_duration_ms(v, 1000, out))
            return err_set(err, ERR_USAGE,
                           "\"%s\" is not a duration; write for example 250ms, 5s, 10m or 1h",
                           shown);
        break;
    case SETTING_BOOL:
    case SETTING_TEXT:
    case SETTING_LIST:
    case SETTING_CHOICE:
        break;
    }
    return in_bounds(row, *out, shown, err);
}

static bool choice(const struct setting *row, const char *text, int *out, struct err *err)
{
    struct view rest = view_str(row->choices), one, wanted = text_trim(view_str(text));
    char shown[SETTING_SHOWN_ROOM];
    int index = 0;

    while (view_next(&rest, '|', &one)) {
        if (view_eq_nocase(one, wanted))
            return *out = index, true;
        index++;
    }
    return err_set(err, ERR_USAGE, "\"%s\" is none of %s", settings_shown(wanted, shown),
                   row->choices);
}

bool setting_apply(const struct setting *row, const char *text, void *target, struct err *err)
{
    char *field = (char *)target + row->offset;
    const char *value = text ? text : row->fallback;
    char shown[SETTING_SHOWN_ROOM];
    uint64_t n = 0;

    if (row->kind == SETTING_TEXT || row->kind == SETTING_LIST) {
        memcpy(field, &value, sizeof value);
        return true;
    }
    if (!value)
        return true;
    if (!*value)
        return err_set(err, ERR_USAGE, "the value is empty; write one, or leave the setting out");
    if (row->kind == SETTING_BOOL) {
        bool b;

        if (!text_bool(text_trim(view_str(value)), &b))
            return err_set(err, ERR_USAGE, "\"%s\" is neither true nor false",
                           settings_shown(view_str(value), shown));
        memcpy(field, &b, sizeof b);
        return true;
    }
    if (row->kind == SETTING_CHOICE) {
        int index = 0;

        if (!choice(row, value, &index, err))
            return false;
        memcpy(field, &index, sizeof index);
        return true;
    }
    if (!number(row, value, &n, err))
        return false;
    if (row->kind == SETTING_U32) {
        uint32_t small = (uint32_t)n;

        memcpy(field, &small, sizeof small);
    } else {
        memcpy(field, &n, sizeof n);
    }
    return true;
}
