#include "ati/catalog/catalog.h"

#include <stdlib.h>

#include "ati/catalog/catalog_priv.h"

#include "base/poison.h"

enum { WORDS_MAX = 32, WORD_LEAST = 2, FUZZY_LEAST = 4, FUZZY_OTHER_LEAST = 3 };

static const double ALIKE = 0.85, FUZZY_SHARE = 0.8;
static const double NAME_EQUAL = 10, NAME = 5, PROVIDER = 3, CATEGORY = 3, TAG = 4, DESCRIPTION = 2,
                    HINT = 1.5;

struct words {
    struct view at[WORDS_MAX];
    size_t count;
};

struct hit {
    const struct tool *tool;
    double score;
    size_t order;
};

/* --- the query --- */

/* Words that say nothing about a tool. */
static bool says_nothing(struct view word)
{
    static const char *const words[] = {
        "about", "above",    "after", "all",    "also",    "an",     "and",   "any",    "are",
        "at",    "be",       "been",  "before", "being",   "below",  "both",  "but",    "by",
        "can",   "could",    "did",   "do",     "does",    "during", "each",  "every",  "few",
        "for",   "from",     "had",   "has",    "have",    "he",     "her",   "here",   "how",
        "if",    "in",       "into",  "is",     "it",      "just",   "like",  "may",    "me",
        "might", "more",     "most",  "must",   "my",      "need",   "no",    "nor",    "not",
        "of",    "on",       "only",  "or",     "our",     "shall",  "she",   "should", "so",
        "some",  "than",     "that",  "the",    "then",    "there",  "they",  "this",   "through",
        "to",    "use",      "using", "very",   "want",    "was",    "way",   "we",     "were",
        "what",  "whatever", "when",  "where",  "whether", "which",  "while", "who",    "whom",
        "why",   "will",     "with",  "would",  "you",     "your",
    };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (view_eq_nocase(word, view_str(words[i])))
            return true;
    return false;
}

static bool in_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' ||
           c >= 0x80;
}

/* The next run of letters, digits and '_'. */
static bool next_word(struct view *rest, struct view *word)
{
    size_t n = 0;

    while (rest->len && !in_word(rest->at[0]))
        *rest = view_skip(*rest, 1);
    while (n < rest->len && in_word(rest->at[n]))
        n++;
    *word = view_first(*rest, n);
    *rest = view_skip(*rest, n);
    return n > 0;
}

/* Pieces between blanks, so that "github:search" is one. */
static bool next_piece(struct view *rest, struct view *piece)
{
    size_t n = 0;

    while (rest->len && rest->at[0] <= ' ')
        *rest = view_skip(*rest, 1);
    while (n < rest->len && rest->at[n] > ' ')
        n++;
    *piece = view_first(*rest, n);
    *rest = view_skip(*rest, n);
    return n > 0;
}

static void split(struct view query, struct words *out)
{
    struct view piece;

    out->count = 0;
    while (out->count < WORDS_MAX && next_piece(&query, &piece))
        if (piece.len >= WORD_LEAST && !says_nothing(piece))
            out->at[out->count++] = piece;
}

/* --- one tool --- */

static bool contains(struct view text, struct view word)
{
    for (size_t i = 0; i + word.len <= text.len; i++)
        if (ascii_lower(text.at[i]) == ascii_lower(word.at[0]) &&
            view_eq_nocase(view_from(text.at + i, word.len), word))
            return true;
    return false;
}

static bool alike(struct view other, struct view word)
{
    return word.len >= FUZZY_LEAST && other.len >= FUZZY_OTHER_LEAST &&
           catalog_alike(word, other, ALIKE);
}

static bool sounds(struct view text, struct view word)
{
    struct view other;

    while (next_word(&text, &other))
        if (alike(other, word))
            return true;
    return false;
}

static double field(const char *text, struct view word, double weight)
{
    struct view v = view_str(text);

    if (contains(v, word))
        return weight;
    return sounds(v, word) ? weight * FUZZY_SHARE : 0;
}

/* A tag is one word, and what sounds like it is as good. */
static double tags(const struct texts *all, struct view word)
{
    for (size_t i = 0; i < all->count; i++) {
        struct view tag = view_str(all->at[i]);

        if (contains(tag, word) || alike(tag, word))
            return TAG;
    }
    return 0;
}

static double word_score(const struct tool *t, struct view word)
{
    double score =
        view_eq_nocase(view_str(t->name), word) ? NAME_EQUAL : field(t->name, word, NAME);

    return score + field(t->provider->name, word, PROVIDER) +
           field(t->provider->category, word, CATEGORY) + tags(&t->tags, word) +
           field(t->description, word, DESCRIPTION) + field(t->hint, word, HINT);
}

/* 0: does not belong to the answer. */
static double score(const struct tool *t, const struct words *w)
{
    double total = 0;
    size_t hits = 0;

    for (size_t i = 0; i < w->count; i++) {
        double one = word_score(t, w->at[i]);

        total += one;
        hits += one > 0;
    }
    if (!hits || hits < (w->count + 1) / 2)
        return 0;
    return total * (double)hits / (double)w->count;
}

/* --- all --- */

static bool before(const struct hit *a, const struct hit *b)
{
    return a->score > b->score || (a->score >= b->score && a->order < b->order);
}

/* Keeps the best max of what comes, in order; hits has room for one more. */
static void keep(struct hit *hits, size_t *count, size_t max, struct hit h)
{
    size_t at = *count;

    if (at == max && (!max || !before(&h, &hits[max - 1])))
        return;
    if (at == max)
        at--;
    else
        (*count)++;
    for (; at > 0 && before(&h, &hits[at - 1]); at--)
        hits[at] = hits[at - 1];
    hits[at] = h;
}

static size_t give(struct hit *hits, size_t count, const struct tool **out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = hits[i].tool;
    free(hits);
    return count;
}

size_t catalog_search(const struct catalog *c, const struct caller *caller, int64_t now_s,
                      struct view query, const struct tool **out, size_t max)
{
    struct hit *hits = calloc(max + 1, sizeof *hits);
    struct words words;
    size_t count = 0;

    split(query, &words);
    for (size_t i = 0; hits && i < catalog_tool_count(c); i++) {
        const struct tool *t = catalog_tool_at(c, i);
        struct hit h = {.tool = t, .order = i};

        if (!caller_may(caller, t->scope, now_s))
            continue;
        h.score = score(t, &words);
        if (h.score > 0)
            keep(hits, &count, max, h);
    }
    return give(hits, count, out);
}

static int by_order(const void *a, const void *b)
{
    const struct hit *one = a, *other = b;

    return one->order < other->order ? -1 : one->order > other->order;
}

size_t catalog_suggest(const struct catalog *c, const struct caller *caller, int64_t now_s,
                       struct view name, const struct tool **out, size_t max)
{
    struct view prefix = view_first(name, view_find(name, ':'));
    struct hit *hits = calloc(max + 1, sizeof *hits);
    size_t count = 0, all = 0;

    for (size_t i = 0; hits && i < catalog_tool_count(c); i++) {
        const struct tool *t = catalog_tool_at(c, i);
        struct hit h = {.tool = t, .score = catalog_sound(view_str(t->name), name), .order = i};

        if (!view_eq(view_str(t->provider->name), prefix) || !caller_may(caller, t->scope, now_s))
            continue;
        all++;
        keep(hits, &count, max, h);
    }
    if (count && all <= max)
        qsort(hits, count, sizeof *hits, by_order);
    return give(hits, count, out);
}
