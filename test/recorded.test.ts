// Gives every recorded answer that the client can meet to it, and compares what it makes of them with recorded.json.
// `UPDATE_RECORDED=1 npm test` writes that table anew: per result, the answers that lead to it and how often they were recorded.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { it, type TestContext } from "node:test";
import { KibanaClient, KibanaError, type RequestOptions } from "kbn-connectors";
import { Agent } from "undici";
import { serve } from "./support/server.ts";

interface Recorded {
  name: string;
  server?: string;
  method: string;
  path: string;
  headers?: Record<string, string>;
  /** An object, JSON, other text, or a description of a text that was too long to keep. */
  body?: unknown;
  bodyBytes?: number;
  /** Absent or null: no credentials. */
  auth?: string | null;
  response?: { status?: number; headers?: Record<string, string>; body?: unknown };
}

interface Plan {
  operation: keyof KibanaClient["actions"];
  base: string;
  request: { id?: string; params?: { documents?: unknown } };
}

type Request = Pick<Recorded, "method" | "path" | "body">;
type Replayed = Plan & { exchange: Recorded; sent: Request; result: object };

const read = (name: string) => JSON.parse(readFileSync(new URL(`../test/${name}`, import.meta.url), "utf8"));
const setup = read("golden/kibana-8.12.2.setup.json");
const files = ["kibana-7.17.6", "server-states-7.17.6", "kibana-8.12.2", "kibana-8.12.2-more", "situations-8.12.2"];
const exchanges: Recorded[] = [...files, "server-states-8.12.2"].flatMap((file) =>
  read(`golden/${file}.json`).map((exchange: { request?: object }) => {
    const auth = file.includes("8.12.2") ? "elastic" : "none"; // 7.17.6 was recorded with security off
    return { auth, ...exchange, ...exchange.request };
  }),
);

const operations: Readonly<Record<string, Plan["operation"]>> = {
  "POST /connector": "create",
  "POST /connector/id": "create",
  "GET /connector/id": "get",
  "GET /connectors": "getAll",
  "PUT /connector/id": "update",
  "DELETE /connector/id": "delete",
  "POST /connector/id/_execute": "execute",
  "GET /connector_types": "listTypes",
};

/** The call that sends a recorded request; or why the client does not meet its answer, which is counted in the table. */
function planFor({ server, method, path, headers, body, bodyBytes, response }: Recorded): Plan | string {
  if (server) return "a request to Elasticsearch";
  if (!response?.status) return "no answer, or several: a cut, a raw socket, a timeline";
  const answer = JSON.stringify(response.body) ?? "";
  if (/"[<(]\d+ (characters|items)|"\{\{id(a|the)/.test(answer)) return "an answer of which a part was not kept";
  if (/a kbn-xsrf header/.test(answer)) return "no kbn-xsrf, which the client always sends";
  if (headers?.["accept-encoding"] || headers?.range) return "a request for a compressed answer, or for a part";
  const [, base = "", kind, id, run = "", feature_id] =
    /^(.*)\/api\/actions(\/[a-z_]+)(?:\/([^/?]+))?(\/_execute)?(?:\?feature_id=([^&]*))?$/.exec(path) ?? [];
  const operation = operations[`${method} ${kind}${id === undefined ? "" : "/id"}${run}`];
  if (!operation) return "not one of the seven operations: legacy, internal, HEAD, another query, a slash at the end";
  if (/\/\/|\/(\.|%2e){2}$|%(?![\da-f]{2})/i.test(path)) return "a path that the client never sends: //, .., a stray %";
  const request = { ...(id && { id: decodeURIComponent(id) }), ...(feature_id !== undefined && { feature_id }) };
  if (method === "GET" || method === "DELETE")
    return body === undefined ? { operation, base, request } : "a body, where the client sends none";
  if (isDescription(body))
    return { operation, base, request: { ...request, ...(run ? { params: { documents: [{}] } } : { name: "n" }) } };
  const content = bodyBytes ? { name: "x".repeat(bodyBytes - '{"name":""}'.length) } : parse(body);
  if (!(content instanceof Object) || Array.isArray(content)) return "a body that is not a JSON object";
  if ("id" in content) return "an id in the body, which the client puts into the path";
  if (run && !("params" in content && content.params instanceof Object && Object.keys(content).length === 1))
    return "a run without params, or with more than params";
  return { operation, base, request: { ...content, ...request } };
}

const isDescription = (body: unknown) => typeof body === "string" && /^[<(]\d/.test(body);

/** What JSON stands for; anything else as it is. */
function parse(value: unknown): unknown {
  try {
    return typeof value === "string" ? JSON.parse(value) : (value ?? undefined);
  } catch {
    return value;
  }
}

/** The recordings do not hold the keys and tokens. */
function authorizationOf(auth: string | null = "none"): Record<string, string> {
  if (auth === null || auth === "none") return {};
  const key = auth.startsWith("key") ? "ApiKey a2V5OnNlY3JldC1rZXk=" : undefined;
  const token = /^(bearer|serviceToken)$/.test(auth) ? "Bearer AAEAAWVsYXN0aWM" : undefined;
  const basic = Buffer.from(`${auth}:${setup.users[auth]?.password ?? "changeme"}`).toString("base64");
  return { authorization: setup.literal[auth] ?? setup.auths[auth] ?? key ?? token ?? `Basic ${basic}` };
}

/** Sends each request and answers it as recorded, or in other words. The header x-exchange says which one it is. */
async function replay(t: TestContext, exchanges: readonly Recorded[], reword = (body: unknown) => body) {
  const sent = new Map<Recorded, Request>();
  const { url } = await serve(t, ({ method, path, headers, body }, outgoing) => {
    const exchange = exchanges[Number(headers["x-exchange"])] ?? assert.fail();
    sent.set(exchange, { method, path, body: parse(body) });
    const { response = {} } = exchange;
    for (const name of ["content-type", "location", "retry-after"])
      if (response.headers?.[name]) outgoing.setHeader(name, response.headers[name]);
    const content = reword(response.body ?? undefined);
    const text = typeof content === "string" ? content : JSON.stringify(content);
    outgoing.writeHead(response.status ?? 0).end(text);
  });
  const dispatcher = new Agent({ connections: 8 });
  t.after(() => dispatcher.close());
  const calls = exchanges.map(async (exchange, index) => {
    const plan = planFor(exchange);
    if (typeof plan === "string") return plan;
    const { operation, base, request } = plan;
    const { actions } = new KibanaClient({ node: url + base, headers: authorizationOf(exchange.auth), dispatcher });
    const options: RequestOptions = { headers: { ...exchange.headers, "x-exchange": String(index) } };
    const call =
      operation === "getAll" ? actions.getAll(options) : actions[operation as "get"](request as never, options);
    const result: object = await call.catch((error: object) => error);
    return { ...plan, exchange, result, sent: sent.get(exchange) ?? assert.fail(`Not sent: ${result}`) };
  });
  return await Promise.all(calls);
}

/** For each result, what leads to it, and how often. In the order of the alphabet. */
function tabulate(results: readonly (Replayed | string)[]) {
  const table: Record<string, Record<string, number>> = {};
  for (const [result, row] of results.map(summarize).sort()) {
    table[result] ??= {};
    table[result][row] = (table[result][row] ?? 0) + 1;
  }
  return table;
}

function summarize(entry: Replayed | string): [result: string, row: string] {
  if (typeof entry === "string") return ["(not met by the client)", entry];
  const { exchange, operation, base, result, sent } = entry;
  const status = exchange.response?.status;
  if (!(result instanceof KibanaError)) return ["resolves", `${operation} ${status}`];
  const space = /\/s\/([^/]+)$/.exec(base)?.[1] ?? "default";
  const hint = (result.hint ?? "(no hint)")
    .replace(`in space "${space}"`, 'in space "{space}"')
    .replace(`${JSON.stringify(sent.body)?.length} bytes`, "{bytes} bytes");
  const words = result.message
    .replace(/^.*? -> (\d+ [A-Z][A-Za-z ]+: |the run failed: (error indexing documents: )?)?/, "")
    .replace(/\{\{\w+\}\}|[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/gi, "<id>")
    .replace(/^\[\w+_exception .*\]: /, "")
    .replace(/\[1:\d+\] /g, "[1:<n>] ")
    .replace(/(.)\1{9,}/g, "$1...$1");
  const user = status === 401 || exchange.auth === "kibanaSystem" ? ` (as ${exchange.auth ?? "none"})` : "";
  return [`${result.name}, ${result.outcome}: ${hint}`, `${operation} ${status}: ${words.slice(0, 110)}${user}`];
}

it("the recorded answers", async (t) => {
  const results = await replay(t, exchanges);
  const replayed = results.filter((entry) => typeof entry !== "string");

  await t.test("each recorded answer leads to the class, the outcome and the hint of recorded.json", () => {
    const actual = `${JSON.stringify(tabulate(results), null, 2)}\n`;
    if (process.env.UPDATE_RECORDED) writeFileSync(new URL("../test/recorded.json", import.meta.url), actual);
    assert.deepEqual(JSON.parse(actual), read("recorded.json"));
  });

  await t.test("each recorded request goes out, and each recorded body comes back, unchanged", () => {
    for (const { sent, result, exchange } of replayed) {
      const { name, method, path, body, response } = exchange;
      assert.deepEqual([sent.method, decodeURIComponent(sent.path)], [method, decodeURIComponent(path)]);
      if (body !== undefined && !isDescription(body)) assert.deepEqual(sent.body, parse(body));
      assert.deepEqual(Object(result).body || undefined, parse(response?.body) || undefined, name);
    }
  });

  await t.test("the hint for a message does not depend on words that do not stand at its beginning", async (t) => {
    const failed = replayed.filter(({ result }) => result instanceof KibanaError);
    const different = new Map(failed.map((entry) => [summarize(entry).join(), entry.exchange]));
    const hints = async (change: (said: string) => string) => {
      const reviver = (key: string, value: string) =>
        /^(service_)?message$/.test(key) && value ? change(value) : value;
      const reword = (body: unknown) => JSON.parse(JSON.stringify(parse(body) ?? ""), reviver);
      return (await replay(t, [...different.values()], reword)).map((entry) => Object(Object(entry).result).hint);
    };
    assert.deepEqual(await hints((said) => `x ${said}`), await hints(() => "x"));
  });

  const runs = replayed.filter((run) => run.request.params?.documents && run.exchange.response?.status === 200);

  await t.test("a recorded run resolves if each document was written to its index, and only then", () => {
    for (const { exchange, request, result } of runs) {
      const { status, data = "" } = Object(parse(exchange.response?.body));
      const written = JSON.stringify(data).match(/"status":201/g) ?? []; // a dropped document has 200
      const documents = parse(request.params?.documents);
      const isWritten = status === "ok" && Array.isArray(documents) && written.length === documents.length;
      assert.equal(!(result instanceof KibanaError), isWritten, exchange.name);
    }
  });

  await t.test("at least nine of ten recorded failed runs of an index connector get a hint", (t) => {
    const failures = runs.map(({ result }) => result).filter((result) => result instanceof KibanaError);
    const share = failures.filter(({ hint }) => hint !== undefined).length / failures.length;
    t.diagnostic(`${failures.length} failed runs, ${(share * 100).toFixed(1)} % with a hint`);
    assert.ok(failures.length > 150 && share >= 0.9, `${share}`);
  });
});
