// ledger: the checks as rows: what each found, what it proves, and what could be done without it.
import { checks, stopped } from "./checks.js";
import { byId, facts, h, icon } from "./dom.js";

const WORDS = { waiting: "not yet", running: "checking", passed: "passed", failed: "failed", skipped: "not reached" };

function row(check, mark, found) {
  return h("li", {},
    h(`span.mark-word.${mark}`, {}, icon(mark), WORDS[mark]),
    h("div.proof", {},
      h("h3", {}, check.title),
      h("p", {}, check.proves),
      h("p.muted.small", {}, `Without it, ${check.without}`)),
    found ? facts(check.facts(found)) : null);
}

function draw(markOf, found) {
  byId("ledger").replaceChildren(...checks.map((check, at) => row(check, markOf(at), found)));
}

export const drawWaiting = () => draw(() => "waiting");
export const drawRunning = () => draw(() => "running");

// found: { config, target, report, receipt, body }, all that passed the verdict.
export const drawPassed = found => draw(() => "passed", found);

export function marks(error) {
  const last = checks.findIndex(check => check.id === stopped(error));
  return checks.map((_, at) => (at < last ? "passed" : at === last ? "failed" : "skipped"));
}

export function drawRefused(error) {
  const all = marks(error);
  draw(at => all[at]);
}

// Where among all checks it stopped, in one line.
export function strip(error) {
  const all = marks(error);
  const last = all.indexOf("failed");
  return [
    h("ul.strip", { "aria-hidden": "true" }, all.map(mark => h(`li.${mark}`, {}))),
    h("p.where", {}, `Stopped at check ${last + 1} of ${checks.length}: ${checks[last].title.toLowerCase().replace("tls 1.3", "TLS 1.3")}.`),
  ];
}
