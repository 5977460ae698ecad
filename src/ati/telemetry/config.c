#include "ati/telemetry/telemetry_priv.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/secret.h"

#include "base/poison.h"

enum { RESOURCE_BYTES_MAX = 64 * 1024, ATTRIBUTES_MAX = 64 };

/* NULL: not set, or blank. */
static const char *variable(char **environment, const char *name)
{
    size_t len = strlen(name);

    for (char **e = environment; e && *e; e++)
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
            return (*e)[len + 1 + strspn(*e + len + 1, " \t")] ? *e + len + 1 : NULL;
    return NULL;
}

static char *text_copy(struct view v)
{
    return strndup(v.len ? (const char *)v.at : "", v.len);
}

/* %XX as in baggage; what is no such thing stays. In place. */
static void percent_decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from;) {
        static const char digits[] = "0123456789abcdef";
        const char *high = NULL, *low = NULL;

        if (*from == '%' && from[1] && from[2]) {
            high = strchr(digits, ascii_lower((uint8_t)from[1]));
            low = strchr(digits, ascii_lower((uint8_t)from[2]));
        }
        if (high && low && (high != digits || low != digits)) {
            *to++ = (char)((high - digits) << 4 | (low - digits));
            from += 3;
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

/* Takes the next "name=value" of a comma-separated list. False: there is none. */
static bool next_pair(struct view *rest, struct view *name, struct view *value)
{
    struct view piece;

    while (view_next(rest, ',', &piece)) {
        size_t at = view_find(piece, '=');

        *name = view_trim_ows(view_first(piece, at));
        *value = view_trim_ows(view_skip(piece, at + 1));
        if (name->len && at < piece.len)
            return true;
    }
    return false;
}

static bool url_of(const char *own, const char *endpoint, const char *path, char **out)
{
    struct view base = view_str(own ? own : endpoint);
    struct buf b;
    bool good;

    *out = NULL;
    if (!base.len)
        return true;
    while (!own && base.len && base.at[base.len - 1] == '/')
        base.len--;
    buf_init(&b, base.len + strlen(path) + 1, "URL");
    good = buf_append(&b, base, NULL) && (own || buf_append_str(&b, path, NULL)) &&
           (*out = text_copy(buf_view(&b))) != NULL;
    buf_done(&b);
    return good;
}

static bool load_headers(struct telemetry_config *c, const char *text)
{
    struct view rest = view_str(text), name, value;

    while (text && c->header_count < TELEMETRY_HEADERS_MAX && next_pair(&rest, &name, &value)) {
        struct telemetry_header *h = &c->headers[c->header_count++];

        h->name = text_copy(name);
        h->value = text_copy(value);
        if (!h->name || !h->value)
            return false;
        percent_decode(h->value);
    }
    return true;
}

static void put_attribute(struct json_writer *w, struct view name, struct view value)
{
    json_object(w);
    json_key(w, "key");
    json_text(w, name);
    json_key(w, "value");
    json_object(w);
    json_key(w, "stringValue");
    json_text(w, value);
    json_object_end(w);
    json_object_end(w);
}

/* What is said by more than one is taken from the strongest: the variables of their own, then the list. */
static bool load_resource(struct telemetry_config *c, char **environment, const char *version,
                          struct err *err)
{
    const char *name = variable(environment, "OTEL_SERVICE_NAME");
    const char *list = variable(environment, "OTEL_RESOURCE_ATTRIBUTES");
    const char *tier = variable(environment, "ENVIRONMENT_TIER");
    struct view rest = view_str(list), key, value;
    bool named = false;
    struct json_writer w;

    if (!name)
        name = variable(environment, "SERVICE_NAME");
    json_begin(&w, &c->resource);
    json_array(&w);
    for (size_t i = 0; list && i < ATTRIBUTES_MAX && next_pair(&rest, &key, &value); i++) {
        bool service = view_eq(key, VIEW("service.name"));
        char *decoded;

        if ((tier && view_eq(key, VIEW("deployment.environment"))) || (service && name) ||
            view_eq(key, VIEW("service.version")))
            continue;
        named = named || service;
        decoded = text_copy(value);
        if (!decoded)
            return err_set(err, ERR_MEMORY, "telemetry: no memory");
        percent_decode(decoded);
        put_attribute(&w, key, view_str(decoded));
        free(decoded);
    }
    if (tier)
        put_attribute(&w, VIEW("deployment.environment"), view_str(tier));
    if (!named)
        put_attribute(&w, VIEW("service.name"), view_str(name ? name : "ati-proxy"));
    put_attribute(&w, VIEW("service.version"), view_str(version));
    json_array_end(&w);
    return json_end(&w, err);
}

static bool load_sampler(struct telemetry_config *c, char **environment, struct err *err)
{
    static const struct {
        const char *name;
        enum telemetry_sampler sampler;
        bool parent_based;
    } known[] = {
        {"always_on", SAMPLER_ON, false},
        {"always_off", SAMPLER_OFF, false},
        {"traceidratio", SAMPLER_RATIO, false},
        {"parentbased_always_on", SAMPLER_ON, true},
        {"parentbased_always_off", SAMPLER_OFF, true},
        {"parentbased_traceidratio", SAMPLER_RATIO, true},
    };
    const char *name = variable(environment, "OTEL_TRACES_SAMPLER");
    const char *argument = variable(environment, "OTEL_TRACES_SAMPLER_ARG");
    char *end = NULL;

    c->parent_based = true;
    c->ratio = 1;
    for (size_t i = 0; name && i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(name, known[i].name) == 0) {
            c->sampler = known[i].sampler;
            c->parent_based = known[i].parent_based;
            name = NULL;
        }
    }
    if (name)
        return err_set(err, ERR_CONFIG,
                       "OTEL_TRACES_SAMPLER: %s is none of always_on, always_off, traceidratio and "
                       "these with parentbased_ before them",
                       name);
    if (argument && c->sampler == SAMPLER_RATIO) {
        c->ratio = strtod(argument, &end);
        if (*end || c->ratio < 0 || c->ratio > 1)
            return err_set(err, ERR_CONFIG, "OTEL_TRACES_SAMPLER_ARG: %s is no number from 0 to 1",
                           argument);
    }
    return true;
}

static bool good_url(const char *name, const char *url, struct err *err)
{
    if (!url || view_starts(view_str(url), VIEW("http://")) ||
        view_starts(view_str(url), VIEW("https://")))
        return true;
    return err_set(err, ERR_CONFIG, "%s: not an http or https URL", name);
}

bool telemetry_config_load(struct telemetry_config *c, char **environment, const char *version,
                           struct err *err)
{
    const char *endpoint = variable(environment, "OTEL_EXPORTER_OTLP_ENDPOINT");
    const char *traces = variable(environment, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    const char *metrics = variable(environment, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");

    *c = (struct telemetry_config){0};
    buf_init(&c->resource, RESOURCE_BYTES_MAX, "resource attributes");
    if (!url_of(traces, endpoint, "/v1/traces", &c->traces_url) ||
        !url_of(metrics, endpoint, "/v1/metrics", &c->metrics_url) ||
        !load_headers(c, variable(environment, "OTEL_EXPORTER_OTLP_HEADERS"))) {
        telemetry_config_done(c);
        return err_set(err, ERR_MEMORY, "telemetry: no memory");
    }
    if (!good_url("OTEL_EXPORTER_OTLP_ENDPOINT", c->traces_url, err) ||
        !good_url("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", c->metrics_url, err) ||
        !load_resource(c, environment, version, err) || !load_sampler(c, environment, err)) {
        telemetry_config_done(c);
        return false;
    }
    return true;
}

void telemetry_config_done(struct telemetry_config *c)
{
    for (size_t i = 0; i < c->header_count; i++) {
        free(c->headers[i].name);
        if (c->headers[i].value)
            secret_wipe(c->headers[i].value, strlen(c->headers[i].value));
        free(c->headers[i].value);
    }
    free(c->traces_url);
    free(c->metrics_url);
    buf_done(&c->resource);
    *c = (struct telemetry_config){0};
}
