#include "base/settings_priv.h"

#include "base/poison.h"

char *settings_variable(const struct settings_program *p, const char *name, char *out, size_t size)
{
    size_t prefix = strlen(p->prefix);

    (void)snprintf(out, size, "%s%s", p->prefix, name);
    for (char *c = prefix < size ? out + prefix : out; *c; c++)
        *c = (char)(*c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    return out;
}

/* name: without the prefix, as the user wrote it. */
static void unknown(struct settings *s, struct view name)
{
    char shown[SETTING_SHOWN_ROOM], variable[SETTING_VARIABLE_BYTES];
    char word[SETTING_VARIABLE_BYTES]; /* as an option would be spelt */
    size_t n = name.len < sizeof word ? name.len : sizeof word;
    const char *near;

    for (size_t i = 0; i < n; i++)
        word[i] = (char)(name.at[i] == '_' ? '-' : ascii_lower(name.at[i]));
    near = settings_nearest(s->program, view_from(word, n), SOURCE_ENVIRONMENT);
    settings_complain(s, "unknown variable %s%s%s%s%s; see --help", s->program->prefix,
                      settings_shown(name, shown), near ? "; did you mean " : "",
                      near ? settings_variable(s->program, near, variable, sizeof variable) : "",
                      near ? "?" : "");
}

static void variable(struct settings *s, const char *entry)
{
    const struct settings_program *p = s->program;
    struct view whole = view_str(entry), name = view_first(whole, view_find(whole, '='));
    char known[SETTING_VARIABLE_BYTES];

    if (!view_starts(name, view_str(p->prefix)) || name.len == whole.len)
        return;
    settings_variable(p, "config", known, sizeof known);
    if (view_eq(name, view_str(known))) {
        settings_take_file(s, entry + name.len + 1, false, known);
        return;
    }
    for (size_t i = 0; i < p->count; i++)
        if (view_eq(name, view_str(settings_variable(p, p->rows[i].name, known, sizeof known)))) {
            settings_take(s, i, view_skip(whole, name.len + 1), SOURCE_ENVIRONMENT, known);
            return;
        }
    unknown(s, view_skip(name, strlen(p->prefix)));
}

void settings_read_environment(struct settings *s, char **environment)
{
    for (char **entry = environment; entry && *entry; entry++)
        variable(s, *entry);
}
