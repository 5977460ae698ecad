// sse: the answer of a chat as it streams: server-sent events, of which only "data:" lines matter here.

// Yields the text of each event until "[DONE]" or the end.
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (unread + value).split(/\r?\n/);
      unread = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        const text = line.slice(5).trimStart();
        if (text === "[DONE]") return;
        yield text;
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

// Yields the words of the model, piece by piece.
export async function* words(response) {
  for await (const text of events(response)) {
    const piece = JSON.parse(text).choices?.[0]?.delta?.content;
    if (piece) yield piece;
  }
}
