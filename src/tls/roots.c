#include "tls/roots.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "base/poison.h"

static size_t first_with(uint32_t subject)
{
    size_t low = 0, high = tls_roots.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tls_roots.entries[middle].subject < subject)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static X509 *decode(const struct tls_root *root)
{
    const uint8_t *at = tls_roots.der + root->offset;

    return d2i_X509(NULL, &at, (long)root->len);
}

/* x goes into the store, unless it is there. Under the store's lock. */
static bool add(STACK_OF(X509_OBJECT) * objects, X509 *x)
{
    X509_OBJECT *object = X509_OBJECT_new();

    if (!object || X509_OBJECT_set1_X509(object, x) != 1) {
        X509_OBJECT_free(object);
        return false;
    }
    if (X509_OBJECT_retrieve_match(objects, object)) {
        X509_OBJECT_free(object);
        return true;
    }
    if (sk_X509_OBJECT_push(objects, object) > 0)
        return true;
    X509_OBJECT_free(object);
    return false;
}

/* All roots of that name go into the store, or none is seen there: another thread that finds one of two looks no further. */
static bool add_all(X509_STORE *store, const X509_NAME *name, uint32_t subject)
{
    bool any = false;

    if (X509_STORE_lock(store) != 1)
        return false;
    for (size_t i = first_with(subject);
         i < tls_roots.count && tls_roots.entries[i].subject == subject; i++) {
        X509 *x = decode(&tls_roots.entries[i]);

        if (x && X509_NAME_cmp(X509_get_subject_name(x), name) == 0)
            any = add(X509_STORE_get0_objects(store), x) || any;
        X509_free(x);
    }
    (void)X509_STORE_unlock(store);
    return any;
}

/* The caller in OpenSSL takes a reference of its own, and expects to find the store's alone: what is found is the store's. */
static int by_subject(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name,
                      X509_OBJECT *found)
{
    X509_STORE *store = X509_LOOKUP_get_store(lookup);
    const X509_OBJECT *kept;
    uint32_t subject;
    int known = 0;
    X509 *x;

    if (type != X509_LU_X509)
        return 0;
    subject = (uint32_t)X509_NAME_hash_ex(name, NULL, NULL, &known);
    if (!known || !add_all(store, name, subject) || X509_STORE_lock(store) != 1) {
        ERR_clear_error();
        return 0;
    }
    kept = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), X509_LU_X509, name);
    x = kept ? X509_OBJECT_get0_X509(kept) : NULL;
    known = x && X509_OBJECT_set1_X509(found, x) == 1;
    if (known)
        X509_free(x); /* of the two references the store's stays */
    (void)X509_STORE_unlock(store);
    ERR_clear_error();
    return known;
}

/* One for the process, for stores hold on to it. */
static X509_LOOKUP_METHOD *method;
static CRYPTO_ONCE method_once = CRYPTO_ONCE_STATIC_INIT;

static void make_method(void)
{
    method = X509_LOOKUP_meth_new("built-in roots");
    if (method && X509_LOOKUP_meth_set_get_by_subject(method, by_subject) != 1) {
        X509_LOOKUP_meth_free(method);
        method = NULL;
    }
}

bool tls_roots_use(X509_STORE *store)
{
    return CRYPTO_THREAD_run_once(&method_once, make_method) == 1 && method &&
           X509_STORE_add_lookup(store, method);
}
