/* The certificate: where it comes from, and that nobody sees one that is not measured. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/p256.h"
#include "base/secret.h"
#include "tee/service_priv.h"
#include "tls/certificate.h"
#include "tls/selfsigned.h"

#include "base/poison.h"

enum { PEM_MAX = 256 * 1024, SELF_DAYS = 365 };

struct session_context *site_context(struct site *s)
{
    struct session_context *c;

    pthread_mutex_lock(&s->lock);
    c = session_context_ref(s->context);
    pthread_mutex_unlock(&s->lock);
    return c;
}

/* The derivation of the reference's certificate manager: one key for a name, the same wherever the application runs. */
bool leaf_key(struct tee_service *s, struct err *err)
{
    uint8_t scalar[PROVIDER_KEY_BYTES];
    char path[HOST_BYTES_MAX + 32];
    struct buf request;
    bool good;

    if (!s->config->derived_key)
        return true;
    (void)snprintf(path, sizeof path, "cert/letsencrypt/%s/v1", s->config->name);
    if (!provider_key(s->provider, path, scalar, err))
        return false;
    good = p256_private(scalar, &s->derived);
    secret_wipe(scalar, sizeof scalar);
    if (!good)
        return err_set(err, ERR_CONFIG,
                       "what GetKey gives for \"%s\" is no private key of P-256; another --name "
                       "has another",
                       path);
    if (!s->config->csr)
        return true;
    buf_init(&request, PEM_MAX, "certificate request");
    good = certificate_request(s->config->name, s->derived, &request, err) &&
           file_write(s->config->csr, buf_view(&request), 0644, err);
    buf_done(&request);
    return good;
}

/* An ACME client needs this process before it can make the file. */
static bool awaited(const struct tee_config *c)
{
    return c->acme_listen && access(c->cert, F_OK) != 0 && errno == ENOENT;
}

static bool read_files(const struct tee_config *c, EVP_PKEY *derived, struct buf *chain,
                       struct buf *key, struct err *err)
{
    return file_read(c->cert, chain, err) &&
           (derived ? certificate_key_pem(derived, key, err) : file_read(c->key, key, err));
}

static bool make(const struct tee_config *c, EVP_PKEY *derived, struct buf *chain, struct buf *key,
                 struct err *err)
{
    return derived ? selfsigned_for(c->name, SELF_DAYS, derived, chain, err) &&
                         certificate_key_pem(derived, key, err)
                   : selfsigned_make(c->name, SELF_DAYS, chain, key, err);
}

bool leaf_load(const struct tee_config *c, EVP_PKEY *derived, struct log *log,
               struct session_context **out, struct err *err)
{
    bool files = c->cert && !awaited(c), good;
    struct buf chain, key;

    if (c->cert && !files)
        log_event(log, LOG_WARN, "certificate.awaited",
                  "the certificate is not there yet; one is made until it is",
                  F_STR("file", c->cert));
    buf_init(&chain, PEM_MAX, "certificate");
    buf_init(&key, PEM_MAX, "key");
    good =
        (files ? read_files(c, derived, &chain, &key, err) : make(c, derived, &chain, &key, err)) &&
        (session_server_context(buf_view(&chain), buf_view(&key), out, err) ||
         (files && err_in(err, "%s", c->cert)));
    buf_done(&chain);
    buf_wipe(&key);
    return good;
}

static void serve(struct site *s, struct session_context *made)
{
    struct session_context *old;

    pthread_mutex_lock(&s->lock);
    old = s->context;
    s->context = made;
    pthread_mutex_unlock(&s->lock);
    session_context_unref(old);
}

bool leaf_use(struct tee_service *s, struct session_context *made, struct err *err)
{
    uint8_t sha256[SESSION_HASH_BYTES], before[SESSION_HASH_BYTES];
    char hex[2 * SESSION_HASH_BYTES + 1];

    session_context_leaf(made, sha256);
    if (s->site.context) {
        session_context_leaf(s->site.context, before);
        if (memcmp(before, sha256, sizeof sha256) == 0) {
            serve(&s->site, made);
            return true;
        }
    }
    if (!attester_certificate(s->site.attester, sha256, err)) {
        session_context_unref(made);
        return false;
    }
    serve(&s->site, made);
    hex_encode(view_from(sha256, sizeof sha256), hex);
    log_event(s->log, LOG_INFO, "certificate.measured", "certificate measured and in use",
              F_STR("sha256", hex));
    return true;
}
