#include "ati/mcp_server/mcp_server_priv.h"

#include "base/poison.h"

static void put_tool(struct json_writer *w, const struct tool *tool)
{
    json_object(w);
    json_key(w, "description");
    json_text(w, view_str(tool->description));
    json_key(w, "inputSchema");
    json_raw(w, tool->schema ? view_str(tool->schema)
                             : VIEW("{\"properties\":{},\"type\":\"object\"}"));
    json_key(w, "name");
    json_text(w, view_str(tool->name));
    json_object_end(w);
}

bool mcp_server_listing(const struct mcp_server_state *state, struct buf *out, struct err *err)
{
    size_t count = catalog_tool_count(state->catalog);
    struct json_writer w;

    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "tools");
    json_array(&w);
    for (size_t i = 0; i < count; i++) {
        const struct tool *tool = catalog_tool_at(state->catalog, i);

        if (caller_may(state->caller, tool->scope, state->now_s))
            put_tool(&w, tool);
    }
    json_array_end(&w);
    json_object_end(&w);
    return json_end(&w, err);
}
