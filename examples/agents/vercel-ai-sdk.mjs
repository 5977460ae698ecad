// The Vercel AI SDK: tools of the proxy by its MCP client, the answer streamed.
import { createMCPClient } from "@ai-sdk/mcp"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { stepCountIs, streamText } from "ai"
import { authorization, functionName, llm, model, proxy, question } from "./settings.mjs"

const client = await createMCPClient({ transport: { type: "http", url: `${proxy}/mcp`, headers: { Authorization: authorization } } })
try {
  const found = Object.entries(await client.tools()).map(([name, tool]) => [functionName(name), tool])
  const answer = streamText({
    model: createOpenAICompatible({ name: "llm", ...llm })(model),
    tools: Object.fromEntries(found),
    stopWhen: stepCountIs(8),
    prompt: question,
    onError: ({ error }) => {
      console.error(String(error))
      process.exitCode = 1
    },
  })
  for await (const piece of answer.textStream) process.stdout.write(piece)
  process.stdout.write("\n")
} finally {
  await client.close()
}
