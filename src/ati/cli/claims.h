/* Private to the command line: what a token says, before anybody has verified it. For `ati auth status` and `ati token inspect`. */
#pragma once

#include "base/json.h"

struct cli_claims {
    struct buf text;
    struct json_tree tree;
    char *scope;                 /* as it stands */
    int64_t issued_s, expires_s; /* expires_s 0: never */
};
/* False: it is no token, or not one of ours. */
MUST_USE bool cli_claims_read(struct cli_claims *c, struct view token, struct err *err);
void cli_claims_done(struct cli_claims *c); /* also after a failed cli_claims_read */
/* The claim as it stands, under its name; null when it is not there. */
void cli_claims_write(const struct cli_claims *c, const char *name, struct json_writer *w);
/* The words of scope as an array, under "scopes". */
void cli_claims_scopes(const struct cli_claims *c, struct json_writer *w);
/* A text, or the texts of an array with commas between them, in memory of its own; NULL: not there, or no text. */
char *cli_claims_text(const struct cli_claims *c, const char *name);
