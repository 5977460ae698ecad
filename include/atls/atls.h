/* libatls: attested TLS (Intel TDX, DCAP, dstack policy) for C and whatever can call it.
 *
 *   dial.h         an attested connection by blocking calls
 *   connection.h   the same without any I/O
 *   verify.h       evidence against a policy, offline
 *   policy.h       what an endpoint must be       collateral.h   Intel's statements
 *   quote.h        a look into a quote            error.h        why it was refused
 */
#ifndef ATLS_ATLS_H
#define ATLS_ATLS_H

#include <atls/connection.h>
#include <atls/dial.h>
#include <atls/quote.h>

#endif
