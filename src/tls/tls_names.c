#include "tls/tls_priv.h"

#include <openssl/x509v3.h>
#include <stdlib.h>

static bool add_name(struct tls_names *names, struct view name, SSL_CTX *context, struct err *err);
static SSL_CTX *find(const struct tls_names *names, struct view name, bool wildcard);

bool tls_names_add(struct tls_names *names, const X509 *certificate, SSL_CTX *context,
                   struct err *err)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool ok = true;

    for (int i = 0; ok && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
        const ASN1_STRING *dns = one->type == GEN_DNS ? one->d.dNSName : NULL;

        if (dns)
            ok = add_name(names,
                          view_from(ASN1_STRING_get0_data(dns), (size_t)ASN1_STRING_length(dns)),
                          context, err);
    }
    GENERAL_NAMES_free(all);
    return ok;
}

SSL_CTX *tls_names_find(const struct tls_names *names, const char *wanted)
{
    struct view name = view_str(wanted);
    SSL_CTX *found;
    size_t dot;

    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    found = find(names, name, false);
    dot = view_find(name, '.');
    if (!found && dot > 0 && dot < name.len)
        found = find(names, view_skip(name, dot + 1), true);
    return found;
}

void tls_names_done(struct tls_names *names)
{
    free(names->at);
    *names = (struct tls_names){0};
}

/* Names that no client can ask for (too long, with a NUL) are passed over. */
static bool add_name(struct tls_names *names, struct view name, SSL_CTX *context, struct err *err)
{
    bool wildcard = view_starts(name, VIEW("*."));
    struct tls_name *n;

    if (wildcard)
        name = view_skip(name, 2);
    if (name.len == 0 || name.len > TLS_NAME_BYTES_MAX || view_find(name, '\0') < name.len)
        return true;
    if (names->count == names->room) {
        size_t room = names->room ? 2 * names->room : 16;
        struct tls_name *at = reallocarray(names->at, room, sizeof *at);

        if (!at)
            return err_set(err, ERR_MEMORY, "no memory for the names of certificates");
        names->at = at;
        names->room = room;
    }
    n = &names->at[names->count++];
    *n = (struct tls_name){.context = context, .wildcard = wildcard, .len = (uint8_t)name.len};
    for (size_t i = 0; i < name.len; i++)
        n->text[i] = (char)ascii_lower(name.at[i]);
    return true;
}

static SSL_CTX *find(const struct tls_names *names, struct view name, bool wildcard)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct tls_name *n = &names->at[i];

        if (n->wildcard == wildcard && view_eq_nocase(view_from(n->text, n->len), name))
            return n->context;
    }
    return NULL;
}
