// refusals: the twelve visits that must fail, and how each did.
import { byId, h, icon } from "./dom.js";
import { strip } from "./ledger.js";
import { groups, refused } from "./visits.js";
import { explain } from "./words.js";

function refusal(error, one, ms) {
  const { title, meaning, remedy } = explain(error);
  const expected = error.code === one.code;
  return h(expected ? "div.refusal" : "div.refusal.bad", {},
    h("div", {},
      h("p.head", {}, icon("failed"), expected ? `Refused: ${lower(title)}` : `Refused, but for another reason: ${lower(title)}`),
      h("p", {}, meaning),
      h("p.remedy", {}, h("b", {}, "What to do: "), remedy)),
    h("div", {}, ...strip(error),
      h("p.code", {}, "Error ", h("code", {}, error.code ?? error.name), h("br"), "Category ", h("code", {}, error.category ?? "none"))),
    h("details", {}, h("summary", {}, "In the library’s words"),
      h("pre", { tabindex: 0 }, error.message),
      h("p.small.muted", {}, `After ${Math.round(ms)} ms. ${error.retryable ? "Trying again might help." : "Trying again would not help."}`)));
}

// A proof that passed where it must not: nobody should ever see this.
const accepted = () => h("div.refusal.bad", {},
  h("div", {}, h("p.head", {}, icon("failed"), "Accepted. It should have been refused: please report this.")));

const lower = text => (/^(Intel|TLS)/.test(text) ? text : text.charAt(0).toLowerCase() + text.slice(1));

// go: a visit → what visit.js tells of it.
export function drawVisits(go) {
  const runs = new Map();
  const tally = byId("tally");

  function entry(one) {
    const outcome = h("div.outcome", { id: `outcome-${one.id}` });
    const button = h("button", { type: "button", disabled: true, "aria-describedby": `title-${one.id}` }, "Try");
    const run = async () => {
      button.disabled = true;
      button.replaceChildren(icon("running"), "Trying");
      const result = await go(one);
      result.attested?.fetch.close();
      outcome.replaceChildren(result.refused ? refusal(result.refused, one, result.ms) : accepted());
      button.replaceChildren("Try again");
      button.disabled = false;
      return result.refused?.code === one.code;
    };
    // Said aloud for one; for all twelve, the count is enough.
    button.addEventListener("click", async () => {
      const right = await run();
      byId("said").textContent = `${one.title}: ${right ? "refused, as it must be" : "this did not end as it must"}.`;
    });
    runs.set(one.id, { run, button });
    return h("li.visit", { id: `visit-${one.id}` },
      h("div", {}, h("h4", { id: `title-${one.id}` }, one.title), h("p", {}, one.tells)), button, outcome);
  }

  byId("visits").replaceChildren(...groups.map(group =>
    h("div.group", {}, h("h3", {}, group.title), h("ul", {}, group.visits.map(entry)))));

  const all = byId("try-all");
  all.addEventListener("click", async () => {
    all.disabled = true;
    let right = 0;
    for (const [at, one] of refused.entries()) {
      tally.textContent = `${at + 1} of ${refused.length}: ${one.title}`;
      if (await runs.get(one.id).run()) right += 1;
    }
    tally.textContent = right === refused.length
      ? `All ${refused.length} were refused, each for its own reason.`
      : `${right} of ${refused.length} ended as they should.`;
    all.disabled = false;
  });

  // Until the package is there, nothing can be tried.
  return () => {
    all.disabled = false;
    for (const { button } of runs.values()) button.disabled = false;
  };
}
