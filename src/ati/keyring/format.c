/* format: keyring.enc = nonce ‖ ciphertext ‖ tag, AES-256-GCM (NIST SP 800-38D), nothing authenticated beside it. */
#include <openssl/err.h>
#include <openssl/evp.h>

#include "ati/keyring/keyring_priv.h"
#include "base/secret.h"

#include "base/poison.h"

enum { AROUND = KEYRING_NONCE_BYTES + KEYRING_TAG_BYTES };

/* The context wipes what it knows of the key when it goes. */
static bool encrypt(struct view plain, const uint8_t *key, uint8_t *out)
{
    uint8_t *nonce = out, *text = out + KEYRING_NONCE_BYTES, *tag = text + plain.len;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int n = 0, rest = 0;
    bool good;

    random_bytes(nonce, KEYRING_NONCE_BYTES);
    good = context && EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
           EVP_EncryptUpdate(context, text, &n, plain.at, (int)plain.len) == 1 &&
           EVP_EncryptFinal_ex(context, text + n, &rest) == 1 && n + rest == (int)plain.len &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, KEYRING_TAG_BYTES, tag) == 1;
    EVP_CIPHER_CTX_free(context);
    ERR_clear_error();
    return good;
}

static bool decrypt(struct view sealed, const uint8_t *key, uint8_t *out, size_t len)
{
    const uint8_t *text = sealed.at + KEYRING_NONCE_BYTES;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    uint8_t tag[KEYRING_TAG_BYTES];
    int n = 0, rest = 0;
    bool good;

    memcpy(tag, text + len, sizeof tag);
    good = context && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, sealed.at) == 1 &&
           EVP_DecryptUpdate(context, out, &n, text, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
           EVP_DecryptFinal_ex(context, out + n, &rest) == 1 && n + rest == (int)len;
    EVP_CIPHER_CTX_free(context);
    ERR_clear_error();
    if (!good && len)
        secret_wipe(out, len);
    return good;
}

bool keyring_open_into(struct view sealed, const uint8_t key[static KEYRING_KEY_BYTES],
                       uint8_t *out, size_t *len, struct err *err)
{
    if (sealed.len < AROUND)
        return err_set(err, ERR_SYNTAX, "Keyring file too small (need at least nonce + tag)");
    if (sealed.len > KEYRING_BYTES_MAX + AROUND)
        return err_set(err, ERR_LIMIT, "keyring: more than %d bytes", KEYRING_BYTES_MAX);
    if (!decrypt(sealed, key, out, sealed.len - AROUND))
        return err_set(err, ERR_DENIED, "Decryption failed — wrong key or corrupted keyring");
    *len = sealed.len - AROUND;
    return true;
}

bool keyring_open(struct view sealed, const uint8_t key[static KEYRING_KEY_BYTES],
                  struct buf *plain, struct err *err)
{
    CLEANUP(locked_done) struct locked pages = {.at = NULL};
    size_t len = 0;

    return locked_new(sealed.len, &pages, err) &&
           keyring_open_into(sealed, key, pages.at, &len, err) &&
           keyring_append(plain, view_from(pages.at, len), err);
}

bool keyring_seal(struct view plain, const uint8_t key[static KEYRING_KEY_BYTES],
                  struct buf *sealed, struct err *err)
{
    uint8_t *room;

    if (plain.len > KEYRING_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "keyring: more than %d bytes", KEYRING_BYTES_MAX);
    if (!buf_room(sealed, plain.len + AROUND, &room, err))
        return false;
    if (!encrypt(plain, key, room))
        return err_set(err, ERR_INTERNAL, "keyring: encryption failed");
    buf_wrote(sealed, plain.len + AROUND);
    return true;
}
