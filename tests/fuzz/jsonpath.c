/* Input: a path, NUL, a document. What is extracted is JSON, and "$" of it is itself. */
#include "ati/exec/exec.h"
#include "base/check.h"
#include "base/json.h"

#include "base/poison.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FOUND_BYTES_MAX = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view all = view_from(data, size), path = view_first(all, view_find(all, '\0'));
    struct view document = view_skip(all, path.len + 1);
    struct err err = {.code = ERR_NONE};
    struct json_tree tree;
    struct buf found, again;

    buf_init(&found, FOUND_BYTES_MAX, "found");
    buf_init(&again, FOUND_BYTES_MAX, "found again");
    if (!jsonpath_extract(document, path, &found, &err)) {
        CHECK(err.code != ERR_NONE && err.text[0] && !buf_len(&found));
    } else if (json_load_loose(buf_view(&found), UINT32_MAX, &tree, NULL)) {
        json_unload(&tree);
        CHECK(jsonpath_extract(buf_view(&found), VIEW("$"), &again, &err));
        CHECK(view_eq(buf_view(&found), buf_view(&again)));
    } else {
        /* Matches of the deepest level, in an array. */
        CHECK(buf_view(&found).at[0] == '[');
    }
    buf_done(&found);
    buf_done(&again);
    return 0;
}
