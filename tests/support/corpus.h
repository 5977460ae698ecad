/* corpus: the files of tests/fuzz/corpus, for tests that ask more of them than not to crash. */
#pragma once

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/view.h"

enum { CORPUS_FILE_BYTES = 1 << 20, CORPUS_FILES_MAX = 256, CORPUS_PATH_BYTES = 1024 };

struct corpus {
    unsigned count;
    struct view files[CORPUS_FILES_MAX]; /* in the order of their names */
};

static inline struct view corpus_read(const char *folder, const char *name)
{
    char path[CORPUS_PATH_BYTES];
    uint8_t *bytes = malloc(CORPUS_FILE_BYTES);
    size_t len;
    FILE *in;

    assert_non_null(bytes);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    in = fopen(path, "re");
    if (!in)
        fail_msg("cannot open %s", path);
    len = fread(bytes, 1, CORPUS_FILE_BYTES, in);
    assert_true(len < CORPUS_FILE_BYTES);
    (void)fclose(in);
    return view_from(bytes, len);
}

/* Of this target; none is a failure. */
static inline void corpus_open(struct corpus *c, const char *target)
{
    char folder[CORPUS_PATH_BYTES / 2];
    struct dirent **names;
    int n;

    c->count = 0;
    (void)snprintf(folder, sizeof folder, "%.*sfuzz/corpus/%s",
                   (int)(strlen(__FILE__) - strlen("support/corpus.h")), __FILE__, target);
    n = scandir(folder, &names, NULL, alphasort);
    if (n < 0)
        fail_msg("cannot open %s", folder);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            assert_true(c->count < CORPUS_FILES_MAX);
            c->files[c->count++] = corpus_read(folder, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    assert_true(c->count > 0);
}

static inline void corpus_close(struct corpus *c)
{
    while (c->count)
        free((void *)(uintptr_t)c->files[--c->count].at);
}
