// report: what was verified, for reading; and the files that keep it.
import { byId, fact, h, icon, save } from "./dom.js";

const REGISTERS = [
  ["mrtd", "mr_td", "MRTD", "the firmware"],
  ["rtmr0", "rt_mr0", "RTMR0", "the virtual hardware"],
  ["rtmr1", "rt_mr1", "RTMR1", "the kernel"],
  ["rtmr2", "rt_mr2", "RTMR2", "command line and initial file system"],
];

const time = text => `${text.replace("T", " ").replace("Z", "")} UTC`;

function pairs(rows) {
  return h("table.pairs", {}, h("tbody", {}, rows.filter(([, , value]) => value !== undefined && value !== "").map(([name, small, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name, h("small", {}, small)), h("td", {}, value instanceof Node ? value : fact(value))))));
}

// For values that are short.
function tiles(rows) {
  return h("dl.tiles", {}, rows.map(([name, small, value]) =>
    h("div", {}, h("dt", {}, name, h("small", {}, small)), h("dd", {}, value instanceof Node ? value : fact(value)))));
}

function section(title, ...children) {
  return h("section", {}, h("h3", {}, title), ...children);
}

function hardware(report) {
  return section("The hardware", tiles([
    ["Kind", "of trusted environment", report.simulated ? `${report.tee} (simulated)` : report.tee],
    ["Patch level", "TCB status: its worst part", report.status],
    ["Advisories", "of Intel, for this machine", report.advisory_ids.join(", ") || "none"],
    ["Date of that level", "when Intel set it", time(report.tcb_date)],
    ["Editions", "of TCB info and QE identity", `${report.tcb_evaluation_data_number}, ${report.qe_evaluation_data_number}`],
    ["Good until", "then new documents are needed", time(report.collateral_expires)],
    ["Family", "FMSPC: which kind of machine", report.fmspc],
    ["Root of trust", "who vouches in the end", document.createTextNode(report.simulated ? "the simulator’s, not Intel’s" : "Intel’s")],
  ]));
}

function software(policy, report, body) {
  const compose = typeof policy.app_compose === "string" ? JSON.parse(policy.app_compose) : policy.app_compose;
  const equal = h("span.equal", {}, icon("passed"), "equal");
  const rows = REGISTERS.map(([expected, measured, name, what]) => [name, what, policy.expected_bootchain[expected], body[measured]]);
  return section("The software",
    pairs([
      ["Application", "SHA-256 of its manifest", report.compose_hash],
      ["Its containers", "from the manifest that has this hash", h("pre", { tabindex: 0 }, compose.docker_compose_file.trimEnd())],
      ["System image", "SHA-256", report.os_image_hash],
    ]),
    h("table.pairs.measured", {},
      h("thead", {}, h("tr", {}, ["Register", "Expected by the policy, and measured", "Comparison"].map(text => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows.map(([name, what, expected, measured]) => h("tr", {},
        h("th", { scope: "row" }, name, h("small", {}, what)),
        h("td", {}, expected === measured ? fact(measured) : [fact(expected), h("br"), fact(measured)]),
        h("td", {}, expected === measured ? equal.cloneNode(true) : "differs"))))));
}

function session(receipt) {
  const { session: told } = receipt;
  return section("The session", pairs([
    ["Verified", "by this page’s clock", time(told.verified_at)],
    ["Name", "that the certificate is for", told.server_name],
    ["Certificate", "SHA-256", told.certificate_sha256],
    ["Nonce", "random, drawn by this page", told.nonce],
    ["Report data", "SHA-512 of nonce and exporter value, signed by the hardware", told.report_data],
    ["Exporter value", "SHA-256 of it; the value itself stays a secret of the session", told.exporter_sha256],
  ]));
}

// Most payloads are text in hex; those that are not stay as they are.
function payloadOf(hex) {
  const bytes = (hex.match(/../g) ?? []).map(pair => parseInt(pair, 16));
  const readable = bytes.length > 0 && bytes.every(byte => byte >= 0x20 && byte < 0x7f);
  return readable ? String.fromCharCode(...bytes) : hex;
}

function events(report, receipt) {
  return section("What the guest reported, in order", pairs(report.events.map(({ event, payload }, at) => {
    const text = payloadOf(payload);
    const ours = text === receipt.session.certificate_sha256;
    return [`${at + 1}. ${event}`, ours ? "the certificate of this session" : "", text || "(no payload)"];
  })));
}

const short = receipt => receipt.session.verified_at.replace(/[:.]/g, "-");

// found: { config, report, receipt (object), receiptText, body }; verifyAgain: () → an error, or nothing.
export function drawReport(found, verifyAgain) {
  const { config, report, receipt, receiptText, body } = found;
  const said = h("p.small", { role: "status" });
  const again = h("button", { type: "button" }, "Verify the receipt again");
  again.addEventListener("click", () => {
    const error = verifyAgain();
    said.textContent = error
      ? `The receipt was refused: ${error.message}`
      : "Verified again from the receipt alone: every signature, every register, every hash. Nobody was asked.";
  });
  byId("report").replaceChildren(h("div.report", {},
    h("div", {},
      h("div.actions", {},
        h("button", { type: "button", onclick: () => save(`receipt-${short(receipt)}.json`, receiptText) }, icon("file"), "Download the receipt"),
        h("button", { type: "button", onclick: () => save(`report-${short(receipt)}.json`, JSON.stringify(report, null, 2)) }, icon("file"), "Download the report"),
        again),
      said,
      h("p.small.muted.later", {}, "On the command line: ", h("code", {}, "atls receipt verify receipt-….json --policy policy.json"))),
    hardware(report),
    software(config.policy, report, body),
    session(receipt),
    events(report, receipt),
    h("details", {}, h("summary", {}, "The report as JSON"), h("pre", { tabindex: 0 }, JSON.stringify(report, null, 2)))));
}
