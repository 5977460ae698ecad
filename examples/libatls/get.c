/* get HOST PORT PATH POLICY [CA-FILE [PROXY]]: one GET over an attested connection; nothing is sent before the endpoint has
 * proved what it runs. Exit status: 0 answered, 1 not, 2 usage. */
#include <atls/atls.h>
#include <stdio.h>
#include <stdlib.h>

static struct atls_policy *read_policy(const char *path)
{
    static char json[1 << 20];
    struct atls_policy *policy;
    struct atls_error error;
    FILE *f = fopen(path, "rb");
    size_t len;

    if (!f) {
        perror(path);
        exit(2);
    }
    len = fread(json, 1, sizeof json, f);
    fclose(f);
    if (atls_policy_parse(json, len, &policy, &error) != ATLS_OK) {
        fprintf(stderr, "%s: %s\n", path, error.message);
        exit(2);
    }
    return policy;
}

static atls_result converse(struct atls_stream *s, const char *host, const char *path,
                            struct atls_error *error)
{
    char bytes[16 * 1024];
    int n = snprintf(bytes, sizeof bytes,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
    atls_result result;

    if (n < 0 || (size_t)n >= sizeof bytes) {
        fprintf(stderr, "%s: too long\n", path);
        exit(2);
    }
    result = atls_stream_write(s, bytes, (size_t)n, error);
    while (result == ATLS_OK) {
        size_t len = sizeof bytes;

        result = atls_stream_read(s, bytes, &len, 30000, error);
        if (result != ATLS_OK || len == 0)
            break;
        fwrite(bytes, 1, len, stdout);
    }
    return result;
}

int main(int argc, char **argv)
{
    struct atls_dial_options options = ATLS_DIAL_OPTIONS_INIT;
    struct atls_stream *s = NULL;
    struct atls_policy *policy;
    struct atls_error error;
    atls_result result;

    if (argc < 5 || argc > 7) {
        fprintf(stderr, "usage: get HOST PORT PATH POLICY [CA-FILE [PROXY]]\n");
        return 2;
    }
    policy = read_policy(argv[4]);
    options.host = argv[1];
    options.port = (uint16_t)atoi(argv[2]);
    options.policy = policy;
    options.ca_file = argc > 5 ? argv[5] : NULL;
    options.proxy = argc > 6 ? argv[6] : NULL;
    result = atls_dial(&options, &s, &error);
    if (result == ATLS_OK) {
        fprintf(stderr, "attested: %s\n", atls_report_status(atls_stream_report(s)));
        result = converse(s, argv[1], argv[3], &error);
    }
    if (result != ATLS_OK)
        fprintf(stderr, "%s [%s]\n", error.message, atls_error_name(error.code));
    atls_stream_free(s);
    atls_policy_free(policy);
    return result != ATLS_OK;
}
