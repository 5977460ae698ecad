/* selfsigned: a certificate that vouches for itself, for endpoints that are pinned in another way. */
#pragma once

#include <openssl/evp.h>

#include "base/buf.h"

/* name: DNS name or IP literal. Appends both in PEM; the key is the caller's to wipe. P-256, good from an hour ago for so many days. */
MUST_USE bool selfsigned_make(const char *name, unsigned days, struct buf *certificate,
                              struct buf *key, struct err *err);
/* The same for a key that is there. */
MUST_USE bool selfsigned_for(const char *name, unsigned days, EVP_PKEY *key,
                             struct buf *certificate, struct err *err);
