/* The certificate: where it comes from, and that nobody sees one that is not measured. */
#include "base/codec.h"
#include "base/file.h"
#include "base/secret.h"
#include "tee/service_priv.h"
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

bool certificate_load(const struct tee_config *c, struct session_context **out, struct err *err)
{
    struct buf chain, key;
    bool good;

    buf_init(&chain, PEM_MAX, "certificate");
    buf_init(&key, PEM_MAX, "key");
    if (c->cert)
        good = file_read(c->cert, &chain, err) && file_read(c->key, &key, err);
    else
        good = selfsigned_make(c->name, SELF_DAYS, &chain, &key, err);
    good = good && (session_server_context(buf_view(&chain), buf_view(&key), out, err) ||
                    (c->cert && err_in(err, "%s", c->cert)));
    if (key.area)
        secret_wipe(key.area, key.size);
    buf_done(&chain);
    buf_done(&key);
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

bool certificate_use(struct tee_service *s, struct session_context *made, struct err *err)
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
