/* Feeds files to a fuzz target once each: the corpora as ordinary tests, without a fuzzer. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *in = fopen(argv[i], "rb");
        uint8_t *bytes = malloc(1 << 20);
        size_t n;

        if (!in || !bytes) {
            (void)fprintf(stderr, "%s: cannot be read\n", argv[i]);
            return 1;
        }
        n = fread(bytes, 1, 1 << 20, in);
        (void)fclose(in);
        (void)LLVMFuzzerTestOneInput(bytes, n);
        free(bytes);
    }
    return 0;
}
