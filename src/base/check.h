/* check: what must hold whoever the peer is. A failed CHECK is a mistake of the programmer; it
 * stays in releases, prints where and what, and aborts. Input must never reach one. */
#pragma once

#define CHECK(cond) ((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

_Noreturn void check_failed(const char *file, int line, const char *cond);
