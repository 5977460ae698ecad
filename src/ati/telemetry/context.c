/* W3C Trace Context (Level 1): traceparent and tracestate; and which traces are kept. */
#include "ati/telemetry/telemetry_priv.h"

#include <stdio.h>

#include "base/codec.h"

#include "base/poison.h"

static bool lower_hex(struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (!((v.at[i] >= '0' && v.at[i] <= '9') || (v.at[i] >= 'a' && v.at[i] <= 'f')))
            return false;
    return true;
}

static bool all_zero(const uint8_t *at, size_t n)
{
    uint8_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= at[i];
    return any == 0;
}

/* version "-" trace-id "-" parent-id "-" flags; a later version may have more behind another "-". */
static bool parse(struct view v, struct trace_context *out)
{
    uint8_t version, flags;

    if (v.len < 55 || v.at[2] != '-' || v.at[35] != '-' || v.at[52] != '-' ||
        !lower_hex(view_first(v, 2)) || !lower_hex(view_first(view_skip(v, 3), 32)) ||
        !lower_hex(view_first(view_skip(v, 36), 16)) ||
        !lower_hex(view_first(view_skip(v, 53), 2)) || !hex_decode(view_first(v, 2), &version, 1) ||
        !hex_decode(view_first(view_skip(v, 3), 32), out->trace_id, sizeof out->trace_id) ||
        !hex_decode(view_first(view_skip(v, 36), 16), out->span_id, sizeof out->span_id) ||
        !hex_decode(view_first(view_skip(v, 53), 2), &flags, 1))
        return false;
    if (version == 0xFF || (version == 0 ? v.len != 55 : v.len > 55 && v.at[55] != '-'))
        return false;
    out->sampled = flags & 1;
    return !all_zero(out->trace_id, sizeof out->trace_id) &&
           !all_zero(out->span_id, sizeof out->span_id);
}

void trace_context_parse(struct view traceparent, struct view tracestate, struct trace_context *out)
{
    *out = (struct trace_context){0};
    if (!parse(traceparent, out)) {
        *out = (struct trace_context){0};
        return;
    }
    out->valid = true;
    if (tracestate.len && tracestate.len < sizeof out->state)
        memcpy(out->state, tracestate.at, tracestate.len);
}

char *trace_context_format(const struct trace_context *c, char out[static 56])
{
    char trace[33], span[17];

    hex_encode(view_from(c->trace_id, sizeof c->trace_id), trace);
    hex_encode(view_from(c->span_id, sizeof c->span_id), span);
    (void)snprintf(out, 56, "00-%s-%s-%s", trace, span, c->sampled ? "01" : "00");
    return out;
}

bool telemetry_sample(const struct telemetry_config *c, const struct trace_context *parent,
                      const uint8_t trace_id[static 16])
{
    uint64_t low = 0;

    if (c->parent_based && parent && parent->valid)
        return parent->sampled;
    if (c->sampler != SAMPLER_RATIO)
        return c->sampler == SAMPLER_ON;
    for (size_t i = 8; i < 16; i++)
        low = low << 8 | trace_id[i];
    return (double)(low >> 1) < c->ratio * (double)(UINT64_MAX >> 1);
}
