/* agent: the answers of dstack's guest agent, for a simulated guest (its HTTP interface: POST /GetQuote, /EmitEvent, /Info,
 * /GetKey, /Version; bytes in hex). Text in, text out; who listens is elsewhere. */
#pragma once

#include "sim/guest.h"

/* GetQuote's answer, appended. version: of the quote, as in sim_quote. */
MUST_USE bool sim_agent_quote(const struct sim_platform *p, const struct sim_guest *g,
                              unsigned version, const uint8_t report_data[static REPORT_DATA_BYTES],
                              struct buf *out, struct err *err);
/* Any method by its name; body: its request. ERR_SYNTAX: a wrong request; ERR_NOT_FOUND: no such method. */
MUST_USE bool sim_agent_call(const struct sim_platform *p, struct sim_guest *g, struct view method,
                             struct view body, struct buf *out, struct err *err);
