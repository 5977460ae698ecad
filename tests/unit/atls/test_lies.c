/* What a server may say within a good TLS session, and what the client makes of it: never an attested connection. */
#include "stage.h"

/* --- report data that is nearly right --- */

static bool bind_without_exporter(struct view nonce, struct view exporter, uint8_t *out)
{
    static const uint8_t zeros[32];

    (void)exporter;
    return bind_rightly(nonce, view_from(zeros, sizeof zeros), out);
}
static bool bind_nonce_alone(struct view nonce, struct view exporter, uint8_t *out)
{
    (void)exporter;
    return digest_sha512(&nonce, 1, out);
}
static bool bind_exporter_alone(struct view nonce, struct view exporter, uint8_t *out)
{
    (void)nonce;
    return digest_sha512(&exporter, 1, out);
}
static bool bind_swapped(struct view nonce, struct view exporter, uint8_t *out)
{
    return bind_rightly(exporter, nonce, out);
}
static bool bind_by_sha256(struct view nonce, struct view exporter, uint8_t *out)
{
    const struct view pieces[] = {nonce, exporter};

    memset(out, 0, REPORT_DATA_BYTES);
    return digest_sha256(pieces, 2, out);
}
static bool bind_by_sha384(struct view nonce, struct view exporter, uint8_t *out)
{
    const struct view pieces[] = {nonce, exporter};

    memset(out, 0, REPORT_DATA_BYTES);
    return digest_sha384(pieces, 2, out);
}
static bool bind_hex(struct view nonce, struct view exporter, uint8_t *out)
{
    char a[65], b[129];

    hex_encode(nonce, a);
    hex_encode(exporter, b);
    return bind_rightly(view_str(a), view_str(b), out);
}
static bool bind_unhashed(struct view nonce, struct view exporter, uint8_t *out)
{
    memcpy(out, nonce.at, 32);
    memcpy(out + 32, exporter.at, 32);
    return true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIE_FAULT(quote_for_another_session, REPORT_DATA, .other_session = true),
        LIE_FAULT(quote_for_another_nonce, REPORT_DATA, .other_nonce = true),
        LIE_FAULT(quote_for_the_nonce_and_zeros, REPORT_DATA, .bind = bind_without_exporter),
        LIE_FAULT(quote_for_the_nonce_alone, REPORT_DATA, .bind = bind_nonce_alone),
        LIE_FAULT(quote_for_the_exporter_alone, REPORT_DATA, .bind = bind_exporter_alone),
        LIE_FAULT(quote_for_both_swapped, REPORT_DATA, .bind = bind_swapped),
        LIE_FAULT(quote_by_sha256, REPORT_DATA, .bind = bind_by_sha256),
        LIE_FAULT(quote_by_sha384, REPORT_DATA, .bind = bind_by_sha384),
        LIE_FAULT(quote_of_hex, REPORT_DATA, .bind = bind_hex),
        LIE_FAULT(quote_without_hash, REPORT_DATA, .bind = bind_unhashed),
        LIE_FAULT(report_data_told_and_not_quoted, REPORT_DATA, .tells_report_data = true,
                  .bind = bind_nonce_alone),
        LIE_FAULT(exporter_of_another_label, REPORT_DATA, .label = "EXPORTER-Token-Binding"),
        LIE_FAULT(exporter_of_a_label_in_lower_case, REPORT_DATA,
                  .label = "exporter-channel-binding"),
        LIE_FAULT(exporter_with_context, REPORT_DATA, .context = "context"),
        LIE_FAULT(exporter_of_16_bytes, REPORT_DATA, .exporter_bytes = 16),
        LIE_FAULT(exporter_of_64_bytes, REPORT_DATA, .exporter_bytes = 64),
        LIE_FAULT(certificate_not_measured, CERTIFICATE_EVENT, .other_event = true),
        LIE_FAULT(certificate_of_the_issuer_measured, CERTIFICATE_EVENT, .issuer_event = true),
        LIE_FAULT(collateral_of_another_pki, CRL_SIGNATURE, .other_staple = true),

        LIE_FAULT(no_success, QUOTE_ANSWER, .failed = true),
        LIE_FAULT(ended_in_the_middle, CLOSED, .ends = true),
        LIE_FAULT(cut_off_in_the_middle, CLOSED, .breaks_off = true),
        LIE_FAULT(said_before_it_was_asked, HTTP, .early = "HTTP/1.1 200 OK\r\n\r\n"),
        LIE_FAULT(an_answer_before_it_was_asked, QUOTE_ANSWER,
                  .early = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        LIE_FAULT(words_before_it_was_asked, HTTP, .early = "hello"),
        LIE_FAULT(a_second_answer_behind, HTTP,
                  .behind = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        LIE_FAULT(a_byte_behind, HTTP, .behind = "x"),
        LIE_FAULT(line_ends_behind, HTTP, .behind = "\r\n"),
        LIE_FAULT(status_201, HTTP_STATUS, .head = "HTTP/1.1 201 Oh\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(status_206, HTTP_STATUS, .head = "HTTP/1.1 206 Oh\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(status_302, HTTP_STATUS,
                  .head = "HTTP/1.1 302 Oh\r\nLocation: https://other.test/\r\nContent-Length: "
                          "@\r\n\r\n"),
        LIE_FAULT(status_404, HTTP_STATUS, .head = "HTTP/1.1 404 Oh\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(status_500, HTTP_STATUS, .head = "HTTP/1.1 500 Oh\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(status_600, HTTP, .head = "HTTP/1.1 600 Oh\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(status_204, HTTP, .head = "HTTP/1.1 204 None\r\n\r\n"),
        LIE_FAULT(status_101, HTTP, .head = "HTTP/1.1 101 Hm\r\n\r\n"),
        LIE_FAULT(no_length, HTTP, .head = "HTTP/1.1 200 OK\r\n\r\n"),
        LIE_FAULT(two_lengths, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nContent-Length: 5\r\n\r\n"),
        LIE_FAULT(two_lengths_in_a_list, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: @, 5\r\n\r\n"),
        LIE_FAULT(length_negative, HTTP, .head = "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        LIE_FAULT(length_with_a_plus, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: +@\r\n\r\n"),
        LIE_FAULT(length_in_hex, HTTP, .head = "HTTP/1.1 200 OK\r\nContent-Length: 0x10\r\n\r\n"),
        LIE_FAULT(length_of_2_to_the_64, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n"),
        LIE_FAULT(length_of_2_to_the_63, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n"),
        LIE_FAULT(length_of_100_mib, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n"),
        LIE_FAULT(length_too_small, HTTP, .head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        LIE_FAULT(length_and_chunked, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nTransfer-Encoding: "
                          "chunked\r\n\r\n"),
        LIE_FAULT(chunked_not_last, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n"),
        LIE_FAULT(chunk_size_wrong, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        LIE_FAULT(chunk_of_2_to_the_64, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                          "chunked\r\n\r\n10000000000000000\r\n"),
        LIE_FAULT(closes_behind_it, CLOSED,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nConnection: close\r\n\r\n"),
        LIE_FAULT(of_http_1_0, CLOSED, .head = "HTTP/1.0 200 OK\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(encoded, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length: @\r\nContent-Encoding: gzip\r\n\r\n"),
        LIE_FAULT(nine_interim_answers, HTTP,
                  .head = "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n"
                          "HTTP/1.1 102 A\r\n\r\nHTTP/1.1 100 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n"
                          "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 199 A\r\n\r\nHTTP/1.1 100 A\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(no_http, HTTP, .head = "garbage\r\n\r\n"),
        LIE_FAULT(of_http_2, HTTP, .head = "HTTP/2 200\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(field_folded, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: @\r\n\r\n"),
        LIE_FAULT(field_with_a_blank_before_its_colon, HTTP,
                  .head = "HTTP/1.1 200 OK\r\nContent-Length : @\r\n\r\n"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
