/* Memory that runs out, at each place in turn: an error that says so, nothing lost, and the next attempt as good as the first. (Linked
 * with --wrap: what our objects allocate goes through here. toml++ is not asked: without exceptions it ends the process.) */
#include "unit/base/unit.h"

#include <unistd.h>

#include "ati/catalog/catalog.h"
#include "base/file.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t n);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t n);
char *__wrap_strndup(const char *text, size_t n);

static bool armed;
static unsigned left; /* allocations until one fails */

static bool fails(void)
{
    return armed && left-- == 0;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *at, size_t n)
{
    return fails() ? NULL : __real_realloc(at, n);
}
char *__wrap_strndup(const char *text, size_t n)
{
    return fails() ? NULL : __real_strndup(text, n);
}

enum { ATTEMPTS_MAX = 5000 };

/* f fails n allocations from its start, for n = 0, 1, 2 …, until it has what it needs. Returns how often it failed. */
static unsigned until_it_works(bool (*f)(void *context, struct err *err), void *context)
{
    for (unsigned n = 0; n < ATTEMPTS_MAX; n++) {
        struct err err = {0};
        bool good;

        left = n;
        armed = true;
        good = f(context, &err);
        armed = false;
        if (good)
            return n;
        if (err.code != ERR_MEMORY)
            fail_msg("allocation %u: %s: %s", n, err_name(err.code), err.text);
    }
    fail_msg("it never works");
    return 0;
}

#define HEAD "[provider]\nname = \"x\"\ndescription = \"d\"\n"
#define TOOL                                                                                     \
    "[[tools]]\nname = \"x:t\"\ndescription = \"d\"\ntags = [\"a\", \"b\"]\nresponse.extract = " \
    "\"$\"\ninput_schema = { type = \"object\" }\n"

static const char *const manifests[] = {
    HEAD "base_url = \"https://u/\"\nskills = [\"s\"]\nextra_headers = { A = \"1\" }\n" TOOL,
    HEAD "handler = \"cli\"\ncli_command = \"c\"\ncli_output_positional = { \"a b\" = 1 }\n",
    HEAD "handler = \"file_manager\"\nupload_destinations.a = { kind = \"gcs\", bucket = \"b\" }\n",
    HEAD "handler = \"openapi\"\nopenapi_spec = \"s\"\nopenapi_overrides.a = { tags = [\"t\"] }\n",
    HEAD "handler = \"passthrough\"\nbase_url = \"https://u\"\nhost_match = \"h\"\npath_replace = "
         "[\"/a\", \"/b\"]\ndeny_paths = [\"/x\"]\n",
    HEAD "auth_generator = { type = \"script\", interpreter = \"sh\", script = \"x\", inject.a = { "
         "type = \"env\", name = \"A\" } }\n",
};

static bool parse(void *context, struct err *err)
{
    const char *toml = context;
    struct tool_provider *p;

    if (!manifest_parse(view_str(toml), "f.toml", NULL, NULL, &p, err))
        return false;
    tool_provider_unref(p);
    return true;
}

static void a_manifest_survives(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(manifests); i++)
        assert_true(until_it_works(parse, (void *)(uintptr_t)manifests[i]) > 10);
}

static bool parse_cached(void *context, struct err *err)
{
    struct tool_provider *p;

    (void)context;
    if (!manifest_parse_cached(
            VIEW(
                "{\"name\":\"c\",\"provider_type\":\"mcp\",\"mcp_args\":[\"a\"],\"mcp_env\":{\"A\":"
                "\"b\"},\"created_at\":\"2026-11-20T22:00:00Z\",\"ttl_seconds\":60}"),
            "f.json", &p, err))
        return false;
    tool_provider_unref(p);
    return true;
}

/* A text of JSON that cannot be read may be one of no Unicode, so that this is what it is told to be. */
static void a_cached_provider_survives(void **state)
{
    (void)state;
    for (unsigned n = 0;; n++) {
        struct err err = {0};
        bool good;

        left = n;
        armed = true;
        good = parse_cached(NULL, &err);
        armed = false;
        if (good)
            break;
        assert_true(err.code == ERR_MEMORY || strstr(err.text, "must be a text of Unicode"));
    }
}

static bool load(void *context, struct err *err)
{
    struct manifest_set set;
    struct catalog *c;

    if (!manifest_load(context, 0, NULL, NULL, &set, err))
        return false;
    if (!catalog_new(&set, &c, err)) {
        manifest_set_free(&set);
        return false;
    }
    catalog_unref(c);
    return true;
}

static void a_folder_survives(void **state)
{
    char folder[] = "/tmp/test-faults-XXXXXX", path[64], command[80];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(command, sizeof command, "mkdir '%s/manifests'", folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own folder */
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s/manifests/%u.toml", folder, i);
        assert_true(file_write(path, view_str(manifests[i]), 0600, NULL));
    }
    assert_true(until_it_works(load, folder) > 50);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own folder */
}

struct discovery {
    struct catalog *before;
    struct tool *tools;
};

static bool discover(void *context, struct err *err)
{
    struct discovery *d = context;
    struct catalog *after;

    if (!catalog_discovered(d->before, catalog_provider_at(d->before, 0), d->tools, 1, &after, err))
        return false;
    d->tools = NULL; /* the catalog's now */
    catalog_unref(after);
    return true;
}

static void a_discovery_survives(void **state)
{
    struct manifest_set set = {0};
    struct discovery d;

    (void)state;
    set.providers = calloc(1, sizeof(struct tool_provider *));
    assert_non_null(set.providers);
    assert_true(manifest_parse(VIEW(HEAD "handler = \"mcp\"\n"), "f.toml", NULL, NULL,
                               set.providers, NULL));
    set.count = 1;
    assert_true(catalog_new(&set, &d.before, NULL));
    d.tools = calloc(1, sizeof *d.tools);
    assert_non_null(d.tools);
    d.tools->name = strndup("x:y", 3);
    d.tools->description = strndup("d", 1);
    assert_true(until_it_works(discover, &d) >= 6);
    assert_null(d.tools);
    catalog_unref(d.before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_survives),
        cmocka_unit_test(a_cached_provider_survives),
        cmocka_unit_test(a_folder_survives),
        cmocka_unit_test(a_discovery_survives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
