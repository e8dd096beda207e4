// Replays what a real Kibana 7.17.6 answered, exchange by exchange (test/golden/kibana-7.17.6.json).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { test } from "node:test";
import { startSandbox } from "./sandbox/sandbox.ts";

interface Recorded {
  name: string;
  server?: "elasticsearch";
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: unknown;
  bodyBytes?: number;
  save?: string;
  response: { status: number; headers?: Record<string, string>; body?: unknown };
}

const exchanges = JSON.parse(
  readFileSync(process.env.GOLDEN ?? new URL("golden/kibana-7.17.6.json", import.meta.url), "utf8"),
) as Recorded[];

test("version 7.17.6 answers every recorded exchange as the real Kibana did", async () => {
  const sandbox = await startSandbox({ version: "7.17.6", auth: false });
  const ids = new Map<string, string>();
  const differences: string[] = [];
  try {
    for (const [index, exchange] of exchanges.entries()) {
      const expected = expectation(exchange);
      const actual = await (exchange.server === "elasticsearch" ? stored(exchange) : answer(exchange));
      try {
        assert.deepEqual(actual, expected);
      } catch {
        differences.push(
          `#${index} ${exchange.name}: ${exchange.method} ${exchange.path}\n  recorded ${JSON.stringify(expected)}\n  sandbox  ${JSON.stringify(actual)}`,
        );
      }
    }
  } finally {
    await sandbox.close();
  }
  assert.ok(exchanges.length > 100, "the recording is there");
  assert.equal(
    differences.length,
    0,
    `${differences.length} of ${exchanges.length} differ:\n${differences.join("\n")}`,
  );

  function expectation({ response: { status, headers = {}, body = null } }: Recorded): unknown {
    return { status, headers, body };
  }

  /** The answer with everything taken out that differs from run to run, as golden's own answers are. */
  async function answer({ method, path, headers = {}, body, bodyBytes, save }: Recorded): Promise<unknown> {
    const content =
      bodyBytes === undefined
        ? typeof body === "object"
          ? JSON.stringify(body)
          : (body as string | undefined)
        : `{"name":"${"x".repeat(bodyBytes - 11)}"}`;
    const given = await send(`${sandbox.kibanaUrl}${withIds(path)}`, method, headers, content);
    const parsed: unknown = parse(given.text);
    if (save !== undefined) ids.set(save, (parsed as { id: string }).id);
    const shown = Object.fromEntries(
      ["content-type", "location", "retry-after"].flatMap((name) => {
        const value = given.headers[name];
        return value === undefined ? [] : [[name, withNames(String(value))]];
      }),
    );
    return { status: given.status, headers: shown, body: normal(parsed) };
  }

  async function stored({ path }: Recorded): Promise<unknown> {
    const [, index = ""] = path.split("/");
    await send(`${sandbox.elasticsearchUrl}/${index}/_refresh`, "POST", {});
    const { status, text } = await send(`${sandbox.elasticsearchUrl}/${index}/_search?size=1000`, "GET", {});
    const { hits } = JSON.parse(text) as { hits: { total: { value: number }; hits: { _source: unknown }[] } };
    const documents = hits.hits
      .map(({ _source }) => JSON.stringify(normal(_source)))
      .sort()
      .map((document): unknown => JSON.parse(document));
    return { status, headers: {}, body: { total: hits.total.value, documents } };
  }

  function withIds(text: string): string {
    return text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => ids.get(name) ?? name);
  }

  function withNames(text: string): string {
    return [...ids].reduce((result, [name, id]) => result.replaceAll(id, `{{${name}}}`), text);
  }

  function normal(value: unknown): unknown {
    if (typeof value === "string") {
      const named = withNames(value).replace(/in document with id '[^']+'/, "in document with id '<id>'");
      return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(named) && !named.startsWith("2001") ? "<time>" : named;
    }
    if (Array.isArray(value)) return value.map(normal);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => key !== "_seq_no" && key !== "_primary_term")
        .map(([key, item]) => [key, key === "took" ? 0 : key === "_id" && "_index" in value ? "<id>" : normal(item)]),
    );
  }
});

function parse(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function send(
  url: string,
  method: string,
  headers: Record<string, string>,
  body?: string,
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => {
        text += chunk;
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }));
    });
    outgoing.on("error", reject);
    if (body !== undefined) outgoing.setHeader("content-length", Buffer.byteLength(body));
    outgoing.end(body);
  });
}
