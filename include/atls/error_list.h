/* error_list.h: all reasons why an attestation is refused, once. Numbers never change and are never reused; the hundreds are the
 * class. Names are for programs: they are what JSON and logs say. */
#ifndef ATLS_ERROR_LIST_H
#define ATLS_ERROR_LIST_H

/* class, first number, stable name, words before every text (NULL: none), exit status of the commands. */
#define ATLS_CLASS_LIST(X)                                            \
    X(NONE, 0, "none", NULL, 0)                                       \
    X(IO, 100, "io", "I/O error: ", 10)                               \
    X(TLS, 200, "tls", "TLS handshake failed: ", 11)                  \
    X(QUOTE, 300, "quote", "quote verification failed: ", 12)         \
    X(TCB, 400, "tcb", NULL, 13)                                      \
    X(MEASUREMENT, 500, "measurement", NULL, 14)                      \
    X(EVENT_LOG, 600, "event_log", "failed to parse event log: ", 15) \
    X(BINDING, 700, "binding", NULL, 16)                              \
    X(CONFIG, 800, "configuration", "configuration error: ", 2)       \
    X(INTERNAL, 900, "internal", NULL, 70)                            \
    X(RECEIPT, 1000, "receipt", "receipt refused: ", 17)

/* code, number, stable name. */
#define ATLS_ERROR_LIST(X)                                    \
    X(OK, 0, "ok")                                            \
    X(IO, 100, "io")                                          \
    X(HTTP, 101, "http_response")                             \
    X(HTTP_STATUS, 102, "http_status")                        \
    X(TIMEOUT, 103, "timeout")                                \
    X(COLLATERAL_FETCH, 104, "collateral_fetch")              \
    X(CLOSED, 105, "connection_closed")                       \
    X(TLS_HANDSHAKE, 200, "tls_handshake")                    \
    X(SERVER_NAME, 201, "server_name")                        \
    X(NO_CERTIFICATE, 202, "missing_certificate")             \
    X(QUOTE_SYNTAX, 300, "quote_syntax")                      \
    X(QUOTE_VERSION, 301, "quote_version")                    \
    X(QUOTE_VENDOR, 302, "quote_vendor")                      \
    X(QUOTE_TEE, 303, "quote_tee_type")                       \
    X(QUOTE_KEY_TYPE, 304, "quote_key_type")                  \
    X(QUOTE_CERTIFICATION, 305, "quote_certification_type")   \
    X(QUOTE_ANSWER, 306, "quote_answer")                      \
    X(COLLATERAL_SYNTAX, 310, "collateral_syntax")            \
    X(CERTIFICATE_SYNTAX, 311, "certificate_syntax")          \
    X(CERTIFICATE_CHAIN, 312, "certificate_chain")            \
    X(CERTIFICATE_TIME, 313, "certificate_time")              \
    X(CERTIFICATE_PURPOSE, 314, "certificate_purpose")        \
    X(CERTIFICATE_REVOKED, 315, "certificate_revoked")        \
    X(CRL_SYNTAX, 316, "crl_syntax")                          \
    X(CRL_TIME, 317, "crl_time")                              \
    X(CRL_SIGNATURE, 318, "crl_signature")                    \
    X(CRL_MISSING, 319, "crl_missing")                        \
    X(PCK_EXTENSION, 320, "pck_extension")                    \
    X(QE_REPORT_SIGNATURE, 321, "qe_report_signature")        \
    X(QE_REPORT_DATA, 322, "qe_report_data")                  \
    X(QUOTE_SIGNATURE, 323, "quote_signature")                \
    X(QE_SYNTAX, 330, "qe_identity_syntax")                   \
    X(QE_TIME, 331, "qe_identity_time")                       \
    X(QE_SIGNATURE, 332, "qe_identity_signature")             \
    X(QE_ID, 333, "qe_identity_id")                           \
    X(QE_MRSIGNER, 334, "qe_mrsigner")                        \
    X(QE_ISVPRODID, 335, "qe_isvprodid")                      \
    X(QE_MISCSELECT, 336, "qe_miscselect")                    \
    X(QE_ATTRIBUTES, 337, "qe_attributes")                    \
    X(QE_DEBUG, 338, "qe_debug")                              \
    X(QE_ISVSVN, 339, "qe_isvsvn")                            \
    X(TD_DEBUG, 340, "td_debug")                              \
    X(TD_RESERVED, 341, "td_reserved_attributes")             \
    X(TD_SEPT_VE, 342, "td_sept_ve_disable")                  \
    X(TD_MIGRATABLE, 343, "td_migratable")                    \
    X(TD_PERFMON, 344, "td_perfmon")                          \
    X(TD_SERVICE, 345, "td_service")                          \
    X(SGX_DEBUG, 346, "sgx_debug")                            \
    X(MODULE_SIGNER, 347, "tdx_module_signer")                \
    X(MODULE_ATTRIBUTES, 348, "tdx_module_attributes")        \
    X(MODULE_IDENTITY, 349, "tdx_module_identity")            \
    X(MODULE_SVN, 350, "tdx_module_svn")                      \
    X(CLOCK, 351, "clock")                                    \
    X(TCB_SYNTAX, 400, "tcb_info_syntax")                     \
    X(TCB_TIME, 401, "tcb_info_time")                         \
    X(TCB_SIGNATURE, 402, "tcb_info_signature")               \
    X(TCB_ID, 403, "tcb_info_id")                             \
    X(TCB_FMSPC, 404, "tcb_info_fmspc")                       \
    X(TCB_PCEID, 405, "tcb_info_pceid")                       \
    X(TCB_NO_LEVEL, 406, "tcb_no_level")                      \
    X(TCB_COMPONENTS, 407, "tcb_components")                  \
    X(TCB_REVOKED, 408, "tcb_revoked")                        \
    X(TCB_NOT_ALLOWED, 409, "tcb_status_not_allowed")         \
    X(TCB_ADVISORY, 410, "tcb_advisory")                      \
    X(TCB_GRACE, 411, "tcb_grace_period")                     \
    X(TCB_INFO, 412, "tcb_info_error")                        \
    X(TCB_EVALUATION, 413, "tcb_evaluation_data_number")      \
    X(TCB_ROLLBACK, 414, "tcb_rollback")                      \
    X(TEE_MISMATCH, 500, "tee_type_mismatch")                 \
    X(BOOTCHAIN, 501, "bootchain_mismatch")                   \
    X(RTMR, 502, "rtmr_mismatch")                             \
    X(COMPOSE_HASH, 503, "app_compose_hash_mismatch")         \
    X(OS_IMAGE_HASH, 504, "os_image_hash_mismatch")           \
    X(EVENT_SYNTAX, 600, "event_log_syntax")                  \
    X(EVENT_DIGEST, 601, "event_digest_forged")               \
    X(EVENT_REGISTER, 602, "event_register")                  \
    X(EVENT_ORDER, 603, "event_order")                        \
    X(EVENT_NAME, 604, "event_name")                          \
    X(EVENT_CERTIFICATE, 605, "event_certificate_syntax")     \
    X(REPORT_DATA, 700, "report_data_mismatch")               \
    X(CERTIFICATE_EVENT, 701, "certificate_not_in_event_log") \
    X(QUOTE_AGE, 702, "quote_too_old")                        \
    X(REATTEST, 703, "reattest_due")                          \
    X(POLICY, 800, "policy")                                  \
    X(TRUST, 801, "trust_root")                               \
    X(EDITIONS, 802, "editions_file")                         \
    X(MEMORY, 900, "out_of_memory")                           \
    X(INTERNAL, 901, "internal")                              \
    X(RECEIPT_SYNTAX, 1000, "receipt_syntax")                 \
    X(RECEIPT_FIELD, 1001, "receipt_field")                   \
    X(RECEIPT_DIGEST, 1002, "receipt_digest")

#endif
