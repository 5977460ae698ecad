/* chain: certificates as they are received: PEM, leaf first. Decoded only; pki judges them.
 *
 * Decoding a certificate costs as much as checking two signatures, and nearly all certificates come again and again
 * (the root, its CAs, the signer of TCB documents). A shelf keeps the last ones, found by the SHA-256 of their DER.
 * Limits: PKI_CHAIN_MAX certificates of PKI_DER_MAX bytes; PKI_SHELF_MAX on a shelf. */
#pragma once

#include <openssl/x509.h>

#include "attest/attest_err.h"
#include "base/secret.h"
#include "base/view.h"

enum { PKI_CHAIN_MAX = 4, PKI_DER_MAX = 8 * 1024, PKI_SHELF_MAX = 16 };

struct pki_chain {
    X509 *certificates[PKI_CHAIN_MAX]; /* owned; leaf first */
    unsigned count;
};

/* All zero is an empty one. */
struct pki_shelf {
    struct pki_shelved {
        uint8_t sha256[SHA256_BYTES];
        X509 *certificate; /* owned */
        uint64_t used;
    } places[PKI_SHELF_MAX];
    uint64_t turn;
};

/* Takes a share in the certificate, whose DER has that hash, unless there is no memory for it. */
void pki_shelf_add(struct pki_shelf *shelf, const uint8_t sha256[static SHA256_BYTES],
                   X509 *certificate);
void pki_shelf_done(struct pki_shelf *shelf);

/* pem: blocks of "CERTIFICATE" and nothing else, lines ended by LF or CRLF; a NUL may stand at the end. what: names
 * it in errors. shelf: NULL for none. */
MUST_USE bool pki_chain_parse(struct view pem, const char *what, struct pki_shelf *shelf,
                              struct pki_chain *out, struct attest_err *err);
void pki_chain_done(struct pki_chain *chain);
