/* replay: feeds the files of a corpus to a fuzz target once each, as an ordinary test.
 *
 *   build/debug/tests/fuzz/TARGET FILE…
 *
 * Each input is in memory of just its size, so that AddressSanitizer sees a read behind its end.
 * The name is printed first: after a crash, the last one is to blame. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    uint8_t *bytes = NULL;
    struct stat about;

    if (!in)
        return NULL;
    if (fstat(fileno(in), &about) == 0 && S_ISREG(about.st_mode)) {
        *size = (size_t)about.st_size;
        bytes = malloc(*size ? *size : 1);
        if (bytes && fread(bytes, 1, *size, in) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    (void)fclose(in);
    return bytes;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        uint8_t *bytes = read_whole(argv[i], &size);

        (void)printf("%s\n", argv[i]);
        (void)fflush(stdout);
        if (!bytes) {
            (void)fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
        (void)LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    return 0;
}
