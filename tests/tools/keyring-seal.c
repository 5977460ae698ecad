/* keyring-seal: a test-only program that writes keyring.enc and, when it is not there, .keyring-key.
 *
 *   keyring-seal FOLDER <plaintext */
#include <stdio.h>

#include "ati/keyring/keyring.h"
#include "base/file.h"
#include "base/secret.h"

int main(int argc, char **argv)
{
    uint8_t key[KEYRING_KEY_BYTES];
    struct err err = {0};
    struct buf plain;
    size_t bytes = 0;
    bool good;

    if (argc != 2)
        return 2;
    buf_init(&plain, KEYRING_BYTES_MAX, "plaintext");
    good = file_read("-", &plain, &err) && keyring_key(argv[1], true, key, &err) &&
           keyring_write(argv[1], buf_view(&plain), key, &bytes, &err);
    secret_wipe(key, sizeof key);
    buf_wipe(&plain);
    if (!good)
        (void)fprintf(stderr, "%s\n", err.text);
    else
        (void)printf("%zu\n", bytes);
    return good ? 0 : 1;
}
