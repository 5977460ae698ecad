/* Secrets: hashed, compared, wiped, and kept out of dumps. */
#include "unit.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/secret.h"

static void hashes_the_vectors_of_the_standard(void **state)
{
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t hash[SHA256_BYTES];
        char hex[2 * SHA256_BYTES + 1];

        assert_true(secret_sha256(rows[i].text, strlen(rows[i].text), hash));
        hex_encode(view_from(hash, sizeof hash), hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

static void wipes_all_that_a_buffer_owns(void **state)
{
    struct budget budget;
    struct buf b;
    uint8_t *area;

    (void)state;
    budget_init(&budget, SIZE_MAX);
    buf_init(&b, SIZE_MAX, "a key");
    buf_count(&b, &budget);
    buf_wipe(&b);
    assert_true(buf_room(&b, (size_t)BUF_COUNTED_BYTES * 2, &area, NULL));
    buf_wipe(&b);
    assert_true(!b.area && !b.size && !buf_len(&b) && b.max == SIZE_MAX);
    assert_int_equal(budget.used, 0);
}

static void compares_every_bit(void **state)
{
    uint8_t a[40], b[40];

    (void)state;
    random_bytes(a, sizeof a);
    memcpy(b, a, sizeof b);
    assert_true(secret_equal(a, b, sizeof a));
    for (size_t i = 0; i < 8 * sizeof a; i++) {
        b[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_false(secret_equal(a, b, sizeof a));
        assert_true(secret_equal(a, b, i / 8));
        b[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_true(secret_equal(a, b, 0));
}

static void wipes_all_and_only_what_it_is_given(void **state)
{
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    (void)state;
    secret_wipe(bytes + 1, 6);
    assert_memory_equal(bytes, "\1\0\0\0\0\0\0\10", 8);
    secret_wipe(bytes, 0);
    assert_int_equal(bytes[0], 1);
}

static void random_bytes_fill_the_room_and_differ(void **state)
{
    uint8_t a[1000] = {0}, b[1000] = {0}, seen[256] = {0};
    size_t kinds = 0;

    (void)state;
    random_bytes(a, sizeof a - 1);
    random_bytes(b, sizeof b - 1);
    assert_int_equal(a[999], 0);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i < 999; i++)
        kinds += !seen[a[i]]++;
    assert_true(kinds > 200); /* 251 on the average */
    random_bytes(a, 0);
}

static void a_process_can_be_kept_from_dumping(void **state)
{
    int status;
    pid_t child;

    (void)state;
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        struct rlimit core = {1, 1};

        secret_no_dumps();
        (void)getrlimit(RLIMIT_CORE, &core);
        _exit(prctl(PR_GET_DUMPABLE) == 0 && core.rlim_cur == 0 && core.rlim_max == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_the_vectors_of_the_standard),
        cmocka_unit_test(wipes_all_that_a_buffer_owns),
        cmocka_unit_test(compares_every_bit),
        cmocka_unit_test(wipes_all_and_only_what_it_is_given),
        cmocka_unit_test(random_bytes_fill_the_room_and_differ),
        cmocka_unit_test(a_process_can_be_kept_from_dumping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
