/* verify QUOTE COLLATERAL [POLICY EVENT-LOG]: is this quote genuine, and what the policy asks for? Offline.
 * Exit status: 0 yes, 1 no, 2 usage. */
#include <atls/atls.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* The whole file; ends the program when it cannot be read. */
static char *read_file(const char *path, size_t *len)
{
    enum { MOST = 8 * 1024 * 1024 };
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(MOST);

    if (!f || !bytes) {
        perror(path);
        exit(2);
    }
    *len = fread(bytes, 1, MOST, f);
    fclose(f);
    return bytes;
}

int main(int argc, char **argv)
{
    struct atls_evidence evidence = ATLS_EVIDENCE_INIT;
    struct atls_collateral *collateral = NULL;
    struct atls_verifier *verifier = NULL;
    struct atls_policy *policy = NULL;
    struct atls_report *report = NULL;
    struct atls_error error;
    size_t len;
    char *text;
    int status = 1;

    if (argc != 3 && argc != 5) {
        fprintf(stderr, "usage: verify QUOTE COLLATERAL [POLICY EVENT-LOG]\n");
        return 2;
    }
    evidence.quote = read_file(argv[1], &evidence.quote_len);
    evidence.at = time(NULL);
    text = read_file(argv[2], &len);
    if (atls_collateral_parse(text, len, &collateral, &error) != ATLS_OK)
        goto refused;
    if (argc == 5) {
        char *json = read_file(argv[3], &len);

        evidence.event_log = read_file(argv[4], &evidence.event_log_len);
        if (atls_policy_parse(json, len, &policy, &error) != ATLS_OK)
            goto refused;
        free(json);
    }
    evidence.collateral = collateral;
    if (atls_verifier_new(&verifier, &error) != ATLS_OK ||
        atls_verify(verifier, &evidence, policy, &report, &error) != ATLS_OK)
        goto refused;
    printf("genuine: %s%s\n", atls_report_status(report),
           atls_report_simulated(report) ? ", of a simulated platform" : "");
    for (unsigned i = 0; atls_report_advisory(report, i); i++)
        printf("  %s\n", atls_report_advisory(report, i));
    status = 0;
    goto done;
refused:
    fprintf(stderr, "refused: %s [%s]\n", error.message, atls_error_name(error.code));
done:
    atls_report_free(report);
    atls_verifier_free(verifier);
    atls_policy_free(policy);
    atls_collateral_free(collateral);
    free(text);
    free((void *)evidence.quote);
    free((void *)evidence.event_log);
    return status;
}
