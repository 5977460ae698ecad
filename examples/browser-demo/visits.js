// visits: the good visit, and twelve that must be refused. What each changes, and the error that it must end with.
//
// Nothing here knows a page: prove.mjs goes through the same list under Node.js.

// target: one of those in config.json. roots: whose certificates are good, besides Mozilla's. simulation: may the policy name
// another root than Intel's? It is this program that says so, never the policy itself.
const LIKE_THE_GOOD_ONE = { target: "environment", roots: "demo", simulation: true, change: policy => policy };

export const good = {
  ...LIKE_THE_GOOD_ONE,
  id: "good",
  title: "The environment that the policy describes",
};

const without = (policy, ...names) => Object.fromEntries(Object.entries(policy).filter(([name]) => !names.includes(name)));
const otherDigit = hex => (hex.startsWith("0") ? "1" : "0") + hex.slice(1);

function otherApplication(policy) {
  const text = typeof policy.app_compose === "string" ? policy.app_compose : JSON.stringify(policy.app_compose);
  return { ...policy, app_compose: text.replace("postern/demo-model", "postern/another-model") };
}

export const groups = [
  {
    title: "Other software, on the right machine",
    visits: [
      {
        id: "application",
        title: "Another application",
        tells: "The policy asks for the container image postern/another-model. The machine was started with postern/demo-model.",
        change: otherApplication,
        code: "app_compose_hash_mismatch",
      },
      {
        id: "bootchain",
        title: "Another kernel",
        tells: "One digit of RTMR1, the register that the kernel was measured into, is not what the policy expects.",
        change: policy => ({
          ...policy,
          expected_bootchain: { ...policy.expected_bootchain, rtmr1: otherDigit(policy.expected_bootchain.rtmr1) },
        }),
        code: "bootchain_mismatch",
      },
      {
        id: "image",
        title: "Another system image",
        tells: "The policy names the hash of another guest image than the one that booted.",
        change: policy => ({ ...policy, os_image_hash: otherDigit(policy.os_image_hash) }),
        code: "os_image_hash_mismatch",
      },
    ],
  },
  {
    title: "The right software, on a machine that will not do",
    visits: [
      {
        id: "tcb",
        title: "The wrong patch level",
        tells: "This machine is up to date, so the policy asks the other way round: it accepts machines that are OutOfDate, and no others.",
        change: policy => ({ ...policy, allowed_tcb_status: ["OutOfDate"] }),
        code: "tcb_status_not_allowed",
      },
      {
        id: "edition",
        title: "Statements from Intel that are too old",
        tells: "The policy wants edition 99 or later of Intel’s documents about patch levels. The ones that came are older.",
        change: policy => ({ ...policy, min_tcb_evaluation_data_number: 99 }),
        code: "tcb_evaluation_data_number",
      },
      {
        id: "root",
        title: "Intel’s root, and no other",
        tells: "The policy as you would write it for real hardware. The simulator signs with keys of its own, and nothing leads from them to Intel.",
        change: policy => without(policy, "trusted_roots", "allow_simulated"),
        code: "crl_signature",
      },
    ],
  },
  {
    title: "Somebody else at the other end",
    visits: [
      {
        id: "web",
        title: "An ordinary web server",
        tells: "TLS 1.3, a good certificate for the name, and no trusted environment behind it.",
        target: "web",
        code: "http_status",
      },
      {
        id: "relay",
        title: "A relay in the middle",
        tells: "The strongest of them: it stole the environment’s certificate with its key, ends our TLS, and passes a genuine quote on to us.",
        target: "relay",
        code: "report_data_mismatch",
      },
      {
        id: "authority",
        title: "A certificate that nobody vouches for",
        tells: "The good server, but this time only the authorities that browsers trust count. The demo’s own is not among them.",
        roots: "mozilla",
        code: "tls_handshake",
      },
    ],
  },
  {
    title: "Stopped before anybody is asked",
    visits: [
      {
        id: "unlisted",
        title: "A server that the bridge does not list",
        tells: "The bridge connects to the servers on its allowlist, and 127.0.0.1:1 is not there.",
        target: "unlisted",
        code: "proxy_refused",
      },
      {
        id: "misspelt",
        title: "A policy with a slip of the pen",
        tells: "os_image_hash is written os_image_hsh. A check that is quietly never made would be worse than an error.",
        change: policy => ({ ...without(policy, "os_image_hash"), os_image_hsh: policy.os_image_hash }),
        code: "policy",
      },
      {
        id: "simulator",
        title: "A simulator, without the switch",
        tells: "The good policy, but the program does not say that simulators are welcome. A policy cannot replace Intel’s root by itself.",
        simulation: false,
        code: "simulation_refused",
      },
    ],
  },
].map(group => ({ ...group, visits: group.visits.map(visit => ({ ...LIKE_THE_GOOD_ONE, ...visit })) }));

export const refused = groups.flatMap(group => group.visits);
