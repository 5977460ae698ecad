/* ECDSA on P-256: a signature of the books, ours, and none that is not. */
#include "unit.h"

#include <openssl/ec.h>

#include "base/p256.h"

/* RFC 6979, A.2.5: the key, and its signature of "sample" with SHA-256. */
static const char x_hex[] = "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6",
                  y_hex[] = "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299",
                  r_hex[] = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
                  s_hex[] = "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
                  n_hex[] = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";

static void pair_of(const char *first, const char *second, uint8_t out[static 64])
{
    assert_true(hex_decode(view_str(first), out, 32));
    assert_true(hex_decode(view_str(second), out + 32, 32));
}

static EVP_PKEY *key_of_the_book(void)
{
    uint8_t point[P256_POINT_BYTES];
    EVP_PKEY *key = NULL;

    pair_of(x_hex, y_hex, point);
    assert_true(p256_public(point, &key));
    return key;
}

static void the_signature_of_the_book_is_good(void **state)
{
    uint8_t signature[P256_SIGNATURE_BYTES], point[P256_POINT_BYTES], again[P256_POINT_BYTES];
    EVP_PKEY *key = key_of_the_book();

    (void)state;
    pair_of(x_hex, y_hex, point);
    assert_true(p256_point(key, again));
    assert_memory_equal(again, point, sizeof point);
    pair_of(r_hex, s_hex, signature);
    assert_true(p256_good(key, VIEW("sample"), signature));
    assert_false(p256_good(key, VIEW("Sample"), signature));
    assert_false(p256_good(key, VIEW(""), signature));
    for (size_t i = 0; i < sizeof signature; i++) {
        signature[i] ^= 1;
        assert_false(p256_good(key, VIEW("sample"), signature));
        signature[i] ^= 1;
    }
    assert_true(p256_good(key, VIEW("sample"), signature));
    EVP_PKEY_free(key);
}

/* r and s lie in 1 … n − 1; s and n − s sign the same. */
static void halves_out_of_range_are_refused(void **state)
{
    static const char zero[] = "0000000000000000000000000000000000000000000000000000000000000000",
                      most[] = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
                      other_s[] =
                          "0834E36AD29A83BF2BC9385E491D6099C8FDF9D1ED67AA7EA5F51F93782857A9";
    const struct {
        const char *r, *s;
        bool good;
    } rows[] = {
        {r_hex, other_s, true}, {zero, s_hex, false},  {r_hex, zero, false},
        {zero, zero, false},    {n_hex, s_hex, false}, {r_hex, n_hex, false},
        {most, s_hex, false},   {r_hex, most, false},  {s_hex, r_hex, false},
    };
    EVP_PKEY *key = key_of_the_book();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t signature[P256_SIGNATURE_BYTES];

        pair_of(rows[i].r, rows[i].s, signature);
        if (p256_good(key, VIEW("sample"), signature) != rows[i].good)
            fail_msg("row %zu", i);
    }
    EVP_PKEY_free(key);
}

static void points_off_the_curve_are_no_keys(void **state)
{
    uint8_t point[P256_POINT_BYTES] = {0};
    EVP_PKEY *key = NULL;

    (void)state;
    assert_false(p256_public(point, &key)); /* infinity is written in another way */
    memset(point, 0xFF, sizeof point);
    assert_false(p256_public(point, &key)); /* beyond the field */
    pair_of(x_hex, y_hex, point);
    for (size_t i = 0; i < sizeof point; i += 7) {
        point[i] ^= 0x10;
        assert_false(p256_public(point, &key));
        point[i] ^= 0x10;
    }
    pair_of(y_hex, x_hex, point);
    assert_false(p256_public(point, &key));
    assert_null(key);
}

static void what_we_sign_is_good_and_of_fixed_width(void **state)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256"), *half = NULL;
    uint8_t point[P256_POINT_BYTES];

    (void)state;
    assert_true(p256_point(key, point) && p256_public(point, &half));
    /* Of so many, some have an r or s with leading zeros. */
    for (uint32_t i = 0; i < 600; i++) {
        uint8_t signature[P256_SIGNATURE_BYTES];
        struct view message = view_from(&i, sizeof i);

        assert_true(p256_sign(key, message, signature));
        assert_true(p256_good(half, message, signature));
        if (i == 0)
            assert_false(p256_good(other, message, signature));
    }
    EVP_PKEY_free(half);
    EVP_PKEY_free(other);
    EVP_PKEY_free(key);
}

static void only_p256_keys_have_such_points(void **state)
{
    static const char *const curves[] = {"P-384", "secp256k1", "P-521"};
    uint8_t point[P256_POINT_BYTES], signature[P256_SIGNATURE_BYTES];
    EVP_PKEY *key;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(curves); i++) {
        key = EVP_EC_gen(curves[i]);
        assert_non_null(key);
        assert_false(p256_point(key, point));
        EVP_PKEY_free(key);
    }
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(key);
    assert_false(p256_point(key, point));
    pair_of(r_hex, s_hex, signature);
    assert_false(p256_good(key, VIEW("sample"), signature));
    assert_false(p256_sign(key, VIEW("sample"), signature));
    EVP_PKEY_free(key);
    assert_false(p256_point(NULL, point));
}

static void der_is_as_short_as_it_may_be(void **state)
{
    static const struct {
        uint8_t first; /* of both halves; the rest is zeros but for a last 1 */
        size_t bytes;
    } rows[] = {{0x80, 72}, {0x7F, 70}, {0x01, 70}};
    uint8_t signature[P256_SIGNATURE_BYTES], der[P256_DER_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        memset(signature, 0, sizeof signature);
        signature[0] = signature[32] = rows[i].first;
        signature[31] = signature[63] = 1;
        assert_int_equal(p256_der(signature, der), rows[i].bytes);
        assert_int_equal(der[0], 0x30);
        assert_int_equal(der[1], rows[i].bytes - 2);
    }
    memset(signature, 0, sizeof signature);
    signature[31] = signature[63] = 1;
    assert_int_equal(p256_der(signature, der), 8);
    assert_memory_equal(der, "\x30\x06\x02\x01\x01\x02\x01\x01", 8);
}

static bool key_of(const char *hex, EVP_PKEY **out)
{
    uint8_t scalar[P256_SCALAR_BYTES];

    assert_true(hex_decode(view_str(hex), scalar, sizeof scalar));
    return p256_private(scalar, out);
}

static void numbers_have_the_points_that_they_should(void **state)
{
    static const struct {
        const char *scalar, *point;
    } cases[] = {
        /* the generator itself */
        {"0000000000000000000000000000000000000000000000000000000000000001",
         "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
         "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"},
        /* RFC 6979, A.2.5 */
        {"c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
         "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
         "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"},
        /* n - 1: the generator, mirrored */
        {"ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550",
         "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
         "b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t point[P256_POINT_BYTES];
        char hex[2 * P256_POINT_BYTES + 1];
        EVP_PKEY *key;

        assert_true(key_of(cases[i].scalar, &key));
        assert_true(p256_point(key, point));
        hex_encode(view_from(point, sizeof point), hex);
        assert_string_equal(hex, cases[i].point);
        EVP_PKEY_free(key);
    }
}

static void numbers_out_of_range_are_refused(void **state)
{
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632552",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        EVP_PKEY *key = NULL;

        assert_false(key_of(bad[i], &key));
        assert_null(key);
    }
}

static void what_one_signs_its_point_verifies(void **state)
{
    uint8_t point[P256_POINT_BYTES], signature[P256_SIGNATURE_BYTES];
    EVP_PKEY *key, *other, *public = NULL;

    (void)state;
    assert_true(key_of("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721", &key));
    assert_true(key_of("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6722", &other));
    assert_true(p256_point(key, point) && p256_public(point, &public));
    assert_true(p256_sign(key, VIEW("message"), signature));
    assert_true(p256_good(public, VIEW("message"), signature));
    assert_false(p256_good(public, VIEW("messagf"), signature));
    assert_false(p256_good(other, VIEW("message"), signature));
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    EVP_PKEY_free(public);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signature_of_the_book_is_good),
        cmocka_unit_test(halves_out_of_range_are_refused),
        cmocka_unit_test(points_off_the_curve_are_no_keys),
        cmocka_unit_test(what_we_sign_is_good_and_of_fixed_width),
        cmocka_unit_test(only_p256_keys_have_such_points),
        cmocka_unit_test(der_is_as_short_as_it_may_be),
        cmocka_unit_test(numbers_have_the_points_that_they_should),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(what_one_signs_its_point_verifies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
