/* TOML by toml++ (header-only, without exceptions), as a walk in the order of the text: its tables are sorted by key, so the places
 * where keys stood put them back in order. */
#include <cstdio>
#include <cstring>

#include <algorithm>
#include <utility>
#include <vector>

#include "ati/manifest/toml_priv.h"

#define TOML_HEADER_ONLY        1
#define TOML_EXCEPTIONS         0
#define TOML_ENABLE_FORMATTERS  0
#define TOML_FLOAT_CHARCONV     1 /* else it reads numbers through a stream, and with it come the locales */
#define TOML_MAX_NESTED_VALUES  TOML_DEPTH_MAX
#include <toml++/toml.h>

namespace {

struct walker {
    toml_visit *visit;
    void *context;

    bool tell(toml_event event, uint32_t line) const
    {
        toml_value v = {};

        v.event = event;
        v.line = line;
        return visit(context, &v);
    }

    bool tell_text(toml_event event, uint32_t line, std::string_view text) const
    {
        toml_value v = {};

        v.event = event;
        v.line = line;
        v.text = text.data();
        v.len = text.size();
        return visit(context, &v);
    }

    bool scalar(const toml::node &node, uint32_t line) const;
    bool table(const toml::table &table, uint32_t line) const;
    bool array(const toml::array &array, uint32_t line) const;
    bool value(const toml::node &node, uint32_t line) const;
};

/* Each returns the bytes written; every number was checked by the parser. */
size_t date_text(const toml::date &d, char *out, size_t size)
{
    return static_cast<size_t>(std::snprintf(out, size, "%04u-%02u-%02u", unsigned{d.year},
                                             unsigned{d.month}, unsigned{d.day}));
}

size_t time_text(const toml::time &t, char *out, size_t size)
{
    size_t n = static_cast<size_t>(std::snprintf(out, size, "%02u:%02u:%02u", unsigned{t.hour},
                                                 unsigned{t.minute}, unsigned{t.second}));

    if (t.nanosecond)
        n += static_cast<size_t>(
            std::snprintf(out + n, size - n, ".%09u", static_cast<unsigned>(t.nanosecond)));
    return n;
}

size_t moment_text(const toml::date_time &m, char *out, size_t size)
{
    size_t n = date_text(m.date, out, size);

    out[n++] = 'T';
    n += time_text(m.time, out + n, size - n);
    if (m.offset && m.offset->minutes == 0)
        out[n++] = 'Z';
    else if (m.offset)
        n += static_cast<size_t>(std::snprintf(
            out + n, size - n, "%c%02d:%02d", m.offset->minutes < 0 ? '-' : '+',
            std::abs(m.offset->minutes) / 60, std::abs(m.offset->minutes) % 60));
    return n;
}

bool walker::scalar(const toml::node &node, uint32_t line) const
{
    toml_value v = {};
    char text[64];
    size_t n;

    v.line = line;
    if (const auto *s = node.as_string())
        return tell_text(TOML_STRING, line, s->get());
    if (const auto *i = node.as_integer()) {
        v.event = TOML_INTEGER;
        v.integer = i->get();
        return visit(context, &v);
    }
    if (const auto *r = node.as_floating_point()) {
        v.event = TOML_REAL;
        v.real = r->get();
        return visit(context, &v);
    }
    if (const auto *b = node.as_boolean()) {
        v.event = TOML_BOOL;
        v.boolean = b->get();
        return visit(context, &v);
    }
    if (const auto *d = node.as_date())
        n = date_text(d->get(), text, sizeof text);
    else if (const auto *t = node.as_time())
        n = time_text(t->get(), text, sizeof text);
    else
        n = moment_text(node.as_date_time()->get(), text, sizeof text);
    return tell_text(TOML_STRING, line, std::string_view{text, n});
}

bool walker::table(const toml::table &table, uint32_t line) const
{
    std::vector<std::pair<const toml::key *, const toml::node *>> members;

    for (auto &&[key, node] : table)
        members.emplace_back(&key, &node);
    std::stable_sort(members.begin(), members.end(), [](const auto &a, const auto &b) {
        const auto &one = a.first->source().begin, &other = b.first->source().begin;
        return one.line != other.line ? one.line < other.line : one.column < other.column;
    });
    if (!tell(TOML_TABLE, line))
        return false;
    for (const auto &[key, node] : members) {
        uint32_t at = key->source().begin.line;

        if (!tell_text(TOML_KEY, at, key->str()) || !value(*node, at))
            return false;
    }
    return tell(TOML_TABLE_END, line);
}

bool walker::array(const toml::array &array, uint32_t line) const
{
    if (!tell(TOML_ARRAY, line))
        return false;
    for (const auto &node : array)
        if (!value(node, line))
            return false;
    return tell(TOML_ARRAY_END, line);
}

/* line: of what holds the node, for nodes that stand nowhere themselves. */
bool walker::value(const toml::node &node, uint32_t line) const
{
    uint32_t at = node.source().begin.line ? node.source().begin.line : line;

    if (const auto *t = node.as_table())
        return table(*t, at);
    if (const auto *a = node.as_array())
        return array(*a, at);
    return scalar(node, at);
}

} // namespace

bool toml_walk(const char *text, size_t len, toml_visit *visit, void *context, char *error,
               size_t error_size, uint32_t *error_line)
{
    toml::parse_result result = toml::parse(std::string_view{text, len});

    *error = '\0';
    *error_line = 0;
    if (!result) {
        const std::string_view why = result.error().description();
        const size_t n = std::min(why.size(), error_size - 1);

        std::memcpy(error, why.data(), n);
        error[n] = '\0';
        *error_line = result.error().source().begin.line;
        return false;
    }
    return walker{visit, context}.value(result.table(), 1);
}
