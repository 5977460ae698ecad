#include "atls_cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

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

void output_json(const char *command, struct json_writer *w, struct buf *out)
{
    struct err err;

    if (json_end(w, &err))
        (void)printf("%.*s\n", VIEW_ARG(buf_view(out)));
    else
        (void)fprintf(stderr, "%s: %s\n", command, err.text);
    buf_done(out);
}

void output_attestation(const struct attestation *a)
{
    const struct dcap_report *d = &a->dcap;
    char date[CLOCK_RFC3339_BYTES], until[CLOCK_RFC3339_BYTES];

    (void)clock_rfc3339(d->tcb_date_s * 1000, date);
    (void)clock_rfc3339(d->valid_until_s * 1000, until);
    (void)printf("genuine %s quote, version %u%s\n", quote_tee_name(d->quote.tee), d->quote.version,
                 a->simulated ? ", of a SIMULATED platform" : "");
    (void)printf("  TCB status          %s\n", tcb_status_name(d->verdict.status));
    for (unsigned i = 0; i < d->verdict.advisories.count; i++)
        (void)printf("%s%s", i ? ", " : "  advisories          ", d->verdict.advisories.ids[i]);
    if (d->verdict.advisories.count)
        (void)printf("\n");
    (void)printf("  TCB date            %.10s\n", date);
    (void)printf("  collateral expires  %.19sZ\n", until);
    if (a->runtime_verified)
        (void)printf("  runs                the boot chain, application and image of the policy\n");
}
