/* The catalog: what stands in a folder becomes tools that are found, listed and searched. */
#include "unit/base/unit.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ati/catalog/catalog.h"
#include "ati/catalog/catalog_priv.h"
#include "base/file.h"

enum { NOW = 1795212000 }; /* 2026-11-20T22:00:00Z */

static char folder[64];
static char said[8192];

static void hear(void *context, const char *text)
{
    size_t n = strlen(said);

    (void)context;
    (void)snprintf(said + n, sizeof said - n, "%s\n", text);
}

static void put(const char *name, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_true(file_write(path, view_str(text), 0600, NULL));
}

static bool there(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void make_folder(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/test-catalog-XXXXXX");
    said[0] = '\0';
    if (!mkdtemp(folder))
        return -1;
    make_folder("manifests");
    make_folder("cache");
    make_folder("cache/providers");
    make_folder("specs");
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command); /* NOLINT(cert-env33-c): a test's own folder */
}

static struct catalog *load(void)
{
    struct manifest_set set;
    struct catalog *c = NULL;
    struct err err;

    if (!manifest_load(folder, NOW, hear, NULL, &set, &err) || !catalog_new(&set, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static void refused(const char *before, const char *after)
{
    struct manifest_set set;
    struct err err = {0};
    char want[512];

    assert_false(manifest_load(folder, NOW, hear, NULL, &set, &err));
    (void)snprintf(want, sizeof want, "%s%s%s", before, folder, after);
    if (strncmp(err.text, want, strlen(want)) != 0)
        fail_msg("wanted %s\ngot    %s", want, err.text);
}

static const struct tool *find(const struct catalog *c, const char *name)
{
    return catalog_find(c, view_str(name));
}

static const struct tool *resolve(const struct catalog *c, const char *name)
{
    return catalog_resolve(c, view_str(name));
}

#define PROVIDER(name)       "[provider]\nname = \"" name "\"\ndescription = \"about " name "\"\n"
#define TOOL(name, describe) "[[tools]]\nname = \"" name "\"\ndescription = \"" describe "\"\n"

static void only_the_built_in_tools_are_in_an_empty_folder(void **state)
{
    struct catalog *c = load();

    (void)state;
    assert_int_equal(catalog_provider_count(c), 1);
    assert_int_equal(catalog_tool_count(c), 2);
    assert_string_equal(catalog_tool_at(c, 0)->name, "file_manager:download");
    assert_string_equal(catalog_tool_at(c, 1)->name, "file_manager:upload");
    assert_string_equal(catalog_provider_at(c, 0)->category, "file_manager");
    assert_false(catalog_provider_at(c, 0)->internal);
    assert_null(catalog_provider_at(c, 0)->path);
    assert_string_equal(said, "");
    catalog_unref(c);
}

static void a_missing_folder_is_an_error(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/manifests", folder);
    assert_int_equal(rmdir(path), 0);
    refused("No manifests directory found at ", "/manifests");
    put("manifests", "a file");
    refused("No manifests directory found at ", "/manifests");
}

static void one_broken_file_stops_the_load(void **state)
{
    char path[128];

    (void)state;
    put("manifests/a.toml", PROVIDER("a"));
    put("manifests/b.toml", PROVIDER("b") "oops\n");
    refused("Failed to parse manifest ", "/manifests/b.toml: line 4: ");
    put("manifests/b.toml", PROVIDER("b") "handler = \"passthrough\"\n");
    refused("Manifest ", "/manifests/b.toml is invalid: passthrough provider requires non-empty "
                         "base_url");
    (void)snprintf(path, sizeof path, "%s/manifests/b.toml", folder);
    assert_int_equal(unlink(path), 0);
    make_folder("manifests/b.toml"); /* cannot be read as a file */
    refused("Failed to read manifest file ", "/manifests/b.toml: Is a directory");
}

static void files_are_loaded_in_the_order_of_their_names(void **state)
{
    struct catalog *c;

    (void)state;
    put("manifests/b.toml", PROVIDER("one") TOOL("one:x", "d"));
    put("manifests/a.toml", PROVIDER("two") TOOL("two:x", "d") TOOL("two:a", "d"));
    put("manifests/c.toml.bak", "not a manifest");
    put("manifests/.hidden.toml", "not a manifest");
    c = load();
    assert_int_equal(catalog_provider_count(c), 3);
    assert_string_equal(catalog_tool_at(c, 0)->name, "two:x");
    assert_string_equal(catalog_tool_at(c, 1)->name, "two:a");
    assert_string_equal(catalog_tool_at(c, 2)->name, "one:x");
    assert_ptr_equal(catalog_provider(c, VIEW("one")), catalog_provider_at(c, 1));
    assert_null(catalog_provider(c, VIEW("three")));
    catalog_unref(c);
}

static void of_equal_names_the_last_counts(void **state)
{
    struct catalog *c;

    (void)state;
    put("manifests/a.toml", PROVIDER("a") TOOL("same", "first") TOOL("same", "second"));
    put("manifests/b.toml", PROVIDER("b") TOOL("same", "third"));
    put("manifests/c.toml", PROVIDER("a"));
    c = load();
    assert_string_equal(find(c, "same")->description, "third");
    assert_int_equal(catalog_tool_count(c), 3); /* it and the built-in ones */
    assert_non_null(strstr(said, "a.toml: line 7: tools[1].name: a tool of this name"));
    assert_non_null(strstr(said, "/c.toml: provider \"a\" is also that of "));
    catalog_unref(c);
}

static void internal_tools_are_found_but_not_listed(void **state)
{
    struct catalog *c;

    (void)state;
    put("manifests/a.toml", PROVIDER("a") "internal = true\n" TOOL("secret", "d"));
    c = load();
    assert_non_null(find(c, "secret"));
    assert_int_equal(catalog_tool_count(c), 2);
    catalog_unref(c);
}

static void an_operators_file_manager_takes_the_place_of_ours(void **state)
{
    struct catalog *c;

    (void)state;
    put("manifests/f.toml", PROVIDER("files") "handler = \"file_manager\"\n");
    c = load();
    assert_int_equal(catalog_provider_count(c), 1);
    assert_string_equal(find(c, "file_manager:upload")->provider->name, "files");
    catalog_unref(c);
}

/* --- cached providers --- */

#define CACHED(name, created, ttl)                                               \
    "{\"name\":\"" name "\",\"provider_type\":\"mcp\",\"created_at\":\"" created \
    "\",\"ttl_seconds\":" ttl "}"

static void cached_providers_expire(void **state)
{
    struct catalog *c;

    (void)state;
    put("cache/providers/young.json", CACHED("young", "2026-11-20T21:59:00Z", "60"));
    put("cache/providers/old.json", CACHED("old", "2026-11-20T21:58:59Z", "60"));
    put("cache/providers/undated.json", CACHED("undated", "long ago", "60"));
    put("cache/providers/broken.json", "{");
    put("cache/providers/other.txt", "{");
    c = load();
    assert_non_null(catalog_provider(c, VIEW("young")));
    assert_true(catalog_provider(c, VIEW("young"))->cached);
    assert_null(catalog_provider(c, VIEW("old")));
    assert_null(catalog_provider(c, VIEW("undated")));
    assert_true(there("cache/providers/young.json"));
    assert_false(there("cache/providers/old.json"));
    assert_false(there("cache/providers/undated.json"));
    assert_true(there("cache/providers/broken.json"));
    assert_non_null(strstr(said, "broken.json"));
    catalog_unref(c);
}

static void permanent_providers_win_over_cached_ones(void **state)
{
    struct catalog *c;

    (void)state;
    put("manifests/x.toml", PROVIDER("x"));
    put("cache/providers/x.json", CACHED("x", "2026-11-20T21:59:00Z", "60"));
    c = load();
    assert_false(catalog_provider(c, VIEW("x"))->cached);
    assert_int_equal(catalog_provider_count(c), 2);
    assert_true(there("cache/providers/x.json"));
    catalog_unref(c);
}

/* --- documents --- */

static struct catalog *load_all(void)
{
    struct catalog *c = NULL;
    struct err err;

    if (!catalog_load(folder, NOW, hear, NULL, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

#define DOCUMENT                                                                                   \
    "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"t\",\"version\":\"1\"},\"paths\":{\"/"           \
    "a\":{\"get\":{"                                                                               \
    "\"operationId\":\"one\",\"responses\":{}},\"post\":{\"operationId\":\"two\",\"responses\":{}" \
    "}},"                                                                                          \
    "\"/b\":{\"get\":{\"operationId\":\"three\",\"responses\":{}}}}}"

static void an_openapi_provider_has_the_tools_of_its_document(void **state)
{
    struct catalog *c;

    (void)state;
    put("specs/x.json", DOCUMENT);
    put("manifests/x.toml",
        PROVIDER("x") "handler = \"openapi\"\nopenapi_spec = \"x.json\"\nopenapi_max_operations = "
                      "2\nopenapi_overrides.two.scope = \"s\"\n" TOOL("x:mine", "not counted"));
    put("manifests/y.toml",
        PROVIDER("y") "handler = \"openapi\"\ninternal = true\nopenapi_spec = \"x.json\"\n"
                      "openapi_overrides.two.scope = \"s\"\n");
    c = load_all();
    assert_int_equal(catalog_provider(c, VIEW("x"))->tool_count, 2);
    assert_string_equal(find(c, "x:one")->scope, "tool:x:one");
    assert_ptr_equal(find(c, "x:one")->provider, catalog_provider(c, VIEW("x")));
    assert_string_equal(find(c, "x:two")->scope, "s");
    assert_null(find(c, "x:three"));
    assert_null(find(c, "x:mine"));
    assert_null(find(c, "y:one")->scope); /* internal */
    assert_string_equal(find(c, "y:two")->scope, "s");
    assert_string_equal(said, "");
    catalog_unref(c);
}

static void a_document_may_have_a_path_of_its_own(void **state)
{
    char manifest[512];
    struct catalog *c;

    (void)state;
    put("elsewhere.json", DOCUMENT);
    (void)snprintf(manifest, sizeof manifest,
                   PROVIDER("x") "handler = \"openapi\"\nopenapi_spec = \"%s/elsewhere.json\"\n",
                   folder);
    put("manifests/x.toml", manifest);
    c = load_all();
    assert_int_equal(catalog_provider(c, VIEW("x"))->tool_count, 3);
    catalog_unref(c);
}

static void a_cached_document_stands_in_its_provider(void **state)
{
    struct catalog *c;

    (void)state;
    put("cache/providers/x.json",
        "{\"name\":\"x\",\"provider_type\":\"openapi\",\"base_url\":\"https://u\",\"created_at\":"
        "\"2026-11-20T21:59:00Z\",\"ttl_seconds\":60,\"spec_content\":"
        "\"openapi: 3.0.0\\ninfo: {title: t, version: '1'}\\npaths:\\n  /a:\\n    get:\\n      "
        "operationId: one\\n      responses: {}\\n\"}");
    c = load_all();
    assert_string_equal(said, "");
    assert_string_equal(find(c, "x:one")->endpoint, "/a");
    catalog_unref(c);
}

static void a_document_that_cannot_be_had_is_a_warning(void **state)
{
    static const struct {
        const char *spec, *said;
    } bad[] = {
        {"none.json", "/x.toml: provider x has no tools: Failed to read spec file "},
        {"https://u/openapi.json", "has no tools: Unsupported spec format: URL specs must be "
                                   "downloaded first with `ati provider "
                                   "import-openapi`. Use a local file path."},
        {"broken.json", "has no tools: "},
    };

    (void)state;
    put("specs/broken.json", "{\"openapi\":");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char manifest[512];
        struct catalog *c;

        (void)snprintf(manifest, sizeof manifest,
                       PROVIDER("x") "handler = \"openapi\"\nopenapi_spec = \"%s\"\n", bad[i].spec);
        put("manifests/x.toml", manifest);
        said[0] = '\0';
        c = load_all();
        assert_int_equal(catalog_provider(c, VIEW("x"))->tool_count, 0);
        if (!strstr(said, bad[i].said))
            fail_msg("wanted %s\ngot    %s", bad[i].said, said);
        catalog_unref(c);
    }
}

static void says_which_tool_of_a_name_counts(void **state)
{
    struct catalog *c;

    (void)state;
    put("manifests/a.toml", PROVIDER("a") TOOL("same", "first"));
    put("manifests/b.toml", PROVIDER("b") TOOL("same", "second"));
    c = load_all();
    assert_non_null(strstr(said, "/a.toml: tool same is also in "));
    assert_non_null(strstr(said, "/b.toml, which counts\n"));
    catalog_unref(c);
}

/* --- names --- */

static void an_underscore_may_stand_for_a_colon(void **state)
{
    struct catalog *c;

    (void)state;
    put("manifests/a.toml", PROVIDER("a") TOOL("git_hub:search_all", "d") TOOL("a_b", "d")
                                TOOL("a:b", "d") TOOL("x:y_z", "d") TOOL("x_y:z", "d"));
    c = load();
    assert_string_equal(resolve(c, "git_hub:search_all")->name, "git_hub:search_all");
    assert_string_equal(resolve(c, "git_hub_search_all")->name, "git_hub:search_all");
    assert_string_equal(resolve(c, "a_b")->name, "a_b"); /* as it is, first */
    assert_string_equal(resolve(c, "a:b")->name, "a:b");
    assert_string_equal(resolve(c, "x_y_z")->name, "x:y_z"); /* the leftmost */
    assert_null(resolve(c, "git_hub_search:all"));           /* one at a time */
    assert_null(resolve(c, ""));
    assert_null(resolve(c, "____"));
    catalog_unref(c);
}

/* --- discoveries --- */

static struct tool *tools_of(const char *first, const char *second, size_t *count)
{
    struct tool *tools = calloc(2, sizeof *tools);

    assert_non_null(tools);
    tools[0].name = strdup(first);
    tools[0].description = strdup("discovered");
    *count = 1;
    if (second) {
        tools[1].name = strdup(second);
        tools[1].description = strdup("discovered");
        *count = 2;
    }
    return tools;
}

static void a_discovery_makes_a_new_catalog(void **state)
{
    struct catalog *one, *two, *three, *four;
    const struct tool_provider *p, *q;
    size_t count;
    struct tool *tools;

    (void)state;
    put("manifests/m.toml", PROVIDER("m") "handler = \"mcp\"\n" TOOL("m:static", "d"));
    put("manifests/n.toml", PROVIDER("n") "handler = \"mcp\"\n");
    one = load();
    p = catalog_provider(one, VIEW("m"));
    q = catalog_provider(one, VIEW("n"));
    tools = tools_of("m:a", "m:b", &count);
    assert_true(catalog_discovered(one, p, tools, count, &two, NULL));
    assert_null(find(one, "m:a"));
    assert_ptr_equal(find(two, "m:a")->provider, p);
    assert_non_null(find(two, "m:static"));
    assert_int_equal(catalog_tool_count(two), catalog_tool_count(one) + 2);
    assert_string_equal(catalog_tool_at(two, 1)->name, "m:a"); /* beside those of its provider */
    tools = tools_of("n:z", NULL, &count);
    assert_true(catalog_discovered(two, q, tools, count, &three, NULL));
    catalog_unref(two);
    assert_non_null(find(three, "m:a"));
    assert_non_null(find(three, "n:z"));
    tools = tools_of("m:c", NULL, &count);
    assert_true(catalog_discovered(three, p, tools, count, &four, NULL));
    catalog_unref(catalog_ref(three));
    assert_non_null(find(three, "m:a"));
    catalog_unref(three);
    catalog_unref(one);
    assert_null(find(four, "m:a"));
    assert_non_null(find(four, "m:c"));
    assert_non_null(find(four, "n:z"));
    assert_ptr_equal(catalog_provider(four, VIEW("m")), p);
    catalog_unref(four);
}

/* --- searching --- */

static struct caller *caller_of(const char *scope)
{
    const struct caller_claims claims = {.subject = VIEW("s"), .scope = view_str(scope)};
    struct caller *c = NULL;

    assert_true(caller_new(&claims, &c, NULL));
    return c;
}

static void search_finds(const struct catalog *c, const struct caller *caller, const char *query,
                         const char *names)
{
    const struct tool *found[20];
    size_t n = catalog_search(c, caller, NOW, view_str(query), found, COUNT_OF(found));
    char got[512] = "";

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "",
                       found[i]->name);
    }
    if (strcmp(got, names) != 0)
        fail_msg("%s: wanted %s\ngot    %s", query, names, got);
}

static void finds_tools_by_words(void **state)
{
    struct caller *all = caller_of("*"), *some = caller_of("tool:gh:*");
    const struct tool *found[1];
    struct catalog *c;

    (void)state;
    put("manifests/a.toml",
        PROVIDER("gh") "category = \"code\"\n" TOOL("gh:search_issues", "Finds issues")
            TOOL("gh:create_issue", "Opens a new ticket") "tags = [\"issues\"]\nhint = \"when a "
                                                          "bug is reported\"\n");
    put("manifests/b.toml", PROVIDER("stocks") TOOL("stocks:quote", "Price of a share")
                                TOOL("weather", "Forecast for a city"));
    c = load();
    /* name 10 beats name 5; provider and description count as well */
    search_finds(c, all, "weather", "weather");
    search_finds(c, all, "WEATHER forecast", "weather");
    /* search_issues: name 5, description 2; create_issue: tag 4 (its name is one word, that sounds like another) */
    search_finds(c, all, "issues", "gh:search_issues gh:create_issue");
    search_finds(c, all, "issue", "gh:create_issue gh:search_issues"); /* 9 and 7 */
    search_finds(c, all, "code", "gh:search_issues gh:create_issue");
    search_finds(c, all, "bug", "gh:create_issue");
    /* slips of the finger */
    search_finds(c, all, "wether", "weather");
    search_finds(c, all, "forcast", "weather");
    search_finds(c, all, "pri", "stocks:quote"); /* part of a word */
    search_finds(c, all, "prx", "");             /* too short to be a slip */
    /* stop words do not count, the others must hit for one half at least */
    search_finds(c, all, "what is the price of a share", "stocks:quote");
    search_finds(c, all, "share nonsense", "stocks:quote");
    search_finds(c, all, "share nonsense blabla", "");
    search_finds(c, all, "", "");
    search_finds(c, all, "a", "");
    search_finds(c, all, "what is the", "");
    /* only what the caller may call */
    search_finds(c, some, "weather", "");
    search_finds(c, some, "issues", "gh:search_issues gh:create_issue");
    assert_int_equal(catalog_search(c, all, NOW, VIEW("issues"), found, 1), 1);
    assert_string_equal(found[0]->name, "gh:search_issues");
    assert_int_equal(catalog_search(c, all, NOW, VIEW("issues"), found, 0), 0);
    catalog_unref(c);
    caller_unref(all);
    caller_unref(some);
}

static void suggests_tools_of_the_same_provider(void **state)
{
    struct caller *all = caller_of("*"), *some = caller_of("tool:gh:list");
    const struct tool *found[2], *three[3];
    struct catalog *c;

    (void)state;
    put("manifests/a.toml", PROVIDER("gh") TOOL("gh:list", "d") TOOL("gh:search_repositories", "d")
                                TOOL("gh:merge", "d"));
    put("manifests/b.toml", PROVIDER("hidden") "internal = true\n" TOOL("hidden:x", "d"));
    c = load();
    assert_int_equal(catalog_suggest(c, all, NOW, VIEW("gh:search_repos"), found, 2), 2);
    assert_string_equal(found[0]->name, "gh:search_repositories");
    assert_int_equal(catalog_suggest(c, all, NOW, VIEW("gh:search_repos"), three, 3), 3);
    assert_string_equal(three[0]->name, "gh:list"); /* all that there are, in their own order */
    assert_int_equal(catalog_suggest(c, some, NOW, VIEW("gh:search_repos"), found, 2), 1);
    assert_string_equal(found[0]->name, "gh:list");
    assert_int_equal(catalog_suggest(c, all, NOW, VIEW("gl:list"), found, 2), 0);
    assert_int_equal(catalog_suggest(c, all, NOW, VIEW("gh"), three, 3), 3);
    assert_int_equal(catalog_suggest(c, all, NOW, VIEW("g"), found, 2), 0);
    assert_int_equal(catalog_suggest(c, all, NOW, VIEW("hidden:y"), found, 2), 0);
    catalog_unref(c);
    caller_unref(all);
    caller_unref(some);
}

/* Pairs and values of Winkler, "String Comparator Metrics" (1990), and their like. */
static void words_sound_as_they_should(void **state)
{
    static const struct {
        const char *a, *b;
        double sound;
    } pairs[] = {
        {"martha", "marhta", 0.9611},
        {"dwayne", "duane", 0.84},
        {"dixon", "dicksonx", 0.8133},
        {"abc", "abc", 1},
        {"ABC", "abc", 1},
        {"abc", "xyz", 0},
        {"", "", 1},
        {"a", "", 0},
        {"ab", "ba", 0},
        {"jones", "johnson", 0.8324},
        {"a", "a", 1},
        {"crate", "trace", 0.7333},
    };
    char much[200];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        double one = catalog_sound(view_str(pairs[i].a), view_str(pairs[i].b)),
               other = catalog_sound(view_str(pairs[i].b), view_str(pairs[i].a));

        if (one < pairs[i].sound - 0.0001 || one > pairs[i].sound + 0.0001)
            fail_msg("%s %s: %f", pairs[i].a, pairs[i].b, one);
        assert_true(one - other < 1e-9 && other - one < 1e-9);
    }
    memset(much, 'a', sizeof much);
    assert_true(catalog_sound(view_from(much, sizeof much), view_from(much, 100)) > 0.99);
}

/* The short cut says what the long way says, of a hundred thousand pairs of words. */
static void the_short_cut_leads_to_the_same(void **state)
{
    static const double leasts[] = {0.5, 0.7, 0.85, 0.95};
    unsigned seed = 1, alike = 0;

    (void)state;
    for (unsigned n = 0; n < 100000; n++) {
        char words[2][12];
        size_t lengths[2];

        for (unsigned w = 0; w < 2; w++) {
            seed = seed * 1103515245 + 12345;
            lengths[w] = seed >> 16 & 7;
            for (size_t i = 0; i < lengths[w]; i++) {
                seed = seed * 1103515245 + 12345;
                words[w][i] = (char)('a' + (seed >> 16) % 5);
            }
        }
        for (size_t i = 0; i < COUNT_OF(leasts); i++) {
            struct view a = view_from(words[0], lengths[0]), b = view_from(words[1], lengths[1]);
            bool want = catalog_sound(a, b) >= leasts[i];

            alike += want;
            if (catalog_alike(a, b, leasts[i]) != want)
                fail_msg("%.*s %.*s %f", VIEW_ARG(a), VIEW_ARG(b), leasts[i]);
        }
    }
    assert_true(alike > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(only_the_built_in_tools_are_in_an_empty_folder),
        TEST(a_missing_folder_is_an_error),
        TEST(one_broken_file_stops_the_load),
        TEST(files_are_loaded_in_the_order_of_their_names),
        TEST(of_equal_names_the_last_counts),
        TEST(internal_tools_are_found_but_not_listed),
        TEST(an_operators_file_manager_takes_the_place_of_ours),
        TEST(cached_providers_expire),
        TEST(permanent_providers_win_over_cached_ones),
        TEST(an_openapi_provider_has_the_tools_of_its_document),
        TEST(a_document_may_have_a_path_of_its_own),
        TEST(a_cached_document_stands_in_its_provider),
        TEST(a_document_that_cannot_be_had_is_a_warning),
        TEST(says_which_tool_of_a_name_counts),
        TEST(an_underscore_may_stand_for_a_colon),
        TEST(a_discovery_makes_a_new_catalog),
        TEST(finds_tools_by_words),
        TEST(suggests_tools_of_the_same_provider),
        cmocka_unit_test(words_sound_as_they_should),
        cmocka_unit_test(the_short_cut_leads_to_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
