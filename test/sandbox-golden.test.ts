// The sandbox as Kibana 8.12.2 on security and a basic licence: it repeats what a real one answered.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { test } from "node:test";
import { startSandbox } from "./sandbox/sandbox.ts";

interface Recorded {
  name: string;
  /** A look at what is stored. */
  server?: "elasticsearch";
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
  bodyBytes?: number;
  /** Later requests and answers have this name in place of the answer's id. */
  save?: string;
  response: { status: number; headers?: Record<string, string>; body?: unknown };
}

const recording = readFileSync(new URL("../test/golden/kibana-8.12.2.json", import.meta.url), "utf8");
const exchanges = JSON.parse(recording) as Recorded[];

test("the sandbox answers the 126 recorded exchanges of Kibana 8.12.2 byte for byte", async (t) => {
  const sandbox = await startSandbox({ version: "8.12.2" });
  t.after(() => sandbox.close());
  const authorization = `Basic ${btoa(`${sandbox.username}:${sandbox.password}`)}`;
  const ids = new Map<string, string>();
  assert.equal(exchanges.length, 126);
  for (const { name, server, method, path, headers, body, bodyBytes, save, response } of exchanges) {
    const expected = asText(response.status, response.headers, response.body);
    if (server === "elasticsearch") {
      const index = sandbox.documents(path.split("/")[1] ?? "").map(({ _source }) => JSON.stringify(normal(_source)));
      const documents = index.sort().map((document): unknown => JSON.parse(document));
      assert.equal(asText(200, {}, { total: documents.length, documents }), expected, name);
      continue;
    }
    const plain = typeof body === "object" ? JSON.stringify(body) : (body as string | undefined);
    const sent = bodyBytes === undefined ? plain : `{"name":"${"x".repeat(bodyBytes - 11)}"}`;
    const url = sandbox.kibanaUrl + path.replace(/\{\{(\w+)\}\}/g, (_, saved: string) => ids.get(saved) ?? "");
    const given = await send(url, method, { authorization, ...headers }, sent);
    if (save !== undefined) ids.set(save, (given.body as { id: string }).id);
    assert.equal(asText(given.status, given.headers, given.body), expected, name);
  }

  /** A recording keeps these headers only. */
  function asText(status: number, headers: Record<string, unknown> = {}, body?: unknown): string {
    const { "content-type": type, location, "retry-after": wait } = headers;
    return JSON.stringify(normal({ status, type, location, wait, body }));
  }

  /** Without what differs from run to run, and without the place in the JSON that Elasticsearch names. */
  function normal(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(normal);
    if (typeof value === "object" && value !== null) {
      const kept = Object.entries(value).filter(([key]) => !/^_(seq_no|primary_term)$/.test(key));
      const fields = kept.map(([key, item]) => [key, key === "took" ? 0 : key === "_id" ? "<id>" : normal(item)]);
      return Object.fromEntries(fields);
    }
    if (typeof value !== "string") return value;
    const named = [...ids].reduce((text, [name, id]) => text.replaceAll(id, `{{${name}}}`), value);
    return named
      .replace(/in document with id '[^']+'/g, "in document with id '<id>'")
      .replace(/\[1:\d+\] /g, "")
      .replace(/^(?!2001)\d{4}-\d\d-\d\dT[\d:.]+Z$/, "<time>");
  }
});

function send(url: string, method: string, headers: Record<string, string>, body?: string) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: unknown }>((resolve, reject) => {
    const outgoing = request(url, { method, headers }, async (incoming) => {
      const text = (await incoming.setEncoding("utf8").toArray()).join("");
      const isJson = incoming.headers["content-type"]?.includes("json") && text !== "";
      const { statusCode: status = 0, headers } = incoming;
      resolve({ status, headers, body: isJson ? JSON.parse(text) : text || undefined });
    });
    outgoing.on("error", reject);
    if (body !== undefined) outgoing.setHeader("content-length", Buffer.byteLength(body));
    outgoing.end(body);
  });
}
