// LangGraph: a ReAct agent with the proxy's tools by LangChain's MCP adapters.
import { createReactAgent } from "@langchain/langgraph/prebuilt"
import { MultiServerMCPClient } from "@langchain/mcp-adapters"
import { ChatOpenAI } from "@langchain/openai"
import { authorization, functionName, llm, model, proxy, question } from "./settings.mjs"

const client = new MultiServerMCPClient({
  mcpServers: { ati: { transport: "http", url: `${proxy}/mcp`, headers: { Authorization: authorization } } },
})
try {
  const tools = await client.getTools()
  for (const tool of tools) tool.name = functionName(tool.name)
  const agent = createReactAgent({
    llm: new ChatOpenAI({ model, apiKey: llm.apiKey, configuration: { baseURL: llm.baseURL } }),
    tools,
  })
  const { messages } = await agent.invoke({ messages: [{ role: "user", content: question }] })
  console.log(messages.at(-1).text)
} finally {
  await client.close()
}
