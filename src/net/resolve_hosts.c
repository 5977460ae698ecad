#include "net/resolve_hosts.h"

#include "base/limits.h"

#include <stdio.h>

enum { LABEL_BYTES_MAX = 63, NAME_BYTES_MAX = 253, SERVERS_MAX = 3 /* resolv.conf(5): MAXNS */ };

static bool label_ok(struct view label);
static bool label_is_number(struct view label);
static bool next_word(struct view *line, struct view *word);
static bool next_line(struct view *text, struct view *line);
static struct view without_dot(struct view name);

bool resolve_name_ok(struct view name)
{
    struct view rest = without_dot(name), label = {0};

    if (rest.len == 0 || rest.len > NAME_BYTES_MAX)
        return false;
    while (view_next(&rest, '.', &label))
        if (!label_ok(label))
            return false;
    return !label_is_number(label);
}

bool resolve_name_local(struct view name)
{
    const struct view local = VIEW("localhost");

    name = without_dot(name);
    if (name.len > local.len) {
        if (name.at[name.len - local.len - 1] != '.')
            return false;
        name = view_skip(name, name.len - local.len);
    }
    return view_eq_nocase(name, local);
}

void hosts_find(struct view text, struct view name, struct hosts_found *found)
{
    struct view line, word;

    name = without_dot(name);
    found->count[0] = found->count[1] = 0;
    while (next_line(&text, &line)) {
        struct addr a;

        if (!next_word(&line, &word) || !addr_parse_ip(word, false, &a))
            continue;
        while (next_word(&line, &word)) {
            size_t *count = &found->count[a.family == AF_INET6];

            if (!view_eq_nocase(without_dot(word), name))
                continue;
            if (*count < found->max)
                found->addrs[a.family == AF_INET6][(*count)++] = a;
            break;
        }
    }
}

size_t resolv_conf_servers(struct view text, char *out, size_t size)
{
    struct view line, word;
    size_t used = 0, count = 0;

    while (count < SERVERS_MAX && next_line(&text, &line)) {
        char ip[ADDR_TEXT_BYTES];
        struct addr a;
        int n;

        if (!next_word(&line, &word) || !view_eq(word, VIEW("nameserver")) ||
            !next_word(&line, &word) || !addr_parse_ip(word, false, &a))
            continue;
        n = snprintf(out + used, size - used, "%s%s", count ? "," : "", addr_ip_format(&a, ip));
        if (n < 0 || (size_t)n >= size - used) {
            out[used] = '\0';
            break;
        }
        used += (size_t)n;
        count++;
    }
    return count;
}

static bool label_ok(struct view label)
{
    if (label.len == 0 || label.len > LABEL_BYTES_MAX)
        return false;
    for (size_t i = 0; i < label.len; i++) {
        uint8_t c = ascii_lower(label.at[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* Decimal, octal or hexadecimal, as inet_aton reads them. */
static bool label_is_number(struct view label)
{
    bool hex = label.len >= 2 && label.at[0] == '0' && ascii_lower(label.at[1]) == 'x';

    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        uint8_t c = ascii_lower(label.at[i]);

        if (!(c >= '0' && c <= '9') && !(hex && c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

/* Takes the next line out of *text, without its comment. */
static bool next_line(struct view *text, struct view *line)
{
    struct view whole;

    if (!view_next(text, '\n', &whole))
        return false;
    *line = view_first(whole, view_find(whole, '#'));
    *line = view_first(*line, view_find(*line, ';'));
    return true;
}

static bool next_word(struct view *line, struct view *word)
{
    size_t n = 0;

    while (line->len && (line->at[0] == ' ' || line->at[0] == '\t' || line->at[0] == '\r'))
        *line = view_skip(*line, 1);
    while (n < line->len && line->at[n] != ' ' && line->at[n] != '\t' && line->at[n] != '\r')
        n++;
    *word = view_first(*line, n);
    *line = view_skip(*line, n);
    return n > 0;
}

static struct view without_dot(struct view name)
{
    return name.len && name.at[name.len - 1] == '.' ? view_first(name, name.len - 1) : name;
}
