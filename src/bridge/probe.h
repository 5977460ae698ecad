/* probe: static trace points (USDT), free until somebody traces: provider "atlas_proxy".
 *   accept(fd)  admit(id, target, fd)  connect(id, outcome, µs)  close(id, reason, bytes up, bytes down) */
#pragma once

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define PROBE1(name, a)          DTRACE_PROBE1(atlas_proxy, name, a)
#define PROBE3(name, a, b, c)    DTRACE_PROBE3(atlas_proxy, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(atlas_proxy, name, a, b, c, d)
#endif
#endif
#ifndef PROBE1
#define PROBE1(name, a)          ((void)(a))
#define PROBE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif
