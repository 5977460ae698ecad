// checks: what is looked at, in the order of the verifier; what each check proves, and what somebody could do without it.
//
// stopped(error) → the check that an error belongs to: those before it have passed, those after it were never reached. Errors have
// numbers whose hundreds are their class.

export const checks = [
  {
    id: "policy",
    title: "The policy is read",
    proves: "Every check that you asked for is one that will be made.",
    without: "a misspelt field would quietly switch a check off.",
    facts: ({ receipt }) => [["Policy, SHA-256", receipt.policy.sha256]],
  },
  {
    id: "bridge",
    title: "The bridge is reached",
    proves: "There is a path. Nothing more: the bridge carries bytes and is trusted with none of them.",
    without: "a page could not open a connection of its own; browsers have no TCP.",
    facts: ({ config, target }) => [["Bridge", config.proxyUrl], ["Target", target]],
  },
  {
    id: "tls",
    title: "TLS 1.3, and a certificate for the name",
    proves: "The other end holds a certificate for the name that you asked for.",
    without: "a stranger with a genuine environment of his own could answer under any name.",
    facts: ({ receipt }) => [["Name", receipt.session.server_name], ["Certificate, SHA-256", receipt.session.certificate_sha256]],
  },
  {
    id: "quote",
    title: "The other end answers with a quote",
    proves: "It has evidence to show. Nothing in it is believed yet.",
    without: "there would be nothing to verify.",
    facts: ({ receipt }) => [["Quote", `${receipt.evidence.quote.length / 2} bytes`], ["Our nonce", receipt.session.nonce]],
  },
  {
    id: "log",
    title: "Its event log is sound, and names this certificate",
    proves: "The certificate was measured inside the environment. Its key is not an operator’s.",
    without: "TLS might end on a machine outside, in front of the environment.",
    facts: ({ report }) => [["Events of the guest", String(report.events.length)]],
  },
  {
    id: "hardware",
    title: "The quote is signed by genuine hardware",
    proves: "A processor that Intel vouches for made it, and nothing in the chain is revoked.",
    without: "anybody could write a quote.",
    facts: ({ report }) => [["Kind", report.tee], ["Root of trust", report.simulated ? "simulator" : "Intel"]],
  },
  {
    id: "tcb",
    title: "The machine is patched as you ask",
    proves: "No hole that Intel knows of is open, as far as the policy cares.",
    without: "genuine hardware with a published break would do.",
    facts: ({ report }) => [["Status", report.status], ["Edition of Intel’s documents", String(report.tcb_evaluation_data_number)]],
  },
  {
    id: "session",
    title: "The quote was made for this very session",
    proves: "Its report data is a hash of our nonce and of a secret that only the two ends of this TLS session know.",
    without: "a relay could pass on the genuine quote of somebody else, and read along.",
    facts: ({ receipt }) => [["Report data", receipt.session.report_data]],
  },
  {
    id: "replay",
    title: "The event log adds up to the signed registers",
    proves: "The log is the true story of this boot: hashed anew from its first line, it ends in the values that the hardware signed.",
    without: "a log could tell whatever is nice to hear.",
    facts: ({ body }) => [["RTMR3, replayed", body.rt_mr3]],
  },
  {
    id: "bootchain",
    title: "Firmware, kernel and command line are the expected ones",
    proves: "The guest system is the one that you chose.",
    without: "a malicious system could read the memory of a good application.",
    facts: ({ body }) => [["MRTD", body.mr_td]],
  },
  {
    id: "application",
    title: "The application is the one that you chose",
    proves: "Its manifest, which names the containers that run, hashes to the value that was measured.",
    without: "any program on a good system would do.",
    facts: ({ report }) => [["Manifest, SHA-256", report.compose_hash]],
  },
  {
    id: "image",
    title: "The system image is the one that you chose",
    proves: "The whole image that booted is the published one.",
    without: "the parts that the boot chain does not cover could differ.",
    facts: ({ report }) => [["Image, SHA-256", report.os_image_hash]],
  },
];

const BY_NUMBER = { 501: "bootchain", 502: "replay", 503: "application", 504: "image", 500: "hardware", 701: "log" };
const BY_CLASS = { 2: "tls", 3: "hardware", 4: "tcb", 6: "log", 7: "session", 8: "policy" };

// error: an AtlsError.
export function stopped(error) {
  if (error.category === "proxy_connection") return "bridge";
  const number = error.number ?? 0;
  return BY_NUMBER[number] ?? BY_CLASS[Math.floor(number / 100)] ?? (error.category === "policy" ? "policy" : "quote");
}
