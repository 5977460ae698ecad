#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/secret.h"

#include "base/poison.h"

void secret_no_dumps(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
