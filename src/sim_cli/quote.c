/* atlas-sim quote: one quote on standard output, or with its event log as an answer of the guest agent. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/command.h"
#include "sim/agent.h"
#include "sim_cli/commands.h"
#include "sim_cli/state.h"

#include "base/poison.h"

struct config {
    uint32_t version;
    int certification;
    const char *report_data, *certificate;
    bool json, hex;
};

#define ROW(field, k, text, ...)                                                               \
    {                                                                                          \
        .name = text, .kind = k, .offset = offsetof(struct config, field), .group = "Options", \
        __VA_ARGS__                                                                            \
    }

static const struct setting rows[] = {
    ROW(version, SETTING_U32, "quote-version", .fallback = "4", .least = 4, .most = 5,
        .help = "4: TD report 1.0; 5: TD report 1.5"),
    ROW(certification, SETTING_CHOICE, "certification", .choices = STATE_CERTIFICATIONS,
        .fallback = "5",
        .help = "Type of the certification data: 5, with the PCK's chain; 2 or 3, with what names "
                "it to a PCCS"),
    ROW(report_data, SETTING_TEXT, "report-data", .value_name = "HEX",
        .help = "The 64 bytes that the quote carries (zeros)"),
    ROW(certificate, SETTING_TEXT, "certificate-sha256", .value_name = "HEX",
        .help = "Emit \"New TLS Certificate\" for this hash first"),
    ROW(json, SETTING_BOOL, "json",
        .help = "Print the guest agent's answer: quote, event log, VM configuration"),
    ROW(hex, SETTING_BOOL, "hex", .help = "Print the quote in hex"),
};

static const struct settings_program program = {
    .name = "atlas-sim quote",
    .prefix = "ATLAS_SIM_QUOTE_",
    .summary = "Prints a quote of the simulated platform in FOLDER.",
    .usage = "atlas-sim quote FOLDER [--json] [--report-data HEX]",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .word = "FOLDER",
    .words_least = 1,
    .words_most = 1,
};

static bool write_out(struct view bytes, struct err *err)
{
    return (fwrite(bytes.at, 1, bytes.len, stdout) == bytes.len && fflush(stdout) == 0) ||
           err_system(err, ERR_IO, errno, "standard output");
}

static bool print(const struct config *c, struct sim_state *s, const uint8_t *data, struct err *err)
{
    struct buf out, hex;
    uint8_t *room;
    bool good;

    s->platform->recipe.certification = sim_state_certification(c->certification);
    buf_init(&out, (size_t)16 * 1024 * 1024, "quote");
    buf_init(&hex, (size_t)1024 * 1024, "quote");
    good = c->json ? sim_agent_quote(s->platform, s->guest, c->version, data, &out, err)
                   : sim_quote(s->platform, &s->guest->td, c->version, data, 0, &out, err);
    if (good && c->hex && !c->json) {
        good = buf_room(&hex, 2 * buf_len(&out) + 1, &room, err);
        if (good) {
            hex_encode(buf_view(&out), (char *)room);
            good = write_out(view_from(room, 2 * buf_len(&out)), err);
        }
    } else if (good) {
        good = write_out(buf_view(&out), err);
    }
    buf_done(&out);
    buf_done(&hex);
    return good;
}

int sim_quote_command(int argc, char **argv, char **environment)
{
    CLEANUP(settings_free_cleanup) struct settings *settings = NULL;
    uint8_t data[REPORT_DATA_BYTES] = {0}, leaf[32];
    struct sim_state s = {.guest = NULL};
    struct config config;
    struct err err;
    unsigned words;
    int status;
    bool good;

    if (!command_start(&program, argc, argv, environment, &config, &settings, &status))
        return status;
    good = command_hex(config.report_data, "report-data", data, sizeof data, &err) &&
           command_hex(config.certificate, "certificate-sha256", leaf, sizeof leaf, &err) &&
           sim_state_load(settings_words(settings, &words)[0], clock_wall_ms(&clock_system) / 1000,
                          &s, &err) &&
           (!config.certificate || sim_guest_certificate(s.guest, leaf, &err)) &&
           print(&config, &s, data, &err);
    sim_state_done(&s);
    if (!good)
        (void)fprintf(stderr, "atlas-sim quote: %s\n", err.text);
    return good ? 0 : err_exit_status(err.code);
}
