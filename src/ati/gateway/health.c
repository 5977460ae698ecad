/* health: is it there, and whom does it believe. Both are for everybody. */
#include "ati/gateway/gateway_priv.h"
#include "base/version.h"

#include "base/poison.h"

void health_answer(struct request *r)
{
    const struct snapshot *s = r->snapshot;
    struct json_writer w;
    struct buf body;

    buf_init(&body, ANSWER_BYTES_MAX, "answer");
    json_begin(&w, &body);
    json_object(&w);
    json_key(&w, "status");
    json_text(&w, VIEW("ok"));
    json_key(&w, "version");
    json_text(&w, view_str(POSTERN_VERSION));
    json_key(&w, "tools");
    json_u64(&w, catalog_tool_count(s->catalog));
    json_key(&w, "providers");
    json_u64(&w, catalog_provider_count(s->catalog));
    json_key(&w, "skills");
    json_u64(&w, 0); /* there is no registry of skills yet */
    json_key(&w, "auth");
    json_text(&w, s->authority ? VIEW("jwt") : VIEW("disabled"));
    json_key(&w, "db");
    json_text(&w, VIEW("disabled"));
    json_object_end(&w);
    if (json_end(&w, NULL))
        request_json(r, 200, &body);
    else
        request_no_memory(r);
    buf_done(&body);
}

void jwks_answer(struct request *r)
{
    struct err err = {.code = ERR_NOT_FOUND};
    struct buf body;

    buf_init(&body, ANSWER_BYTES_MAX, "answer");
    if (r->snapshot->authority && token_jwks(r->snapshot->authority, &body, &err))
        request_json(r, 200, &body);
    else if (err.code == ERR_NOT_FOUND)
        request_json_error(r, 404, "JWKS not configured");
    else
        request_no_memory(r);
    buf_done(&body);
}
