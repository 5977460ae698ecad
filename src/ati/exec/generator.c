#include "ati/exec/generator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ati/exec/credential.h"
#include "ati/exec/flight.h"
#include "ati/mcp/mcp.h"
#include "base/json.h"
#include "base/text.h"
#include "child/child.h"

#include "base/poison.h"

enum {
    OUTPUT_BYTES_MAX = 64 * 1024,
    OUTPUT_VALUES_MAX = 4096,
    RECORD_BYTES = 1 + 2 * sizeof(uint32_t), /* place, length of the name, of the value */
    PATH_MAX_BYTES = 512,
    TIMESTAMP_BYTES = 24
};

struct generation {
    struct loop *loop;
    struct exec_shared *shared;
    const struct keyring *keyring;
    struct generator_asker asker;
    const struct tool_provider *provider;
    generator_done *done;
    void *context;
    struct flight *flight; /* NULL: nothing is kept */
    struct child_job *job;
    struct mcp_ask *room; /* NULL: no place for the program is waited for */
    bool starved;         /* there was none */
    char *script;         /* the file's path */
    struct buf output;    /* records, when nothing is kept */
    struct buf error;
    bool error_cut;       /* it is but the end of what the child said */
    struct view *secrets; /* that were given to the child */
    size_t secret_count;
    char timestamp[TIMESTAMP_BYTES];
};

/* --- placeholders ----------------------------------------------------------------------------- */

static bool keep_secret(struct generation *g, struct view secret, struct err *err)
{
    struct view *more = reallocarray(g->secrets, g->secret_count + 1, sizeof *more);

    if (!more)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    more[g->secret_count++] = secret;
    g->secrets = more;
    return true;
}

/* What stands for ${name}. same: for the key of what is kept: the time is left out, or nothing would ever be. */
static bool meaning(struct generation *g, struct view name, bool same, struct view *out,
                    struct err *err)
{
    const struct caller *c = g->asker.caller;
    const struct {
        struct view name;
        const char *value;
    } known[] = {
        {VIEW("JWT_SUB"), c ? c->subject : "dev"},
        {VIEW("JWT_SCOPE"), c && !c->unrestricted ? c->scope : "*"},
        {VIEW("TIMESTAMP"), g->timestamp},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (view_eq(name, known[i].name)) {
            *out = same && known[i].value == g->timestamp ? VIEW("") : view_str(known[i].value);
            return true;
        }
    }
    if (view_eq(name, VIEW("TOOL_NAME"))) {
        *out = g->asker.tool;
        return true;
    }
    if (view_eq(name, VIEW("JWT_TOKEN"))) {
        *out = g->asker.token;
        return !out->len || keep_secret(g, *out, err);
    }
    if (!keyring_find(g->keyring, name, out))
        return err_set(err, ERR_NOT_FOUND,
                       "Keyring key '%.*s' not found (required by auth_generator)",
                       VIEW_ARG(view_first(name, 128)));
    return keep_secret(g, *out, err);
}

bool exec_wants_token(const struct generator *g)
{
    bool wants = false;

    for (size_t i = 0; i < g->arguments.count; i++)
        wants |= strstr(g->arguments.at[i], "${JWT_TOKEN}") != NULL;
    for (size_t i = 0; i < g->environment.count; i++)
        wants |= strstr(g->environment.at[i].value, "${JWT_TOKEN}") != NULL;
    return wants;
}

/* text with every ${name} replaced, once. */
static bool expand(struct generation *g, const char *text, bool same, struct secret_text *out,
                   struct err *err)
{
    struct view rest = view_str(text), *parts;
    size_t most = 3, n = 0;
    bool good = true;

    for (size_t i = 0; i < rest.len; i++)
        most += 2 * (size_t)(rest.at[i] == '$');
    parts = calloc(most, sizeof *parts);
    *out = (struct secret_text){NULL, 0};
    if (!parts)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    while (good && rest.len) {
        const uint8_t *hit = memmem(rest.at, rest.len, "${", 2);
        size_t before = hit ? (size_t)(hit - rest.at) : rest.len;
        struct view name = view_skip(rest, before + 2);
        size_t end = view_find(name, '}');

        if (!hit || end == name.len) {
            parts[n++] = rest;
            break;
        }
        parts[n++] = view_first(rest, before);
        good = meaning(g, view_first(name, end), same, &parts[n++], err);
        rest = view_skip(name, end + 1);
    }
    good = good && secret_text_join(out, parts, n, err);
    free(parts);
    return good;
}

/* --- what it prints ---------------------------------------------------------------------------- */

static bool record(struct buf *out, enum generator_place place, struct view name, struct view value,
                   struct err *err)
{
    uint8_t kind = (uint8_t)place;
    uint32_t lengths[2] = {(uint32_t)name.len, (uint32_t)value.len};

    return buf_append_byte(out, kind, err) &&
           buf_append(out, view_from(lengths, sizeof lengths), err) && buf_append(out, name, err) &&
           buf_append(out, value, err);
}

static bool next_record(struct view records, size_t *cursor, struct generated *out)
{
    struct view rest = view_skip(records, *cursor);
    uint32_t lengths[2];

    if (!rest.at || rest.len < RECORD_BYTES)
        return false;
    memcpy(lengths, rest.at + 1, sizeof lengths);
    out->place = (enum generator_place)rest.at[0];
    out->name = view_from(rest.at + RECORD_BYTES, lengths[0]);
    out->value = view_from(rest.at + RECORD_BYTES + lengths[0], lengths[1]);
    *cursor += RECORD_BYTES + (size_t)lengths[0] + lengths[1];
    return true;
}

/* The value at "a.b.c"; 0: there is none. */
static uint32_t at_path(const struct json_doc *doc, const char *path)
{
    struct view rest = view_str(path), name;
    char key[PATH_MAX_BYTES];
    uint32_t at = 0;

    while (view_next(&rest, '.', &name)) {
        if (name.len >= sizeof key)
            return 0;
        memcpy(key, name.at, name.len);
        key[name.len] = '\0';
        at = json_member(doc, at, key);
        if (!at)
            return 0;
    }
    return at;
}

/* Of a string its text, of others what is written. */
static bool record_value(struct buf *out, enum generator_place place, const char *name,
                         const struct json_doc *doc, uint32_t at, struct err *err)
{
    size_t len;
    char *text;
    bool good;

    if (doc->tokens[at].kind != JSON_STRING)
        return record(out, place, view_str(name), json_source(doc, at), err);
    if (!json_string_new(doc, at, &text, &len))
        return err_set(err, ERR_SYNTAX, "a text that cannot be used");
    good = record(out, place, view_str(name), view_from(text, len), err);
    secret_wipe(text, len);
    free(text);
    return good;
}

static bool read_injects(const struct generator *gen, const struct json_doc *doc, struct buf *out,
                         struct err *err)
{
    bool primary = false;

    for (size_t i = 0; i < gen->inject_count; i++) {
        const struct generator_inject *in = &gen->injects[i];
        bool named = in->place == GENERATOR_HEADER || in->place == GENERATOR_ENV;
        uint32_t at = at_path(doc, in->path);

        if (!at)
            return err_set(err, ERR_NOT_FOUND, "JSON path '%s' not found in output", in->path);
        if (!named && primary)
            continue;
        primary = primary || !named;
        if (!record_value(out, named ? in->place : GENERATOR_PRIMARY, named ? in->name : "", doc,
                          at, err))
            return false;
    }
    return true;
}

static bool read_json(const struct generator *gen, struct view text, struct buf *out,
                      struct err *err)
{
    struct json_tree tree;
    uint32_t at;
    bool good;

    if (!json_load_loose(text, OUTPUT_VALUES_MAX, &tree, err))
        return err_in(err, "invalid JSON");
    if (gen->inject_count) {
        good = read_injects(gen, &tree.doc, out, err);
    } else {
        at = json_member(&tree.doc, 0, "token");
        if (!at || tree.doc.tokens[at].kind != JSON_STRING)
            at = json_member(&tree.doc, 0, "access_token");
        good = at && tree.doc.tokens[at].kind == JSON_STRING
                   ? record_value(out, GENERATOR_PRIMARY, "", &tree.doc, at, err)
                   : record(out, GENERATOR_PRIMARY, VIEW(""), text, err);
    }
    json_unload(&tree);
    return good;
}

static bool read_output(const struct generation *g, struct view printed, struct buf *out,
                        struct err *err)
{
    const struct generator *gen = g->provider->generator;
    struct view text = text_trim(printed);
    size_t room = (gen->inject_count + 1) * (RECORD_BYTES + text.len);
    uint8_t *at;
    bool good;

    for (size_t i = 0; i < gen->inject_count; i++)
        room += strlen(gen->injects[i].name ? gen->injects[i].name : "");
    buf_init(out, room, "generator output");
    if (!text.len && !g->asker.token.len && exec_wants_token(gen))
        return true; /* of nobody's token nothing is made: the upstream says what it thinks of that */
    good = text.len ? buf_room(out, room, &at, err) /* at once: no copies */
                    : err_set(err, ERR_SYNTAX, "it is empty");
    good = good && (gen->json ? read_json(gen, text, out, err)
                              : record(out, GENERATOR_PRIMARY, VIEW(""), text, err));
    return good || err_in(err, "Failed to parse generator output");
}

/* --- the child --------------------------------------------------------------------------------- */

static void remove_script(struct generation *g)
{
    if (g->script)
        (void)unlink(g->script);
    free(g->script);
    g->script = NULL;
}

/* err, and what the child said: without its secrets, or a part of one where its text was cut. */
static bool tell_error(struct generation *g, const struct err *err, struct buf *out)
{
    struct mask *mask = NULL;
    size_t edge;
    bool good;

    if (!mask_new(g->secrets, g->secret_count, &mask, NULL) || !mask)
        return false;
    good = mask_text(mask, &g->error, false, MASK_ERROR_BYTES_MIN, NULL);
    edge = g->error_cut ? mask_edge(mask) : 0;
    buf_eat(&g->error, edge < buf_len(&g->error) ? edge : buf_len(&g->error));
    good = good && buf_append_str(out, err->text, NULL) &&
           mask_text(mask, out, false, MASK_ERROR_BYTES_MIN, NULL) &&
           buf_append(out, buf_view(&g->error), NULL);
    mask_free(mask);
    return good;
}

static void end(struct generation *g, const struct err *err)
{
    static const uint8_t nul;
    struct buf told;
    bool good;

    if (!err) {
        g->done(g->context, NULL);
        return;
    }
    g->starved = err->code == ERR_BUSY;
    buf_init(&told, (size_t)5 * CHILD_ERROR_BYTES, "generator's error");
    good = tell_error(g, err, &told);
    if (!good)
        buf_reset(&told);
    if (g->flight)
        flight_fail(g->flight, buf_view(&told));
    buf_done(&g->error);
    g->error = told;
    g->done(g->context, good && buf_append(&g->error, view_from(&nul, 1), NULL)
                            ? (const char *)buf_view(&g->error).at
                            : "no memory for the generator's error");
}

static bool keep(struct generation *g, struct child_output *output, struct err *err)
{
    struct buf records;
    bool good = read_output(g, buf_view(&output->text), &records, err);

    if (good && g->flight) {
        good = flight_land(g->flight, buf_view(&records),
                           g->provider->generator->cache_ttl_s * 1000, err);
    } else if (good) {
        g->output = records;
        return true;
    }
    buf_wipe(&records);
    return good;
}

static void ended(void *context, struct child_output *output)
{
    struct generation *g = context;
    const struct generator *gen = g->provider->generator;
    struct err err = {.code = ERR_IO};
    bool good = false;

    g->job = NULL;
    remove_script(g);
    if (output->failed) {
        (void)err_set(&err, ERR_IO, "Failed to spawn generator process: %s", output->failed->text);
    } else if (output->timed_out) {
        (void)err_set(&err, ERR_TIMEOUT, "Generator timed out after %llus",
                      (unsigned long long)gen->timeout_s);
    } else if (output->too_large) {
        (void)err_set(&err, ERR_LIMIT, "Failed to parse generator output: more than %d bytes",
                      OUTPUT_BYTES_MAX);
    } else if (output->exit_code != 0) {
        (void)err_set(&err, ERR_IO, "Generator exited with code %d: ", output->exit_code);
        g->error_cut = output->error.len >= CHILD_ERROR_BYTES;
        if (!buf_append(&g->error, output->error, NULL))
            buf_reset(&g->error);
    } else {
        good = keep(g, output, &err);
    }
    buf_wipe(&output->text);
    end(g, good ? NULL : &err);
}

static bool write_script(struct generation *g, struct err *err)
{
    struct view text = view_str(g->provider->generator->text);
    int fd;

    if (!temporary_path(g->shared->environment, "gen", VIEW(""), &g->script, err))
        return false;
    fd = open(g->script, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_system(err, ERR_IO, errno, "%s", g->script);
    while (text.len) {
        ssize_t n = write(fd, text.at, text.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            (void)err_system(err, ERR_IO, errno, "%s", g->script);
            close(fd);
            return false;
        }
        text = view_skip(text, (size_t)n);
    }
    close(fd);
    return true;
}

struct argument_list {
    struct secret_text *texts;
    const char **list; /* NULL-terminated */
    size_t count;
};

static bool make_arguments(struct generation *g, struct argument_list *a, struct err *err)
{
    const struct generator *gen = g->provider->generator;
    size_t most = gen->script ? 1 : gen->arguments.count;

    a->texts = calloc(most + 1, sizeof *a->texts);
    a->list = calloc(most + 1, sizeof *a->list);
    if (!a->texts || !a->list)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    if (gen->script) {
        a->list[0] = g->script;
        return true;
    }
    for (; a->count < most; a->count++) {
        if (!expand(g, gen->arguments.at[a->count], false, &a->texts[a->count], err))
            return false;
        a->list[a->count] = a->texts[a->count].at;
    }
    return true;
}

static void arguments_done(struct argument_list *a)
{
    for (size_t i = 0; i < a->count; i++)
        secret_text_done(&a->texts[i]);
    free(a->texts);
    free(a->list);
}

static bool make_environment(struct generation *g, struct child_environment *e, struct err *err)
{
    static const char *const ours[] = {"PATH", "HOME", "TMPDIR", NULL};
    const struct text_pairs *own = &g->provider->generator->environment;

    if (!child_environment_init(e, g->shared->environment, ours, err))
        return false;
    for (size_t i = 0; i < own->count; i++) {
        struct secret_text value;
        bool good;

        if (!expand(g, own->at[i].value, false, &value, err))
            return false;
        good = child_environment_set(e, view_str(own->at[i].name), secret_text_view(&value), err);
        secret_text_done(&value);
        if (!good)
            return err_in(err, "Auth generator config error: env.%s", own->at[i].name);
    }
    return true;
}

static bool run_with(struct generation *g, const struct argument_list *arguments,
                     const struct child_environment *environment, struct err *err)
{
    const struct generator *gen = g->provider->generator;
    const struct child_command command = {.program = gen->script ? gen->interpreter : gen->command,
                                          .arguments = arguments->list,
                                          .environment = environment->list,
                                          .places = g->shared->children,
                                          .memory = g->shared->memory};

    return child_run(g->loop, &command, OUTPUT_BYTES_MAX, gen->timeout_s * 1000, ended, g, &g->job,
                     err) ||
           err_in(err, "Failed to spawn generator process");
}

static bool complete(const struct generator *gen, struct err *err)
{
    const char *missing = !gen->script        ? (gen->command ? NULL : "command")
                          : !gen->interpreter ? "interpreter"
                          : gen->text == NULL ? "script"
                                              : NULL;

    return !missing ||
           err_set(err, ERR_CONFIG, "Auth generator config error: %s required for type=%s", missing,
                   gen->script ? "script" : "command");
}

static bool run(struct generation *g, struct err *err)
{
    struct child_environment environment = {.list = NULL};
    struct argument_list arguments = {.texts = NULL};
    bool good = complete(g->provider->generator, err);

    if (good && g->provider->generator->script)
        good = write_script(g, err) || err_in(err, "Failed to spawn generator process");
    good = good && make_arguments(g, &arguments, err) && make_environment(g, &environment, err) &&
           run_with(g, &arguments, &environment, err);
    arguments_done(&arguments);
    child_environment_done(&environment);
    if (!good)
        remove_script(g);
    return good;
}

static void room_made(void *context, struct mcp_answer *answer)
{
    struct generation *g = context;
    struct err err = {0};

    (void)answer;
    g->room = NULL;
    if (!run(g, &err))
        end(g, &err);
}

static bool run_when_there_is_room(struct generation *g, struct err *err)
{
    struct err ignored;

    return run(g, err) ||
           (err->code == ERR_BUSY && g->shared->mcp &&
            mcp_make_room(g->shared->mcp, g->loop, room_made, g, &g->room, &ignored));
}

/* --- who asks ---------------------------------------------------------------------------------- */

static void told(void *context, enum flight_news news, struct view text)
{
    struct generation *g = context;
    struct err err;

    if (news == FLIGHT_FETCH) {
        if (!run_when_there_is_room(g, &err))
            end(g, &err);
    } else {
        g->done(g->context, news == FLIGHT_VALUE ? NULL : (const char *)text.at);
    }
}

/* What the output may depend on, one part after the other. */
struct key_parts {
    struct view *at;
    struct secret_text *expanded;
    size_t count, expanded_count;
};

static void key_add(struct key_parts *k, struct view part)
{
    k->at[k->count++] = part;
}

static bool key_expand(struct generation *g, struct key_parts *k, const char *text, struct err *err)
{
    struct secret_text *to = &k->expanded[k->expanded_count];

    if (!expand(g, text, true, to, err))
        return false;
    k->expanded_count++;
    key_add(k, secret_text_view(to));
    return true;
}

static bool key_collect(struct generation *g, struct key_parts *k, struct err *err)
{
    const struct generator *gen = g->provider->generator;

    key_add(k, view_str(g->provider->name));
    key_add(k, view_str(g->asker.caller ? g->asker.caller->subject : "dev"));
    key_add(k, view_str(gen->command));
    key_add(k, view_str(gen->interpreter));
    key_add(k, view_str(gen->text));
    for (size_t i = 0; i < gen->arguments.count; i++)
        if (!key_expand(g, k, gen->arguments.at[i], err))
            return false;
    for (size_t i = 0; i < gen->environment.count; i++) {
        key_add(k, view_str(gen->environment.at[i].name));
        if (!key_expand(g, k, gen->environment.at[i].value, err))
            return false;
    }
    for (size_t i = 0; i < gen->inject_count; i++)
        key_add(k, view_str(gen->injects[i].path));
    return true;
}

/* A digest of all that the output may depend on, but for what the manifest says is left out. */
static bool key_of(struct generation *g, uint8_t out[static FLIGHT_KEY_BYTES], struct err *err)
{
    const struct generator *gen = g->provider->generator;
    size_t most = 5 + gen->arguments.count + 2 * gen->environment.count + gen->inject_count;
    struct key_parts k = {.at = calloc(most, sizeof *k.at),
                          .expanded = calloc(most, sizeof *k.expanded)};
    bool good = (k.at && k.expanded) || err_set(err, ERR_MEMORY, "no memory for a credential");

    good = good && key_collect(g, &k, err) && flight_key(k.at, k.count, out, err);
    for (size_t i = 0; i < k.expanded_count; i++)
        secret_text_done(&k.expanded[i]);
    free(k.expanded);
    free(k.at);
    return good;
}

static bool start(struct generation *g, bool *ready, struct err *err)
{
    uint8_t key[FLIGHT_KEY_BYTES];
    enum flight_news news;

    *ready = false;
    if (!g->provider->generator->cache_ttl_s)
        return run_when_there_is_room(g, err);
    if (!key_of(g, key, err) ||
        !flight_ask(g->shared->outputs, g->loop, key, told, g, &g->flight, &news, err))
        return false;
    *ready = news == FLIGHT_VALUE;
    if (news != FLIGHT_FETCH || run_when_there_is_room(g, err))
        return true;
    flight_fail(g->flight, view_str(err->text));
    return false;
}

bool generator_start(struct loop *loop, struct exec_shared *shared, const struct keyring *keyring,
                     const struct generator_asker *asker, const struct tool_provider *provider,
                     generator_done *done, void *context, struct generation **out, bool *ready,
                     struct err *err)
{
    struct generation *g = calloc(1, sizeof *g);

    if (!g)
        return err_set(err, ERR_MEMORY, "no memory for a credential");
    g->loop = loop;
    g->shared = shared;
    g->keyring = keyring;
    g->asker = *asker;
    g->provider = provider;
    g->done = done;
    g->context = context;
    buf_init(&g->error, (size_t)4 * CHILD_ERROR_BYTES, "generator's error");
    buf_init(&g->output, 0, "generator output");
    (void)snprintf(g->timestamp, sizeof g->timestamp, "%lld",
                   (long long)(clock_wall_ms(&clock_system) / 1000));
    *out = g;
    return start(g, ready, err);
}

void generator_end(struct generation *g)
{
    if (!g)
        return;
    if (g->job)
        child_cancel(g->job);
    if (g->room)
        mcp_cancel(g->room);
    remove_script(g);
    flight_end(g->flight);
    buf_wipe(&g->output);
    buf_done(&g->error);
    free(g->secrets);
    free(g);
}

bool generator_starved(const struct generation *g)
{
    return g->starved;
}

bool generator_output(const struct generation *g, size_t *cursor, struct generated *out)
{
    return next_record(g->flight ? flight_value(g->flight) : buf_view(&g->output), cursor, out);
}
