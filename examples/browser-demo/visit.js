// visit: connects to what a visit of visits.js names, by the policy that it names, and tells how that ended.
//
// The one place where the demo uses the package to attest; the page and prove.mjs share it.

// atlas: the package. more: further options of createAtlsFetch. Ends in { attested: { fetch, summary, report, receipt, ms } }, whose
// fetch the caller closes, or in { refused: error, ms }.
export async function visit(atlas, config, one, more = {}) {
  const started = performance.now();
  let fetch;
  let evidence;
  try {
    fetch = atlas.createAtlsFetch({
      proxyUrl: config.proxyUrl,
      targetHost: config.targets[one.target],
      policy: one.change(structuredClone(config.policy)),
      extraRoots: one.roots === "demo" ? config.authorities : undefined,
      simulation: one.simulation,
      // Intel's statements usually come with the quote; where they do not, this server passes the question on.
      collateral: { url: config.collateralUrl },
      onAttestation: (_, proof) => { evidence = { report: proof.report(), receipt: proof.receipt() }; },
      ...more,
    });
    const summary = await fetch.warmup();
    return { attested: { fetch, summary, ...evidence, ms: performance.now() - started } };
  } catch (error) {
    fetch?.close();
    return { refused: error, ms: performance.now() - started };
  }
}

// One question to the model, over the attested channel; the answer streams.
export function ask(fetch, config, messages, signal) {
  return fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: config.model, stream: true, messages }),
    signal,
  });
}
