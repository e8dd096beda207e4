// The server of the benchmark, in a process of its own: answers what Kibana answers, from memory.
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const connector = JSON.stringify({
  id: "items-1",
  name: "My Connected Index Connector",
  config: { index: "miconnectedindex", refresh: true, executionTimeField: "@timestamp" },
  connector_type_id: ".index",
  is_preconfigured: false,
  is_deprecated: false,
  is_missing_secrets: false,
  is_system_action: false,
});

function run(id: string, documents: number): string {
  const items = Array.from({ length: documents }, (_, at) => ({
    create: {
      _index: "miconnectedindex",
      _id: `8pZ-${String(at).padStart(16, "0")}`,
      _version: 1,
      result: "created",
      _shards: { total: 2, successful: 1, failed: 0 },
      _seq_no: at,
      _primary_term: 1,
      status: 201,
    },
  }));
  return JSON.stringify({ connector_id: id, status: "ok", data: { took: 1, errors: false, items } });
}

/** A list of connectors of so many KiB, 1 KiB each. */
function list(kib: number): string {
  const one = JSON.stringify({ ...JSON.parse(connector), name: "" });
  return `[${Array(kib)
    .fill(one.replace('"name":"', `"name":"${"x".repeat(1023 - one.length)}`))
    .join()}]`;
}

const runs = new Map<string, Buffer>();
const lists = new Map<string, Buffer>();
/** The id says what the run has to answer, so that no request has to be parsed: `items-1000`. */
function answerTo(method: string, url: string): { status: number; body: Buffer | string } {
  if (method === "DELETE") return { status: 204, body: "" };
  const [, id = "", items] = /\/(items-(\d+))\/_execute$/.exec(url) ?? [];
  if (items === undefined) return { status: 200, body: connector };
  const body = runs.get(id) ?? Buffer.from(run(id, Number(items)));
  runs.set(id, body);
  return { status: 200, body };
}

/** `/s/kib-32/...` asks for a list of 32 KiB, `/s/kib-32-pieces/...` for the same in pieces of 100 bytes. */
function sendList(url: string, response: ServerResponse): boolean {
  const [, id = "", kib, inPieces] = /\/s\/(kib-(\d+)(-pieces)?)\//.exec(url) ?? [];
  if (kib === undefined) return false;
  const body = lists.get(id) ?? Buffer.from(list(Number(kib)));
  lists.set(id, body);
  response.writeHead(200, { "content-type": "application/json; charset=utf-8" });
  for (let at = 0; inPieces && at < body.length; at += 100) response.write(body.subarray(at, at + 100));
  response.end(inPieces ? undefined : body);
  return true;
}

const server = createServer((request, response) => {
  request.resume().once("end", () => {
    if (sendList(request.url ?? "", response)) return;
    const { status, body } = answerTo(request.method ?? "", request.url ?? "");
    response
      .writeHead(status, {
        "content-type": "application/json; charset=utf-8",
        "kbn-name": "bench",
        "cache-control": "private, no-cache, no-store, must-revalidate",
        ...(status === 204 ? {} : { "content-length": Buffer.byteLength(body) }),
      })
      .end(body);
  });
});
server.keepAliveTimeout = 120_000; // Kibana's own
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.once("disconnect", () => process.exit());
