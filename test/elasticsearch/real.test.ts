// With a real Elasticsearch: what counts as written, and that the small one of the sandbox responds in the same way.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { ConnectorExecutionError, type IndexConfig, writtenDocuments } from "kbn-connectors";
import { startSandbox } from "../sandbox/sandbox.ts";
import { startChild } from "../support/child.ts";
import { begin } from "../support/server.ts";

const { origin, username, password } = new URL(process.env.REAL_ELASTICSEARCH ?? "http://set-REAL_ELASTICSEARCH");
const headers = { authorization: `Basic ${btoa(`${username}:${password}`)}`, "content-type": "application/json" };

/** Status and body, without what differs from run to run, and without the place and the preview of a wrong value. */
async function ask(method: string, path: string, body?: string, base = origin) {
  const response = await fetch(base + path, { method, headers, ...(body !== undefined && { body }) });
  const text = (await response.text())
    .replace(/"(took|index_uuid|_id)":("[\w-]{20,22}"|\d+)/g, '"$1":0')
    .replace(/with id '[\w-]{20}'/g, "with id '0'")
    .replace(/\[\d+:\d+\] | at \d+:\d+|\\n at \[Source(\\"|[^"])*| Preview of field's value: '.*?'(?=")/g, "");
  return { status: response.status, body: JSON.parse(text) as Record<string, unknown> };
}

/** Runs a new connector for this index. */
async function run(t: TestContext, index: string, documents: object[], more?: Partial<IndexConfig>) {
  const { actions } = (await begin(t, { version: "8.19" })).client();
  const config: IndexConfig = { index, refresh: true, ...more };
  const { body: connector } = await actions.create({ name: index, connector_type_id: ".index", config });
  return (await actions.execute({ id: connector.id, params: { documents } })).body;
}

describe("execute, with a real Elasticsearch,", () => {
  it("resolves to the places of the documents that were written", async (t) => {
    const written = writtenDocuments(await run(t, "written", [{ n: 1 }, { n: 2 }]));
    const found = await Promise.all(written.map(({ index, id }) => ask("GET", `/${index}/_doc/${id}`)));
    const sources = found.map(({ body }) => body._source);
    assert.deepEqual(sources, [{ n: 1 }, { n: 2 }]);
  });

  it("resolves to the index behind a data stream", async (t) => {
    await ask("PUT", "/_index_template/stream", '{"index_patterns":["stream"],"data_stream":{}}');
    const [written] = writtenDocuments(await run(t, "stream", [{ n: 1 }], { executionTimeField: "@timestamp" }));
    assert.match(written?.index ?? "", /^\.ds-stream-/);
  });

  for (const [words, definition, bad, written] of [
    ["failed to parse field [n] of type [long]", '{"mappings":{"properties":{"n":{"type":"long"}}}}', { n: "bad" }, 1],
    ["Limit of total fields [1] has been exceeded", '{"settings":{"mapping.total_fields.limit":1}}', { a: 1, b: 1 }, 1],
    ["pipeline with id [none] does not exist", '{"settings":{"default_pipeline":"none"}}', {}, 0],
    ["FORBIDDEN/8/index write (api)", '{"settings":{"blocks.write":true}}', {}, 0],
  ] as const)
    it(`rejects with "${words}", and writes ${written} of 2 documents`, async (t) => {
      const index = randomUUID();
      assert.equal((await ask("PUT", `/${index}`, definition)).status, 200);
      await assert.rejects(run(t, index, [bad, { n: 1 }]), (error) => {
        assert.ok(error instanceof ConnectorExecutionError && error.outcome === "unknown");
        return error.serviceMessage?.includes(words) ?? false;
      });
      assert.equal((await ask("GET", `/${index}/_count`)).body.count, written);
    });
});

type Call = [method: string, path: string, body?: string];
/** Compares the responses of both, unless the small one says that it does not simulate a call. */
async function compare(t: TestContext, calls: Call[]): Promise<void> {
  const sandbox = await startSandbox({ version: "8.19" });
  t.after(() => sandbox.close());
  let compared = 0;
  for (const [method, path, body] of calls) {
    const [real, small] = [await ask(method, path, body), await ask(method, path, body, sandbox.elasticsearchUrl)];
    if (small.status !== 501) assert.deepEqual(small, real, `${method} ${path} ${body}`);
    if (small.status !== 501) compared++;
  }
  assert.ok(compared > calls.length / 2, `compared only ${compared} of ${calls.length}`);
}

const firsts = '1 1.5 true "2020-01-01T00:00:00Z" "words" {"a":1} {"a":{"b":"c"}} [1,2] [{"a":1},{"a":2}]';
const seconds =
  '2 2.5 "3" "word" true "true" null [] [4,"bad"] {"a":2} {"a":"bad"} {"a":{"b":1}} "2021-02-03" "" 10000000000';
for (const first of firsts.split(" "))
  it(`the small Elasticsearch responds like the real one to any value after ${first}`, (t) => {
    const line = (value: string) => `{"index":{"op_type":"create"}}\n{"n":${value}}\n`;
    const bodies = seconds.split(" ").map((second) => line(first) + line(second) + line(first));
    const calls = bodies.map((body): Call => ["POST", `/${randomUUID()}/_bulk?refresh=true`, body]);
    return compare(t, calls);
  });

it("the small Elasticsearch responds like the real one to what is wrong", (t) =>
  compare(t, [
    ["POST", "/real-x/_bulk", ""],
    ["POST", "/Real/_bulk", '{"index":{}}\n{"a":1}\n'],
    ["POST", "/real-y/_bulk", '{"index":{}}\n{"":1}\n'],
    ["POST", "/real-z/_bulk", '{"index":{}}\n{"_id":"x"}\n'],
    ["GET", "/real-none/_doc/1"],
    ["GET", "/real-none/_search"],
  ]));

it("the example writes into a real Elasticsearch and reads its document back", async (t) => {
  const { env } = await begin(t, { version: "8.19" });
  const args = ["--import", "tsx", "examples/simple-index-connector.ts"];
  const { stdout } = await startChild(process.execPath, args, { env, cwd: process.cwd(), input: "y\n" }).finished;
  assert.match(stdout, /✓ Document verified: miconnectedindex\/_doc\/.*✓ Connector deleted/s);
});
