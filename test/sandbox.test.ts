// The sandbox beyond the recording: what it promises, what it refuses, and its command line.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { type Child, compile, startChild } from "./child.ts";
import { type SandboxOptions, type State, startSandbox } from "./sandbox/sandbox.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers of every shape are looked into
type Given = { status: number; headers: Headers; body: any };
type Call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Given>;

/** A sandbox for one test, with calls to both of its servers as its user. */
async function begin(t: TestContext, options: SandboxOptions = {}) {
  const sandbox = await startSandbox(options);
  t.after(() => sandbox.close());
  const authorization = `Basic ${btoa(`${sandbox.username}:${sandbox.password}`)}`;
  const caller =
    (base: string): Call =>
    async (method, path, body, headers = {}) => {
      const answer = await fetch(base + path, {
        method,
        headers: { authorization, "content-type": "application/json", "kbn-xsrf": "true", ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await answer.text();
      return {
        status: answer.status,
        headers: answer.headers,
        body: text.startsWith("<") ? text : JSON.parse(text || "0"),
      };
    };
  const kibana = caller(sandbox.kibanaUrl);
  const create = (body: object, path = "") =>
    kibana("POST", `/api/actions/connector${path}`, { name: "n", connector_type_id: ".index", ...body });
  const run = async (id: string, params: object) =>
    (await kibana("POST", `/api/actions/connector/${id}/_execute`, { params })).body;
  return { sandbox, kibana, create, run, elasticsearch: caller(sandbox.elasticsearchUrl) };
}

const bulk = (...lines: object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

describe("the sandbox's Elasticsearch", () => {
  test("refuses what it does not simulate with status 501, and changes nothing", async (t) => {
    const { sandbox, elasticsearch } = await begin(t);
    await elasticsearch("PUT", "/i/_doc/1", { text: "one word", d: "2024-01-01" });
    await elasticsearch("POST", "/i/_refresh");
    const refused: [method: string, path: string, body?: object | string][] = [
      ["GET", "/_cat/indices"],
      ["POST", "/i/_update/1", { doc: { a: 1 } }],
      ["DELETE", "/i/_doc/1"],
      ["PUT", "/new", { mappings: { properties: { a: { type: "nested" } } } }],
      ["PUT", "/new", { settings: { number_of_replicas: 0 } }],
      ["PUT", "/i/_doc/1?routing=x", { a: 1 }],
      ["PUT", "/i/_doc/1?refresh=soon", { a: 1 }],
      ["PUT", "/i/_doc/1", { "a..b": 1 }],
      ["PUT", "/i/_doc/1", { a: "2024/01/01" }],
      ["PUT", "/i/_doc/1", { a: 1e300 }],
      ["PUT", "/i/_doc/1", "{"],
      [
        "POST",
        "/_bulk",
        bulk({ index: { _index: "i", _id: "1" } }, { a: 1 }, { update: { _index: "i", _id: "1" } }, {}),
      ],
      ["POST", "/i/_bulk", bulk({ index: { _id: "1", pipeline: "p" } }, { a: 1 })],
      ["POST", "/i/_search", { query: { bool: {} } }],
      ["POST", "/i/_search", { query: { match: { text: "word" } } }],
      ["POST", "/i/_search", { query: { term: { text: "word" } } }],
      ["POST", "/i/_search", { query: { term: { d: "2024-01-01" } } }],
      ["POST", "/i/_search", { sort: ["d"] }],
      ["POST", "/i/_search", { size: 10_001 }],
      ["GET", "/i/_search?q=word"],
      ["GET", "/i,j/_search"],
      ["GET", "/i*/_count"],
    ];
    for (const [method, path, body] of refused) {
      const { status, body: answer } = await elasticsearch(method, path, body);
      assert.deepEqual(
        [status, answer.status, answer.error.type],
        [501, 501, "sandbox_exception"],
        `${method} ${path}`,
      );
      assert.match(answer.error.root_cause[0].reason, /^The sandbox does not simulate .+\.$/);
    }
    assert.deepEqual(sandbox.documents("i"), [{ _id: "1", _source: { text: "one word", d: "2024-01-01" } }]);
    assert.equal((await elasticsearch("HEAD", "/new")).status, 404);
  });

  test("does not create an index twice, and keeps its documents", async (t) => {
    const { sandbox, elasticsearch } = await begin(t);
    assert.equal((await elasticsearch("PUT", "/i")).body.acknowledged, true);
    await elasticsearch("PUT", "/i/_create/1", { o: { n: 1 }, t: "x" });
    const { status, body } = await elasticsearch("PUT", "/i");
    assert.deepEqual([status, body.error.type], [400, "resource_already_exists_exception"]);
    assert.equal((await elasticsearch("PUT", "/i/_create/1", {})).body.error.type, "version_conflict_engine_exception");
    assert.equal(sandbox.documents("i").length, 1);
    const text = { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } };
    assert.deepEqual((await elasticsearch("GET", "/i")).body.i.mappings, {
      properties: { o: { properties: { n: { type: "long" } } }, t: text },
    });
    assert.equal((await elasticsearch("DELETE", "/i")).status, 200);
    assert.equal((await elasticsearch("GET", "/i/_doc/1")).body.error.type, "index_not_found_exception");
  });

  test("shows a write to searches after a refresh or a second, and the version before until then", async (t) => {
    t.mock.timers.enable({ apis: ["Date"] });
    const { elasticsearch } = await begin(t);
    const write = (n: number, refresh: string) => elasticsearch("PUT", `/i/_doc/1?refresh=${refresh}`, { n });
    const seen = async () => (await elasticsearch("GET", "/i/_search")).body.hits.hits[0]?._source.n;
    await write(1, "false");
    assert.deepEqual([await seen(), (await elasticsearch("GET", "/i/_doc/1")).body._source.n], [undefined, 1]);
    t.mock.timers.tick(1000);
    assert.equal(await seen(), 1);
    await write(2, "false");
    await write(3, "false");
    assert.equal(await seen(), 1);
    await elasticsearch("POST", "/i/_refresh");
    assert.equal(await seen(), 3);
    assert.equal((await write(4, "true")).body.forced_refresh, true);
    assert.equal(await seen(), 4);
    assert.equal((await write(5, "wait_for")).body._version, 5);
    assert.equal((await elasticsearch("POST", "/i/_count", { query: { term: { n: 5 } } })).body.count, 1);
  });

  test("finds by match_all, ids, term and match what a real one finds", async (t) => {
    const { elasticsearch } = await begin(t);
    const documents = [
      { s: "Ab-c", n: 1, b: true, o: [{ f: 1.5 }] },
      { s: "x".repeat(257), n: "2", "o.f": 2 },
      { s: "ab" },
    ];
    for (const [index, document] of documents.entries())
      await elasticsearch("PUT", `/i/_doc/${index}?refresh`, document);
    const finds: [query: object | undefined, ids: string][] = [
      [undefined, "012"],
      [{ match_all: {} }, "012"],
      [{ ids: { values: ["0", "9"] } }, "0"],
      [{ term: { "s.keyword": "Ab-c" } }, "0"],
      [{ term: { "s.keyword": "ab-c" } }, ""],
      [{ term: { "s.keyword": "x".repeat(257) } }, ""],
      [{ term: { "n.keyword": "1" } }, ""],
      [{ term: { n: { value: "2" } } }, "1"],
      [{ match: { b: { query: true } } }, "0"],
      [{ match: { "o.f": 1.5 } }, "0"],
      [{ match: { s: "x".repeat(257) } }, "1"],
      [{ term: { missing: 1 } }, ""],
    ];
    for (const [query, ids] of finds) {
      const { hits } = (await elasticsearch("POST", "/i/_search", query && { query })).body;
      assert.equal(hits.hits.map(({ _id }: { _id: string }) => _id).join(""), ids, JSON.stringify(query));
      assert.equal(hits.total.value, ids.length);
    }
    const page = (await elasticsearch("POST", "/i/_search?size=1", { from: 1 })).body.hits;
    assert.deepEqual([page.hits.length, page.hits[0]._id, page.total.value], [1, "1", 3]);
    const none = await elasticsearch("POST", "/none/_search?ignore_unavailable=true", {});
    assert.deepEqual([none.status, none.body.hits.total.value], [200, 0]);
  });

  test("refuses a value that does not fit its field in Elasticsearch's words, and takes one that does", async (t) => {
    const { elasticsearch } = await begin(t);
    const field = (name: string, type: string, value: string) =>
      `failed to parse field [${name}] of type [${type}] in document with id '1'. Preview of field's value: '${value}'`;
    const first = { n: 1, f: 1.5, b: true, d: "2020-01-01T10:11:12+02:00", t: "text", o: { p: 1 } };
    const token = (name: string, rest: string) => `Current token (${name}) not ${rest}`;
    const refusals: [document: object, reason: string, cause?: string][] = [
      [{ n: "x" }, field("n", "long", "x"), 'For input string: "x"'],
      [
        { n: [2, true] },
        field("n", "long", "true"),
        token("VALUE_TRUE", "numeric, can not use numeric value accessors"),
      ],
      [{ f: {} }, field("f", "float", "{}"), "Cannot parse object as number"],
      [
        { b: "yes" },
        field("b", "boolean", "yes"),
        "Failed to parse value [yes] as only [true] or [false] are allowed.",
      ],
      [{ b: 1 }, field("b", "boolean", "1"), token("VALUE_NUMBER_INT", "of boolean type")],
      [
        { d: "2020-02-30" },
        field("d", "date", "2020-02-30"),
        "failed to parse date field [2020-02-30] with format [strict_date_optional_time||epoch_millis]",
      ],
      [{ t: { a: 1 } }, field("t", "text", '{"a":1}'), "Expected text but found START_OBJECT"],
      [{ "n.x": 1 }, field("n", "long", '{"x":1}'), "Cannot parse object as number"],
      [{ o: [7] }, "object mapping for [o] tried to parse field [null] as object, but found a concrete value"],
      [{ x: [1, "a"] }, "mapper [x] cannot be changed from type [long] to [text]"],
      [{ x: [1, {}] }, "mapper [x] cannot be changed from type [long] to [ObjectMapper]"],
    ];
    await elasticsearch("PUT", "/i/_doc/1", first);
    for (const [document, reason, cause] of refusals) {
      const { status, body } = await elasticsearch("PUT", "/i/_doc/1", document);
      assert.deepEqual([status, body.error?.reason, body.error?.caused_by?.reason], [400, reason, cause]);
    }
    for (const fine of [
      { n: "5", f: "1e3", b: "false", d: 1577836800000, t: 5 },
      { n: 1.9, b: "", d: "2020", o: null },
      { f: [], x: "new" },
    ])
      assert.equal((await elasticsearch("PUT", "/i/_doc/1", fine)).status, 200, JSON.stringify(fine));
  });

  test("refuses a client that is a major version ahead, as a real one does", async (t) => {
    const { elasticsearch } = await begin(t, { version: "8.19" });
    const search = (major: number) => {
      const type = `application/vnd.elasticsearch+json; compatible-with=${major}`;
      return elasticsearch("POST", "/i/_search?ignore_unavailable=true", {}, { accept: type, "content-type": type });
    };
    const { status, headers } = await search(8);
    assert.deepEqual([status, headers.get("x-elastic-product")], [200, "Elasticsearch"]);
    assert.equal(headers.get("content-type"), "application/vnd.elasticsearch+json;compatible-with=8");
    assert.equal((await search(9)).body.error.type, "media_type_header_exception");
  });
});
