/* wire: a client in another process, turn by turn: tests that play a server to the client at hand play it to that one, too, and tell
 * it what became of the first. tests/wasm/wire.mjs is such a client, with the WebAssembly module.
 *
 *   wire_open ──► wire_step … ──► wire_told      and maybe wire_give or wire_again, and steps again
 *
 * POSTERN_WIRE is the number of a descriptor, both ways; without it there is nobody. Frames each way: a letter, 4 bytes of length
 * (little-endian), so many bytes. A turn is a frame there and one back, so nothing depends on time.
 *
 *   there  O  {"test", "server_name", "policy", "roots": PEM, "now_s", "now_ms"}
 *          S  ciphertext to take (maybe none), and a step to make       E  the same, and behind it the end
 *          C  collateral that it wanted, in JSON                        G  nothing: it is to be attested again
 *          V  {"step", "error": null or one of libatls, "report": null or one}: what the client at hand came to
 *   back   A  a byte: enum atls_step; ciphertext to send                (to all of these)
 *          R  a receipt, or nothing                                     (to V)
 */
#pragma once

#include <atls/step.h>

#include "base/buf.h"

bool wire_on(void);
/* json: lent. out: ciphertext, appended. */
enum atls_step wire_open(struct view json, struct buf *out);
enum atls_step wire_step(struct view ciphertext, bool ends, struct buf *out);
enum atls_step wire_give(struct view collateral, struct buf *out);
enum atls_step wire_again(struct buf *out);
void wire_told(struct view json, struct buf *receipt);
