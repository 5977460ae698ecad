/* gcs_token: who we are to Google's storage: an assertion that a service account's key has signed, for a token. */
#include "ati/exec/files.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "ati/exec/credential.h"
#include "ati/exec/grant.h"
#include "base/codec.h"

#include "base/poison.h"

#define SCOPE     "https://www.googleapis.com/auth/devstorage.read_write"
#define TOKEN_URI "https://oauth2.googleapis.com/token"

enum {
    ACCOUNT_VALUES_MAX = 256,
    ASSERTION_S = 3600,
    ASSERTION_BYTES_MAX = 16 * 1024,
    SIGNATURE_BYTES_MAX = 2048, /* RSA of 16384 bits */
    EXPIRES_S = 3600,           /* when the server does not say */
    EXPIRES_S_MAX = 24 * 3600
};

struct gcs_token {
    struct secret_text email, key, key_id, url, assertion;
    struct grant grant;
    gcs_token_done *done;
    void *context;
};

/* --- the assertion --- */

static bool append_base64url(struct buf *out, struct view v, struct err *err)
{
    uint8_t *room;
    size_t n = (v.len * 4 + 2) / 3;

    if (!buf_room(out, BASE64_LEN(v.len) + 1, &room, err))
        return false;
    base64url_encode(v, (char *)room);
    buf_wrote(out, n);
    return true;
}

/* Nobody is asked for a passphrase. NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL says which type */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static EVP_PKEY *read_key(struct view pem)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    if (key && EVP_PKEY_is_a(key, "RSA"))
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static bool sign(struct view pem, struct view text, uint8_t *out, size_t *n, struct err *err)
{
    EVP_PKEY *key = read_key(pem);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = false;

    if (!key)
        (void)err_set(err, ERR_CONFIG,
                      "Invalid service account JSON: private_key is no RSA key in PEM");
    else
        good = (context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(context, out, n, text.at, text.len) == 1) ||
               err_set(err, ERR_CONFIG, "private_key cannot sign");
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}

static bool write_claims(struct buf *out, struct view email, struct view audience, int64_t now_s,
                         struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "iss");
    json_text(&w, email);
    json_key(&w, "scope");
    json_text(&w, VIEW(SCOPE));
    json_key(&w, "aud");
    json_text(&w, audience);
    json_key(&w, "iat");
    json_i64(&w, now_s);
    json_key(&w, "exp");
    json_i64(&w, now_s + ASSERTION_S);
    json_object_end(&w);
    return json_end(&w, err);
}

static bool write_header(struct buf *out, struct view key_id, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "alg");
    json_text(&w, VIEW("RS256"));
    if (key_id.len) {
        json_key(&w, "kid");
        json_text(&w, key_id);
    }
    json_key(&w, "typ");
    json_text(&w, VIEW("JWT"));
    json_object_end(&w);
    return json_end(&w, err);
}

bool gcs_assertion(struct view email, struct view key_pem, struct view key_id, struct view audience,
                   int64_t now_s, struct buf *out, struct err *err)
{
    uint8_t signature[SIGNATURE_BYTES_MAX];
    size_t start = buf_len(out), n = sizeof signature;
    struct buf header, claims;
    bool good;

    buf_init(&header, ASSERTION_BYTES_MAX, "header of an assertion");
    buf_init(&claims, ASSERTION_BYTES_MAX, "claims of an assertion");
    good = write_header(&header, key_id, err) &&
           write_claims(&claims, email, audience, now_s, err) &&
           append_base64url(out, buf_view(&header), err) && buf_append_byte(out, '.', err) &&
           append_base64url(out, buf_view(&claims), err) &&
           sign(key_pem, view_skip(buf_view(out), start), signature, &n, err) &&
           buf_append_byte(out, '.', err) && append_base64url(out, view_from(signature, n), err);
    buf_done(&header);
    buf_done(&claims);
    return good;
}

/* --- the account --- */

static bool member(const struct json_doc *doc, const char *name, bool required,
                   struct secret_text *out, struct err *err)
{
    uint32_t at = json_member(doc, 0, name);

    if ((at && json_string_new(doc, at, &out->at, &out->len)) || (!at && !required))
        return true;
    return err_set(err, ERR_CONFIG, "Invalid service account JSON: missing field `%s`", name);
}

static bool read_account(struct gcs_token *t, struct view credentials, struct err *err)
{
    const struct view usual = VIEW(TOKEN_URI);
    struct json_tree tree;
    bool good;

    if (!json_load_loose(credentials, ACCOUNT_VALUES_MAX, &tree, NULL))
        return err_set(err, ERR_CONFIG, "Invalid service account JSON: not a JSON object");
    good = member(&tree.doc, "client_email", true, &t->email, err) &&
           member(&tree.doc, "private_key", true, &t->key, err) &&
           member(&tree.doc, "private_key_id", false, &t->key_id, err) &&
           member(&tree.doc, "token_uri", false, &t->url, err) &&
           (t->url.at || secret_text_join(&t->url, &usual, 1, err));
    json_unload(&tree);
    return good && (upload_url_good(secret_text_view(&t->url), err) ||
                    err_in(err, "the credential's token_uri"));
}

static bool key_of(const struct gcs_token *t, uint8_t out[static FLIGHT_KEY_BYTES], struct err *err)
{
    const struct view parts[] = {VIEW("gcs"), secret_text_view(&t->email),
                                 secret_text_view(&t->url), secret_text_view(&t->key)};

    return flight_key(parts, sizeof parts / sizeof *parts, out, err);
}

/* --- the request --- */

static bool write_request(struct grant *g, struct err *err)
{
    struct gcs_token *t = g->context;
    struct view assertion;
    uint8_t *room;
    size_t before;

    buf_init(&g->body, (size_t)2 * ASSERTION_BYTES_MAX, "token request");
    if (!buf_room(&g->body, g->body.max, &room, err) || /* at once: no copies */
        !buf_append_str(&g->body,
                        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
                        "&assertion=",
                        err))
        return false;
    before = buf_len(&g->body);
    if (!gcs_assertion(secret_text_view(&t->email), secret_text_view(&t->key),
                       secret_text_view(&t->key_id), secret_text_view(&t->url),
                       clock_wall_ms(&clock_system) / 1000, &g->body, err))
        return false;
    assertion = view_skip(buf_view(&g->body), before);
    if (!secret_text_join(&t->assertion, &assertion, 1, err))
        return false;
    exec_secret(g->e, secret_text_view(&t->assertion));
    return true;
}

static const struct grant_kind kind = {"getting a token", EXPIRES_S, EXPIRES_S_MAX, FILES_UPLOAD_MS,
                                       write_request};

static void told(void *context, const char *error)
{
    struct gcs_token *t = context;

    t->done(t->context, error);
}

bool gcs_token_start(struct execution *e, struct view credentials, enum client_reach reach,
                     gcs_token_done *done, void *context, struct gcs_token **out, bool *ready,
                     struct err *err)
{
    struct gcs_token *t = calloc(1, sizeof *t);
    uint8_t key[FLIGHT_KEY_BYTES];

    if (!t)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    t->done = done;
    t->context = context;
    *out = t;
    if (!read_account(t, credentials, err) || !key_of(t, key, err))
        return false;
    t->grant = (struct grant){.e = e,
                              .kind = &kind,
                              .url = secret_text_view(&t->url),
                              .reach = reach,
                              .done = told,
                              .context = t};
    return grant_start(&t->grant, key, ready, err);
}

struct view gcs_token_value(const struct gcs_token *t)
{
    return grant_token(&t->grant);
}

void gcs_token_end(struct gcs_token *t)
{
    if (!t)
        return;
    grant_end(&t->grant);
    secret_text_done(&t->email);
    secret_text_done(&t->key);
    secret_text_done(&t->key_id);
    secret_text_done(&t->url);
    secret_text_done(&t->assertion);
    free(t);
}
