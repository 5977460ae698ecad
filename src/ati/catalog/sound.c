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

static double similarity(struct view a, struct view b, double matching, double in_order)
{
    double jaro = (matching / (double)a.len + matching / (double)b.len + in_order) / 3.0;
    unsigned prefix = 0;

    while (prefix < PREFIX_MAX && prefix < a.len && prefix < b.len &&
           ascii_lower(a.at[prefix]) == ascii_lower(b.at[prefix]))
        prefix++;
    return jaro + prefix * PREFIX_WEIGHT * (1.0 - jaro);
}

double catalog_sound(struct view a, struct view b)
{
    struct matches m;

    a = view_first(a, SOUND_BYTES_MAX);
    b = view_first(b, SOUND_BYTES_MAX);
    if (!a.len || !b.len)
        return a.len == b.len ? 1.0 : 0.0;
    m = match(a, b);
    if (!m.count)
        return 0.0;
    return similarity(a, b, m.count, (m.count - (double)out_of_order(a, b, m)) / m.count);
}

/* How many bytes of a can match at most: those that stand in b anywhere (or share their last six bits with one that does). */
static unsigned matches_at_most(struct view a, struct view b)
{
    uint64_t in_b = 0;
    unsigned count = 0;

    for (size_t i = 0; i < b.len; i++)
        in_b |= 1ull << (ascii_lower(b.at[i]) & 63);
    for (size_t i = 0; i < a.len; i++)
        count += (unsigned)(in_b >> (ascii_lower(a.at[i]) & 63)) & 1;
    return count < b.len ? count : (unsigned)b.len;
}

bool catalog_alike(struct view a, struct view b, double least)
{
    a = view_first(a, SOUND_BYTES_MAX);
    b = view_first(b, SOUND_BYTES_MAX);
    if (a.len && b.len && similarity(a, b, matches_at_most(a, b), 1.0) < least)
        return false;
    return catalog_sound(a, b) >= least;
}
