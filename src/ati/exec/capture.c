#include "ati/exec/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/json.h"
#include "base/text.h"

#include "base/poison.h"

enum { EXTENSION_MAX = 16, SHOWN_MAX = 200 };

void captures_init(struct captures *c, char **environment)
{
    const char *limit = exec_variable(environment, "ATI_CLI_MAX_OUTPUT_BYTES");
    uint64_t n;

    *c = (struct captures){.fd = -1, .bytes_max = CAPTURE_BYTES_MAX};
    if (limit && text_u64(view_str(limit), INT64_MAX, true, &n) && n)
        c->bytes_max = n;
}

/* --- arguments -------------------------------------------------------------------------------- */

/* Behind the last dot of the file's name; what is odd in a name is left out. */
static struct view extension_of(struct view path)
{
    size_t slash = view_find_last(path, '/');
    struct view name = slash < path.len ? view_skip(path, slash + 1) : path, extension;
    size_t dot = view_find_last(name, '.');

    if (!dot || dot == name.len)
        return VIEW("");
    extension = view_skip(name, dot + 1);
    if (extension.len > EXTENSION_MAX)
        return VIEW("");
    for (size_t i = 0; i < extension.len; i++) {
        uint8_t ch = ascii_lower(extension.at[i]);

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9'))
            return VIEW("");
    }
    return extension;
}

/* The path of ours for one of theirs; the same one again for the same. */
static const char *capture(struct captures *c, char **environment, struct view original,
                           struct err *err)
{
    struct capture *to = &c->list[c->count];

    for (size_t i = 0; i < c->count; i++)
        if (view_eq(view_str(c->list[i].original), original))
            return c->list[i].path;
    if (c->count == CAPTURES_MAX) {
        (void)err_set(err, ERR_LIMIT, "more than %d captured outputs", CAPTURES_MAX);
        return NULL;
    }
    if (!temporary_path(environment, "cli-out", extension_of(original), &to->path, err))
        return NULL;
    to->original = strndup((const char *)original.at, original.len);
    if (!to->original) {
        free(to->path);
        (void)err_set(err, ERR_MEMORY, "no memory for an argument");
        return NULL;
    }
    c->count++;
    return to->path;
}

static bool output_flag(const struct tool_provider *p, struct view word)
{
    for (size_t i = 0; i < p->cli_output_args.count; i++)
        if (view_eq_nocase(word, view_str(p->cli_output_args.at[i])))
            return true;
    return false;
}

/* Where the path of an output stands in a word: the whole of what follows a flag, or what follows "--flag="; else nothing. */
static bool path_in(const struct tool_provider *p, const struct view *words, size_t i, size_t *from)
{
    size_t equals = view_find(words[i], '=');

    *from = 0;
    if (i > 0 && output_flag(p, words[i - 1]))
        return true;
    if (equals == words[i].len || !output_flag(p, view_first(words[i], equals)))
        return false;
    *from = equals + 1;
    return *from < words[i].len;
}

/* How many words of prefix stand at the front of the bare ones; 0: not all of them. */
static size_t prefix_length(const char *prefix, const struct view *words, const size_t *bare,
                            size_t count)
{
    struct view rest = view_str(prefix), word;
    size_t n = 0;

    while (view_next(&rest, ' ', &word)) {
        if (!word.len)
            continue;
        if (n == count || !view_eq(words[bare[n]], word))
            return 0;
        n++;
    }
    return n;
}

/* The word that the longest configured prefix points at; count: none. */
static size_t positional(const struct tool_provider *p, const struct view *words,
                         const size_t *bare, size_t bare_count, size_t count)
{
    size_t longest = 0, at = count;

    for (size_t i = 0; i < p->cli_output_positional_count; i++) {
        const struct output_position *o = &p->cli_output_positional[i];
        size_t n = prefix_length(o->words, words, bare, bare_count);

        if (n <= longest)
            continue;
        longest = n;
        at = o->index < bare_count - n ? bare[n + o->index] : count;
    }
    return at;
}

static bool write_word(char **out, struct view before, struct view word, struct err *err)
{
    if (asprintf(out, "%.*s%.*s", VIEW_ARG(before), VIEW_ARG(word)) >= 0)
        return true;
    *out = NULL;
    return err_set(err, ERR_MEMORY, "no memory for an argument");
}

bool captures_rewrite(struct captures *c, const struct tool_provider *provider, char **environment,
                      const struct view *words, size_t count, char **out, struct err *err)
{
    size_t *bare = calloc(count + 1, sizeof *bare), bare_count = 0, by_position, from;
    bool good = true;

    if (!bare)
        return err_set(err, ERR_MEMORY, "no memory for arguments");
    for (size_t i = 0; i < count; i++) {
        bool dashed = words[i].len && words[i].at[0] == '-';

        if (!dashed && !path_in(provider, words, i, &from))
            bare[bare_count++] = i;
    }
    by_position = positional(provider, words, bare, bare_count, count);
    for (size_t i = 0; good && i < count; i++) {
        bool flagged = path_in(provider, words, i, &from);
        const char *path = NULL;

        if (flagged || i == by_position) {
            path = capture(c, environment, view_skip(words[i], from), err);
            good = path != NULL;
        }
        good = good && (path ? write_word(&out[i], view_first(words[i], from), view_str(path), err)
                             : write_word(&out[i], VIEW(""), words[i], err));
    }
    free(bare);
    return good;
}

/* --- results ---------------------------------------------------------------------------------- */

static bool too_large(const struct captures *c, struct err *err)
{
    return err_set(err, ERR_LIMIT,
                   "Captured output '%.*s' exceeds ATI_CLI_MAX_OUTPUT_BYTES (%llu bytes)",
                   SHOWN_MAX, c->list[c->at].original, (unsigned long long)c->bytes_max);
}

static bool open_file(struct captures *c, struct err *err)
{
    const struct capture *one = &c->list[c->at];
    struct stat st;

    c->fd = open(one->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (c->fd < 0 || fstat(c->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(err, ERR_NOT_FOUND, "Captured output '%.*s' was not produced by the CLI",
                       SHOWN_MAX, one->original);
    if ((uint64_t)st.st_size > c->bytes_max)
        return too_large(c, err);
    c->size = (uint64_t)st.st_size;
    c->done = 0;
    return true;
}

static bool begin_file(struct captures *c, struct buf *out, struct err *err)
{
    struct json_writer w;
    uint8_t *room;

    if (!open_file(c, err) || (c->at && !buf_append_byte(out, ',', err)))
        return false;
    json_begin(&w, out);
    json_text(&w, view_str(c->list[c->at].original));
    return json_end(&w, err) && buf_append_str(out, ":{\"content_base64\":\"", err) &&
           buf_room(out,
                    (size_t)BASE64_LEN(c->size) +
                        (size_t)2 * BASE64_LEN((size_t)CAPTURE_PIECE_BYTES),
                    &room, err);
}

static bool end_file(struct captures *c, struct buf *out, struct err *err)
{
    struct capture *one = &c->list[c->at];

    close(c->fd);
    c->fd = -1;
    (void)unlink(one->path);
    c->at++;
    return buf_appendf(out, err, "\",\"content_type\":\"%s\",\"size_bytes\":%llu}",
                       exec_media_type(view_str(one->original)), (unsigned long long)c->done);
}

/* Reads until the piece is full or the file has ended. */
static bool fill(int fd, uint8_t *piece, size_t size, size_t *len, struct err *err)
{
    *len = 0;
    while (*len < size) {
        ssize_t n = read(fd, piece + *len, size - *len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_system(err, ERR_IO, errno, "a captured output");
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return true;
}

static bool read_piece(struct captures *c, struct buf *out, struct err *err)
{
    uint8_t *piece = malloc(CAPTURE_PIECE_BYTES), *room;
    size_t len = 0;
    bool good;

    if (!piece)
        return err_set(err, ERR_MEMORY, "no memory for a captured output");
    good = fill(c->fd, piece, CAPTURE_PIECE_BYTES, &len, err);
    c->done += len;
    if (good && c->done > c->bytes_max)
        good = too_large(c, err);
    good = good && buf_room(out, BASE64_LEN(len) + 1, &room, err);
    if (good) {
        base64_encode(view_from(piece, len), (char *)room);
        buf_wrote(out, BASE64_LEN(len));
    }
    free(piece);
    return good && (len == CAPTURE_PIECE_BYTES || end_file(c, out, err));
}

bool captures_read(struct captures *c, struct buf *out, bool *more, struct err *err)
{
    bool first = !c->at && c->fd < 0;

    *more = true;
    if (c->at == c->count) {
        *more = false;
        return buf_append_byte(out, '}', err);
    }
    if (first && !buf_append_str(out, "\"outputs\":{", err))
        return false;
    return (c->fd >= 0 || begin_file(c, out, err)) && read_piece(c, out, err);
}

void captures_done(struct captures *c)
{
    if (c->fd >= 0)
        close(c->fd);
    for (size_t i = 0; i < c->count; i++) {
        (void)unlink(c->list[i].path);
        free(c->list[i].path);
        free(c->list[i].original);
    }
    c->count = 0;
    c->fd = -1;
}
