// The server of the benchmark: returns from memory what Kibana would return.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const config = { index: "miconnectedindex", refresh: true, executionTimeField: "@timestamp" };
const connector = { id: "items-1", name: "", config, connector_type_id: ".index", is_preconfigured: false };

function run(documents: number): object {
  const more = { _version: 1, result: "created", _shards: { total: 2, successful: 1, failed: 0 }, _primary_term: 1 };
  const items = Array.from({ length: documents }, (_, at) => ({
    create: { _index: config.index, _id: `8pZ-${String(at).padStart(16, "0")}`, ...more, _seq_no: at, status: 201 },
  }));
  return { connector_id: `items-${documents}`, status: "ok", data: { took: 1, errors: false, items } };
}

/** Connectors of 1 KiB each. */
function list(kib: number): object {
  return Array(kib).fill({ ...connector, name: "x".repeat(1023 - JSON.stringify(connector).length) });
}

/** The path says how large the body is: `/s/kib-32/...`, `.../connector/items-50/_execute`. Each body is made once. */
const bodies = new Map<string, Buffer>();
function bodyFor(path: string): Buffer {
  const [kib, documents] = [/^\/s\/kib-(\d+)\//, /items-(\d+)\/_execute$/].map((size) => Number(size.exec(path)?.[1]));
  const body =
    bodies.get(path) ?? Buffer.from(JSON.stringify(kib ? list(kib) : documents ? run(documents) : connector));
  bodies.set(path, body);
  return body;
}

const server = createServer((request, response) => {
  request.resume().once("end", () => {
    const body = request.method === "DELETE" ? undefined : bodyFor(request.url ?? "");
    const length = body && { "content-length": body.length };
    response.writeHead(body ? 200 : 204, { "content-type": "application/json; charset=utf-8", ...length }).end(body);
  });
});
server.keepAliveTimeout = 120_000; // as Kibana's
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.once("disconnect", () => process.exit());
