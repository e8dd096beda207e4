// The servers of the tests: the sandbox for what Kibana does, a small one for what no Kibana does.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo, Server, Socket } from "node:net";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { inspect } from "node:util";
import { type DispatcherLike, KibanaClient, type KibanaClientOptions, KibanaError } from "kbn-connectors";
import type { Dispatcher } from "undici";
import { type Sandbox, type SandboxOptions, startSandbox } from "../sandbox/sandbox.ts";

/** A request as it stood on the wire. */
export interface Request {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Answers every request with `answer` until the test ends: a body to send as JSON with status 200, or a handler. */
export async function serve(
  t: TestContext,
  answer: object | ((request: Request, response: ServerResponse) => void),
): Promise<{ url: string; requests: Request[] }> {
  const requests: Request[] = [];
  const server = createServer(async (incoming, response) => {
    const { method = "", url: path = "", headers } = incoming;
    const request = { method, path, headers, body: await text(incoming).catch(() => "") };
    requests.push(request);
    if (typeof answer === "function") answer(request, response);
    else sendJson(response, 200, answer);
  });
  server.keepAliveTimeout = 120_000; // as Kibana: a connection that ends earlier was ended by the client
  return { url: `http://127.0.0.1:${await listen(t, server)}`, requests };
}

/** The port of a server that listens until the test ends, and then ends all its connections. */
export async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => {})));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}

/** A dispatcher that sends nothing, and reports to the client what undici itself never would. */
export function dispatching(report: (handler: Required<Dispatcher.DispatchHandler>) => void): DispatcherLike {
  return {
    dispatch(_options, handler) {
      report(handler as Required<Dispatcher.DispatchHandler>);
      return true;
    },
  };
}

/** What the handlers of `dispatching` are given to abort with. */
export const controller = { abort() {} } as unknown as Dispatcher.DispatchController;

/** The error with which a call ends. */
export async function failure(call: Promise<unknown>): Promise<KibanaError> {
  const resolved = (answer: unknown) => assert.fail(`resolved: ${inspect(answer)}`);
  const error = await call.then(resolved, (reason: unknown) => reason);
  assert.ok(error instanceof KibanaError, inspect(error));
  return error;
}

/** A sandbox until the test ends, and clients for it; REAL_ELASTICSEARCH may name an Elasticsearch to put behind it. */
export async function begin(t: TestContext, options: SandboxOptions = {}) {
  const elasticsearch = process.env.REAL_ELASTICSEARCH;
  const sandbox = await startSandbox({ ...(elasticsearch && { elasticsearch }), ...options });
  t.after(() => sandbox.close());
  const { kibanaUrl: node, username, password } = sandbox;
  const client = (more: Partial<KibanaClientOptions> = {}) =>
    new KibanaClient({ node, auth: { username, password }, ...more });
  return Object.assign(sandbox, { client });
}

/** The `_id`s in an index, whichever Elasticsearch holds it. */
export async function idsIn({ elasticsearchUrl, username, password }: Sandbox, index: string): Promise<string[]> {
  const headers = { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
  await fetch(`${elasticsearchUrl}/${index}/_refresh`, { method: "POST", headers });
  const answer = await fetch(`${elasticsearchUrl}/${index}/_search`, { headers });
  const { hits } = (await answer.json()) as { hits: { hits: { _id: string }[] } };
  return hits.hits.map(({ _id }) => _id);
}
