#include <ares.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <yaml.h>

#include "ati/cli/cli.h"
#include "base/json.h"
#include "base/version.h"

#include "base/poison.h"

static void libraries(struct json_writer *w)
{
    json_key(w, "libraries");
    json_object(w);
    json_key(w, "c-ares");
    json_text(w, view_str(ares_version(NULL)));
    json_key(w, "libyaml");
    json_text(w, view_str(yaml_get_version_string()));
    json_key(w, "openssl");
    json_text(w, view_str(OpenSSL_version(OPENSSL_VERSION_STRING)));
    json_object_end(w);
}

static bool document(const struct cli *cli, struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "name");
    json_text(&w, VIEW("ati"));
    json_key(&w, "version");
    json_text(&w, VIEW(POSTERN_VERSION));
    if (cli->verbose)
        libraries(&w);
    json_object_end(&w);
    return json_end(&w, err);
}

/* As text the line of --version. */
static int version(struct cli *cli, const struct cli_words *words)
{
    struct buf out;
    struct err err;
    bool good;

    (void)words;
    if (cli->format == CLI_TEXT && !cli->verbose) {
        (void)printf("ati %s\n", POSTERN_VERSION);
        return 0;
    }
    buf_init(&out, 4096, "version");
    good = document(cli, &out, &err) && cli_show(cli, buf_view(&out), &err);
    buf_done(&out);
    return good ? 0 : cli_fail_err(cli, &err);
}

const struct cli_command cli_version = {
    .name = "version",
    .summary = "print the version; with --verbose those of the libraries, too",
    .stateless = true,
    .run = version,
};
