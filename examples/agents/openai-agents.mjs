// The OpenAI Agents SDK: its MCP client speaks to the proxy, and nothing in this process knows a key of the tools.
import { Agent, MCPServerStreamableHttp, OpenAIChatCompletionsModel, run, setTracingDisabled } from "@openai/agents"
import OpenAI from "openai"
import { authorization, llm, model, proxy, question } from "./settings.mjs"

setTracingDisabled(true)
const tools = new MCPServerStreamableHttp({ name: "ati", url: `${proxy}/mcp`, requestInit: { headers: { Authorization: authorization } } })
await tools.connect()
try {
  const agent = new Agent({
    name: "Reporter",
    instructions: "Answer with the help of the tools. Be brief.",
    model: new OpenAIChatCompletionsModel(new OpenAI(llm), model),
    mcpServers: [tools],
  })
  console.log((await run(agent, question)).finalOutput)
} finally {
  await tools.close()
}
