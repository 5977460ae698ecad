/* The server's half of TLS: a client never gets there, but tables that it shares with servers name it. Defined here, it is not taken
 * from OpenSSL's library, nor what it needs: a twentieth of the module. Each says no. When OpenSSL adds to it, the linker finds all of
 * it twice, and says so. */
#include <stddef.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"

/* 0 is the error of all their types. */
#define NO(name, ...)      \
    int name(__VA_ARGS__); \
    int name(__VA_ARGS__)  \
    {                      \
        return 0;          \
    }

// NOLINTBEGIN(misc-unused-parameters,readability-non-const-parameter): OpenSSL says which
NO(ossl_statem_server_read_transition, void *s, int message)
NO(ossl_statem_server_write_transition, void *s)
NO(ossl_statem_server_pre_work, void *s, int work)
NO(ossl_statem_server_post_work, void *s, int work)
NO(ossl_statem_server_construct_message, void *s, void *function, int *message)
NO(ossl_statem_server_max_message_size, void *s) /* of type size_t, which is as wide */
NO(ossl_statem_server_process_message, void *s, void *packet)
NO(ossl_statem_server_post_process_message, void *s, int work)
NO(send_certificate_request, void *s)
NO(tls_handle_alpn, void *s)

/* What its table of extensions names. */
#define NO_EXTENSION(name) \
    NO(name, void *s, void *packet, unsigned context, void *certificate, size_t index)

NO_EXTENSION(tls_parse_ctos_alpn)
NO_EXTENSION(tls_parse_ctos_client_cert_type)
NO_EXTENSION(tls_parse_ctos_cookie)
NO_EXTENSION(tls_parse_ctos_early_data)
NO_EXTENSION(tls_parse_ctos_ec_pt_formats)
NO_EXTENSION(tls_parse_ctos_ems)
NO_EXTENSION(tls_parse_ctos_etm)
NO_EXTENSION(tls_parse_ctos_key_share)
NO_EXTENSION(tls_parse_ctos_maxfragmentlen)
NO_EXTENSION(tls_parse_ctos_post_handshake_auth)
NO_EXTENSION(tls_parse_ctos_psk)
NO_EXTENSION(tls_parse_ctos_psk_kex_modes)
NO_EXTENSION(tls_parse_ctos_renegotiate)
NO_EXTENSION(tls_parse_ctos_server_cert_type)
NO_EXTENSION(tls_parse_ctos_server_name)
NO_EXTENSION(tls_parse_ctos_session_ticket)
NO_EXTENSION(tls_parse_ctos_sig_algs)
NO_EXTENSION(tls_parse_ctos_sig_algs_cert)
NO_EXTENSION(tls_parse_ctos_supported_groups)

NO_EXTENSION(tls_construct_stoc_alpn)
NO_EXTENSION(tls_construct_stoc_client_cert_type)
NO_EXTENSION(tls_construct_stoc_cookie)
NO_EXTENSION(tls_construct_stoc_cryptopro_bug)
NO_EXTENSION(tls_construct_stoc_early_data)
NO_EXTENSION(tls_construct_stoc_ec_pt_formats)
NO_EXTENSION(tls_construct_stoc_ems)
NO_EXTENSION(tls_construct_stoc_etm)
NO_EXTENSION(tls_construct_stoc_key_share)
NO_EXTENSION(tls_construct_stoc_maxfragmentlen)
NO_EXTENSION(tls_construct_stoc_psk)
NO_EXTENSION(tls_construct_stoc_renegotiate)
NO_EXTENSION(tls_construct_stoc_server_cert_type)
NO_EXTENSION(tls_construct_stoc_server_name)
NO_EXTENSION(tls_construct_stoc_session_ticket)
NO_EXTENSION(tls_construct_stoc_supported_groups)
NO_EXTENSION(tls_construct_stoc_supported_versions)
// NOLINTEND(misc-unused-parameters,readability-non-const-parameter)
