#include "attest/digest.h"
#include "attest/event_log.h"
#include "base/codec.h"

#include "base/poison.h"

enum { CANONICAL_MAX = 2 * EVENT_LOG_BYTES_MAX + 4096 };

/* "name" with the escapes that RFC 8785 leaves; names are printable, so there are two. */
static bool quoted(struct view name, struct buf *out)
{
    bool good = buf_append_byte(out, '"', NULL);

    for (size_t i = 0; good && i < name.len; i++) {
        if (name.at[i] == '"' || name.at[i] == '\\')
            good = buf_append_byte(out, '\\', NULL);
        good = good && buf_append_byte(out, name.at[i], NULL);
    }
    return good && buf_append_byte(out, '"', NULL);
}

bool event_canonical(struct view name, struct view payload, struct buf *out)
{
    uint8_t *hex;

    if (!buf_append_str(out, "{\"name\":", NULL) || !quoted(name, out) ||
        !buf_append_str(out, ",\"payload\":\"", NULL) ||
        !buf_room(out, 2 * payload.len + 1, &hex, NULL))
        return false;
    hex_encode(payload, (char *)hex);
    buf_wrote(out, 2 * payload.len);
    return buf_appendf(out, NULL, "\",\"type\":%u}", (unsigned)EVENT_TYPE_RUNTIME);
}

bool event_digest(unsigned version, struct view name, struct view payload,
                  uint8_t out[static MEASUREMENT_BYTES])
{
    static const uint8_t type[] = {0x01, 0x00, 0x00, 0x08};
    struct buf canonical;
    struct view text;
    bool good;

    if (version == 1) {
        const struct view pieces[] = {view_from(type, sizeof type), VIEW(":"), name, VIEW(":"),
                                      payload};

        return digest_sha384(pieces, sizeof pieces / sizeof *pieces, out);
    }
    buf_init(&canonical, CANONICAL_MAX, "canonical event");
    good = event_canonical(name, payload, &canonical);
    text = buf_view(&canonical);
    good = good && digest_sha384(&text, 1, out);
    buf_done(&canonical);
    return good;
}
