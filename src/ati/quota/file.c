/* file: rate-state.json. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "ati/quota/quota_priv.h"
#include "base/file.h"
#include "base/json.h"

#include "base/poison.h"

enum { FILE_BYTES_MAX = 64 * 1024 * 1024, VALUES_MAX = 8 * 1024 * 1024, PATH_BYTES = 4096 };
enum { SPAN_S = 86400, FILE_MODE = 0600 }; /* no unit is longer than a day */

int quota_file_lock(const char *file, struct err *err)
{
    const char *slash = strrchr(file, '/');
    char folder[PATH_BYTES];
    int fd, result;

    (void)snprintf(folder, sizeof folder, "%.*s", slash && slash > file ? (int)(slash - file) : 1,
                   slash ? file : ".");
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)err_system(err, ERR_IO, errno, "%s", folder);
        return -1;
    }
    do
        result = flock(fd, LOCK_EX);
    while (result != 0 && errno == EINTR);
    return fd;
}

/* Marks of one window. False: not understood, or no memory. */
static bool window_read(struct quota *q, const struct json_doc *doc, uint32_t key, int64_t now_s)
{
    uint32_t list = doc->tokens[key].next, at = json_first(list);
    struct window *w;
    char *name;
    size_t len;

    if (doc->tokens[list].kind != JSON_ARRAY || !json_string_new(doc, key, &name, &len))
        return false;
    w = window_make(q, name);
    free(name);
    for (uint32_t i = 0; w && i < doc->tokens[list].count; i++, at = doc->tokens[at].next) {
        int64_t second;

        if (!json_integer(doc, at, &second) || second < 0)
            return false;
        if ((now_s - second < SPAN_S) && !window_record(w, second, 1, SPAN_S))
            return false;
    }
    return w != NULL;
}

static bool document_read(struct quota *q, struct view text, int64_t now_s)
{
    struct json_tree tree;
    bool good = true;
    uint32_t calls, key;

    if (!json_load_loose(text, VALUES_MAX, &tree, NULL))
        return false;
    calls = json_member(&tree.doc, 0, "calls");
    good = calls && tree.doc.tokens[calls].kind == JSON_OBJECT;
    key = json_first(calls);
    for (uint32_t i = 0; good && i < tree.doc.tokens[calls].count; i++) {
        good = window_read(q, &tree.doc, key, now_s);
        key = tree.doc.tokens[tree.doc.tokens[key].next].next;
    }
    json_unload(&tree);
    return good;
}

bool quota_file_read(struct quota *q, int64_t now_s, struct err *err)
{
    struct err why = {0};
    struct buf text;
    bool good;

    window_drop_all(q);
    buf_init(&text, FILE_BYTES_MAX, "rate state");
    good = file_read(q->file, &text, &why);
    if (good && !document_read(q, buf_view(&text), now_s)) {
        window_drop_all(q); /* begun anew */
        (void)unlink(q->file);
    }
    buf_done(&text);
    if (good || why.code == ERR_NOT_FOUND)
        return true;
    if (err)
        *err = why;
    return false;
}

static void window_write(struct json_writer *w, const struct window *one)
{
    json_key(w, one->key);
    json_array(w);
    for (uint32_t i = 0; i < one->count; i++)
        for (uint64_t k = 0; k < one->marks[one->first + i].calls; k++)
            json_i64(w, one->marks[one->first + i].second);
    json_array_end(w);
}

bool quota_file_write(const struct quota *q, struct err *err)
{
    struct json_writer w;
    struct buf text;
    bool good;

    buf_init(&text, FILE_BYTES_MAX, "rate state");
    json_begin(&w, &text);
    json_object(&w);
    json_key(&w, "calls");
    json_object(&w);
    for (const struct window *one = q->oldest; one; one = one->newer)
        if (one->count)
            window_write(&w, one);
    json_object_end(&w);
    json_object_end(&w);
    good = json_end(&w, err) && file_write(q->file, buf_view(&text), FILE_MODE, err);
    buf_done(&text);
    return good;
}
