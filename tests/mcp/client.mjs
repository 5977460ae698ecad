// The official SDK's client, unmodified, at a server's /mcp: does what it is told on the command line and prints what it saw, as JSON.
//   client.mjs URL TOKEN            steps on standard input, one JSON array a line: ["list"], ["call", name, arguments], ["cancel", name, arguments],
//                                   ["together", [name, arguments], …], ["ping"], ["end"]
import readline from "node:readline"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"

const [url, token] = process.argv.slice(2)
const headers = token ? { Authorization: `Bearer ${token}` } : {}
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
const client = new Client({ name: "test", version: "1" })
const say = (value) => console.log(JSON.stringify(value))
const told = (error) => ({ error: error.message, code: error.code ?? null, name: error.name })

const steps = {
  list: async () => (await client.listTools()).tools,
  ping: () => client.ping(),
  call: (name, args) => client.callTool({ name, arguments: args }),
  together: (...calls) => Promise.all(calls.map(([name, args]) => client.callTool({ name, arguments: args }))),
  async progress(name, args) {
    const seen = []
    const result = await client.callTool({ name, arguments: args }, undefined, { onprogress: (p) => seen.push(p) })
    return { seen, result }
  },
  async cancel(name, args) {
    const abort = new AbortController()
    const call = client.callTool({ name, arguments: args }, undefined, { signal: abort.signal })
    say({ under: "way" })
    await lines.next() // whoever asked says when
    abort.abort("changed my mind")
    return call
  },
  async end() {
    await transport.terminateSession()
    return { session: transport.sessionId ?? null }
  },
}

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
try {
  await client.connect(transport)
  say({ server: client.getServerVersion(), capabilities: client.getServerCapabilities(), session: transport.sessionId ?? null, version: transport.protocolVersion ?? null })
} catch (error) {
  say(told(error))
  process.exit(1)
}
for (let line = await lines.next(); !line.done; line = await lines.next()) {
  const [step, ...words] = JSON.parse(line.value)
  say(await steps[step](...words).catch(told))
}
await client.close()
