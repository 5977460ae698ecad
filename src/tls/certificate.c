#include "tls/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/secret.h"
#include "tls/tls_priv.h"

#include "base/poison.h"

enum { COMMON_NAME_MAX = 64, LABEL_MAX = 63, SERIAL_BYTES = 16 };

bool certificate_key(EVP_PKEY **out, struct err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    if (!key)
        return tls_error(err, ERR_TLS, "making a key");
    *out = key;
    return true;
}

/* --- alternative names --- */

/* Letters, digits, '-' and '_' in labels of 1 to 63; the first may be "*" (RFC 6125, 6.4.3). */
static bool name_good(struct view name)
{
    struct view label;

    if (!name.len || name.len > TLS_NAME_BYTES_MAX)
        return false;
    if (view_starts(name, VIEW("*.")))
        name = view_skip(name, 2);
    while (view_next(&name, '.', &label)) {
        if (!label.len || label.len > LABEL_MAX)
            return false;
        for (size_t i = 0; i < label.len; i++) {
            uint8_t c = ascii_lower(label.at[i]);

            if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_')
                return false;
        }
    }
    return true;
}

static ASN1_OCTET_STRING *literal(const char *name)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);

    ERR_clear_error(); /* most are none */
    return ip;
}

bool certificate_alt_name(const char *name, char *out, size_t size, struct err *err)
{
    ASN1_OCTET_STRING *ip = literal(name);
    bool good = ip || name_good(view_str(name));

    ASN1_OCTET_STRING_free(ip);
    if (!good || snprintf(out, size, "%s:%s", ip ? "IP" : "DNS", name) >= (int)size)
        return err_set(err, ERR_USAGE, "\"%.80s\" is neither a DNS name nor an IP address", name);
    return true;
}

static bool push_name(GENERAL_NAMES *all, struct view one)
{
    GENERAL_NAME *made = GENERAL_NAME_new();
    ASN1_STRING *value = NULL;
    char text[TLS_NAME_BYTES_MAX + 1];
    int kind = GEN_DNS;

    if (view_starts(one, VIEW("IP:")) && one.len < sizeof text) {
        (void)snprintf(text, sizeof text, "%.*s", VIEW_ARG(view_skip(one, 3)));
        kind = GEN_IPADD;
        value = literal(text);
    } else if (view_starts(one, VIEW("DNS:")) && name_good(view_skip(one, 4))) {
        value = ASN1_IA5STRING_new();
        if (value && ASN1_STRING_set(value, one.at + 4, (int)one.len - 4) != 1) {
            ASN1_STRING_free(value);
            value = NULL;
        }
    }
    if (made && value) {
        GENERAL_NAME_set0_value(made, kind, value);
        if (sk_GENERAL_NAME_push(all, made) > 0)
            return true;
    } else {
        ASN1_STRING_free(value);
    }
    GENERAL_NAME_free(made);
    return false;
}

static GENERAL_NAMES *names_of(const char *names)
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    struct view rest = view_str(names), one;

    while (all && view_next(&rest, ',', &one)) {
        if (push_name(all, one))
            continue;
        GENERAL_NAMES_free(all);
        all = NULL;
    }
    return all;
}

static bool add_names(X509 *x, const char *names)
{
    GENERAL_NAMES *all = names_of(names);
    bool good = all && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1;

    GENERAL_NAMES_free(all);
    return good;
}

/* --- the rest --- */

static bool set_serial(X509 *x, uint64_t serial)
{
    uint8_t random[SERIAL_BYTES];
    BIGNUM *n;
    bool good;

    if (serial)
        return ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) == 1;
    random_bytes(random, sizeof random);
    random[0] = (uint8_t)((random[0] & 0x7F) | 0x40);
    n = BN_bin2bn(random, sizeof random, NULL);
    good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
    BN_free(n);
    return good;
}

static bool set_entry(X509_NAME *subject, const char *field, const char *value)
{
    return X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, (const unsigned char *)value,
                                      -1, -1, 0) == 1;
}

static bool set_common_name(X509_NAME *subject, const char *name)
{
    return strlen(name) > COMMON_NAME_MAX || set_entry(subject, "CN", name);
}

static bool add_extension(X509 *x, X509V3_CTX *context, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    bool good = extension && X509_add_ext(x, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    return good;
}

static bool add_other(X509 *x, const char *oid_text, struct view value)
{
    ASN1_OBJECT *oid = OBJ_txt2obj(oid_text, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool good = oid && octets && ASN1_OCTET_STRING_set(octets, value.at, (int)value.len) == 1 &&
                (extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, octets)) != NULL &&
                X509_add_ext(x, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    return good;
}

static bool add_extensions(X509 *x, X509 *issuer, const struct certificate_spec *spec)
{
    static const char *const usages[] = {
        [CERTIFICATE_SIGNS] = "critical,digitalSignature,nonRepudiation",
        [CERTIFICATE_SERVES] = "critical,digitalSignature",
        [CERTIFICATE_ISSUES] = "critical,keyCertSign,cRLSign",
    };
    char constraints[48] = "critical,CA:FALSE";
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
    if (spec->use == CERTIFICATE_ISSUES && spec->path_length < 0)
        (void)snprintf(constraints, sizeof constraints, "critical,CA:TRUE");
    else if (spec->use == CERTIFICATE_ISSUES)
        (void)snprintf(constraints, sizeof constraints, "critical,CA:TRUE,pathlen:%d",
                       spec->path_length);
    return add_extension(x, &context, NID_basic_constraints, constraints) &&
           add_extension(x, &context, NID_key_usage, usages[spec->use]) &&
           (spec->use != CERTIFICATE_SERVES ||
            add_extension(x, &context, NID_ext_key_usage, "serverAuth")) &&
           add_extension(x, &context, NID_subject_key_identifier, "hash") &&
           add_extension(x, &context, NID_authority_key_identifier, "keyid:always") &&
           (!spec->alt_names || add_names(x, spec->alt_names)) &&
           (!spec->extension_oid || add_other(x, spec->extension_oid, spec->extension));
}

static bool fill(X509 *x, const struct certificate_spec *spec)
{
    X509 *issuer = spec->issuer ? spec->issuer : x;

    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x, spec->serial) &&
           ASN1_TIME_set(X509_getm_notBefore(x), (time_t)spec->not_before_s) &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)spec->not_after_s) &&
           set_common_name(X509_get_subject_name(x), spec->common_name) &&
           (!spec->organisation || set_entry(X509_get_subject_name(x), "O", spec->organisation)) &&
           X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
           X509_set_pubkey(x, spec->key) == 1 && add_extensions(x, issuer, spec) &&
           X509_sign(x, spec->issuer_key ? spec->issuer_key : spec->key, EVP_sha256()) > 0;
}

bool certificate_make(const struct certificate_spec *spec, X509 **out, struct err *err)
{
    X509 *x = X509_new(), *read = NULL;

    /* As it will be read: what OpenSSL caches of a certificate it takes from its DER. */
    if (x && fill(x, spec))
        read = X509_dup(x);
    X509_free(x);
    if (!read)
        return tls_error(err, ERR_TLS, "making a certificate for \"%.80s\"", spec->common_name);
    *out = read;
    return true;
}

/* --- as text --- */

static bool drain(BIO *bio, bool wrote, struct buf *out, struct err *err)
{
    char *at = NULL;
    long n = wrote ? BIO_get_mem_data(bio, &at) : 0;
    bool good = n > 0 ? buf_append(out, view_from(at, (size_t)n), err)
                      : tls_error(err, ERR_TLS, "writing PEM");

    BIO_free(bio);
    return good;
}

static bool fill_request(X509_REQ *r, const char *name, const char *names, EVP_PKEY *key)
{
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    GENERAL_NAMES *all = names_of(names);
    bool good = all && X509V3_add1_i2d(&extensions, NID_subject_alt_name, all, 0, 0) == 1 &&
                X509_REQ_set_version(r, X509_REQ_VERSION_1) == 1 &&
                set_common_name(X509_REQ_get_subject_name(r), name) &&
                X509_REQ_set_pubkey(r, key) == 1 && X509_REQ_add_extensions(r, extensions) == 1 &&
                X509_REQ_sign(r, key, EVP_sha256()) > 0;

    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(all);
    return good;
}

bool certificate_request(const char *name, EVP_PKEY *key, struct buf *out, struct err *err)
{
    char names[TLS_NAME_BYTES_MAX + sizeof "DNS:"];
    X509_REQ *r = X509_REQ_new();
    bool good = certificate_alt_name(name, names, sizeof names, err);

    if (good && (!r || !fill_request(r, name, names, key)))
        good = tls_error(err, ERR_TLS, "making a certificate request for \"%.80s\"", name);
    if (good) {
        BIO *bio = BIO_new(BIO_s_mem());

        good = drain(bio, bio && PEM_write_bio_X509_REQ(bio, r) == 1, out, err);
    }
    X509_REQ_free(r);
    return good;
}

bool certificate_pem(X509 *certificate, struct buf *out, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return drain(bio, bio && PEM_write_bio_X509(bio, certificate) == 1, out, err);
}

bool certificate_key_pem(const EVP_PKEY *key, struct buf *out, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());

    return drain(bio,
                 bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1,
                 out, err);
}
