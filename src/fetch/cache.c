#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "attest/digest.h"
#include "attest/qe_identity.h"
#include "attest/tcb_info.h"
#include "base/codec.h"
#include "base/file.h"
#include "fetch/fetch_priv.h"

#include "base/poison.h"

enum { PATH_BYTES = 4096, MARGIN_S = 60, SHORT_HASH = 8 };

const char *fetch_cache_default(void)
{
    static char path[PATH_BYTES];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n;

    if (cache && *cache == '/')
        n = snprintf(path, sizeof path, "%s/postern", cache);
    else if (home && *home == '/')
        n = snprintf(path, sizeof path, "%s/.cache/postern", home);
    else
        return NULL;
    return n < (int)sizeof path ? path : NULL;
}

bool cache_path(const struct fetch_options *o, const struct collateral_need *need, char *out,
                size_t size)
{
    struct view url = view_str(o->url);
    uint8_t hash[32];
    char service[2 * SHORT_HASH + 1], fmspc[13];

    if (!o->cache || !digest_sha256(&url, 1, hash))
        return false;
    hex_encode(view_from(hash, SHORT_HASH), service);
    hex_encode(view_from(need->fmspc, sizeof need->fmspc), fmspc);
    return snprintf(out, size, "%s/%s-%s-%s-%s.json", o->cache, service, need->tdx ? "tdx" : "sgx",
                    fmspc, need->processor_ca ? "processor" : "platform") < (int)size;
}

/* Both documents are good for a while yet. CRLs end no sooner in practice; if one does, verifying says so. */
static bool fresh(const struct collateral *c, int64_t now_s)
{
    struct qe_identity *qe = NULL;
    struct tcb_info *tcb = NULL;
    bool good = tcb_info_parse(c->tcb_info, &tcb, NULL) &&
                qe_identity_parse(c->qe_identity, &qe, NULL) && tcb->issued_s <= now_s &&
                tcb->next_s - MARGIN_S > now_s && qe->next_s - MARGIN_S > now_s;

    tcb_info_free(tcb);
    qe_identity_free(qe);
    return good;
}

struct collateral *cache_load(const char *path, int64_t now_s)
{
    struct collateral *c = NULL;
    struct stat status;
    struct buf text;

    if (stat(path, &status) < 0 || status.st_mtime + FETCH_CACHE_TTL_S < now_s ||
        status.st_mtime > now_s + MARGIN_S)
        return NULL;
    buf_init(&text, COLLATERAL_BYTES_MAX, "cached collateral");
    if (file_read(path, &text, NULL) && collateral_parse(buf_view(&text), &c, NULL) &&
        !fresh(c, now_s)) {
        collateral_free(c);
        c = NULL;
    }
    buf_done(&text);
    return c;
}

/* A cache that cannot be written is no reason to fail. */
void cache_store(const char *folder, const char *path, struct view json)
{
    char parent[PATH_BYTES];
    char *slash;

    if (snprintf(parent, sizeof parent, "%s", folder) >= (int)sizeof parent)
        return;
    slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = '\0';
        (void)!mkdir(parent, 0700);
    }
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        (void)!file_write(path, json, 0600, NULL);
}
