#include "net/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

/* Room for 8192 CPUs: the kernel refuses a mask that is smaller than its own. */
enum { CPU_SETS = 8, CPU_COUNT_MAX = CPU_SETS * CPU_SETSIZE };

enum { PATH_BYTES = 512, MEMINFO_BYTES = 4096, NAME_BYTES = 64, CAPABILITIES_MAX = 63 };

static void bounding_drop(uint64_t keep);
static unsigned affinity_read(cpu_set_t sets[static CPU_SETS]);
static uint64_t cgroup_least(const char *file, uint64_t (*bound)(struct view text));
static uint64_t cpus_bound(struct view text);
static uint64_t bytes_bound(struct view text);
static size_t file_read(const char *path, char *out, size_t size);
static bool user_part(struct view text, struct user *out, bool *gid_known, struct err *err);
static bool group_part(struct view text, gid_t *out, struct err *err);
static bool ids_set(const struct user *user, struct err *err);
static bool ids_are(const struct user *user);

uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    rlim_t soft;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : soft;
}

unsigned cpus_usable(void)
{
    cpu_set_t sets[CPU_SETS];
    unsigned cpus = affinity_read(sets);
    uint64_t bound = cgroup_least("cpu.max", cpus_bound);

    if (bound > 0 && bound < cpus)
        cpus = (unsigned)bound;
    return cpus > 0 ? cpus : 1;
}

uint64_t memory_usable(void)
{
    char text[MEMINFO_BYTES];
    struct view rest = view_from(text, file_read("/proc/meminfo", text, sizeof text)), line, word;
    uint64_t kib = 0, bound = cgroup_least("memory.max", bytes_bound);

    while (view_next(&rest, '\n', &line)) {
        if (!view_starts(line, VIEW("MemAvailable:")))
            continue;
        word = text_trim(view_skip(line, strlen("MemAvailable:")));
        if (!text_u64(view_first(word, view_find(word, ' ')), UINT64_MAX / 1024, false, &kib))
            kib = 0;
    }
    return bound && (!kib || bound < kib * 1024) ? bound : kib * 1024;
}

unsigned cpus_quota(struct view text)
{
    struct view quota = view_first(text, view_find(text, ' '));
    struct view period = view_skip(text, quota.len + 1);
    uint64_t us, period_us;

    period = view_first(period, view_find(period, '\n'));
    if (!text_u64(quota, INT32_MAX, false, &us) || /* "max" is no number */
        !text_u64(period, INT32_MAX, false, &period_us) || us == 0 || period_us == 0)
        return 0;
    return (unsigned)((us + period_us - 1) / period_us);
}

bool cpu_pin(unsigned index, struct err *err)
{
    cpu_set_t sets[CPU_SETS], one[CPU_SETS];
    unsigned count = affinity_read(sets), seen = 0;

    if (count == 0)
        return err_set(err, ERR_INTERNAL, "the CPU affinity cannot be read");
    index %= count;
    for (size_t cpu = 0; cpu < CPU_COUNT_MAX; cpu++) {
        if (!CPU_ISSET_S(cpu, sizeof sets, sets) || seen++ != index)
            continue;
        CPU_ZERO_S(sizeof one, one);
        CPU_SET_S(cpu, sizeof one, one);
        if (sched_setaffinity(0, sizeof one, one) != 0)
            return err_system(err, ERR_INTERNAL, errno, "pinning to CPU %zu", cpu);
        return true;
    }
    return err_set(err, ERR_INTERNAL, "the CPU affinity cannot be read");
}

bool user_find(const char *text, struct user *out, struct err *err)
{
    struct view all = view_str(text);
    size_t colon = view_find(all, ':');
    struct user user = {0};
    bool gid_known = false;

    if (!user_part(view_first(all, colon), &user, &gid_known, err))
        return false;
    if (colon != all.len) {
        if (!group_part(view_skip(all, colon + 1), &user.gid, err))
            return false;
    } else if (!gid_known)
        user.gid = (gid_t)user.uid;
    *out = user;
    return true;
}

bool user_become(const struct user *user, struct err *err)
{
    if (user->uid == 0 || user->gid == 0)
        return err_set(err, ERR_CONFIG, "the user to become must not be root");
    bounding_drop(0); /* only root may */
    if (!ids_are(user) && !ids_set(user, err))
        return false;
    if (!capabilities_drop(err))
        return false;
    if (!ids_are(user) || setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
        return err_set(err, ERR_INTERNAL, "root's rights could not be given up");
    return true;
}

bool capabilities_drop(struct err *err)
{
    return capabilities_keep(0, err);
}

bool capabilities_keep(uint64_t set, struct err *err)
{
    const uint32_t keep[_LINUX_CAPABILITY_U32S_3] = {(uint32_t)set, (uint32_t)(set >> 32)};
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct wanted[_LINUX_CAPABILITY_U32S_3] = {{0}}, now[2];

    bounding_drop(set);
    (void)prctl(PR_CAP_AMBIENT, (unsigned long)PR_CAP_AMBIENT_CLEAR_ALL, 0UL, 0UL, 0UL);
    if (syscall(SYS_capget, &head, now) != 0)
        return err_system(err, ERR_INTERNAL, errno, "giving up capabilities");
    for (size_t i = 0; i < 2; i++)
        wanted[i].effective = wanted[i].permitted = now[i].permitted & keep[i];
    if (syscall(SYS_capset, &head, wanted) != 0 || syscall(SYS_capget, &head, now) != 0)
        return err_system(err, ERR_INTERNAL, errno, "giving up capabilities");
    for (size_t i = 0; i < 2; i++)
        if (((now[i].effective | now[i].permitted) & ~keep[i]) || now[i].inheritable)
            return err_set(err, ERR_INTERNAL, "capabilities could not be given up");
    return true;
}

/* Takes CAP_SETPCAP; one who has not got it has no use for the set either. */
static void bounding_drop(uint64_t keep)
{
    for (unsigned long cap = 0; cap <= CAPABILITIES_MAX; cap++)
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0UL, 0UL, 0UL) != 0)
            return;
}

/* Returns how many CPUs the calling thread may run on; 0 when that cannot be read. */
static unsigned affinity_read(cpu_set_t sets[static CPU_SETS])
{
    const size_t size = CPU_SETS * sizeof *sets;

    CPU_ZERO_S(size, sets);
    if (sched_getaffinity(0, size, sets) != 0)
        return 0;
    return (unsigned)CPU_COUNT_S(size, sets);
}

static uint64_t cpus_bound(struct view text)
{
    return cpus_quota(text);
}

/* "max" is no number. */
static uint64_t bytes_bound(struct view text)
{
    uint64_t bytes;

    return text_u64(text_trim(text), UINT64_MAX, false, &bytes) ? bytes : 0;
}

/* The least bound in such a file from our cgroup up to the root (cgroup v2); 0: none. */
static uint64_t cgroup_least(const char *file, uint64_t (*bound_of)(struct view text))
{
    char lines[PATH_BYTES], path[PATH_BYTES + 32], text[NAME_BYTES];
    struct view rest, line, group = VIEW("/");
    uint64_t least = 0, bound;

    rest = view_from(lines, file_read("/proc/self/cgroup", lines, sizeof lines));
    while (view_next(&rest, '\n', &line))
        if (view_starts(line, VIEW("0::/")))
            group = view_skip(line, 3);
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/%s", VIEW_ARG(group), file);
        bound = bound_of(view_from(text, file_read(path, text, sizeof text)));
        if (bound > 0 && (least == 0 || bound < least))
            least = bound;
        if (group.len == 0)
            return least;
        group = view_first(group, view_find_last(group, '/'));
    }
}

/* What fits of a small file. Returns its length; 0 when there is none. */
static size_t file_read(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return 0;
    n = read(fd, out, size);
    close(fd);
    return n > 0 ? (size_t)n : 0;
}

static bool user_part(struct view text, struct user *out, bool *gid_known, struct err *err)
{
    char name[NAME_BYTES];
    struct passwd *found;
    uint64_t id;

    if (text.len == 0 || text.len >= sizeof name)
        return err_set(err, ERR_CONFIG, "a user is a name or a number, with :group perhaps");
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    if (text_u64(text, INT32_MAX, false, &id)) {
        found = getpwuid((uid_t)id);
        out->uid = (uid_t)id;
    } else {
        found = getpwnam(name);
        if (!found)
            return err_set(err, ERR_CONFIG, "there is no user \"%s\" here", name);
        out->uid = found->pw_uid;
    }
    *gid_known = found != NULL;
    if (found)
        out->gid = found->pw_gid;
    return true;
}

static bool group_part(struct view text, gid_t *out, struct err *err)
{
    char name[NAME_BYTES];
    struct group *found;
    uint64_t id;

    if (text.len == 0 || text.len >= sizeof name)
        return err_set(err, ERR_CONFIG, "a group is a name or a number");
    memcpy(name, text.at, text.len);
    name[text.len] = '\0';
    if (text_u64(text, INT32_MAX, false, &id)) {
        *out = (gid_t)id;
        return true;
    }
    found = getgrnam(name);
    if (!found)
        return err_set(err, ERR_CONFIG, "there is no group \"%s\" here", name);
    *out = found->gr_gid;
    return true;
}

static bool ids_set(const struct user *user, struct err *err)
{
    if (setgroups(0, NULL) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return err_system(err, ERR_CONFIG, errno, "becoming user %u:%u", (unsigned)user->uid,
                          (unsigned)user->gid);
    return true;
}

static bool ids_are(const struct user *user)
{
    uid_t real_uid, uid, saved_uid;
    gid_t real_gid, gid, saved_gid;

    return getresuid(&real_uid, &uid, &saved_uid) == 0 &&
           getresgid(&real_gid, &gid, &saved_gid) == 0 && real_uid == user->uid &&
           uid == user->uid && saved_uid == user->uid && real_gid == user->gid &&
           gid == user->gid && saved_gid == user->gid;
}
