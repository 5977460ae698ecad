/* Rights that are given up, and what has to stay: files that are read again, the provider's, the cache, the application's port. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "fetch/fetch.h"
#include "net/confine.h"
#include "tee/service_priv.h"

#include "base/poison.h"

enum { DNS_PORT = 53, PORTS_MAX = FETCH_PORTS_MAX + 3 };

static void collect_files(const struct tee_service *s, struct confinement *out)
{
    const struct provider_files *provider = provider_files(s->provider);
    const struct tee_config *c = s->config;
    const struct worker *first = s->site.workers;

    confine_folder_of(&out->read, c->cert);
    confine_folder_of(&out->read, c->key);
    for (const char *const *p = fetch_trust_paths(); *p; p++)
        confine_path(&out->read, *p);
    for (const char *const *p = provider->read; *p; p++)
        confine_path(&out->read, *p);
    for (const char *const *p = provider->write; *p; p++)
        confine_path(&out->write, *p);
    confine_path(&out->write, c->cache);
    confine_path(&out->read, c->acme_webroot);
    for (size_t i = 0; i < first->listener_count; i++) {
        const struct listener *l = &first->listeners[i];

        if (l->addr.family == AF_UNIX && !l->inherited &&
            view_starts(view_str(l->name), VIEW("unix:/")))
            confine_folder_of(&out->write, l->name + 5);
    }
}

/* False: any port. */
static bool collect_ports(const struct tee_service *s, uint16_t *ports, size_t *count)
{
    const struct tee_config *c = s->config;
    struct addr upstream;
    size_t n = 0;

    addr_from_sockaddr((const struct sockaddr *)&s->site.upstream, &upstream);
    if (!c->no_staple) {
        n = fetch_ports(c->pccs_url, ports);
        if (!n)
            return false;
    }
    ports[n++] = DNS_PORT;
    if (upstream.family != AF_UNIX)
        ports[n++] = upstream.port;
    if (provider_files(s->provider)->port)
        ports[n++] = provider_files(s->provider)->port;
    *count = n;
    return true;
}

/* A key that root alone may read was read before; a renewed one will not be. */
static void warn_unreadable(const struct tee_service *s, const char *path)
{
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0)
        close(fd);
    else if (path)
        log_event(
            s->log, LOG_WARN, "certificate.unreadable",
            "this user may not read the certificate or its key: a renewed one needs a restart",
            F_STR("file", path));
}

bool tee_service_confine(struct tee_service *s, struct err *err)
{
    struct confinement *c = calloc(1, sizeof *c);
    struct sandbox_report report;
    uint16_t ports[PORTS_MAX];
    bool good;

    if (!c)
        return err_set(err, ERR_MEMORY, "no memory for the sandbox");
    c->user = s->config->user;
    c->seccomp = (enum sandbox_mode)s->config->seccomp;
    c->landlock = (enum sandbox_mode)s->config->landlock;
    c->ioctls = provider_files(s->provider)->ioctls;
    collect_files(s, c);
    if (collect_ports(s, ports, &c->connect_port_count))
        c->connect_ports = ports;
    good = confine(c, &report, err);
    free(c);
    if (!good)
        return false;
    log_event(s->log, LOG_INFO, "sandbox", report.text);
    warn_unreadable(s, s->config->cert);
    warn_unreadable(s, s->config->key);
    return true;
}
