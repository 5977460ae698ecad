#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/sandbox_priv.h"

/* What newer kernels have and the headers of older ones lack. Ours have names of their own. */
enum { ABI_REFER = 2, ABI_TRUNCATE = 3, ABI_NET = 4, ABI_IOCTL_DEV = 5, RULE_NET_PORT = 2 };
#define FS_TRUNCATE     (UINT64_C(1) << 14)
#define FS_IOCTL_DEV    (UINT64_C(1) << 15)
#define NET_BIND_TCP    (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)

struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net;
};
struct net_port_attr {
    uint64_t allowed_access, port;
};
_Static_assert(sizeof(struct landlock_ruleset_attr) >= sizeof(uint64_t),
               "the first version's size");

/* Version 1: everything up to making symbolic links. */
#define FS_VERSION_1 (((uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_READ      (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                  \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_TRUNCATE)
/* All that a rule for a file may speak of. */
#define FS_OF_FILES                                                                              \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | \
     FS_TRUNCATE | FS_IOCTL_DEV)

static uint64_t handled_fs(int abi);
static bool add_rules(const struct sandbox *s, int ruleset, const struct ruleset_attr *attr,
                      struct err *err);
static bool add_paths(int ruleset, const char *const *paths, uint64_t handled, uint64_t access,
                      struct err *err);
static bool add_port(int ruleset, uint16_t port, uint64_t access, struct err *err);

static void close_cleanup(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

int landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi > 0 ? (int)abi : 0;
}

bool landlock_enter(const struct sandbox *s, int abi, struct sandbox_report *report,
                    struct err *err)
{
    struct ruleset_attr attr = {.handled_access_fs = handled_fs(abi)};
    size_t size = abi < ABI_NET ? sizeof attr.handled_access_fs : sizeof attr;
    CLEANUP(close_cleanup) int ruleset = -1;

    if (abi >= ABI_NET)
        attr.handled_access_net = NET_BIND_TCP | (s->connect_ports ? NET_CONNECT_TCP : 0);
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    if (ruleset < 0)
        return err_system(err, ERR_INTERNAL, errno, "Landlock");
    if (!add_rules(s, ruleset, &attr, err))
        return false;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return err_system(err, ERR_INTERNAL, errno, "Landlock");
    report->landlock_files = true;
    report->landlock_net = attr.handled_access_net != 0;
    return true;
}

static uint64_t handled_fs(int abi)
{
    return FS_VERSION_1 | (abi >= ABI_REFER ? LANDLOCK_ACCESS_FS_REFER : 0) |
           (abi >= ABI_TRUNCATE ? FS_TRUNCATE : 0) | (abi >= ABI_IOCTL_DEV ? FS_IOCTL_DEV : 0);
}

static bool add_rules(const struct sandbox *s, int ruleset, const struct ruleset_attr *attr,
                      struct err *err)
{
    uint64_t fs = attr->handled_access_fs;

    if (!add_paths(ruleset, s->read_paths, fs, FS_READ, err) ||
        !add_paths(ruleset, s->remove_paths, fs, FS_READ | LANDLOCK_ACCESS_FS_REMOVE_FILE, err) ||
        !add_paths(ruleset, s->write_paths, fs, (FS_READ | FS_WRITE) & fs, err))
        return false;
    /* Port 0 is what a socket is bound to that wants a source address and any port. */
    if (attr->handled_access_net && !add_port(ruleset, 0, NET_BIND_TCP, err))
        return false;
    if (attr->handled_access_net && s->connect_ports)
        for (size_t i = 0; i < s->connect_port_count; i++)
            if (!add_port(ruleset, s->connect_ports[i], NET_CONNECT_TCP, err))
                return false;
    return true;
}

static bool add_paths(int ruleset, const char *const *paths, uint64_t handled, uint64_t access,
                      struct err *err)
{
    for (; paths && *paths; paths++) {
        CLEANUP(close_cleanup) int fd = open(*paths, O_PATH | O_CLOEXEC);
        struct landlock_path_beneath_attr rule = {.parent_fd = fd, .allowed_access = access};
        struct stat st;

        /* What this user cannot reach needs no rule. */
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
            continue;
        if (fd < 0 || fstat(fd, &st) != 0)
            return err_system(err, ERR_CONFIG, errno, "Landlock: %.200s", *paths);
        if (!S_ISDIR(st.st_mode))
            rule.allowed_access &= FS_OF_FILES;
        if (S_ISCHR(st.st_mode) && access & LANDLOCK_ACCESS_FS_WRITE_FILE)
            rule.allowed_access |= handled & FS_IOCTL_DEV;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
            return err_system(err, ERR_INTERNAL, errno, "Landlock: %.200s", *paths);
    }
    return true;
}

static bool add_port(int ruleset, uint16_t port, uint64_t access, struct err *err)
{
    struct net_port_attr rule = {.allowed_access = access, .port = port};

    if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) != 0)
        return err_system(err, ERR_INTERNAL, errno, "Landlock: port %u", (unsigned)port);
    return true;
}
