// Time inside WebAssembly. Stands between a client and the module that it starts: so it must be there first.

/** ms: what all calls took so far. forgetful: each quote is verified as if it were the first. */
export function watchModules() {
  const clock = { ms: 0, forgetful: false };
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...given) => {
    const started = await instantiate.apply(WebAssembly, given);
    return started instanceof WebAssembly.Instance ? { exports: timed(started.exports, clock) } : started;
  };
  return clock;
}

function timed(exports, clock) {
  const all = {};
  for (const [name, value] of Object.entries(exports)) {
    all[name] = typeof value !== 'function' ? value : (...words) => {
      const began = performance.now();
      try {
        return value(...words);
      } finally {
        clock.ms += performance.now() - began;
      }
    };
  }
  return 'verifier_new' in exports ? { ...all, ...forgetting(exports, all, clock) } : all;
}

/** What src/wasm/module.h says of verifiers: one remembers what it found true, and calls that verify are told which. They last as long as
    the module: a run is short. */
function forgetting(exports, { connection_new, evidence_verify }, clock) {
  const another = usual => (clock.forgetful ? exports.verifier_new() : usual);
  return {
    connection_new: (context, verifier, ...rest) => connection_new(context, another(verifier), ...rest),
    evidence_verify: (verifier, ...rest) => evidence_verify(another(verifier), ...rest),
  };
}
