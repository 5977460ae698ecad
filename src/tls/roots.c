/* The roots that are trusted unless the caller names others. The build makes the text from Debian's ca-certificates. */
#include "tls/session.h"

#include "base/poison.h"

extern const uint8_t tls_roots_pem[];
extern const size_t tls_roots_pem_len;

struct view session_builtin_roots(void)
{
    return view_from(tls_roots_pem, tls_roots_pem_len);
}
