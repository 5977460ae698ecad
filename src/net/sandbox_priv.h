/* The parts of a sandbox. */
#pragma once

#include <stdbool.h>

#include "net/sandbox.h"

/* gcc defines these; clang has __has_feature. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

/* The version of Landlock that this kernel speaks; 0: none. */
int landlock_abi(void);
/* Files always, TCP ports from version 4 on. no_new_privs is set already. */
MUST_USE bool landlock_enter(const struct sandbox *s, int abi, struct sandbox_report *report,
                             struct err *err);
/* Puts the filter on all threads. only_log: let everything pass, and log what would have been
 * killed. */
MUST_USE bool seccomp_enter(const struct sandbox *s, bool only_log, struct err *err);
