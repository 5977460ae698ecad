/* limits: the ceilings of the tree, each with its reason. What an operator may change is a row in
 * the program's settings table, bounded by what stands here. */
#pragma once

enum {
    /* HTTP head: browsers with many cookies reach 4–6 KiB; twice that, and a page. */
    HTTP_HEAD_BYTES_MAX = 16 * 1024,
    HTTP_LINE_BYTES_MAX = 8 * 1024, /* the request line, and each header field line */
    HTTP_FIELDS_MAX = 100,          /* header fields of one message */

    WS_HEAD_MAX = 14,     /* 2 + 8 length + 4 mask (RFC 6455, 5.2) */
    WS_CONTROL_MAX = 125, /* payload of a control frame (RFC 6455, 5.5) */
    WS_REASON_MAX = 123,  /* Close: two bytes of code before it */

    HOST_BYTES_MAX = 255,   /* a DNS name in text (RFC 1035, 2.3.4) */
    TARGET_BYTES_MAX = 260, /* host, brackets or dot, colon, five digits */

    PROXY_V1_BYTES_MAX = 107, /* PROXY protocol, 2.1 */
    PROXY_V2_BYTES_MAX = 536, /* PROXY protocol, 2.2: what a receiver must take at least */

    ALLOWLIST_ENTRIES_MAX = 65536,
    CONFIG_FILE_BYTES_MAX = 1024 * 1024,
};

_Static_assert(HTTP_LINE_BYTES_MAX < HTTP_HEAD_BYTES_MAX, "a line fits in a head");
