#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/exec/exec_priv.h"
#include "base/codec.h"
#include "base/text.h"

#include "base/poison.h"

static const char *const kinds[] = {"cli-out", "gen"};

const char *exec_temporary_folder(char **environment)
{
    const char *tmp = exec_variable(environment, "TMPDIR");

    return tmp && tmp[0] == '/' ? tmp : "/tmp";
}

bool temporary_path(char **environment, const char *kind, struct view extension, char **out,
                    struct err *err)
{
    uint8_t bytes[8];
    char digits[2 * sizeof bytes + 1];

    random_bytes(bytes, sizeof bytes);
    hex_encode(view_from(bytes, sizeof bytes), digits);
    if (asprintf(out, "%s/.ati-%s-%d-%s%s%.*s", exec_temporary_folder(environment), kind,
                 (int)getpid(), digits, extension.len ? "." : "", VIEW_ARG(extension)) >= 0)
        return true;
    *out = NULL;
    return err_set(err, ERR_MEMORY, "no memory for a path");
}

/* The process that a name tells of; 0: it is none of ours. */
static pid_t maker(const char *name)
{
    struct view rest = view_str(name), pid;
    uint64_t n;

    if (!view_starts(rest, VIEW(".ati-")))
        return 0;
    rest = view_skip(rest, 5);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct view kind = view_str(kinds[i]);

        if (!view_starts(rest, kind) || rest.len == kind.len || rest.at[kind.len] != '-')
            continue;
        rest = view_skip(rest, kind.len + 1);
        pid = view_first(rest, view_find(rest, '-'));
        return text_u64(pid, INT32_MAX, false, &n) ? (pid_t)n : 0;
    }
    return 0;
}

void temporary_sweep(char **environment)
{
    DIR *dir = opendir(exec_temporary_folder(environment));
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        pid_t pid = maker(entry->d_name);
        struct stat st;

        if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_uid == geteuid())
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}
