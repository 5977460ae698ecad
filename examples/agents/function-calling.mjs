// No framework: the tools of GET /tools as functions of the model, and each call it wants as POST /call.
import OpenAI from "openai"
import { authorization, functionName, llm, model, proxy, question } from "./settings.mjs"

async function ask(path, body) {
  const answer = await fetch(proxy + path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: authorization, "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  })
  if (answer.status === 401) throw new Error("The proxy does not know this token: has it expired?")
  return answer.json()
}

// An error is an answer, too: the model reads why it was refused.
async function call({ name, arguments: text }) {
  let args
  try {
    args = JSON.parse(text || "{}")
  } catch {
    return { error: "the arguments are no JSON" }
  }
  const { result, error } = await ask("/call", { tool_name: name, args })
  return error ? { error } : result
}

const tools = (await ask("/tools")).map(({ name, description, input_schema }) => ({
  type: "function",
  function: { name: functionName(name), description, parameters: input_schema ?? { type: "object", properties: {} } },
}))
const openai = new OpenAI(llm)
const messages = [{ role: "user", content: question }]
for (let turn = 0; turn < 8; turn++) {
  const { choices } = await openai.chat.completions.create({ model, messages, tools: tools.length ? tools : undefined })
  const { message } = choices[0]
  messages.push(message)
  if (!message.tool_calls?.length) {
    console.log(message.content)
    process.exit()
  }
  for (const { id, function: wanted } of message.tool_calls)
    messages.push({ role: "tool", tool_call_id: id, content: JSON.stringify(await call(wanted)) })
}
throw new Error("The model had no answer after 8 turns.")
