/* Similarity of words after M. A. Jaro (1989), with the bonus for a common beginning of W. E. Winkler (1990). */
#include "ati/catalog/catalog_priv.h"

#include "base/poison.h"

enum { PREFIX_MAX = 4 };
static const double PREFIX_WEIGHT = 0.1;

/* Bytes of a that stand in b, too, not farther away than half the longer word: sets of positions, a bit each. */
struct matches {
    uint64_t in_a, in_b;
    unsigned count;
};

static struct matches match(struct view a, struct view b)
{
    size_t longer = a.len > b.len ? a.len : b.len, reach = longer / 2 ? longer / 2 - 1 : 0;
    struct matches m = {0};

    for (size_t i = 0; i < a.len; i++) {
        size_t from = i > reach ? i - reach : 0, to = i + reach + 1 < b.len ? i + reach + 1 : b.len;

        for (size_t j = from; j < to; j++) {
            uint64_t bit = 1ull << j;

            if (m.in_b & bit || ascii_lower(a.at[i]) != ascii_lower(b.at[j]))
                continue;
            m.in_a |= 1ull << i;
            m.in_b |= bit;
            m.count++;
            break;
        }
    }
    return m;
}

/* Matching bytes that stand in another order. */
static unsigned out_of_order(struct view a, struct view b, struct matches m)
{
    unsigned different = 0;

    for (uint64_t in_a = m.in_a, in_b = m.in_b; in_a; in_a &= in_a - 1, in_b &= in_b - 1)
        different +=
            ascii_lower(a.at[__builtin_ctzll(in_a)]) != ascii_lower(b.at[__builtin_ctzll(in_b)]);
    return different / 2;
}

double catalog_sound(struct view a, struct view b)
{
    struct matches m;
    double jaro, n;
    unsigned prefix = 0;

    a = view_first(a, SOUND_BYTES_MAX);
    b = view_first(b, SOUND_BYTES_MAX);
    if (!a.len || !b.len)
        return a.len == b.len ? 1.0 : 0.0;
    m = match(a, b);
    if (!m.count)
        return 0.0;
    n = m.count;
    jaro = (n / (double)a.len + n / (double)b.len + (n - out_of_order(a, b, m)) / n) / 3.0;
    while (prefix < PREFIX_MAX && prefix < a.len && prefix < b.len &&
           ascii_lower(a.at[prefix]) == ascii_lower(b.at[prefix]))
        prefix++;
    return jaro + prefix * PREFIX_WEIGHT * (1.0 - jaro);
}
