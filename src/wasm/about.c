#include <openssl/crypto.h>

#include "base/version.h"
#include "wasm/module.h"

#include "base/poison.h"

enum { ABI = 1, ABOUT_MAX = 4096 };

static void put(struct json_writer *w, const char *key, const char *text)
{
    json_key(w, key);
    json_text(w, view_str(text));
}

void WASM_EXPORT(about)(void)
{
    struct json_writer w;
    struct buf json;

    buf_init(&json, ABOUT_MAX, "version");
    json_begin(&w, &json);
    json_object(&w);
    put(&w, "version", POSTERN_VERSION);
    put(&w, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    put(&w, "openssl_source", OPENSSL_SOURCE);
    json_key(&w, "abi");
    json_u64(&w, ABI);
    json_object_end(&w);
    (void)wasm_answer(&w, &json);
}
