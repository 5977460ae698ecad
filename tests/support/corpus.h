/* corpus: the files of tests/fuzz/corpus, for tests that ask more of them than not to crash. */
#pragma once

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/view.h"

enum { CORPUS_FILE_BYTES = 1 << 20, CORPUS_PATH_BYTES = 1024 };

/* Each file of a target's, by name and in order. Returns how many there were; none is a failure. */
static inline unsigned corpus_each(const char *target,
                                   void (*each)(const char *name, struct view v))
{
    static uint8_t bytes[CORPUS_FILE_BYTES];
    char folder[CORPUS_PATH_BYTES / 2], path[CORPUS_PATH_BYTES];
    struct dirent **names;
    unsigned count = 0;
    int n;

    (void)snprintf(folder, sizeof folder, "%.*sfuzz/corpus/%s",
                   (int)(strlen(__FILE__) - strlen("support/corpus.h")), __FILE__, target);
    n = scandir(folder, &names, NULL, alphasort);
    if (n < 0)
        fail_msg("cannot open %s", folder);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            FILE *in;
            size_t len;

            (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
            in = fopen(path, "re");
            if (!in)
                fail_msg("cannot open %s", path);
            len = fread(bytes, 1, sizeof bytes, in);
            assert_true(len < sizeof bytes);
            (void)fclose(in);
            each(names[i]->d_name, view_from(bytes, len));
            count++;
        }
        free(names[i]);
    }
    free(names);
    assert_true(count > 0);
    return count;
}
