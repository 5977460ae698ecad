/* route: what there is to ask for. */
#include "ati/gateway/gateway_priv.h"

#include "base/poison.h"

const struct route gateway_routes[] = {
    {ROUTE_HEALTH, "GET", "/health", health_answer, 0},
    {ROUTE_JWKS, "GET", "/.well-known/jwks.json", jwks_answer, 0},
    {ROUTE_CALL, "POST", "/call", call_answer, CALL_BODY_BYTES_MAX},
    {ROUTE_MCP, "POST", "/mcp", mcp_answer_post, 0},
    {ROUTE_MCP, "DELETE", "/mcp", mcp_answer_delete, 0},
    {ROUTE_HELP, "POST", "/help", help_answer, 0},
    {ROUTE_TOOLS, "GET", "/tools", tools_answer, 0},
    {ROUTE_TOOL, "GET", "/tools/{name}", tool_answer, 0},
};
const size_t gateway_route_count = sizeof gateway_routes / sizeof *gateway_routes;
_Static_assert(sizeof gateway_routes / sizeof *gateway_routes <= GATEWAY_ROUTES_MAX,
               "every route has its place in a worker");

const char *route_template(enum route_id id)
{
    for (size_t i = 0; i < gateway_route_count; i++)
        if (gateway_routes[i].id == id)
            return gateway_routes[i].path;
    return "/__passthrough_or_unmatched";
}
