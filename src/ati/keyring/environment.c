/* environment: secrets that were given as variables, out of the way of core images. */
#include "ati/keyring/keyring_priv.h"
#include "base/secret.h"

#include "base/poison.h"

static bool is_secret(struct view line)
{
    static const char *const names[] = {
        "ATI_JWT_SECRET=", "ATI_SESSION_TOKEN=", "ATI_ADMIN_TOKEN=", "ATI_DB_URL="};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (view_starts(line, view_str(names[i])))
            return true;
    return view_starts(line, VIEW("ATI_KEY_")) && !view_starts(line, VIEW("ATI_KEY_FILE="));
}

bool keyring_hide_environment(char **environment, struct err *err)
{
    struct locked pages; /* nobody gives them back */
    size_t room = 0, used = 0;

    for (char **at = environment; *at; at++)
        if (is_secret(view_str(*at)))
            room += strlen(*at) + 1;
    if (!room)
        return true;
    if (!locked_new(room, &pages, err))
        return false;
    for (char **at = environment; *at; at++) {
        struct view line = view_str(*at);
        char *copy = (char *)pages.at + used, *value = *at + view_find(line, '=');

        if (!is_secret(line))
            continue;
        memcpy(copy, line.at, line.len + 1);
        used += line.len + 1;
        if (*value)
            secret_wipe(value + 1, strlen(value + 1));
        *at = copy;
    }
    locked_seal(&pages);
    locked_registers_clear();
    return true;
}
