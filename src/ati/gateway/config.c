/* config: what the operator has written, as values. */
#include <stdlib.h>

#include "ati/gateway/gateway.h"
#include "base/text.h"
#include "net/addr.h"

#include "base/poison.h"

enum {
    PORT_MAX = 65535,
    DRAIN_S_MAX = 24 * 3600,
    DRIFT_S_MAX = 24 * 3600,
    KEEP_MAX = 1000,
    CONNECTIONS_MAX = 1000000,
    CHILDREN_MAX = 1000000
};

static const char *variable(char **environment, const char *name)
{
    size_t n = strlen(name);

    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return (*environment)[n + 1] ? *environment + n + 1 : NULL;
    return NULL;
}

bool gateway_config_init(struct gateway_config *c, char **environment, struct err *err)
{
    static const struct {
        const char *variable, *flag;
    } flags[] = {{"ATI_MAX_CALL_MEMORY", "max-call-memory"}, {"ATI_MAX_CHILDREN", "max-children"}};

    *c = (struct gateway_config){
        .port = GATEWAY_PORT,
        .signature_drift_s = GATEWAY_DRIFT_S,
        .drain_ms = (uint64_t)GATEWAY_DRAIN_S * 1000,
        .connections_max = GATEWAY_CONNECTIONS,
        .audit_file = variable(environment, "ATI_AUDIT_FILE"),
        .audit_rotate_bytes = (uint64_t)100 << 20,
        .audit_keep = 5,
        .seccomp = SANDBOX_ON,
        .landlock = SANDBOX_ON,
        .environment = environment,
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const char *value = variable(environment, flags[i].variable);

        if (value && !gateway_config_set(c, flags[i].flag, value, err))
            return err_in(err, "%s", flags[i].variable);
    }
    return true;
}

static bool number(const char *flag, const char *value, uint64_t most, uint64_t *out,
                   struct err *err)
{
    return text_u64(view_str(value), most, false, out) ||
           err_set(err, ERR_USAGE, "--%s: \"%.64s\" is no whole number from 0 to %llu", flag, value,
                   (unsigned long long)most);
}

static bool set_mode(const char *value, enum signature_mode *out, struct err *err)
{
    static const char *const words[] = {"log", "warn", "enforce"};

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(value, words[i]) == 0) {
            *out = (enum signature_mode)i;
            return true;
        }
    return err_set(err, ERR_USAGE, "--sig-verify-mode: \"%.64s\" is none of log, warn, enforce",
                   value);
}

static bool set_sandbox(const char *name, const char *value, enum sandbox_mode *out,
                        struct err *err)
{
    static const char *const words[] = {"off", "on", "log", "required"}; /* as the enum */

    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(value, words[i]) == 0) {
            *out = (enum sandbox_mode)i;
            return true;
        }
    return err_set(err, ERR_USAGE, "--%s: \"%.64s\" is none of off, on, log, required", name,
                   value);
}

static bool set_bind(const char *value, const char **out, struct err *err)
{
    struct addr a;

    if (!addr_parse_ip(view_str(value), view_find(view_str(value), '[') == 0, &a))
        return err_set(err, ERR_USAGE,
                       "--bind: \"%.64s\" is no IP address; write for example 127.0.0.1 or [::1]",
                       value);
    *out = value;
    return true;
}

static bool set_size(const char *flag, const char *value, uint64_t *out, struct err *err)
{
    return text_size(view_str(value), out) ||
           err_set(err, ERR_USAGE, "--%s: \"%.64s\" is no size; write for example 100MiB", flag,
                   value);
}

static bool set_switch(struct gateway_config *c, const char *name)
{
    struct {
        const char *name;
        bool *out;
    } const switches[] = {{"env-keys", &c->env_keys},
                          {"migrate", &c->migrate},
                          {"enable-passthrough", &c->enable_passthrough},
                          {"allow-open", &c->allow_open}};

    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (strcmp(name, switches[i].name) == 0)
            return *switches[i].out = true;
    return false;
}

static bool set_text(struct gateway_config *c, const char *name, const char *value)
{
    struct {
        const char *name, **out;
    } const texts[] = {{"ati-dir", &c->folder},
                       {"sig-exempt-paths", &c->signature_exempt},
                       {"metrics-listen", &c->metrics_listen},
                       {"allowed-origins", &c->origins}};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].out = value;
            return true;
        }
    return false;
}

/* What is a number; *known: name is one of them. */
static bool set_number(struct gateway_config *c, const char *name, const char *value, bool *known,
                       struct err *err)
{
    static const struct {
        const char *name;
        uint64_t most;
    } numbers[] = {{"port", PORT_MAX},
                   {"sig-drift-seconds", DRIFT_S_MAX},
                   {"workers", GATEWAY_WORKERS_MAX},
                   {"drain-seconds", DRAIN_S_MAX},
                   {"max-connections", CONNECTIONS_MAX},
                   {"max-children", CHILDREN_MAX},
                   {"audit-keep", KEEP_MAX}};
    size_t i = 0;
    uint64_t n;

    while (i < sizeof numbers / sizeof *numbers && strcmp(name, numbers[i].name) != 0)
        i++;
    *known = i < sizeof numbers / sizeof *numbers;
    if (!*known)
        return true;
    if (!number(name, value, numbers[i].most, &n, err))
        return false;
    switch (i) {
    case 0:
        c->port = (uint16_t)n;
        break;
    case 1:
        c->signature_drift_s = n;
        break;
    case 2:
        c->workers = (unsigned)n;
        break;
    case 3:
        c->drain_ms = n * 1000;
        break;
    case 4:
        c->connections_max = n ? (unsigned)n : GATEWAY_CONNECTIONS;
        break;
    case 5:
        c->children_max = (unsigned)n;
        break;
    default:
        c->audit_keep = (unsigned)n;
        break;
    }
    return true;
}

bool gateway_config_set(struct gateway_config *c, const char *name, const char *value,
                        struct err *err)
{
    bool known;

    if (set_switch(c, name) || set_text(c, name, value))
        return true;
    if (strcmp(name, "bind") == 0)
        return set_bind(value, &c->bind, err);
    if (strcmp(name, "sig-verify-mode") == 0)
        return set_mode(value, &c->signature_mode, err);
    if (strcmp(name, "seccomp") == 0)
        return set_sandbox(name, value, &c->seccomp, err);
    if (strcmp(name, "landlock") == 0)
        return set_sandbox(name, value, &c->landlock, err);
    if (strcmp(name, "audit-rotate") == 0)
        return set_size(name, value, &c->audit_rotate_bytes, err);
    if (strcmp(name, "max-call-memory") == 0)
        return set_size(name, value, &c->call_memory_max, err);
    if (!set_number(c, name, value, &known, err))
        return false;
    return known || err_set(err, ERR_USAGE, "--%s: there is no such flag", name);
}
