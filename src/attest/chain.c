#include "attest/chain.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/codec.h"

#include "base/poison.h"

enum { TEXT_BYTES = (PKI_DER_MAX + 2) / 3 * 4, DER_ROOM = PKI_DER_MAX + 3 };

/* --- the shelf --- */

static struct pki_shelved *shelf_find(struct pki_shelf *shelf, const uint8_t *sha256)
{
    for (size_t i = 0; i < PKI_SHELF_MAX; i++)
        if (shelf->places[i].certificate &&
            memcmp(shelf->places[i].sha256, sha256, SHA256_BYTES) == 0)
            return &shelf->places[i];
    return NULL;
}

/* In the place of the one that was not used for longest. */
static void shelf_put(struct pki_shelf *shelf, const uint8_t *sha256, X509 *certificate)
{
    struct pki_shelved *place = &shelf->places[0];

    for (size_t i = 1; i < PKI_SHELF_MAX; i++)
        if (shelf->places[i].used < place->used)
            place = &shelf->places[i];
    if (X509_up_ref(certificate) != 1)
        return;
    X509_free(place->certificate);
    memcpy(place->sha256, sha256, SHA256_BYTES);
    place->certificate = certificate;
    place->used = ++shelf->turn;
}

void pki_shelf_add(struct pki_shelf *shelf, const uint8_t sha256[static SHA256_BYTES],
                   X509 *certificate)
{
    if (!shelf_find(shelf, sha256))
        shelf_put(shelf, sha256, certificate);
}

void pki_shelf_done(struct pki_shelf *shelf)
{
    for (size_t i = 0; i < PKI_SHELF_MAX; i++)
        X509_free(shelf->places[i].certificate);
    *shelf = (struct pki_shelf){.turn = 0};
}

/* Some versions of OpenSSL decode times that are none, and others do not: here none are. */
static bool times_good(const X509 *certificate)
{
    return ASN1_TIME_check(X509_get0_notBefore(certificate)) == 1 &&
           ASN1_TIME_check(X509_get0_notAfter(certificate)) == 1;
}

/* One certificate that fills der; NULL: it is none. */
static X509 *decode_anew(struct view der)
{
    const uint8_t *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

    ERR_clear_error();
    if (certificate && (at != der.at + der.len || !times_good(certificate))) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static X509 *decode(struct pki_shelf *shelf, struct view der)
{
    uint8_t sha256[SHA256_BYTES];
    struct pki_shelved *found;
    X509 *certificate;

    if (!shelf || !secret_sha256(der.at, der.len, sha256))
        return decode_anew(der);
    found = shelf_find(shelf, sha256);
    if (found && X509_up_ref(found->certificate) == 1) {
        found->used = ++shelf->turn;
        return found->certificate;
    }
    certificate = decode_anew(der);
    if (certificate)
        shelf_put(shelf, sha256, certificate);
    return certificate;
}

/* --- chains as text --- */

/* Takes one line out of rest, without its LF or CRLF. */
static bool next_line(struct view *rest, struct view *line)
{
    if (!rest->len || !view_next(rest, '\n', line))
        return false;
    if (line->len && line->at[line->len - 1] == '\r')
        line->len--;
    return true;
}

/* The base64 of one block, its lines joined. */
static bool block_text(struct view *rest, uint8_t *text, size_t *n)
{
    struct view line;

    *n = 0;
    while (next_line(rest, &line)) {
        if (view_eq(line, VIEW("-----END CERTIFICATE-----")))
            return *n > 0;
        if (!line.len || *n + line.len > TEXT_BYTES)
            return false;
        memcpy(text + *n, line.at, line.len);
        *n += line.len;
    }
    return false;
}

/* scratch: for text and DER, one behind the other. */
static X509 *block(struct view *rest, struct pki_shelf *shelf,
                   uint8_t scratch[static TEXT_BYTES + DER_ROOM])
{
    uint8_t *text = scratch, *der = scratch + TEXT_BYTES;
    size_t n, len = DER_ROOM;
    struct view line;

    if (!next_line(rest, &line) || !view_eq(line, VIEW("-----BEGIN CERTIFICATE-----")) ||
        !block_text(rest, text, &n) || !base64_decode(view_from(text, n), der, &len))
        return NULL;
    return decode(shelf, view_from(der, len));
}

bool pki_chain_parse(struct view pem, const char *what, struct pki_shelf *shelf,
                     struct pki_chain *out, struct attest_err *err)
{
    struct pki_chain chain = {.count = 0};
    uint8_t *scratch = malloc(TEXT_BYTES + DER_ROOM);

    if (!scratch)
        return attest_fail(err, ATTEST_MEMORY, "no memory for certificates");
    if (pem.len && pem.at[pem.len - 1] == '\0')
        pem.len--;
    while (pem.at && pem.len) {
        X509 *one = chain.count < PKI_CHAIN_MAX ? block(&pem, shelf, scratch) : NULL;

        if (!one) {
            unsigned at = chain.count;

            free(scratch);
            pki_chain_done(&chain);
            return attest_fail(err, ATTEST_CERTIFICATE_SYNTAX,
                               at == PKI_CHAIN_MAX
                                   ? "DCAP verification failed: %s: more than %u certificates"
                                   : "DCAP verification failed: %s: certificate %u is not in PEM",
                               what, at == PKI_CHAIN_MAX ? at : at + 1);
        }
        chain.certificates[chain.count++] = one;
    }
    free(scratch);
    if (!chain.count)
        return attest_fail(err, ATTEST_CERTIFICATE_SYNTAX,
                           "DCAP verification failed: Certificate chain is too short for %s: it is "
                           "empty",
                           what);
    *out = chain;
    return true;
}

void pki_chain_done(struct pki_chain *chain)
{
    while (chain->count)
        X509_free(chain->certificates[--chain->count]);
}
