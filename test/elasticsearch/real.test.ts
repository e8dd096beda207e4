// What the sandbox's small Elasticsearch answers, compared with a real one, and the example in front of the real one.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join, resolve } from "node:path";
import { describe, it } from "node:test";
import { AuthenticationError, KibanaClient } from "kbn-connectors";
import { startSandbox } from "../sandbox/sandbox.ts";
import { startChild } from "../support/child.ts";
import { begin } from "../support/server.ts";

const root = resolve(import.meta.dirname, "../..");
const real = new URL(process.env.REAL_ELASTICSEARCH ?? "http://set-REAL_ELASTICSEARCH");
const headers = {
  authorization: `Basic ${Buffer.from(`${real.username}:${real.password}`).toString("base64")}`,
  "content-type": "application/x-ndjson",
};

/** An answer without what differs from run to run. */
async function ask(base: string, method: string, path: string, body?: string): Promise<unknown> {
  const answer = await fetch(base + path, { method, headers, ...(body !== undefined && { body }) });
  const text = (await answer.text())
    .replace(/"took":\d+/g, '"took":0')
    .replace(/"index_uuid":"[^"]+"/g, '"index_uuid":"<uuid>"')
    .replace(/"_id":"[\w-]{20}"/g, '"_id":"<id>"')
    .replace(/with id '[\w-]{20}'/g, "with id '<id>'")
    .replace(/"ingest_took":\d+,?/g, "");
  return { status: answer.status, body: text && (JSON.parse(text) as unknown) };
}

describe("the small Elasticsearch agrees with the real one on", () => {
  const firsts: Record<string, unknown> = {
    long: 1,
    float: 1.5,
    boolean: true,
    date: "2020-01-01T00:00:00Z",
    text: "words",
    object: { a: 1 },
    "nested object": { a: { b: "c" } },
    "array of numbers": [1, 2],
    "array of objects": [{ a: 1 }, { a: 2 }],
  };
  const seconds: unknown[] = [
    2,
    2.5,
    "3",
    "word",
    true,
    "true",
    null,
    [],
    [4, "bad"],
    { a: 2 },
    { a: "bad" },
    { a: { b: 1 } },
    "2021-02-03",
    "",
    1e20,
  ];
  for (const [type, first] of Object.entries(firsts))
    it(`every value after a ${type}`, async (t) => {
      const sandbox = await startSandbox({ version: "8.19" });
      t.after(() => sandbox.close());
      for (const second of seconds) {
        const index = `real-${randomUUID()}`;
        const body = [first, second, first]
          .map((n) => `{"index":{"op_type":"create"}}\n${JSON.stringify({ n })}\n`)
          .join("");
        const [small, great] = await Promise.all(
          [sandbox.elasticsearchUrl, real.origin].map(async (base) => [
            await ask(base, "POST", `/${index}/_bulk?refresh=true`, body),
            await ask(base, "DELETE", `/${index}`),
          ]),
        );
        assert.deepEqual(small, great, `after ${JSON.stringify(first)} comes ${JSON.stringify(second)}`);
      }
    });

  const requests: [name: string, method: string, path: string, body?: string][] = [
    ["an empty bulk", "POST", "/real-x/_bulk", ""],
    ["an index name in capitals", "POST", "/Real/_bulk", '{"index":{}}\n{"a":1}\n'],
    ["an index name with a star", "POST", "/real*/_bulk", '{"index":{}}\n{"a":1}\n'],
    ["an index name that begins with _", "POST", "/_real/_bulk", '{"index":{}}\n{"a":1}\n'],
    ["an empty field name", "POST", "/real-y/_bulk", '{"index":{}}\n{"":1}\n'],
    ["a metadata field", "POST", "/real-z/_bulk", '{"index":{}}\n{"_id":"x"}\n'],
    ["a document in an index that is not there", "GET", "/real-none/_doc/1"],
    ["a search in an index that is not there", "GET", "/real-none/_search"],
  ];
  for (const [name, method, path, body] of requests)
    it(name, async (t) => {
      const sandbox = await startSandbox({ version: "8.19" });
      t.after(() => sandbox.close());
      assert.deepEqual(
        await ask(sandbox.elasticsearchUrl, method, path, body),
        await ask(real.origin, method, path, body),
      );
    });
});

it("the example writes into the real one and reads back from it", async (t) => {
  const sandbox = await begin(t, { version: "8.19" });
  const example = join(root, "examples/simple-index-connector.ts");
  const { exitCode, stdout, stderr } = await startChild(process.execPath, ["--import", "tsx", example, "--cleanup"], {
    env: sandbox.env,
    cwd: root,
    input: "",
  }).finished;
  assert.equal(exitCode, 0, stderr);
  assert.match(stdout, /✓ Document verified: miconnectedindex\/_doc\/\S+/);
  assert.deepEqual(sandbox.connectors(), []);
});

it("a wrong password is refused by the real one, in its words", async (t) => {
  const { kibanaUrl, username } = await begin(t, { version: "8.19" });
  const { actions } = new KibanaClient({ node: kibanaUrl, auth: { username, password: "wrong-password" } });
  await assert.rejects(actions.getAll(), (error) => {
    assert.ok(error instanceof AuthenticationError);
    assert.match(error.message, /unable to authenticate user \[elastic\]/);
    return true;
  });
});
