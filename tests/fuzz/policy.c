/* A policy that is taken can be satisfied by something; and the canonical text of any JSON is its own canonical text. */
#include "attest/policy.h"
#include "attest/compose.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_canonical(struct view text)
{
    struct json_tree tree, again;
    struct buf one, two;

    if (!json_load(text, 4096, &tree, NULL))
        return;
    buf_init(&one, COMPOSE_BYTES_MAX, "canonical");
    buf_init(&two, COMPOSE_BYTES_MAX, "canonical");
    if (compose_canonical(&tree.doc, 0, &one, NULL)) {
        CHECK(json_load(buf_view(&one), 8192, &again, NULL));
        CHECK(compose_canonical(&again.doc, 0, &two, NULL));
        CHECK(view_eq(buf_view(&one), buf_view(&two)));
        json_unload(&again);
    }
    buf_done(&one);
    buf_done(&two);
    json_unload(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = view_from(data, size);
    struct attest_err err = {.code = ATTEST_OK};
    struct policy *p = NULL;

    check_canonical(text);
    if (!policy_parse(text, &p, &err)) {
        CHECK(err.code != ATTEST_OK && err.text[0]);
        return 0;
    }
    CHECK(p->runtime_unverified || (p->bootchain_count && p->compose.count && p->os_image.count));
    CHECK(!p->has_grace || p->allowed[TCB_STATUS_OUT_OF_DATE]);
    CHECK(p->root_count);
    for (unsigned i = 0; i < p->root_count; i++)
        CHECK(p->roots[i]->intel || p->allow_simulated);
    policy_free(p);
    return 0;
}
