/* poll HOST PORT POLICY [CA-FILE]: an attested netcat around poll(2), by the engine that does no I/O of its own. What is typed goes
 * to the endpoint once it is attested. Exit status: 0 the other end said that it was done, 1 it failed, 2 usage. */
#include <atls/atls.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int fail(const struct atls_error *error)
{
    fprintf(stderr, "%s [%s]\n", error->message, atls_error_name(error->code));
    return 1;
}

static char *read_file(const char *path, size_t *len)
{
    static const size_t most = 4 << 20;
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(most);

    if (!f || !bytes) {
        perror(path);
        exit(2);
    }
    *len = fread(bytes, 1, most, f);
    fclose(f);
    return bytes;
}

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all, *one;
    int fd = -1;

    if (getaddrinfo(host, port, &hints, &all) != 0)
        return -1;
    for (one = all; one && fd < 0; one = one->ai_next) {
        fd = socket(one->ai_family, one->ai_socktype, 0);
        if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(all);
    return fd;
}

static uint64_t monotonic_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Everything that the engine wants sent. A socket that blocks keeps this simple. */
static int flush(struct atls_connection *c, int fd)
{
    const void *bytes;
    size_t len;

    while (bytes = atls_connection_output(c, &len), len) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return -1;
        atls_connection_sent(c, (size_t)sent);
    }
    return 0;
}

static void receive(struct atls_connection *c, int fd)
{
    char bytes[16 * 1024];
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);

    if (got > 0)
        atls_connection_feed(c, bytes, (size_t)got);
    else
        atls_connection_feed_end(c);
}

static int give_collateral(struct atls_connection *c, const struct atls_policy *policy)
{
    struct atls_collateral *collateral;
    struct atls_error error;
    struct atls_need need;

    atls_connection_need(c, &need);
    if (atls_collateral_fetch(&need, atls_policy_pccs_url(policy), NULL, 30000, &collateral,
                              &error) != ATLS_OK)
        return fail(&error);
    atls_connection_give_collateral(c, collateral);
    return 0;
}

static int attest(struct atls_connection *c, const struct atls_policy *policy, int fd)
{
    for (;;) {
        enum atls_step step = atls_connection_step(c, time(NULL), monotonic_ms());

        if (flush(c, fd) != 0)
            return 1;
        if (step == ATLS_ATTESTED)
            return 0;
        if (step == ATLS_FAILED)
            return fail(atls_connection_error(c));
        if (step == ATLS_WANT_COLLATERAL && give_collateral(c, policy) != 0)
            return 1;
        if (step == ATLS_WANT_READ)
            receive(c, fd);
    }
}

/* Returns whether there may be more. */
static enum atls_read print(struct atls_connection *c)
{
    char bytes[16 * 1024];

    for (;;) {
        size_t len = sizeof bytes;
        enum atls_read got = atls_connection_read(c, bytes, &len);

        if (got != ATLS_READ_SOME)
            return got;
        fwrite(bytes, 1, len, stdout);
        fflush(stdout);
    }
}

static int converse(struct atls_connection *c, int fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};

    for (;;) {
        enum atls_read got = print(c);
        struct atls_error error;
        char bytes[4096];

        if (got == ATLS_READ_END)
            return 0;
        if (got == ATLS_READ_ERROR)
            return fail(atls_connection_error(c));
        if (poll(fds, 2, -1) < 0)
            return 1;
        if (fds[1].revents) {
            ssize_t n = read(0, bytes, sizeof bytes);

            if (n > 0) {
                if (atls_connection_write(c, bytes, (size_t)n, &error) != ATLS_OK)
                    return fail(&error);
            } else {
                atls_connection_close(c);
                fds[1].fd = -1;
            }
        }
        if (flush(c, fd) != 0)
            return 1;
        if (fds[0].revents)
            receive(c, fd);
    }
}

int main(int argc, char **argv)
{
    struct atls_connection_options options = ATLS_CONNECTION_OPTIONS_INIT;
    struct atls_connection *c = NULL;
    struct atls_context *context = NULL;
    struct atls_policy *policy = NULL;
    struct atls_error error;
    char *json, *roots = NULL;
    size_t len, roots_len = 0;
    int fd, status;

    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: poll HOST PORT POLICY [CA-FILE]\n");
        return 2;
    }
    json = read_file(argv[3], &len);
    if (argc > 4)
        roots = read_file(argv[4], &roots_len);
    options.server_name = argv[1];
    if (atls_policy_parse(json, len, &policy, &error) != ATLS_OK ||
        atls_context_new(policy, roots, roots_len, &context, &error) != ATLS_OK)
        return fail(&error);
    options.context = context;
    if (atls_connection_new(&options, &c, &error) != ATLS_OK)
        return fail(&error);
    fd = dial(argv[1], argv[2]);
    if (fd < 0) {
        fprintf(stderr, "%s:%s: cannot connect\n", argv[1], argv[2]);
        return 1;
    }
    status = attest(c, policy, fd);
    if (status == 0) {
        fprintf(stderr, "attested: %s\n", atls_report_status(atls_connection_report(c)));
        status = converse(c, fd);
    }
    close(fd);
    atls_connection_free(c);
    atls_context_free(context);
    atls_policy_free(policy);
    free(roots);
    free(json);
    return status;
}
