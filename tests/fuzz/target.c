/* What a target is taken for, it is taken for again; other spellings of it mean the same. */
#include <ctype.h>
#include <string.h>

#include "base/check.h"
#include "bridge/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct target *a, struct view text)
{
    struct target b;

    CHECK(target_parse(text, &b, NULL));
    CHECK(a->kind == b.kind && a->port == b.port && addr_eq(&a->addr, &b.addr));
    CHECK(strcmp(a->host, b.host) == 0 && strcmp(a->text, b.text) == 0);
}

static void check_other_spellings(const struct target *t)
{
    char other[TARGET_BYTES_MAX + 8];
    size_t host = strlen(t->text) - strlen(strrchr(t->text, ':'));

    for (size_t i = 0; t->text[i]; i++)
        other[i] = (char)toupper((unsigned char)t->text[i]);
    check_same(t, view_from(other, strlen(t->text)));
    if (t->kind != TARGET_IP && strlen(t->text) < TARGET_BYTES_MAX) {
        memcpy(other, t->text, host);
        other[host] = '.';
        memcpy(other + host + 1, t->text + host, strlen(t->text) - host);
        check_same(t, view_from(other, strlen(t->text) + 1));
    }
    if (strlen(t->text) < TARGET_BYTES_MAX) {
        memcpy(other, t->text, host + 1);
        other[host + 1] = '0';
        memcpy(other + host + 2, t->text + host + 1, strlen(t->text) - host - 1);
        check_same(t, view_from(other, strlen(t->text) + 1));
    }
}

/* Nothing that a resolver or a log could stumble over. */
static void check_canonical(const struct target *t)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    struct addr a;

    CHECK(strlen(t->host) <= HOST_BYTES_MAX && strlen(t->text) <= TARGET_BYTES_MAX);
    switch (t->kind) {
    case TARGET_NAME:
    case TARGET_LOCALHOST:
        CHECK(t->host[0] && strspn(t->host, plain) == strlen(t->host));
        CHECK(!addr_parse_ip(view_str(t->host), false, &a));
        CHECK((strcmp(t->host, "localhost") == 0) == (t->kind == TARGET_LOCALHOST));
        break;
    case TARGET_IP:
        CHECK(addr_parse(view_str(t->text), &a) && addr_eq(&a, &t->addr));
        break;
    case TARGET_UNIX:
        CHECK(t->host[0] == '/' && t->port == 0);
        return;
    }
    CHECK(t->port > 0);
    check_other_spellings(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct view text = view_from(data, size);
    struct err err = {0};
    struct target t;

    if (!target_parse(text, &t, &err)) {
        CHECK(err.code == ERR_SYNTAX && err.text[0]);
        return 0;
    }
    check_canonical(&t);
    check_same(&t, view_str(t.text));
    return 0;
}
