/* The asset of trust anchors: see scripts/embed-roots. */
#include "tls/roots.h"

#include <stdlib.h>

#include "wasm/module.h"

#include "base/poison.h"

#define MAGIC "ATLSROOT"
enum { HEAD_BYTES = 12 };

struct tls_roots tls_roots;

/* The table is as struct tls_root has it: wasm32 is little-endian. Each anchor must lie within, and be in order. */
static bool table_good(const struct tls_root *entries, size_t count, size_t der_len)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].offset > der_len || entries[i].len > der_len - entries[i].offset ||
            (i && entries[i].subject < entries[i - 1].subject))
            return false;
    return true;
}

int32_t WASM_EXPORT(roots_load)(const uint8_t *at, uint32_t len)
{
    const struct tls_root *entries = (const void *)(at + HEAD_BYTES);
    uint32_t count = 0;
    size_t table;

    if (len >= HEAD_BYTES)
        memcpy(&count, at + sizeof MAGIC - 1, sizeof count);
    table = (size_t)count * sizeof *entries;
    if (len < HEAD_BYTES || memcmp(at, MAGIC, sizeof MAGIC - 1) != 0 || !count ||
        count > (len - HEAD_BYTES) / sizeof *entries ||
        !table_good(entries, count, len - HEAD_BYTES - table)) {
        free((void *)(uintptr_t)at);
        return wasm_fail_text(ATTEST_POLICY, "the file of trust anchors is not one, or is damaged");
    }
    tls_roots = (struct tls_roots){
        .entries = entries,
        .count = count,
        .der = at + HEAD_BYTES + table,
        .der_len = len - HEAD_BYTES - table,
    };
    return WASM_DONE;
}
