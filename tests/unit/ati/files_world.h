/* file_manager at the executor, and servers that the test plays. */
#pragma once

#include "../client/world.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/stat.h>

#include "ati/exec/files.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/text.h"

struct files_world {
    struct world *w;
    char folder[64];
    char allowlist[128];
    char *environment[2];
    struct exec_shared *shared;
    struct executor *executor;
    struct snapshot *snapshot;
    struct caller *caller;
    char *pem;
    EVP_PKEY *key;
};

struct told {
    unsigned calls;
    enum exec_outcome outcome;
    int status;
    char value[4096], error[4096];
};

/* --- the world --- */

static inline void write_text(const char *folder, const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(file_write(path, view_str(text), 0600, NULL));
}

static inline void warn(void *context, const char *text)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", text);
}

/* A service account's key, as Google gives them out. */
static inline void write_credentials(struct files_world *f)
{
    char account[8192], credentials[16384];
    struct json_writer w;
    struct buf out;
    BIO *bio = BIO_new(BIO_s_mem());
    char *at;
    long n;

    f->key = EVP_RSA_gen(2048);
    assert_true(f->key && bio &&
                PEM_write_bio_PrivateKey(bio, f->key, NULL, NULL, 0, NULL, NULL) == 1);
    n = BIO_get_mem_data(bio, &at);
    f->pem = strndup(at, (size_t)n);
    BIO_free(bio);
    buf_init(&out, sizeof account, "account");
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "client_email");
    json_text(&w, VIEW("me@project.test"));
    json_key(&w, "private_key");
    json_text(&w, view_str(f->pem));
    json_key(&w, "private_key_id");
    json_text(&w, VIEW("key-1"));
    json_key(&w, "token_uri");
    (void)snprintf(credentials, sizeof credentials, "%s/token", f->w->origin);
    json_text(&w, view_str(credentials));
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    (void)snprintf(account, sizeof account, "%.*s", VIEW_ARG(buf_view(&out)));
    buf_reset(&out);
    out.max = sizeof credentials;
    json_begin(&w, &out);
    json_object(&w);
    json_key(&w, "gcp_credentials");
    json_text(&w, view_str(account));
    json_key(&w, "fal_api_key");
    json_text(&w, VIEW("fal-key-hidden-0123456789"));
    json_key(&w, "broken");
    json_text(&w, VIEW("hidden, and no JSON"));
    json_object_end(&w);
    assert_true(json_end(&w, NULL));
    (void)snprintf(credentials, sizeof credentials, "%.*s", VIEW_ARG(buf_view(&out)));
    buf_done(&out);
    write_text(f->folder, "credentials", credentials);
}

static inline void write_manifests(struct files_world *f)
{
    char text[4096], path[128];

    (void)snprintf(path, sizeof path, "%s/manifests", f->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(
        text, sizeof text,
        "[provider]\nname = \"file_manager\"\ndescription = \"files\"\nhandler = \"file_manager\"\n"
        "upload_default_destination = \"bucket\"\n"
        "[provider.upload_destinations.bucket]\nkind = \"gcs\"\nbucket = \"b-1\"\n"
        "prefix = \"in/box\"\nendpoint = \"%s\"\n"
        "[provider.upload_destinations.keyless]\nkind = \"gcs\"\nbucket = \"b\"\n"
        "key_ref = \"nobody\"\n"
        "[provider.upload_destinations.broken]\nkind = \"gcs\"\nbucket = \"b\"\n"
        "key_ref = \"broken\"\n"
        "[provider.upload_destinations.clear]\nkind = \"gcs\"\nbucket = \"b\"\n"
        "endpoint = \"http://storage.test\"\n"
        "[provider.upload_destinations.fal]\nkind = \"fal_storage\"\nendpoint = \"%s\"\n",
        f->w->origin, f->w->origin);
    write_text(f->folder, "manifests/files.toml", text);
}

static inline void load(struct files_world *f)
{
    struct keyring_source source = {.folder = f->folder};
    struct keyring_report report;
    struct catalog *catalog = NULL;
    struct keyring *keyring = NULL;
    struct err err;

    if (!catalog_load(f->folder, 0, warn, NULL, &catalog, &err) ||
        !keyring_load(&source, &keyring, &report, &err) ||
        !snapshot_new(catalog, keyring, NULL, &f->snapshot, &err))
        fail_msg("%s", err.text);
    catalog_unref(catalog);
    keyring_unref(keyring);
}

static inline void use_reach(struct files_world *f, enum client_reach reach)
{
    struct exec_shared_options options = {
        .folder = f->folder, .environment = f->environment, .reach = reach};

    executor_free(f->executor);
    exec_shared_free(f->shared);
    assert_true(exec_shared_new(&options, &f->shared, NULL));
    assert_true(executor_new(f->w->loop, f->w->client, f->shared, NULL, &f->executor, NULL));
}

static inline int open_files(void **state)
{
    struct files_world *f = calloc(1, sizeof *f);
    void *inner = NULL;

    assert_non_null(f);
    assert_int_equal(open_world(&inner), 0);
    f->w = inner;
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/ati-files-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    write_credentials(f);
    write_manifests(f);
    load(f);
    assert_true(caller_dev(&f->caller, NULL));
    use_reach(f, CLIENT_ANYWHERE);
    *state = f;
    return 0;
}

static inline int close_files(void **state)
{
    struct files_world *f = *state;
    void *inner = f->w;
    char command[128];

    executor_free(f->executor);
    exec_shared_free(f->shared);
    snapshot_unref(f->snapshot);
    caller_unref(f->caller);
    EVP_PKEY_free(f->key);
    free(f->pem);
    (void)snprintf(command, sizeof command, "rm -r %s", f->folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a path of our own */
    free(f);
    return close_world(&inner);
}

static inline void told_done(void *context, struct exec_result *r)
{
    struct told *t = context;

    t->calls++;
    t->outcome = r->outcome;
    t->status = r->status;
    (void)snprintf(t->value, sizeof t->value, "%.*s", VIEW_ARG(buf_view(&r->value)));
    (void)snprintf(t->error, sizeof t->error, "%.*s", VIEW_ARG(buf_view(&r->error)));
}

static inline struct execution *start(struct files_world *f, struct told *t, const char *tool,
                                      const char *arguments)
{
    struct exec_request request = {.snapshot = f->snapshot,
                                   .tool = catalog_find(f->snapshot->catalog, view_str(tool)),
                                   .caller = f->caller,
                                   .arguments = view_str(arguments)};
    struct execution *e;

    *t = (struct told){0};
    assert_non_null(request.tool);
    assert_true(exec_start(f->executor, &request, told_done, t, &e, NULL));
    assert_int_equal(t->calls, 0);
    return e;
}

static inline void finish(struct files_world *f, struct told *t)
{
    for (unsigned i = 0; i < TURNS_MAX && !t->calls; i++)
        turn(f->w);
    assert_int_equal(t->calls, 1);
    assert_null(strstr(t->error, "hidden"));
    assert_null(strstr(t->value, "hidden"));
}

static inline void check_failed(struct files_world *f, struct told *t, int status, const char *text)
{
    finish(f, t);
    if (t->outcome != EXEC_FILES || t->status != status || !strstr(t->error, text))
        fail_msg("%d %d %s %s", t->outcome, t->status, t->error, t->value);
}

static inline void check_value(struct files_world *f, struct told *t, const char *value)
{
    finish(f, t);
    if (t->outcome != EXEC_OK)
        fail_msg("%d %s", t->status, t->error);
    assert_string_equal(t->value, value);
}

static inline struct execution *download(struct files_world *f, struct told *t, const char *path,
                                         const char *more)
{
    char arguments[1024];

    (void)snprintf(arguments, sizeof arguments, "{\"url\":\"%s%s\"%s}", f->w->origin, path, more);
    return start(f, t, "file_manager:download", arguments);
}

#define files_test(name) cmocka_unit_test_setup_teardown(name, open_files, close_files)
