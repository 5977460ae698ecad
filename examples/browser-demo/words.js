// words: errors as somebody new to this reads them: what happened, and what one would do about it.

const BY_CODE = {
  app_compose_hash_mismatch: [
    "This is not the application that you chose",
    "The manifest that was measured when the machine started is not the one in the policy. Whatever it is, it would have read your words.",
    "Ask the operator what changed. If the new version is fine with you, put its manifest into the policy.",
  ],
  bootchain_mismatch: [
    "The machine booted something else",
    "One of the registers that firmware, kernel and command line were measured into has another value than the policy expects.",
    "Compare with the values that the operator publishes. They also change with the machine’s number of processors and its memory.",
  ],
  os_image_hash_mismatch: [
    "The machine runs another system image",
    "The hash of the guest’s image is not the one in the policy.",
    "Look for the release that has this hash before you accept it.",
  ],
  tcb_status_not_allowed: [
    "The machine’s patch level is not acceptable",
    "The hardware is genuine, but its status is not among those that the policy allows.",
    "Wait until the operator has patched, or decide, knowing the advisories, to allow this status.",
  ],
  tcb_evaluation_data_number: [
    "Intel’s statements about this machine are too old",
    "Intel has published newer ones since; a hole that was found in between would not be in these.",
    "Try again: fresher ones may be served. Or lower the edition that the policy asks for.",
  ],
  crl_signature: [
    "This does not lead to Intel",
    "The documents that should vouch for the hardware are not signed by Intel’s root. Here they are a simulator’s; elsewhere they would be a forger’s.",
    "Nothing to mend on your side. Without Intel’s signature there is no proof.",
  ],
  certificate_chain: [
    "This does not lead to Intel",
    "The certificates that should vouch for the hardware do not end in Intel’s root.",
    "Nothing to mend on your side. Without Intel’s signature there is no proof.",
  ],
  http_status: [
    "The other end has nothing to prove itself with",
    "It speaks TLS with a good certificate, but there is no quote to be had: it is an ordinary server, or attestation is switched off.",
    "Check the address. A padlock in the browser would have been content with it.",
  ],
  report_data_mismatch: [
    "The quote belongs to somebody else’s session",
    "Certificate, name and quote are all genuine. But the quote was made for another TLS session than ours: somebody sits in between.",
    "Do not go on. Tell the operator: the certificate’s key may be in wrong hands.",
  ],
  certificate_not_in_event_log: [
    "The certificate was never measured inside",
    "The environment does not know the certificate that TLS was made with; its key may lie outside.",
    "Connect again, as certificates change. If it stays so, do not go on.",
  ],
  tls_handshake: [
    "The certificate is not good",
    "Nobody whom this page trusts vouches for it, or it is for another name.",
    "For a private authority, hand its certificate to the client. Otherwise check the address.",
  ],
  policy: [
    "The policy cannot be read",
    "It has a field that does not exist, or a value that makes no sense. A policy is read whole or not at all.",
    "Correct the field that is named below.",
  ],
  simulation_refused: [
    "Simulators are not welcome here",
    "The policy names another root of trust than Intel’s, and the program that uses it did not agree to that.",
    "For tests, say simulation: true in the program. In production, take trusted_roots out of the policy.",
  ],
};

const BY_CATEGORY = {
  proxy_connection: ["The bridge does not let us through", "No connection came about. No server was asked anything.",
    "Check that the bridge runs and that the server is on its allowlist."],
  timeout: ["It took too long", "The other end did not answer in time.", "Try again in a moment."],
  handshake: ["The TLS handshake failed", "The connection broke off before anything was proved.", "Try again."],
  attestation: ["The other end could not prove what it is", "Its evidence does not hold.", "Do not go on until the operator has explained it."],
  policy: ["The other end is not what the policy asks for", "Its evidence is sound, and tells of something else.",
    "Compare with the policy, field by field."],
  collateral: ["Intel’s statements could not be fetched", "That says nothing against the other end, and nothing for it.", "Try again in a moment."],
  closed: ["The connection ended early", "Somebody closed it before the proof was done.", "Try again."],
};

// error: an AtlsError, or whatever else was thrown → { title, meaning, remedy }
export function explain(error) {
  const [title, meaning, remedy] = BY_CODE[error.code] ?? BY_CATEGORY[error.category] ??
    ["Something went wrong", "This is not a verdict on the other end.", "The words below may help."];
  return { title, meaning, remedy };
}
