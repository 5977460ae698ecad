// What every example here needs to know: where the tools are and what opens them, where the model is, and what to ask.

const need = (name) => {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set. See README.md: it takes a few commands to get there.`)
    process.exit(2)
  }
  return value
}

export const proxy = need("ATI_PROXY_URL").replace(/\/+$/, "")
/** A scoped token, not a key: what it does not name, the proxy refuses. */
export const authorization = `Bearer ${need("ATI_SESSION_TOKEN")}`
export const model = process.env.MODEL ?? "gpt-4.1-mini"
export const llm = {
  baseURL: process.env.OPENAI_BASE_URL ?? "https://api.openai.com/v1",
  apiKey: need("OPENAI_API_KEY"),
}
export const question = process.argv.slice(2).join(" ") || "What do people on Hacker News talk about right now? Three headlines are enough."

/** Models take letters, digits, _ and - in the names of functions; tools are called provider:operation. The proxy knows both spellings. */
export const functionName = (tool) => tool.replaceAll(/[^a-zA-Z0-9_-]/g, "_")
