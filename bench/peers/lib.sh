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

# Of gateways (kind gateway), which answer two verbs more: surfaces (what they can be asked: call mcp slow start) and request SURFACE (callload's arguments,
# one a line). All of them hold BENCH_KEY for the application.
BENCH_KEY=key-of-the-application
BENCH_SECRET=5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e
export ATI_JWT_SECRET="$BENCH_SECRET"

manifest() { # NAME
    cat <<END
[provider]
name = "$1"
description = "The application behind the benchmark"
base_url = "http://$TARGET"
auth_type = "bearer"
auth_key_name = "bench_key"

[[tools]]
name = "$1:get"
description = "An object of 1 KiB"
endpoint = "/json"

[[tools]]
name = "$1:wait"
description = "The same, seconds later"
endpoint = "/wait"
END
}

# An ATI directory with the application as its provider "bench"; with MANIFESTS, as many others and a document of 300 operations.
gateway_folder() { # FOLDER
    rm -rf "$1"
    mkdir -p "$1/manifests" "$1/specs"
    manifest bench >"$1/manifests/bench.toml"
    printf '{"bench_key": "%s"}' "$BENCH_KEY" >"$1/credentials"
    chmod 600 "$1/credentials"
    [ -n "${MANIFESTS:-}" ] || return 0
    for i in $(seq "$MANIFESTS"); do manifest "other$i" >"$1/manifests/other$i.toml"; done
    cat >"$1/manifests/document.toml" <<END
[provider]
name = "document"
description = "Three hundred operations"
handler = "openapi"
base_url = "http://$TARGET"
openapi_spec = "document.json"
END
    {
        printf '{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {'
        for i in $(seq 300); do
            [ "$i" = 1 ] || printf ','
            printf '"/things%d/{id}": {"get": {"operationId": "getThing%d", "summary": "Gets a thing of kind %d", "tags": ["things"], "parameters": [' "$i" "$i" "$i"
            printf '{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}, {"name": "limit", "in": "query", "schema": {"type": "integer", "default": 10}}],'
            printf '"responses": {"200": {"description": "ok"}}}}'
        done
        printf '}}'
    } >"$1/specs/document.json"
}

gateway_request() { # SURFACE TOKEN
    tool=bench:get
    [ "$1" != slow ] || tool=bench:wait
    args --method POST --header "Authorization: Bearer $2" --header 'Content-Type: application/json'
    case $1 in
    mcp) args --path /mcp --header 'Accept: application/json, text/event-stream' --expect '"isError":false' \
        --body "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"$tool\",\"arguments\":{\"q\":1}}}" ;;
    *) args --path /call --expect '"one of many"' --body "{\"tool_name\":\"$tool\",\"args\":{\"q\":1}}" ;;
    esac
}
