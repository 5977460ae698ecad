/* address: which places a request from outside may not be sent to. */
#include "client/client.h"

static bool ends_in(struct view name, struct view label)
{
    struct view dotted = view_skip(name, name.len - label.len - 1);

    return name.len > label.len && dotted.at[0] == '.' &&
           view_eq_nocase(view_skip(dotted, 1), label);
}

bool client_name_private(struct view name)
{
    static const struct view labels[] = {{(const uint8_t *)"localhost", 9},
                                         {(const uint8_t *)"internal", 8},
                                         {(const uint8_t *)"local", 5}};
    struct addr a;

    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    if (addr_parse_ip(name, false, &a))
        return client_address_private(&a);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (view_eq_nocase(name, labels[i]) || ends_in(name, labels[i]))
            return true;
    return false;
}

/* What no table of the world's routes leads to; that of others, too, which only look like it. */
bool client_address_private(const struct addr *a)
{
    return addr_classify(a) != ADDR_GLOBAL;
}
