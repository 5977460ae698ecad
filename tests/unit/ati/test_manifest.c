/* Manifests: every field with its default, every mistake with its place. */
#include "unit/base/unit.h"

#include "ati/manifest/manifest.h"

#define NAME "m/x.toml"
#define HEAD "[provider]\nname = \"x\"\ndescription = \"d\"\n" /* three lines */

struct said {
    char text[4096];
    unsigned count;
};

static void hear(void *context, const char *text)
{
    struct said *s = context;
    size_t n = strlen(s->text);

    (void)snprintf(s->text + n, sizeof s->text - n, "%s\n", text);
    s->count++;
}

static struct tool_provider *parse(const char *toml, struct said *said)
{
    struct tool_provider *p = NULL;
    struct view text = block(view_str(toml));
    struct err err;

    if (!manifest_parse(text, NAME, said ? hear : NULL, said, &p, &err))
        fail_msg("%s: %s", toml, err.text);
    block_free(text);
    return p;
}

static void the_least_manifest_has_every_default(void **state)
{
    struct said said = {0};
    struct tool_provider *p = parse(HEAD, &said);

    (void)state;
    assert_string_equal(p->name, "x");
    assert_string_equal(p->description, "d");
    assert_int_equal(p->handler, HANDLER_HTTP);
    assert_string_equal(p->base_url, "");
    assert_int_equal(p->auth, AUTH_NONE);
    assert_null(p->auth_key_name);
    assert_null(p->auth_header_name);
    assert_null(p->auth_query_name);
    assert_null(p->auth_value_prefix);
    assert_null(p->auth_secret_name);
    assert_null(p->oauth2_token_url);
    assert_false(p->oauth2_basic_auth);
    assert_int_equal(p->extra_headers.count, 0);
    assert_false(p->internal);
    assert_false(p->private_network);
    assert_null(p->category);
    assert_int_equal(p->skills.count, 0);
    assert_null(p->generator);
    assert_string_equal(p->mcp_transport, "stdio");
    assert_false(p->mcp_http);
    assert_null(p->mcp_command);
    assert_null(p->mcp_url);
    assert_null(p->cli_command);
    assert_int_equal(p->cli_timeout_s, 120);
    assert_int_equal(p->openapi_max_operations, 0);
    assert_null(p->openapi_spec);
    assert_true(p->passthrough.strip_prefix);
    assert_false(p->passthrough.forward_websockets);
    assert_int_equal(p->passthrough.connect_timeout_s, 5);
    assert_int_equal(p->passthrough.read_timeout_s, 300);
    assert_int_equal(p->passthrough.idle_timeout_s, 60);
    assert_int_equal(p->passthrough.max_request_bytes, 104857600);
    assert_int_equal(p->passthrough.max_response_bytes, 524288000);
    assert_int_equal(p->tool_count, 0);
    assert_string_equal(p->path, NAME);
    assert_false(p->cached);
    assert_int_equal(said.count, 0);
    tool_provider_unref(p);
}

static void reads_every_field_of_a_web_provider(void **state)
{
    static const char toml[] =
        HEAD "handler = \"http\"\nbase_url = \"https://api.example.com/v1//\"\nauth_type = "
             "\"oauth2\"\nauth_key_name = \"id\"\nauth_header_name = \"X-Key\"\nauth_query_name = "
             "\"k\"\nauth_value_prefix = \"Token \"\nauth_secret_name = \"secret\"\n"
             "oauth2_token_url = \"/token\"\noauth2_basic_auth = true\ninternal = false\n"
             "private_network = true\ncategory = \"c\"\nskills = [\"one\", \"two\"]\n"
             "[provider.extra_headers]\nX-B = \"2\"\n\"X-A\" = \"1\"\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);

    (void)state;
    assert_string_equal(p->base_url, "https://api.example.com/v1");
    assert_int_equal(p->auth, AUTH_OAUTH2);
    assert_string_equal(p->auth_key_name, "id");
    assert_string_equal(p->auth_header_name, "X-Key");
    assert_string_equal(p->auth_query_name, "k");
    assert_string_equal(p->auth_value_prefix, "Token ");
    assert_string_equal(p->auth_secret_name, "secret");
    assert_string_equal(p->oauth2_token_url, "/token");
    assert_true(p->oauth2_basic_auth);
    assert_true(p->private_network);
    assert_string_equal(p->category, "c");
    assert_int_equal(p->skills.count, 2);
    assert_string_equal(p->skills.at[1], "two");
    assert_int_equal(p->extra_headers.count, 2);
    assert_string_equal(p->extra_headers.at[0].name, "X-B");
    assert_string_equal(p->extra_headers.at[1].value, "1");
    assert_string_equal(said.text, "");
    tool_provider_unref(p);
}

static void reads_every_field_of_an_mcp_provider(void **state)
{
    static const char toml[] =
        HEAD "handler = \"mcp\"\nmcp_transport = \"http\"\nmcp_command = \"npx\"\nmcp_args = "
             "[\"-y\", \"server\"]\nmcp_url = \"https://mcp.example.com/${key}\"\nmcp_env = { A = "
             "\"${a}\" }\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);

    (void)state;
    assert_int_equal(p->handler, HANDLER_MCP);
    assert_true(p->mcp_http);
    assert_string_equal(p->mcp_command, "npx");
    assert_int_equal(p->mcp_args.count, 2);
    assert_string_equal(p->mcp_url, "https://mcp.example.com/${key}");
    assert_string_equal(p->mcp_env.at[0].value, "${a}");
    assert_int_equal(p->tool_count, 0);
    assert_string_equal(said.text, "");
    tool_provider_unref(p);
}

static void a_cli_provider_is_a_tool_itself(void **state)
{
    static const char toml[] =
        HEAD "handler = \"cli\"\ncli_command = \"gh\"\ncli_default_args = [\"--json\"]\n"
             "cli_timeout_secs = 7\ncli_output_args = [\"-o\"]\n[provider.cli_env]\nT = \"@{t}\"\n"
             "[provider.cli_output_positional]\n\"image make\" = 1\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);

    (void)state;
    assert_string_equal(p->cli_command, "gh");
    assert_string_equal(p->cli_default_args.at[0], "--json");
    assert_int_equal(p->cli_timeout_s, 7);
    assert_string_equal(p->cli_output_args.at[0], "-o");
    assert_string_equal(p->cli_env.at[0].name, "T");
    assert_int_equal(p->cli_output_positional_count, 1);
    assert_string_equal(p->cli_output_positional[0].words, "image make");
    assert_int_equal(p->cli_output_positional[0].index, 1);
    assert_int_equal(p->tool_count, 1);
    assert_string_equal(p->tools[0].name, "x");
    assert_string_equal(p->tools[0].description, "d");
    assert_string_equal(p->tools[0].scope, "tool:x");
    assert_ptr_equal(p->tools[0].provider, p);
    assert_string_equal(said.text, "");
    tool_provider_unref(p);
}

static void reads_every_field_of_an_openapi_provider(void **state)
{
    static const char toml[] =
        HEAD "handler = \"openapi\"\nopenapi_spec = \"x.json\"\nopenapi_include_tags = [\"a\"]\n"
             "openapi_exclude_tags = [\"b\"]\nopenapi_include_operations = [\"c\"]\n"
             "openapi_exclude_operations = [\"d\"]\nopenapi_max_operations = 9\n"
             "[provider.openapi_overrides.\"get/x\"]\nhint = \"h\"\ntags = [\"t\"]\nexamples = "
             "[\"e\"]\ndescription = \"dd\"\nscope = \"s\"\nresponse_extract = \"$.a\"\n"
             "response_format = \"json\"\n[[tools]]\nname = \"mine\"\ndescription = \"not "
             "counted\"\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);
    const struct openapi_override *o = p->openapi_overrides;

    (void)state;
    assert_string_equal(p->openapi_spec, "x.json");
    assert_string_equal(p->openapi_include_tags.at[0], "a");
    assert_string_equal(p->openapi_exclude_tags.at[0], "b");
    assert_string_equal(p->openapi_include_operations.at[0], "c");
    assert_string_equal(p->openapi_exclude_operations.at[0], "d");
    assert_int_equal(p->openapi_max_operations, 9);
    assert_int_equal(p->openapi_override_count, 1);
    assert_string_equal(o->operation, "get/x");
    assert_string_equal(o->hint, "h");
    assert_string_equal(o->tags.at[0], "t");
    assert_string_equal(o->examples.at[0], "e");
    assert_string_equal(o->description, "dd");
    assert_string_equal(o->scope, "s");
    assert_string_equal(o->extract, "$.a");
    assert_string_equal(o->format, "json");
    assert_int_equal(p->tool_count, 0); /* they come from the document alone */
    assert_string_equal(said.text, "");
    tool_provider_unref(p);
}

static void reads_a_generator(void **state)
{
    static const char toml[] =
        HEAD "[provider.auth_generator]\ntype = \"script\"\ninterpreter = \"bash\"\nscript = "
             "\"\"\"\necho hi\n\"\"\"\ncache_ttl_secs = 60\noutput_format = \"json\"\n"
             "env = { A = \"${a}\" }\ninject.\"data.token\" = { type = \"header\", name = \"X-T\" "
             "}\n[provider.auth_generator.inject.region]\ntype = \"env\"\nname = \"REGION\"\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);
    const struct generator *g = p->generator;

    (void)state;
    assert_true(g->script);
    assert_string_equal(g->interpreter, "bash");
    assert_string_equal(g->text, "echo hi\n");
    assert_int_equal(g->cache_ttl_s, 60);
    assert_int_equal(g->timeout_s, 30);
    assert_true(g->json);
    assert_string_equal(g->environment.at[0].value, "${a}");
    assert_int_equal(g->inject_count, 2);
    assert_string_equal(g->injects[0].path, "data.token");
    assert_int_equal(g->injects[0].place, GENERATOR_HEADER);
    assert_string_equal(g->injects[0].name, "X-T");
    assert_int_equal(g->injects[1].place, GENERATOR_ENV);
    assert_string_equal(said.text, "");
    tool_provider_unref(p);

    p = parse(HEAD "auth_generator = { type = \"command\", command = \"c\", args = [\"a\"] }\n",
              NULL);
    assert_false(p->generator->script);
    assert_string_equal(p->generator->command, "c");
    assert_string_equal(p->generator->arguments.at[0], "a");
    assert_int_equal(p->generator->cache_ttl_s, 0);
    assert_false(p->generator->json);
    tool_provider_unref(p);
}

static void a_file_manager_without_tools_gets_the_two(void **state)
{
    static const char toml[] =
        HEAD "handler = \"file_manager\"\nupload_default_destination = \"b\"\n"
             "[provider.upload_destinations.a]\nkind = \"gcs\"\nbucket = \"bb\"\nprefix = \"pp\"\n"
             "key_ref = \"kk\"\n[provider.upload_destinations.b]\nkind = \"fal_storage\"\nendpoint "
             "= \"https://e\"\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);

    (void)state;
    assert_int_equal(p->upload_destination_count, 2);
    assert_string_equal(p->upload_destinations[0].key, "a");
    assert_string_equal(p->upload_destinations[0].bucket, "bb");
    assert_string_equal(p->upload_destinations[0].prefix, "pp");
    assert_string_equal(p->upload_destinations[0].key_ref, "kk");
    assert_string_equal(p->upload_destinations[1].endpoint, "https://e");
    assert_null(p->upload_destinations[1].bucket);
    assert_int_equal(p->tool_count, 2);
    assert_string_equal(p->tools[0].name, "file_manager:download");
    assert_string_equal(p->tools[1].scope, "tool:file_manager:upload");
    assert_int_equal(p->tools[1].method, METHOD_POST);
    assert_string_equal(said.text, "");
    tool_provider_unref(p);

    p = parse(HEAD "handler = \"file_manager\"\n[[tools]]\nname = \"t\"\ndescription = \"d\"\n",
              NULL);
    assert_int_equal(p->tool_count, 1);
    assert_string_equal(p->tools[0].name, "t");
    tool_provider_unref(p);
}

static void reads_every_field_of_a_passthrough_provider(void **state)
{
    static const char toml[] =
        HEAD "handler = \"passthrough\"\nbase_url = \"https://u/\"\nhost_match = \"h\"\n"
             "path_prefix = \"/p//\"\nstrip_prefix = false\npath_replace = [\"/a\", \"/b\"]\n"
             "host_override = \"o\"\nforward_websockets = true\ndeny_paths = [\"/x/*\"]\n"
             "forward_authorization_paths = [\"/y\"]\nconnect_timeout_seconds = 1\n"
             "read_timeout_seconds = 2\nidle_timeout_seconds = 3\nmax_request_bytes = 4\n"
             "max_response_bytes = 0\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);

    (void)state;
    assert_string_equal(p->base_url, "https://u");
    assert_string_equal(p->passthrough.host_match, "h");
    assert_string_equal(p->passthrough.path_prefix, "/p");
    assert_false(p->passthrough.strip_prefix);
    assert_string_equal(p->passthrough.replace_from, "/a");
    assert_string_equal(p->passthrough.replace_to, "/b");
    assert_string_equal(p->passthrough.host_override, "o");
    assert_true(p->passthrough.forward_websockets);
    assert_string_equal(p->passthrough.deny_paths.at[0], "/x/*");
    assert_string_equal(p->passthrough.forward_authorization_paths.at[0], "/y");
    assert_int_equal(p->passthrough.connect_timeout_s, 1);
    assert_int_equal(p->passthrough.read_timeout_s, 2);
    assert_int_equal(p->passthrough.idle_timeout_s, 3);
    assert_int_equal(p->passthrough.max_request_bytes, 4);
    assert_int_equal(p->passthrough.max_response_bytes, 0);
    assert_string_equal(said.text, "");
    tool_provider_unref(p);
    p = parse(HEAD "handler = \"passthrough\"\nbase_url = \"https://u\"\npath_prefix = \"/\"\n",
              NULL);
    assert_string_equal(p->passthrough.path_prefix, "/");
    tool_provider_unref(p);
}

static void reads_every_field_of_a_tool(void **state)
{
    static const char toml[] =
        HEAD "[[tools]]\nname = \"x:a\"\ndescription = \"da\"\nendpoint = \"/a/{id}\"\nmethod = "
             "\"DELETE\"\nscope = \"s\"\ntags = [\"t\"]\nexamples = [\"e\"]\nhint = \"h\"\n"
             "[tools.response]\nextract = \"$.r\"\nformat = \"markdown_table\"\n"
             "[tools.input_schema]\ntype = \"object\"\nrequired = [\"z\"]\n"
             "[tools.input_schema.properties]\nz = { type = \"string\", default = 1.0 }\na = { "
             "type = \"integer\", default = 5 }\n[[tools]]\nname = \"x:b\"\ndescription = "
             "\"db\"\n";
    struct said said = {0};
    struct tool_provider *p = parse(toml, &said);

    (void)state;
    assert_int_equal(p->tool_count, 2);
    assert_string_equal(p->tools[0].name, "x:a");
    assert_string_equal(p->tools[0].description, "da");
    assert_string_equal(p->tools[0].endpoint, "/a/{id}");
    assert_int_equal(p->tools[0].method, METHOD_DELETE);
    assert_string_equal(p->tools[0].scope, "s");
    assert_string_equal(p->tools[0].tags.at[0], "t");
    assert_string_equal(p->tools[0].examples.at[0], "e");
    assert_string_equal(p->tools[0].hint, "h");
    assert_string_equal(p->tools[0].extract, "$.r");
    assert_int_equal(p->tools[0].format, FORMAT_MARKDOWN_TABLE);
    assert_string_equal(p->tools[0].schema,
                        "{\"type\":\"object\",\"required\":[\"z\"],\"properties\":{\"z\":{\"type\":"
                        "\"string\",\"default\":1.0},\"a\":{\"type\":\"integer\",\"default\":5}}}");
    assert_string_equal(p->tools[1].endpoint, "");
    assert_int_equal(p->tools[1].method, METHOD_GET);
    assert_string_equal(p->tools[1].scope, "tool:x:b");
    assert_null(p->tools[1].schema);
    assert_null(p->tools[1].extract);
    assert_null(p->tools[1].hint);
    assert_int_equal(p->tools[1].format, FORMAT_TEXT);
    assert_string_equal(said.text, "");
    tool_provider_unref(p);
}

static void knows_methods_in_three_spellings(void **state)
{
    static const struct {
        const char *spelling;
        enum tool_method method;
    } good[] = {
        {"GET", METHOD_GET},       {"get", METHOD_GET},       {"Get", METHOD_GET},
        {"POST", METHOD_POST},     {"post", METHOD_POST},     {"Post", METHOD_POST},
        {"PUT", METHOD_PUT},       {"put", METHOD_PUT},       {"Put", METHOD_PUT},
        {"Delete", METHOD_DELETE}, {"delete", METHOD_DELETE}, {"patch", METHOD_PATCH},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        char toml[200];
        struct tool_provider *p;

        (void)snprintf(toml, sizeof toml,
                       HEAD "[[tools]]\nname = \"t\"\ndescription = \"d\"\nmethod = \"%s\"\n",
                       good[i].spelling);
        p = parse(toml, NULL);
        assert_int_equal(p->tools[0].method, good[i].method);
        tool_provider_unref(p);
    }
    assert_string_equal(tool_method_name(METHOD_DELETE), "DELETE");
    assert_string_equal(tool_method_capitalised(METHOD_GET), "Get");
}

static void internal_tools_have_no_scope(void **state)
{
    struct tool_provider *p =
        parse(HEAD "internal = true\n[[tools]]\nname = \"t\"\ndescription = \"d\"\n[[tools]]\nname "
                   "= \"u\"\ndescription = \"d\"\nscope = \"s\"\n",
              NULL);

    (void)state;
    assert_null(p->tools[0].scope);
    assert_string_equal(p->tools[1].scope, "s");
    tool_provider_unref(p);
}

static void refuses_mistakes_with_file_line_and_field(void **state)
{
#define PARSE   "Failed to parse manifest " NAME ": "
#define INVALID "Manifest " NAME " is invalid: "
#define TOOL    HEAD "[[tools]]\nname = \"t\"\ndescription = \"d\"\n" /* six lines */
#define PASS    HEAD "handler = \"passthrough\"\n"
    static const struct {
        const char *toml, *text;
    } bad[] = {
        {"", PARSE "line 1: provider: is missing: a manifest begins with a [provider] table"},
        {"x = \n", PARSE "line 1: "},
        {"provider = 1", PARSE "line 1: provider: must be a table, not a number"},
        {"[provider]\ndescription = \"d\"",
         PARSE "line 1: provider.name: is missing: every provider has one"},
        {"[provider]\nname = \"n\"", PARSE "line 1: provider.description: is missing"},
        {"[provider]\nname = 7\ndescription = \"d\"",
         PARSE "line 2: provider.name: must be a text: put quotes around 7"},
        {HEAD "handler = true", PARSE "line 4: provider.handler: must be a text, one of: http"},
        {HEAD "auth_type = \"baerer\"",
         PARSE "line 4: provider.auth_type: \"baerer\" is none of: none, bearer, header, query, "
               "basic, oauth2, url; did you mean bearer?"},
        {HEAD "auth_type = \"Bearer\"", PARSE "line 4: provider.auth_type: \"Bearer\" is none of"},
        {HEAD "auth_type = 1", PARSE "line 4: provider.auth_type: \"1\" is none of"},
        {HEAD "\ninternal = \"yes\"",
         PARSE "line 5: provider.internal: must be true or false, not a text"},
        {HEAD "cli_timeout_secs = -1",
         PARSE "line 4: provider.cli_timeout_secs: must be a whole number that is not negative"},
        {HEAD "cli_timeout_secs = 1.5", PARSE "line 4: provider.cli_timeout_secs: must be a whole"},
        {HEAD "cli_timeout_secs = \"9\"",
         PARSE "line 4: provider.cli_timeout_secs: must be a whole"},
        {HEAD "skills = \"one\"",
         PARSE "line 4: provider.skills: must be an array of texts: put [ ] around it"},
        {HEAD "skills = {}",
         PARSE "line 4: provider.skills: must be an array of texts, not a table"},
        {HEAD "skills = [\n\"one\",\n2]",
         PARSE "line 6: provider.skills[1]: must be a text: put quotes around 2"},
        {HEAD "extra_headers = []",
         PARSE "line 4: provider.extra_headers: must be a table of texts, not an array"},
        {HEAD "[provider.mcp_env]\nPORT = 80",
         PARSE "line 5: provider.mcp_env.PORT: must be a text: put quotes around 80"},
        {HEAD "[provider.mcp_env]\nA.B = \"x\"",
         PARSE "line 5: provider.mcp_env.A: must be a text, not a table"},
        {HEAD "cli_output_positional = { \"a b\" = \"1\" }",
         PARSE "line 4: provider.cli_output_positional.a b: must be a whole number"},
        {HEAD "cli_output_positional = 1",
         PARSE "line 4: provider.cli_output_positional: must be a table, not a number"},
        /* generators */
        {HEAD "auth_generator = 1", PARSE "line 4: provider.auth_generator: must be a table"},
        {HEAD "[provider.auth_generator]\ncommand = \"x\"",
         PARSE "line 4: provider.auth_generator.type: is missing: command or script"},
        {HEAD "[provider.auth_generator]\ntype = \"shell\"",
         PARSE "line 5: provider.auth_generator.type: \"shell\" is none of: command, script"},
        {HEAD "[provider.auth_generator]\ntype = \"command\"",
         PARSE "line 4: provider.auth_generator.command: is missing"},
        {HEAD "[provider.auth_generator]\ntype = \"script\"\nscript = \"x\"",
         PARSE "line 4: provider.auth_generator.interpreter: is missing"},
        {HEAD "[provider.auth_generator]\ntype = \"script\"\ninterpreter = \"sh\"",
         PARSE "line 4: provider.auth_generator.script: is missing"},
        {HEAD "[provider.auth_generator]\ntype = \"command\"\ncommand = \"c\"\noutput_format = "
              "\"xml\"",
         PARSE "line 7: provider.auth_generator.output_format: \"xml\" is none of: text, json"},
        {HEAD "[provider.auth_generator]\ntype = \"command\"\ncommand = \"c\"\ninject.a.b = { type "
              "= \"header\", name = \"X\" }",
         PARSE "line 7: provider.auth_generator.inject.a.type: is missing: \"header\", \"env\" or "
               "\"query\" (a path of several names is one quoted key: inject.\"data.token\")"},
        {HEAD "[provider.auth_generator]\ntype = \"command\"\ncommand = \"c\"\ninject.a = { type = "
              "\"header\" }",
         PARSE "line 7: provider.auth_generator.inject.a.name: is missing"},
        /* destinations */
        {HEAD "[provider.upload_destinations.d]\nbucket = \"b\"",
         PARSE "line 4: provider.upload_destinations.d.kind: is missing: gcs or fal_storage"},
        {HEAD "[provider.upload_destinations.d]\nkind = \"s3\"",
         PARSE "line 5: provider.upload_destinations.d.kind: \"s3\" is none of: gcs, fal_storage"},
        {HEAD "[provider.upload_destinations.d]\nkind = \"gcs\"",
         PARSE "line 4: provider.upload_destinations.d.bucket: is missing"},
        {HEAD "upload_destinations = { d = 1 }",
         PARSE "line 4: provider.upload_destinations.d: must be a table, not a number"},
        {HEAD "handler = \"file_manager\"\nupload_default_destination = \"d\"",
         INVALID "upload_default_destination 'd' is not present in "
                 "[provider.upload_destinations]"},
        /* overrides */
        {HEAD "openapi_overrides.x = 1",
         PARSE "line 4: provider.openapi_overrides.x: must be a table, not a number"},
        {HEAD "openapi_overrides.\"get/x\".tags = \"t\"",
         PARSE "line 4: provider.openapi_overrides.get/x.tags: must be an array of texts"},
        {HEAD "openapi_overrides.x.response_format = \"csv\"",
         PARSE "line 4: provider.openapi_overrides.x.response_format: \"csv\" is none of"},
        /* passthrough, in its order */
        {PASS, INVALID "passthrough provider requires non-empty base_url"},
        {PASS "base_url = \"https://u\"",
         INVALID "passthrough provider requires at least one of host_match or path_prefix"},
        {PASS "base_url = \"https://u\"\npath_prefix = \"p\"\nhost_match = \"\"",
         INVALID "passthrough path_prefix must start with '/' (got: 'p')"},
        {PASS "base_url = \"https://u\"\npath_prefix = \"\"",
         INVALID "passthrough path_prefix must start with '/' (got: '')"},
        {PASS "base_url = \"ftp://u\"\nforward_websockets = true\nhost_match = \"\"",
         INVALID "passthrough host_match must be non-empty when set"},
        {PASS "base_url = \"ftp://u\"\nforward_websockets = true\nhost_match = \"h\"\npath_replace "
              "= [\"a\", \"b\"]",
         INVALID "forward_websockets requires base_url to use http:// or https:// (proxy derives "
                 "ws/wss automatically); got: ftp://u"},
        {PASS "base_url = \"https://u\"\nhost_match = \"h\"\npath_replace = [\"a\", \"b\"]",
         INVALID "passthrough path_replace source must start with '/' (got: 'a')"},
        {PASS "path_replace = [\"/a\"]",
         PARSE "line 5: provider.path_replace: must be two texts: [\"/from\", \"/to\"]"},
        /* tools */
        {HEAD "[tools]\nname = \"t\"",
         PARSE "line 4: tools: must be an array of tables: [[tools]], not [tools]"},
        {HEAD "[[tools]]\ndescription = \"d\"", PARSE "line 4: tools[0].name: is missing"},
        {TOOL "[[tools]]\nname = \"u\"", PARSE "line 7: tools[1].description: is missing"},
        {TOOL "method = \"FETCH\"",
         PARSE "line 7: tools[0].method: \"FETCH\" is none of: GET, POST, PUT, DELETE, PATCH"},
        {TOOL "method = \"gEt\"", PARSE "line 7: tools[0].method: \"gEt\" is none of"},
        {TOOL "input_schema = \"{}\"",
         PARSE "line 7: tools[0].input_schema: must be a table: a JSON Schema, written as TOML"},
        {TOOL "response = \"$.a\"", PARSE "line 7: tools[0].response: must be a table, not a text"},
        {TOOL "[tools.response]\nextract = 1",
         PARSE "line 8: tools[0].response.extract: must be a text"},
        {TOOL "[tools.response]\nformat = \"xml\"",
         PARSE "line 8: tools[0].response.format: \"xml\" is none of: text, json, markdown_table"},
        {"tools = [1]\n" HEAD, PARSE "line 1: tools[0]: must be a table, not a number"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct view toml = block(view_str(bad[i].toml));
        struct tool_provider *p = NULL;
        struct err err = {0};

        if (manifest_parse(toml, NAME, NULL, NULL, &p, &err))
            fail_msg("taken: %s", bad[i].toml);
        if (strncmp(err.text, bad[i].text, strlen(bad[i].text)) != 0)
            fail_msg("wanted %s\ngot    %s", bad[i].text, err.text);
        if (strstr(bad[i].text, INVALID) && strcmp(err.text, bad[i].text) != 0)
            fail_msg("wanted %s\ngot    %s", bad[i].text, err.text);
        block_free(toml);
    }
}

static void warns_of_what_is_odd(void **state)
{
    static const struct {
        const char *toml, *said; /* all of it */
    } odd[] = {
        {HEAD "tags = [\"t\"]\n", NAME ": line 4: provider.tags: unknown field, ignored\n"},
        {HEAD "descripton = \"d\"\n",
         NAME ": line 4: provider.descripton: unknown field, ignored; did you mean description?\n"},
        {HEAD "bas_url = \"d\"\n",
         NAME ": line 4: provider.bas_url: unknown field, ignored; did you mean base_url?\n"},
        {"[provider]\nname = \"x\"\ndescription = \"\"\n",
         NAME ": line 1: provider.description: is empty\n"},
        {HEAD "[[tools]]\nname = \"t\"\ndescription = \"\"\n",
         NAME ": line 4: tools[0].description: is empty: it is what a model chooses by\n"},
        {HEAD "[tool]\nname = \"x\"\n",
         NAME ": line 4: tool: unknown table, ignored; did you mean tools?\n"},
        {TOOL "input-schema = {}\n",
         NAME ": line 7: tools[0].input-schema: unknown field, ignored; did you mean "
              "input_schema?\n"},
        {TOOL "[tools.response]\nextrakt = \"$\"\n",
         NAME ": line 8: tools[0].response.extrakt: unknown field, ignored; did you mean "
              "extract?\n"},
        {TOOL "scope = \"\"\n",
         NAME ": line 7: tools[0].scope: empty: anybody may call this tool\n"},
        {TOOL "[[tools]]\nname = \"t\"\ndescription = \"again\"\n",
         NAME ": line 7: tools[1].name: a tool of this name stands above; the last one counts\n"},
        {HEAD "handler = \"htp\"\n",
         NAME ": line 4: provider.handler: \"htp\" is none, and treated as http; did you mean "
              "http?\n"},
        {"[provider]\nname = \"\"\ndescription = \"d\"\n",
         NAME ": line 1: provider.name: is empty\n"},
        {HEAD "mcp_url = \"https://u\"\n",
         NAME ": line 4: provider.mcp_url: means nothing to handler \"http\"\n"},
        {"[provider]\nmcp_transport = \"sse\"\nname = \"x\"\ndescription = \"d\"\nhandler = "
         "\"mcp\"\n",
         NAME ": line 2: provider.mcp_transport: \"sse\" is neither stdio nor http: calls fail\n"},
        {HEAD "auth_generator = { type = \"command\", command = \"c\", inject.a = { type = "
              "\"body\", name = \"n\" } }\n",
         NAME ": line 4: provider.auth_generator.inject.a.type: \"body\" is none of header, env, "
              "query; the value is the credential itself\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        struct said said = {0};

        tool_provider_unref(parse(odd[i].toml, &said));
        if (strcmp(said.text, odd[i].said) != 0)
            fail_msg("wanted %s\ngot    %s", odd[i].said, said.text);
    }
}

/* --- cached providers --- */

#define CACHED                                                                                 \
    "\"provider_type\":\"mcp\",\"name\":\"c\",\"created_at\":\"2026-11-20T22:00:00.5+00:00\"," \
    "\"ttl_seconds\":60"

static void reads_a_cached_provider(void **state)
{
    static const char openapi[] =
        "{\"name\":\"p\",\"provider_type\":\"openapi\",\"base_url\":\"https://u/\",\"auth_type\":"
        "\"header\",\"auth_key_name\":\"k\",\"auth_header_name\":\"H\",\"auth_query_name\":null,"
        "\"spec_content\":\"{\\\"openapi\\\":\\\"3.0.0\\\"}\",\"mcp_transport\":null,\"mcp_args\":"
        "[],\"mcp_env\":{},\"cli_timeout_secs\":null,\"auth\":null,\"skills\":[],\"created_at\":"
        "\"2026-11-20T22:00:00Z\",\"ttl_seconds\":3600,\"future\":1}";
    static const char mcp[] =
        "{" CACHED ",\"mcp_transport\":\"http\",\"mcp_url\":\"https://m\",\"mcp_args\":[\"a\"],"
        "\"mcp_env\":{\"A\":\"${a}\"}}";
    struct tool_provider *p = NULL;

    (void)state;
    assert_true(manifest_parse_cached(view_str(openapi), "f.json", &p, NULL));
    assert_string_equal(p->name, "p");
    assert_string_equal(p->description, "p (cached)");
    assert_int_equal(p->handler, HANDLER_OPENAPI);
    assert_string_equal(p->base_url, "https://u");
    assert_int_equal(p->auth, AUTH_HEADER);
    assert_string_equal(p->auth_header_name, "H");
    assert_null(p->auth_query_name);
    assert_string_equal(p->spec_content, "{\"openapi\":\"3.0.0\"}");
    assert_true(p->cached);
    assert_int_equal(p->expires_s, 1795212000 + 3600);
    assert_int_equal(p->cli_timeout_s, 120);
    tool_provider_unref(p);
    assert_true(manifest_parse_cached(view_str(mcp), "f.json", &p, NULL));
    assert_int_equal(p->handler, HANDLER_MCP);
    assert_true(p->mcp_http);
    assert_string_equal(p->mcp_env.at[0].value, "${a}");
    assert_int_equal(p->expires_s, 1795212000 + 60);
    tool_provider_unref(p);
}

#define NAMED "\"provider_type\":\"mcp\",\"name\":\"c\""

static void refuses_a_cached_provider_that_is_broken(void **state)
{
    static const struct {
        const char *json, *text;
    } bad[] = {
        {"", "Failed to parse cached provider f.json: "},
        {"{", "Failed to parse cached provider f.json: "},
        {"[]", "Failed to parse manifest f.json: provider: must be an object"},
        {"{}", "Failed to parse manifest f.json: provider_type: is missing"},
        {"{\"provider_type\":\"soap\"}", "Failed to parse manifest f.json: provider_type: is none"},
        {"{\"provider_type\":\"mcp\"}", "Failed to parse manifest f.json: name: is missing"},
        {"{" CACHED ",\"mcp_args\":\"a\"}", "Failed to parse manifest f.json: mcp_args: must be"},
        {"{" CACHED ",\"auth_type\":\"x\"}", "Failed to parse manifest f.json: auth_type: \"x\""},
        {"{" NAMED ",\"ttl_seconds\":60}",
         "Failed to parse manifest f.json: created_at: is missing"},
        {"{" NAMED ",\"created_at\":7}", "Failed to parse manifest f.json: created_at: is missing"},
        {"{" NAMED ",\"created_at\":\"x\"}", "Failed to parse manifest f.json: ttl_seconds: must"},
        {"{" NAMED ",\"created_at\":\"x\",\"ttl_seconds\":-1}",
         "Failed to parse manifest f.json: ttl_seconds: must be a whole number"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct view json = block(view_str(bad[i].json));
        struct tool_provider *p = NULL;
        struct err err = {0};

        assert_false(manifest_parse_cached(json, "f.json", &p, &err));
        if (strncmp(err.text, bad[i].text, strlen(bad[i].text)) != 0)
            fail_msg("wanted %s\ngot    %s", bad[i].text, err.text);
        block_free(json);
    }
}

static void a_cached_provider_without_a_time_has_ended(void **state)
{
    static const char *const none[] = {
        "{\"provider_type\":\"mcp\",\"name\":\"c\",\"created_at\":\"yesterday\",\"ttl_seconds\":"
        "60}",
        "{\"provider_type\":\"mcp\",\"name\":\"c\",\"created_at\":\"\",\"ttl_seconds\":60}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        struct tool_provider *p = NULL;

        assert_true(manifest_parse_cached(view_str(none[i]), "f.json", &p, NULL));
        assert_true(p->expires_s < 0);
        tool_provider_unref(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_manifest_has_every_default),
        cmocka_unit_test(reads_every_field_of_a_web_provider),
        cmocka_unit_test(reads_every_field_of_an_mcp_provider),
        cmocka_unit_test(a_cli_provider_is_a_tool_itself),
        cmocka_unit_test(reads_every_field_of_an_openapi_provider),
        cmocka_unit_test(reads_a_generator),
        cmocka_unit_test(a_file_manager_without_tools_gets_the_two),
        cmocka_unit_test(reads_every_field_of_a_passthrough_provider),
        cmocka_unit_test(reads_every_field_of_a_tool),
        cmocka_unit_test(knows_methods_in_three_spellings),
        cmocka_unit_test(internal_tools_have_no_scope),
        cmocka_unit_test(refuses_mistakes_with_file_line_and_field),
        cmocka_unit_test(warns_of_what_is_odd),
        cmocka_unit_test(reads_a_cached_provider),
        cmocka_unit_test(refuses_a_cached_provider_that_is_broken),
        cmocka_unit_test(a_cached_provider_without_a_time_has_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
