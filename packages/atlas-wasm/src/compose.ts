// Manifests of applications. One job: defaults under a caller's members, and the hash that a policy compares; at once, after init().
import { engineNow } from "./init.js";
import { jsonText } from "./text.js";

/* Without pre_launch_script: that is the platform's own script, and which one ran is the caller's to say. */
const builtIn = {
  allowed_envs: [],
  docker_compose_file: "",
  features: ["kms", "tproxy-net"],
  gateway_enabled: true,
  kms_enabled: true,
  local_key_provider_enabled: false,
  manifest_version: 2,
  name: "",
  no_instance_id: false,
  public_logs: true,
  public_sysinfo: true,
  public_tcbinfo: true,
  runner: "docker-compose",
  secure_time: false,
  storage_fs: "zfs",
  tproxy_enabled: true,
};

/* Where the platform's defaults have it. */
const SCRIPT_BEFORE = "public_logs";

/**
 * A whole app-compose manifest: the platform's defaults, with what `manifest` says in their place and behind them.
 * `pre_launch_script` has no default here: it must be in `manifest` or in `defaults`.
 */
export function mergeWithDefaultAppCompose(manifest: object, defaults?: object): Record<string, unknown> {
  if (typeof manifest !== "object" || manifest === null || Array.isArray(manifest)) {
    throw new Error("invalid app_compose: the manifest must be an object");
  }
  const engine = engineNow();
  const below = defaults ?? builtInWith(manifest);
  if (!("pre_launch_script" in manifest) && !("pre_launch_script" in below)) {
    throw new Error(
      "invalid app_compose: pre_launch_script is missing, and is the platform's own text: take it from the deployment's manifest (`atls policy` shows it) and give it in the manifest or in the defaults",
    );
  }
  return engine.lending(lend => {
    const texts = [...lend(textOf(below)), ...lend(textOf(manifest))] as const;
    if (!engine.exports.compose_merge_texts(...texts)) throw new Error(`invalid app_compose: ${engine.failure("attesting").message}`);
    return engine.answerJson<Record<string, unknown>>();
  });
}

/** SHA-256 of a manifest's canonical text, in hex: what a policy's `app_compose_hash` is compared with. */
export function appComposeHash(manifest: object | string): string {
  const engine = engineNow();
  return engine.lending(lend => {
    if (!engine.exports.compose_digest(...lend(jsonText(manifest)))) throw new Error(`invalid app_compose: ${engine.failure("attesting").message}`);
    return engine.answerText();
  });
}

/* The manifest's script takes the place that the platform's has among the defaults: the order is hashed. */
function builtInWith(manifest: object): object {
  if (!("pre_launch_script" in manifest)) return builtIn;
  return Object.fromEntries(
    Object.entries(builtIn).flatMap(entry => (entry[0] === SCRIPT_BEFORE ? [["pre_launch_script", manifest.pre_launch_script], entry] : [entry])),
  );
}

function textOf(value: object): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new Error(`failed to serialize merged app_compose: ${String(cause)}`, { cause });
  }
}
