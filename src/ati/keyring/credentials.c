/* credentials: the plain file, changed by hand. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "ati/keyring/keyring_priv.h"
#include "base/codec.h"
#include "base/json.h"

#include "base/poison.h"

/* The folder, locked: of two who change the file at once the second waits. -1: err. */
static int folder_lock(const char *folder, struct err *err)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

    if (fd < 0) {
        (void)err_system(err, ERR_IO, errno, "%s", folder);
        return -1;
    }
    do
        result = flock(fd, LOCK_EX);
    while (result != 0 && errno == EINTR);
    return fd;
}

/* A file that is not there holds nothing. */
static bool ring_load(const char *folder, struct ring *ring, char path[static KEYRING_PATH_BYTES],
                      struct err *err)
{
    CLEANUP(locked_done) struct locked text = {.at = NULL};
    struct err why = {0};

    if (!keyring_path(folder, "credentials", path, err))
        return false;
    if (!keyring_read(path, KEYRING_BYTES_MAX, &text, &why)) {
        if (why.code == ERR_NOT_FOUND)
            return true;
        if (err)
            *err = why;
        return false;
    }
    if (!ring_read(ring, keyring_bytes(&text), false, err))
        return err_in(err, "%s", path);
    ring_sort(ring);
    return true;
}

static bool text_write(struct buf *out, struct view text, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_text(&w, text);
    return json_end(&w, err);
}

/* Sorted and pretty. */
static bool ring_write(const struct ring *ring, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < ring->count; i++)
        if (!buf_append_str(out, i ? ",\n  " : "{\n  ", err) ||
            !text_write(out, ring_name(ring, i), err) || !buf_append_str(out, ": ", err) ||
            !text_write(out, ring_value(ring, i), err))
            return false;
    return buf_append_str(out, ring->count ? "\n}" : "{}", err);
}

static bool ring_store(const struct ring *ring, const char *path, struct err *err)
{
    CLEANUP(locked_done) struct locked pages = {.at = NULL};
    struct buf out;
    size_t room = 16;

    for (size_t i = 0; i < ring->count; i++) /* six bytes are the longest escape of one */
        room += 6 * (ring_name(ring, i).len + ring_value(ring, i).len) + 16;
    if (!locked_new(room, &pages, err))
        return false;
    /* Over the pages, and at its ceiling: it never grows out of them. */
    out = (struct buf){.area = pages.at, .size = room, .max = room, .what = "credentials"};
    return ring_write(ring, &out, err) && keyring_put_file(path, buf_view(&out), err);
}

bool keyring_credentials_set(const char *folder, struct view name, struct view value,
                             struct err *err)
{
    CLEANUP(ring_done) struct ring ring = {.count = 0};
    char path[KEYRING_PATH_BYTES];
    bool good;
    int lock;

    if (!name.len || !utf8_valid(name) || !utf8_valid(value))
        return err_set(err, ERR_USAGE,
                       name.len ? "names and values of keys are text (UTF-8)"
                                : "a key's name is required");
    lock = folder_lock(folder, err);
    if (lock < 0)
        return false;
    good = ring_load(folder, &ring, path, err) && ring_put(&ring, name, false, value, err);
    if (good) {
        ring_sort(&ring);
        good = ring_store(&ring, path, err);
    }
    close(lock);
    return good;
}

static void leave_out(struct ring *ring, struct view name, bool *found)
{
    size_t kept = 0;

    for (size_t i = 0; i < ring->count; i++)
        if (!view_eq(ring_name(ring, i), name))
            ring->entries[kept++] = ring->entries[i];
    *found = kept < ring->count;
    ring->count = kept;
}

bool keyring_credentials_remove(const char *folder, struct view name, bool *found, struct err *err)
{
    CLEANUP(ring_done) struct ring ring = {.count = 0};
    char path[KEYRING_PATH_BYTES];
    bool good;
    int lock = folder_lock(folder, err);

    if (lock < 0)
        return false;
    good = ring_load(folder, &ring, path, err);
    if (good) {
        leave_out(&ring, name, found);
        good = !*found || ring_store(&ring, path, err);
    }
    close(lock);
    return good;
}

bool keyring_credentials_list(const char *folder, keyring_credential *each, void *context,
                              struct err *err)
{
    CLEANUP(ring_done) struct ring ring = {.count = 0};
    char path[KEYRING_PATH_BYTES];

    if (!ring_load(folder, &ring, path, err))
        return false;
    for (size_t i = 0; i < ring.count; i++)
        each(context, ring_name(&ring, i), ring_value(&ring, i));
    return true;
}
