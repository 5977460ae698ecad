#include "tls/selfsigned.h"

#include <time.h>

#include "tls/certificate.h"

#include "base/poison.h"

enum { HOUR_S = 3600, DAY_S = 86400, NAMES_BYTES = 320 };

bool selfsigned_for(const char *name, unsigned days, EVP_PKEY *key, struct buf *certificate,
                    struct err *err)
{
    int64_t now_s = (int64_t)time(NULL);
    char names[NAMES_BYTES];
    struct certificate_spec spec = {
        .common_name = name,
        .alt_names = names,
        .use = CERTIFICATE_SERVES,
        .key = key,
        .not_before_s = now_s - HOUR_S,
        .not_after_s = now_s + (int64_t)days * DAY_S,
    };
    X509 *made = NULL;
    bool good = certificate_alt_name(name, names, sizeof names, err) &&
                certificate_make(&spec, &made, err) && certificate_pem(made, certificate, err);

    X509_free(made);
    return good;
}

bool selfsigned_make(const char *name, unsigned days, struct buf *certificate, struct buf *key,
                     struct err *err)
{
    EVP_PKEY *made = NULL;
    bool good = certificate_key(&made, err) && selfsigned_for(name, days, made, certificate, err) &&
                certificate_key_pem(made, key, err);

    EVP_PKEY_free(made);
    return good;
}
