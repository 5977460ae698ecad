// chat: a conversation with the model, over the channel that was proved; the answer appears as it comes.
import { byId, h } from "./dom.js";
import { words } from "./sse.js";
import { ask } from "./visit.js";
import { explain } from "./words.js";

// channel: () → { fetch, config }, once it was proved. Returns what opens the composer.
export function setUpChat(channel) {
  const form = byId("composer");
  const message = byId("message");
  const send = byId("send");
  const stop = byId("stop");
  const hint = byId("hint");
  const transcript = byId("transcript");
  const history = [];

  const show = (...nodes) => {
    transcript.append(...nodes);
    transcript.scrollTop = transcript.scrollHeight;
  };

  function answering(abort) {
    const busy = abort !== null;
    stop.hidden = !busy;
    send.disabled = busy;
    stop.onclick = busy ? () => abort.abort() : null;
  }

  async function speak(text) {
    const abort = new AbortController();
    const { fetch, config } = channel();
    const answer = h("span.words", {});
    const meta = h("span.meta", {});
    history.push({ role: "user", content: text });
    show(h("div.said.mine", {}, h("span.who", {}, "You"), text));
    // Screen readers hear the answer when it is whole, not every word of it.
    const bubble = h("div.said", { "aria-busy": "true" }, h("span.who", {}, "The model, inside the environment"), answer, meta);
    show(bubble);
    answering(abort);
    const started = performance.now();
    let pieces = 0;
    let first = 0;
    try {
      const response = await ask(fetch, config, history, abort.signal);
      if (!response.ok) throw new Error(`the model answered with status ${response.status}`);
      for await (const word of words(response)) {
        pieces += 1;
        first ||= performance.now() - started;
        answer.append(word);
        transcript.scrollTop = transcript.scrollHeight;
      }
      history.push({ role: "assistant", content: answer.textContent });
      meta.textContent = `${pieces} pieces as they came, the first after ${Math.round(first)} ms · attested: ${response.attestation.teeType}, ${response.attestation.tcbStatus}`;
    } catch (error) {
      history.pop();
      meta.textContent = abort.signal.aborted ? "Stopped by you. The connection was given up; the next message makes, and proves, another." : `${explain(error).title}. ${error.message}`;
    } finally {
      bubble.removeAttribute("aria-busy");
      answering(null);
      transcript.scrollTop = transcript.scrollHeight;
    }
  }

  form.addEventListener("submit", event => {
    event.preventDefault();
    const text = message.value.trim();
    if (text === "" || send.disabled) return;
    message.value = "";
    void speak(text);
  });
  message.addEventListener("keydown", event => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  return open => {
    message.disabled = !open;
    send.disabled = !open;
    hint.textContent = open ? "Enter sends, Shift and Enter begins a new line." : "Opens when the other end has proved itself.";
  };
}
