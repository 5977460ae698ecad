// The worker's side. One job: clients that a page orders, their answers on ports; decryption happens here.
import { Client, closePool, poolStats, watchPool, type Gate } from "./client.js";
import { nodeModule } from "./environment.js";
import type { ByteSource } from "./incoming.js";
import { useAssets } from "./init.js";
import {
  packError, Refused, textsOf, type FromPage, type FromWorker, type GateAnswers, type GateAsks, type TravellingBody, type WorkerNews,
  type WorkerOrder,
} from "./worker-messages.js";
import type { UploadBody } from "./upload.js";

const MISPLACED = "this is a worker's code: start it as one";

const clients = new Map<number, Client>();

function obey(order: WorkerOrder): void {
  switch (order.order) {
    case "start":
      if (order.assets) useAssets(order.assets, order.simulation);
      return;
    case "client":
      clients.set(order.client, new Client({ ...order.options, gate: order.gate && gateBy(order.gate) }));
      return;
    case "send":
      return void send(clientOf(order.client), order.port, order);
    case "warmup":
      return void warmup(clientOf(order.client), order.port);
    case "close":
      return clients.get(order.client)?.close();
    case "closeAll":
      return closePool();
  }
}

function tellStats(post: (news: WorkerNews) => void): void {
  let told = "";
  watchPool(() => {
    const stats = poolStats();
    if (told === (told = JSON.stringify(stats))) return;
    post({ stats });
  });
}

function clientOf(client: number): Client {
  const known = clients.get(client);
  if (!known) throw new Error(`no client ${client}`);
  return known;
}

async function send(client: Client, port: MessagePort, order: { head: Parameters<Client["send"]>[0]["head"]; body: TravellingBody | undefined }): Promise<void> {
  const say = (message: FromWorker, transfer: Transferable[] = []): void => port.postMessage(message, transfer);
  const control = new AbortController();
  let answer: ByteSource | undefined;
  let giving: Promise<void> = Promise.resolve();
  const upload = order.body?.kind === "stream" ? uploadBy(say) : undefined;
  const body: UploadBody | undefined = order.body?.kind === "stream" ? upload?.body : order.body;

  port.onmessage = ({ data }: MessageEvent<FromPage>) => {
    switch (data.say) {
      case "want":
        giving = giving.then(() => giveOne(answer, say, port));
        return;
      case "cancel":
        control.abort();
        answer?.cancel(undefined);
        return;
      default:
        upload?.take(data);
    }
  };
  try {
    const { head, body: incoming, proof } = await client.send({ head: order.head, body, signal: control.signal });
    answer = incoming;
    say({ say: "head", head, proof: textsOf(proof) });
  } catch (error) {
    say({ say: "failed", error: packError(error) });
    port.close();
  }
}

async function giveOne(answer: ByteSource | undefined, say: (message: FromWorker, transfer?: Transferable[]) => void, port: MessagePort): Promise<void> {
  try {
    const bytes = await answer?.read();
    if (bytes) return say({ say: "piece", bytes }, [bytes.buffer]);
    say({ say: "end" });
  } catch (error) {
    say({ say: "failed", error: packError(error) });
  }
  port.close();
}

/** The request's body, asked of the page piece by piece. */
function uploadBy(say: (message: FromWorker) => void): { body: UploadBody; take(message: FromPage): void } {
  let given: ((message: FromPage) => void) | undefined;
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const message = await new Promise<FromPage>(resolve => {
        given = resolve;
        say({ say: "want" });
      });
      if (message.say === "piece") controller.enqueue(message.bytes);
      else if (message.say === "end") controller.close();
      else controller.error(new Error("the request's body failed"));
    },
    cancel: () => say({ say: "cancel" }),
  }, { highWaterMark: 0 });
  return { body: { kind: "stream", stream }, take: message => given?.(message) };
}

async function warmup(client: Client, port: MessagePort): Promise<void> {
  const say = (message: FromWorker): void => port.postMessage(message);
  try {
    say({ say: "warm", proof: textsOf(await client.warmup()) });
  } catch (error) {
    say({ say: "failed", error: packError(error) });
  }
  port.close();
}

function gateBy(port: MessagePort): Gate {
  const waiting = new Map<number, (answer: GateAnswers) => void>();
  let questions = 0;
  port.onmessage = ({ data }: MessageEvent<GateAnswers>) => {
    waiting.get(data.question)?.(data);
    waiting.delete(data.question);
  };
  return async proof => {
    const question = ++questions;
    const asked = new Promise<GateAnswers>(resolve => waiting.set(question, resolve));
    port.postMessage({ question, proof: textsOf(proof) } satisfies GateAsks);
    if ((await asked).refused) throw new Refused(question);
  };
}

function isWorker(): boolean {
  const { WorkerGlobalScope: Scope } = globalThis as { WorkerGlobalScope?: new () => unknown };
  return typeof Scope === "function" && self instanceof Scope && "postMessage" in self;
}

/* The listener must be there before anything is waited for: a browser does not keep messages for later. */
if (isWorker()) {
  const scope = self as unknown as { postMessage(news: WorkerNews): void; onmessage: ((event: MessageEvent<WorkerOrder>) => void) | null };
  scope.onmessage = ({ data }) => obey(data);
  tellStats(news => scope.postMessage(news));
} else if (typeof document === "object") {
  // A page has postMessage, too: whoever frames it, or is framed, would give the orders.
  throw new Error(MISPLACED);
} else {
  void obeyThread();
}

/* No await at the top: some bundlers make a classic script of a worker. */
async function obeyThread(): Promise<void> {
  const { parentPort } = await nodeModule<typeof import("node:worker_threads")>("worker_threads");
  if (!parentPort) throw new Error(MISPLACED);
  parentPort.on("message", obey);
  tellStats(news => parentPort.postMessage(news));
}
