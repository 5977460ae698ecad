/* selfsigned: a certificate that vouches for itself, with a key made for it: for endpoints that are pinned in another way. */
#pragma once

#include "base/buf.h"

/* name: DNS name or IP literal. Appends both in PEM; the key is the caller's to wipe. P-256, good from an hour ago for so many days. */
MUST_USE bool selfsigned_make(const char *name, unsigned days, struct buf *certificate,
                              struct buf *key, struct err *err);
