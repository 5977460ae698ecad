# Sourced by every peer. A peer is a script with four verbs, each answering on standard output:
#   about     lines "key value": kind ws|raw|tls|verifier|wasm · role ours|browser|websocket|reference|yardstick|floor|bare · idle-max N · build quick|slow
#             · jobs … (of kind wasm: what of bench/wasm/jobs.mjs it can do)
#   check     exits 0 when the system can run; else prints why not and exits 1
#   build     gets or compiles it into $BENCH (only where about has a build line)
#   command   writes what configuration it needs into $WORK and prints the command, one argument a line
# Given: LISTEN_HOST LISTEN_PORT TARGET_HOST TARGET_PORT WORKERS WORK BENCH ROOT; with the attested side also PLATFORM (a folder of
# atlas-sim) and PCCS (its URL), for terminators; QUOTE COLLATERAL TRUSTED_ROOT VERIFY_AT (empty: Intel, now) SECONDS_EACH MS_EACH, for verifiers.
set -eu
BENCH=${BENCH:-} WORK=${WORK:-} ROOT=${ROOT:-} WORKERS=${WORKERS:-1}
LISTEN=${LISTEN_HOST:-}:${LISTEN_PORT:-}
TARGET=${TARGET_HOST:-}:${TARGET_PORT:-}

need() {
    command -v "$1" >/dev/null 2>&1 || { echo "$1 is not installed"; exit 1; }
}
need_file() {
    [ -e "$1" ] || { echo "${2:-$1 does not exist}"; exit 1; }
}
args() {
    printf '%s\n' "$@"
}
