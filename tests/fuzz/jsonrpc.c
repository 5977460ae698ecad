/* Messages of JSON-RPC, and batches of them: spans lie in the text, what is accepted strictly is accepted leniently as well, and an
 * answer made of a request's id carries the same id. */
#include "jsonrpc/jsonrpc.h"
#include "base/check.h"

enum { INPUT_MAX = 1 << 16, TOKENS_MAX = 1 << 14 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct view part, struct view all)
{
    return !part.len || (part.at >= all.at && part.at + part.len <= all.at + all.len);
}

static void answer(struct view id)
{
    struct json_tree tree;
    struct jsonrpc m;
    struct buf out;

    buf_init(&out, 2 * INPUT_MAX, "answer");
    CHECK(jsonrpc_write_error(&out, id, JSONRPC_METHOD_NOT_FOUND, VIEW("no\nsuch \"method\""),
                              VIEW("[1]"), NULL));
    CHECK(json_load(buf_view(&out), 64, &tree, NULL));
    CHECK(jsonrpc_read(&tree.doc, 0, false, &m, NULL));
    CHECK(m.kind == JSONRPC_ERROR && m.code == JSONRPC_METHOD_NOT_FOUND && view_eq(m.id, id));
    json_unload(&tree);
    buf_reset(&out);
    CHECK(jsonrpc_write_result(&out, id, VIEW("{\"a\":null}"), NULL));
    CHECK(json_load(buf_view(&out), 64, &tree, NULL));
    CHECK(jsonrpc_read(&tree.doc, 0, false, &m, NULL) == !view_eq(id, VIEW("null")));
    json_unload(&tree);
    buf_done(&out);
}

static void read_one(const struct json_doc *doc, uint32_t token)
{
    struct jsonrpc strict, lenient;
    bool good = jsonrpc_read(doc, token, false, &strict, NULL);
    bool better = jsonrpc_read(doc, token, true, &lenient, NULL);

    CHECK(!good || better);
    CHECK(within(strict.id, doc->text) && within(lenient.id, doc->text));
    CHECK(strict.params < doc->count && strict.result < doc->count && strict.error < doc->count &&
          strict.message < doc->count);
    if (good)
        CHECK(strict.kind == lenient.kind || strict.kind == JSONRPC_ERROR);
    if (better && lenient.kind == JSONRPC_REQUEST)
        answer(lenient.id);
    if (better && lenient.kind == JSONRPC_RESULT)
        CHECK(lenient.result && lenient.id.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_tree tree;
    uint32_t at;

    if (size > INPUT_MAX || !json_load_loose(view_from(data, size), TOKENS_MAX, &tree, NULL))
        return 0;
    read_one(&tree.doc, 0);
    at = json_first(0);
    if (tree.doc.tokens[0].kind == JSON_ARRAY)
        for (uint32_t i = 0; i < tree.doc.tokens[0].count; i++, at = tree.doc.tokens[at].next)
            read_one(&tree.doc, at);
    json_unload(&tree);
    return 0;
}
