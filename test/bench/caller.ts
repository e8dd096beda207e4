// A process that makes calls, with the client or by hand: one round for each message.
import { KibanaClient } from "kbn-connectors";
import { request } from "undici";

/** Calls that run a connector with so many `documents`, or list so many `kib` of connectors. */
export interface Round {
  by?: "client" | "hand";
  documents?: number;
  kib?: number;
  calls: number;
  atOnce: number;
  /** A call's time is divided by this. */
  per?: number;
}

/** Microseconds; `processor` counts all threads. */
export interface Taken {
  time: number;
  processor?: number;
}

const node = process.argv[2] ?? "";
const requestTimeout = 30_000;
const client = new KibanaClient({ node, auth: { username: "elastic", password: "changeme" }, requestTimeout });
const authorization = `Basic ${Buffer.from("elastic:changeme").toString("base64")}`;
const headers = { authorization, "content-type": "application/json", "kbn-xsrf": "true" };

const logEntry = {
  "@timestamp": new Date().toISOString(),
  log: { level: "INFO", message: "Hello from Kibana connector!", tags: ["first", "second"] },
  request: { service: "example-app", method: "GET", path: "/api/status", status: 200, bytes: 1234 },
};

async function callByHand(method: "GET" | "POST", path: string, content?: object): Promise<unknown> {
  const { statusCode, body } = await request(node + path, {
    method,
    headers,
    body: content ? JSON.stringify(content) : null,
    signal: AbortSignal.timeout(requestTimeout),
  });
  const result = await body.json();
  if (statusCode !== 200) throw new Error(`${method} ${path}: ${statusCode} ${JSON.stringify(result)}`);
  return result;
}

function callFor({ by, documents, kib }: Round): () => Promise<unknown> {
  if (kib) {
    const { actions } = client.space(`kib-${kib}`);
    return by === "client" ? () => actions.getAll() : () => callByHand("GET", `/s/kib-${kib}/api/actions/connectors`);
  }
  const id = `items-${documents}`;
  const path = `/api/actions/connector/${id}/_execute`;
  const params = { documents: Array<object>(documents ?? 0).fill(logEntry) };
  return by === "client" ? () => client.actions.execute({ id, params }) : () => callByHand("POST", path, { params });
}

process.on("message", async (round: Round) => {
  const call = callFor(round);
  const units = round.calls * (round.per ?? 1);
  let left = round.calls;
  const work = async () => {
    while (left-- > 0) await call();
  };
  const before = process.cpuUsage();
  const start = performance.now();
  await Promise.all(Array.from({ length: round.atOnce }, work));
  const time = ((performance.now() - start) * 1000) / units;
  const { user, system } = process.cpuUsage(before);
  process.send?.({ time, processor: (user + system) / units } satisfies Taken);
});
process.once("disconnect", () => process.exit());
