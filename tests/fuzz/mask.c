/* Input: a secret, NUL, a text. What is masked does not hold the secret any more: not as it is written, not as strings of JSON mean it. JSON stays
 * JSON. */
#include <stdlib.h>

#include "ati/keyring/mask.h"
#include "base/check.h"
#include "base/json.h"

#include "base/poison.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1 << 24, VALUES_MAX = 1 << 16 };

static bool holds(struct view text, struct view secret)
{
    return text.len && memmem(text.at, text.len, secret.at, secret.len);
}

/* The texts of JSON, as they mean; false: text is no JSON. */
static bool check_strings(struct view text, struct view secret, bool clean)
{
    struct json_tree tree;

    if (!json_load_loose(text, VALUES_MAX, &tree, NULL))
        return false;
    for (uint32_t i = 0; clean && i < tree.doc.count; i++) {
        size_t len;
        char *meant;

        if (tree.doc.tokens[i].kind != JSON_STRING || !json_string_new(&tree.doc, i, &meant, &len))
            continue;
        CHECK(!holds(view_from(meant, len), secret));
        free(meant);
    }
    json_unload(&tree);
    return true;
}

static void look(struct view secret, struct view text, bool json, size_t least)
{
    struct buf b;

    buf_init(&b, TEXT_MAX, "text");
    CHECK(buf_append(&b, text, NULL));
    CHECK(mask_secrets(&b, json, least, &secret, 1, NULL));
    if (secret.len < least)
        CHECK(view_eq(buf_view(&b), text));
    else if (json)
        CHECK(check_strings(buf_view(&b), secret, true));
    else
        CHECK(!holds(buf_view(&b), secret));
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view all = view_from(data, size), secret = view_first(all, view_find(all, '\0'));
    struct view text = view_skip(all, secret.len + 1);

    /* What stands in the secret's place may not be taken for it. */
    if (!secret.len || view_find(secret, '[') < secret.len || view_find(secret, ']') < secret.len ||
        holds(VIEW("[redacted]"), secret))
        return 0;
    look(secret, text, false, MASK_ERROR_BYTES_MIN);
    if (check_strings(text, secret, false))
        look(secret, text, true, MASK_VALUE_BYTES_MIN);
    return 0;
}
