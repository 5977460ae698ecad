#include "atls_cli/output.h"

#include <errno.h>
#include <unistd.h>

#include "base/poison.h"

bool output_write(struct view bytes, struct attest_err *err)
{
    while (bytes.len) {
        ssize_t n = write(STDOUT_FILENO, bytes.at, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return attest_fail(err, ATTEST_IO, "standard output: %s", strerror(errno));
        bytes = view_skip(bytes, (size_t)n);
    }
    return true;
}
