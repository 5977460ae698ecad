/* route: which of the routes has this path, and this method. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "serve/serve_priv.h"

#include "base/poison.h"

static void compile(struct server *s, const char *method, const char *text,
                    const struct serve_route *route, const struct serve_service *service)
{
    struct view path = view_str(text);
    size_t open = view_find(path, '{'), shut = view_find(path, '}');

    CHECK(open == path.len || (shut < path.len && open < shut));
    s->matchers[s->matcher_count++] = (struct matcher){
        view_str(method), view_first(path, open), view_skip(path, shut + 1), open < path.len, route,
        service};
}

bool routes_compile(struct server *s, struct err *err)
{
    const struct serve_options *o = &s->options;

    s->matchers = calloc(o->route_count + o->service_count + 1, sizeof *s->matchers);
    if (!s->matchers)
        return err_set(err, ERR_MEMORY, "no memory for routes");
    for (size_t i = 0; i < o->route_count; i++)
        compile(s, o->routes[i].method, o->routes[i].path, &o->routes[i], NULL);
    for (size_t i = 0; i < o->service_count; i++)
        compile(s, o->services[i].method, o->services[i].path, NULL, &o->services[i]);
    return true;
}

/* The parameter is one segment, and not empty. */
static bool matches(const struct matcher *m, struct view path, struct view *parameter)
{
    if (!m->parameter)
        return view_eq(m->before, path);
    if (path.len <= m->before.len + m->behind.len || !view_starts(path, m->before) ||
        !view_ends(path, m->behind))
        return false;
    *parameter = view_skip(path, m->before.len);
    parameter->len -= m->behind.len;
    return view_find(*parameter, '/') == parameter->len;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A '%' without two digits stays as it is. */
static bool decode(struct buf *out, struct view in)
{
    uint8_t *room;
    size_t n = 0;

    if (!buf_room(out, in.len, &room, NULL))
        return false;
    for (size_t i = 0; i < in.len; i++) {
        int high = in.at[i] == '%' && in.len - i > 2 ? hex_digit(in.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(in.at[i + 2]) : -1;

        room[n++] = low >= 0 ? (uint8_t)((unsigned)high << 4 | (unsigned)low) : in.at[i];
        i += low >= 0 ? 2 : 0;
    }
    buf_wrote(out, n);
    return true;
}

static void allow_add(struct exchange *x, struct view method)
{
    size_t len = strlen(x->allow);

    if (len < sizeof x->allow / 2)
        (void)snprintf(x->allow + len, sizeof x->allow - len, "%s%.*s%s",
                       len ? ", " : "Allow: ", VIEW_ARG(view_first(method, 16)),
                       view_eq(method, VIEW("GET")) ? ", HEAD" : "");
}

static bool found(struct exchange *x, const struct matcher *m, struct view parameter)
{
    x->route = m->route;
    x->shown.service = m->service;
    x->allow[0] = '\0';
    x->shown.request.parameter = parameter;
    if (view_find(parameter, '%') == parameter.len)
        return true;
    if (!decode(&x->parameter, parameter))
        return false;
    x->shown.request.parameter = buf_view(&x->parameter);
    return true;
}

bool route_find(struct server *s, struct exchange *x, struct view method, struct view path)
{
    struct view wanted = view_eq(method, VIEW("HEAD")) ? VIEW("GET") : method, parameter;
    bool known = false;

    x->allow[0] = '\0';
    x->shown.allow = x->allow;
    /* A path that is written out wins over one with a parameter, whatever the method. */
    for (int parametric = 0; parametric < 2 && !known; parametric++)
        for (size_t i = 0; i < s->matcher_count; i++) {
            const struct matcher *m = &s->matchers[i];

            parameter = VIEW("");
            if (m->parameter != (parametric == 1) || !matches(m, path, &parameter))
                continue;
            known = true;
            if (view_eq(m->method, wanted))
                return found(x, m, parameter);
            allow_add(x, m->method);
        }
    if (known)
        (void)snprintf(x->allow + strlen(x->allow), 3, "\r\n");
    return true;
}
