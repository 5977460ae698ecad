#include "bridge/reason.h"

static const struct {
    const char *token;
    int close_code, http_status;
    const char *meaning;
} reasons[] = {
#define X(name, token, close_code, http_status, meaning) {token, close_code, http_status, meaning},
    REASON_LIST(X)
#undef X
};

const char *reason_token(enum reason r)
{
    return reasons[r].token;
}

int reason_close_code(enum reason r)
{
    return reasons[r].close_code;
}

int reason_http_status(enum reason r)
{
    return reasons[r].http_status;
}

const char *reason_meaning(enum reason r)
{
    return reasons[r].meaning;
}
