/* search: newest file first where the last few are wanted, so that old ones are left alone; oldest first where all are. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/audit/audit.h"
#include "base/clock.h"
#include "base/json.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, PIECE_BYTES = 64 * 1024, LINE_BYTES_MAX = 4 * 1024 * 1024 };
enum { VALUES_MAX = 65536, ROTATED_MAX = 1000, TOOL_BYTES = 1024 };

/* The last few of one file, in a ring. */
struct kept {
    char **lines;
    size_t *lens;
    size_t room, count, next;
};

struct pass {
    const struct audit_query *query;
    audit_found *found; /* for each line; NULL: into kept */
    void *context;
    struct kept *kept;
};

static bool matches(const struct audit_query *q, struct view line);

static bool keep(struct kept *k, struct view line, struct err *err)
{
    char *copy = malloc(line.len ? line.len : 1);

    if (!copy)
        return err_set(err, ERR_MEMORY, "audit");
    memcpy(copy, line.at, line.len);
    free(k->lines[k->next]);
    k->lines[k->next] = copy;
    k->lens[k->next] = line.len;
    k->next = (k->next + 1) % k->room;
    if (k->count < k->room)
        k->count++;
    return true;
}

static bool line_take(const struct pass *p, struct view line, struct err *err)
{
    if (!matches(p->query, line))
        return true;
    if (!p->found)
        return keep(p->kept, line, err);
    p->found(p->context, line);
    return true;
}

/* Whole lines of what waits. */
static bool lines_take(const struct pass *p, struct buf *waiting, bool last, struct err *err)
{
    for (;;) {
        struct view all = buf_view(waiting);
        size_t end = view_find(all, '\n');

        if (end == all.len && !(last && end))
            return true;
        if (!line_take(p, view_first(all, end), err))
            return false;
        buf_eat(waiting, end < all.len ? end + 1 : end);
    }
}

static bool file_pass(const struct pass *p, int fd, const char *path, struct err *err)
{
    struct buf waiting;
    bool good = true;
    ssize_t n = 1;

    buf_init(&waiting, LINE_BYTES_MAX, "line of the audit");
    while (good && n != 0) {
        uint8_t *room;

        if (!buf_room(&waiting, PIECE_BYTES, &room, err)) {
            good = false;
            break;
        }
        n = read(fd, room, PIECE_BYTES);
        if (n < 0 && errno != EINTR)
            good = err_system(err, ERR_IO, errno, "%s", path);
        buf_wrote(&waiting, n > 0 ? (size_t)n : 0);
        good = good && lines_take(p, &waiting, n == 0, err);
    }
    buf_done(&waiting);
    return good;
}

/* number 0: the file itself. *there: it exists. */
static bool numbered_pass(const struct pass *p, const char *path, unsigned number, bool *there,
                          struct err *err)
{
    char name[PATH_BYTES];
    bool good;
    int fd;

    if (number)
        (void)snprintf(name, sizeof name, "%s.%u", path, number);
    else
        (void)snprintf(name, sizeof name, "%s", path);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    *there = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || err_system(err, ERR_IO, errno, "%s", name);
    good = file_pass(p, fd, name, err);
    close(fd);
    return good;
}

static unsigned rotated(const char *path)
{
    unsigned count = 0;
    char name[PATH_BYTES];
    struct stat s;

    while (count < ROTATED_MAX) {
        (void)snprintf(name, sizeof name, "%s.%u", path, count + 1);
        if (stat(name, &s) != 0)
            break;
        count++;
    }
    return count;
}

static void kept_done(struct kept *k)
{
    for (size_t i = 0; k->lines && i < k->room; i++)
        free(k->lines[i]);
    free(k->lines);
    free(k->lens);
}

static struct view kept_at(const struct kept *k, size_t index)
{
    size_t at = (k->next + k->room - k->count + index) % k->room;

    return view_from(k->lines[at], k->lens[at]);
}

/* From the newest file back, until there are enough; each file's own go in front. */
static bool last_ones(const char *path, unsigned files, const struct audit_query *query,
                      audit_found *found, void *context, struct err *err)
{
    struct kept *kept = calloc(files + 1, sizeof *kept);
    size_t left = query->last;
    unsigned number = 0;
    bool good = kept != NULL || err_set(err, ERR_MEMORY, "audit");

    for (; good && kept && number <= files && left; number++) {
        struct kept *k = &kept[number];
        const struct pass pass = {.query = query, .kept = k};
        bool there;

        k->room = left;
        k->lines = calloc(left, sizeof *k->lines);
        k->lens = calloc(left, sizeof *k->lens);
        good = k->lines && k->lens ? numbered_pass(&pass, path, number, &there, err)
                                   : err_set(err, ERR_MEMORY, "audit");
        left -= k->count;
    }
    for (unsigned i = number; good && kept && i > 0; i--)
        for (size_t at = 0; at < kept[i - 1].count; at++)
            found(context, kept_at(&kept[i - 1], at));
    for (unsigned i = 0; kept && i <= files; i++)
        kept_done(&kept[i]);
    free(kept);
    return good;
}

bool audit_search(const char *path, const struct audit_query *query, audit_found *found,
                  void *context, struct err *err)
{
    const struct pass pass = {.query = query, .found = found, .context = context};
    unsigned files = rotated(path);
    bool there;

    if (query->last)
        return last_ones(path, files, query, found, context, err);
    for (unsigned number = files + 1; number > 0; number--)
        if (!numbered_pass(&pass, path, number - 1, &there, err))
            return false;
    return true;
}

static bool record_matches(const struct audit_query *q, const struct json_doc *doc)
{
    uint32_t tool = json_member(doc, 0, "tool"), ts = json_member(doc, 0, "ts");
    char name[TOOL_BYTES], when[64];
    int64_t second;

    if (!json_string(doc, tool, name, sizeof name) || !json_string(doc, ts, when, sizeof when) ||
        !tool || !ts)
        return false;
    if (q->tool.len && !scope_matches(view_str(name), q->tool))
        return false;
    return !q->since_s || (clock_rfc3339_parse(view_str(when), &second) && second >= q->since_s);
}

static bool matches(const struct audit_query *q, struct view line)
{
    struct json_tree tree;
    bool good;

    if (!json_load_loose(line, VALUES_MAX, &tree, NULL))
        return false;
    good = tree.doc.tokens[0].kind == JSON_OBJECT && record_matches(q, &tree.doc);
    json_unload(&tree);
    return good;
}
