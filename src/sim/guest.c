#include "sim/guest.h"

#include <stdlib.h>

#include "attest/digest.h"
#include "base/codec.h"
#include "base/json.h"

#include "base/poison.h"

static bool sha(const char *text, uint8_t *out, size_t n)
{
    struct view v = view_str(text);

    return n == 32 ? digest_sha256(&v, 1, out) : digest_sha384(&v, 1, out);
}

static bool extend(struct sim_guest *g, const struct sim_event *e)
{
    uint8_t *rtmr = g->td.rtmr[e->imr];
    const struct view pieces[] = {view_from(rtmr, MEASUREMENT_BYTES),
                                  view_from(e->digest, MEASUREMENT_BYTES)};

    return digest_sha384(pieces, 2, rtmr);
}

/* Firmware, its tables and variables, kernel, command line: what a guest measures before it runs. */
static bool firmware(struct sim_guest *g)
{
    static const struct {
        unsigned imr;
        uint32_t type;
        const char *name, *content;
    } all[] = {
        {0, 0x8000000B, "", "firmware volume"},
        {0, 0x0000000A, "acpi-loader", "acpi loader"},
        {0, 0x0000000A, "acpi-rsdp", "acpi rsdp"},
        {0, 0x0000000A, "acpi-tables", "acpi tables"},
        {0, 0x80000001, "", "secure boot off"},
        {0, 0x00000004, "", "separator"},
        {1, 0x80000003, "", "kernel"},
        {1, 0x80000007, "", "exit boot services"},
        {2, 0x00000006, "", "command line"},
        {2, 0x00000006, "", "initramfs"},
    };
    bool good = sha("postern simulator: firmware", g->td.mrtd, MEASUREMENT_BYTES);

    for (size_t i = 0; good && i < sizeof all / sizeof *all; i++) {
        struct sim_event *e = &g->events[g->count++];

        e->imr = all[i].imr;
        e->type = all[i].type;
        (void)snprintf(e->name, sizeof e->name, "%s", all[i].name);
        good = sha(all[i].content, e->digest, MEASUREMENT_BYTES) && extend(g, e);
    }
    return good;
}

bool sim_guest_emit(struct sim_guest *g, const char *name, struct view payload, struct err *err)
{
    struct sim_event *e;

    if (!*name || strlen(name) > EVENT_NAME_MAX)
        return err_set(err, ERR_USAGE, "an event's name has 1 to %d bytes", EVENT_NAME_MAX);
    if (payload.len > SIM_PAYLOAD_MAX)
        return err_set(err, ERR_LIMIT, "an event's payload has at most %d bytes", SIM_PAYLOAD_MAX);
    if (g->count == SIM_EVENTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d events", SIM_EVENTS_MAX);
    e = &g->events[g->count];
    e->imr = 3;
    e->type = EVENT_TYPE_RUNTIME;
    memcpy(e->name, name, strlen(name) + 1);
    if (payload.len)
        memcpy(e->payload, payload.at, payload.len);
    e->payload_len = payload.len;
    if (!event_digest(1, view_str(name), payload, e->digest) || !extend(g, e))
        return err_set(err, ERR_MEMORY, "no memory for a digest");
    g->count++;
    return true;
}

static bool boot(struct sim_guest *g, struct err *err)
{
    static const char provider[] = "{\"name\":\"none\",\"id\":\"simulator\"}";
    struct view compose = buf_view(&g->compose), none = view_from(NULL, 0);

    if (!firmware(g) || !digest_sha256(&compose, 1, g->compose_hash) ||
        !sha("postern simulator: image", g->os_image_hash, 32))
        return err_set(err, ERR_MEMORY, "no memory for a digest");
    memcpy(g->app_id, g->compose_hash, sizeof g->app_id);
    memcpy(g->instance_id, "simulated instance..", sizeof g->instance_id);
    g->td.mrconfigid[0] = 1;
    memcpy(g->td.mrconfigid + 1, g->compose_hash, sizeof g->compose_hash);
    return sim_guest_emit(g, "system-preparing", none, err) &&
           sim_guest_emit(g, "app-id", view_from(g->app_id, sizeof g->app_id), err) &&
           sim_guest_emit(g, EVENT_COMPOSE_HASH, view_from(g->compose_hash, 32), err) &&
           sim_guest_emit(g, "instance-id", view_from(g->instance_id, sizeof g->instance_id),
                          err) &&
           sim_guest_emit(g, EVENT_BOOT_DONE, none, err) &&
           sim_guest_emit(g, EVENT_OS_IMAGE_HASH, view_from(g->os_image_hash, 32), err) &&
           sim_guest_emit(g, "key-provider", view_str(provider), err) &&
           sim_guest_emit(g, "storage-fs", VIEW("zfs"), err) &&
           sim_guest_emit(g, EVENT_SYSTEM_READY, none, err);
}

bool sim_guest_boot(struct view compose, struct sim_guest **out, struct err *err)
{
    CLEANUP(sim_guest_free_cleanup) struct sim_guest *g = calloc(1, sizeof *g);

    if (!g)
        return err_set(err, ERR_MEMORY, "no memory for a simulated guest");
    sim_td_default(&g->td);
    buf_init(&g->compose, (size_t)4 * 1024 * 1024, "app-compose.json");
    if (!buf_append(&g->compose, compose, err) || !boot(g, err))
        return false;
    *out = take(g);
    return true;
}

void sim_guest_free(struct sim_guest *g)
{
    if (!g)
        return;
    buf_done(&g->compose);
    free(g);
}

bool sim_guest_certificate(struct sim_guest *g, const uint8_t sha256[static 32], struct err *err)
{
    char hex[65];

    hex_encode(view_from(sha256, 32), hex);
    return sim_guest_emit(g, EVENT_CERTIFICATE, view_str(hex), err);
}

static void write_event(const struct sim_event *e, bool digests, struct json_writer *w)
{
    bool told = digests || e->type != EVENT_TYPE_RUNTIME;

    json_object(w);
    json_key(w, "imr");
    json_u64(w, e->imr);
    json_key(w, "event_type");
    json_u64(w, e->type);
    json_key(w, "digest");
    json_hex(w, view_from(e->digest, told ? sizeof e->digest : 0));
    json_key(w, "event");
    json_text(w, view_str(e->name));
    json_key(w, "event_payload");
    json_hex(w, view_from(e->payload, e->payload_len));
    json_object_end(w);
}

bool sim_guest_log(const struct sim_guest *g, bool digests, struct buf *out, struct err *err)
{
    struct json_writer w;

    json_begin(&w, out);
    json_array(&w);
    for (unsigned i = 0; i < g->count; i++)
        write_event(&g->events[i], digests, &w);
    json_array_end(&w);
    return json_end(&w, err);
}

static void write_hex(struct json_writer *w, const char *key, const uint8_t *at, size_t n)
{
    json_key(w, key);
    json_hex(w, view_from(at, n));
}

bool sim_policy(const struct sim_guest *g, const struct sim_platform *p, bool strict,
                const char *pccs_url, struct buf *out, struct err *err)
{
    static const char *const rtmr[] = {"rtmr0", "rtmr1", "rtmr2"};
    struct json_writer w;
    struct buf pem;
    bool good;

    buf_init(&pem, (size_t)16 * 1024, "root");
    good = sim_pem(p->root, &pem, err);
    json_begin(&w, out);
    json_object(&w);
    json_key(&w, "type");
    json_text(&w, VIEW("dstack_tdx"));
    if (strict) {
        json_key(&w, "expected_bootchain");
        json_object(&w);
        write_hex(&w, "mrtd", g->td.mrtd, MEASUREMENT_BYTES);
        for (size_t i = 0; i < 3; i++)
            write_hex(&w, rtmr[i], g->td.rtmr[i], MEASUREMENT_BYTES);
        json_object_end(&w);
        json_key(&w, "app_compose");
        json_text(&w, buf_view(&g->compose)); /* as the text of the file: hashed as it is */
        write_hex(&w, "os_image_hash", g->os_image_hash, 32);
    } else {
        json_key(&w, "disable_runtime_verification");
        json_bool(&w, true);
    }
    json_key(&w, "allowed_tcb_status");
    json_array(&w);
    json_text(&w, VIEW("UpToDate"));
    json_array_end(&w);
    if (pccs_url) {
        json_key(&w, "pccs_url");
        json_text(&w, view_str(pccs_url));
    }
    json_key(&w, "allow_simulated");
    json_bool(&w, true);
    json_key(&w, "trusted_roots");
    json_array(&w);
    json_text(&w, buf_view(&pem));
    json_array_end(&w);
    json_object_end(&w);
    good = good && json_end(&w, err);
    buf_done(&pem);
    return good;
}

bool sim_vm_config(const struct sim_guest *g, struct buf *out, struct err *err)
{
    char hex[65];

    hex_encode(view_from(g->os_image_hash, 32), hex);
    return buf_appendf(
        out, err, "{\"os_image_hash\":\"%s\",\"cpu_count\":2,\"memory_size\":2147483648}", hex);
}
