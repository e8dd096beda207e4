// The sandbox beyond the recording: other requests of the same kinds, every difference between versions, states, both servers.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { type TestContext, test } from "node:test";
import { Client } from "@elastic/elasticsearch";
import { KibanaClient, type KibanaError } from "kbn-connectors";
import { type Sandbox, type SandboxOptions, startSandbox } from "./sandbox/sandbox.ts";
import { type Difference, versions } from "./sandbox/versions.ts";

interface Given {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape are looked into
  body: any;
}

type Call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Given>;

/** A sandbox for one test, with calls to both of its servers as its superuser. */
async function begin(t: TestContext, options: SandboxOptions = {}) {
  const sandbox = await startSandbox(options);
  t.after(() => sandbox.close());
  const authorization = `Basic ${btoa(`${sandbox.username}:${sandbox.password}`)}`;
  const caller =
    (base: () => string): Call =>
    async (method, path, body, headers = {}) => {
      const answer = await fetch(base() + path, {
        method,
        redirect: "manual",
        headers: { authorization, "content-type": "application/json", "kbn-xsrf": "true", ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await answer.text();
      const isJson = answer.headers.get("content-type")?.includes("json") && text !== "";
      return { status: answer.status, headers: answer.headers, body: isJson ? JSON.parse(text) : text };
    };
  return { sandbox, kibana: caller(() => sandbox.kibanaUrl), elasticsearch: caller(() => sandbox.elasticsearchUrl) };
}

const indexConnector = (index: string, more: object = {}) => ({
  name: "n",
  connector_type_id: ".index",
  config: { index, ...more },
});

async function create(kibana: Call, index: string, more: object = {}): Promise<string> {
  const { status, body } = await kibana("POST", "/api/actions/connector", indexConnector(index, more));
  assert.equal(status, 200, JSON.stringify(body));
  return body.id;
}

async function run(kibana: Call, id: string, ...documents: unknown[]): Promise<Given["body"]> {
  const { status, body } = await kibana("POST", `/api/actions/connector/${id}/_execute`, { params: { documents } });
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

const withoutId = (text: string) => text.replace(/in document with id '[^']+'/, "in document with id '<id>'");

test("config-schema words a wrong type, a missing field, an unknown key and a blank string for any field and depth", async (t) => {
  const { kibana } = await begin(t, { version: "7.17" });
  const refusals: [unknown, string][] = [
    [{}, "[request body.name]: expected value of type [string] but got [undefined]"],
    [{ ...indexConnector("i"), name: null }, "[request body.name]: expected value of type [string] but got [null]"],
    [{ ...indexConnector("i"), name: ["a"] }, "[request body.name]: expected value of type [string] but got [Array]"],
    [{ ...indexConnector("i"), name: {} }, "[request body.name]: expected value of type [string] but got [Object]"],
    [{ ...indexConnector("i"), name: true }, "[request body.name]: expected value of type [string] but got [boolean]"],
    [{ ...indexConnector("i"), connector_type_id: " " }, "[request body.connector_type_id]: value '' is not valid"],
    [{ ...indexConnector("i"), config: [] }, "[request body.config]: expected value of type [object] but got [Array]"],
    [{ ...indexConnector("i"), config: "x" }, "[request body.config]: could not parse record value from json input"],
    [
      { ...indexConnector("i"), config: "[1]" },
      "[request body.config]: expected value of type [object] but got [Array]",
    ],
    [{ ...indexConnector("i"), secrets: { a: { b: ["x", "\t"] } } }, "[request body.secrets.a]: value '' is not valid"],
    [{ ...indexConnector("i"), b: 1, a: 2 }, "[request body.b]: definition for this key is missing"],
    ["null", "[request body]: expected a plain object value, but found [null] instead."],
    ["5", "[request body]: expected a plain object value, but found [number] instead."],
    ['"x"', "[request body]: could not parse object value from json input"],
    [
      indexConnector("i", { index: null }),
      "error validating action type config: [index]: expected value of type [string] but got [null]",
    ],
    [
      indexConnector("i", { refresh: null }),
      "error validating action type config: [refresh]: expected value of type [boolean] but got [null]",
    ],
    [
      indexConnector("i", { refresh: 1 }),
      "error validating action type config: [refresh]: expected value of type [boolean] but got [number]",
    ],
    [
      indexConnector("i", { executionTimeField: { a: 1 } }),
      "error validating action type config: [executionTimeField]: types that failed validation:\n- [executionTimeField.0]: expected value of type [string] but got [Object]\n- [executionTimeField.1]: expected value to equal [null]",
    ],
  ];
  for (const [body, message] of refusals) {
    const given = await kibana("POST", "/api/actions/connector", body);
    assert.deepEqual([given.status, given.body.message], [400, message], JSON.stringify(body));
  }
  const coerced = await kibana("POST", "/api/actions/connector", {
    ...indexConnector("i"),
    config: '{"index":"i","refresh":"TRUE"}',
  });
  assert.deepEqual(coerced.body.config, { index: "i", refresh: true, executionTimeField: null });
});

test("a run's params are refused in the words of the version", async (t) => {
  const old = await begin(t, { version: "7.17" });
  const middle = await begin(t, { version: "8.19" });
  const now = await begin(t, { version: "9.4" });
  const cases: [unknown, string, string][] = [
    [
      { documents: "x" },
      "[documents]: could not parse array value from json input",
      "✖ Invalid input: expected array, received string\n  → at documents",
    ],
    [
      { documents: [{}, null] },
      "[documents.1]: expected value of type [object] but got [null]",
      "✖ Invalid input: expected record, received null\n  → at documents[1]",
    ],
    [
      { documents: [[]] },
      "[documents.0]: expected value of type [object] but got [Array]",
      "✖ Invalid input: expected record, received array\n  → at documents[0]",
    ],
    [
      {},
      "[documents]: expected value of type [array] but got [undefined]",
      "✖ Invalid input: expected array, received undefined\n  → at documents",
    ],
    [
      { documents: [], indexOverride: "x" },
      '[indexOverride]: types that failed validation:\n- [indexOverride.0]: index must start with "kibana-alert-history-"\n- [indexOverride.1]: expected value to equal [null]',
      '✖ index must start with "kibana-alert-history-"\n  → at indexOverride',
    ],
    [
      { documents: [5, "x"], b: 1, a: 2 },
      "[documents.0]: expected value of type [object] but got [number]",
      '✖ Unrecognized keys: "b", "a"\n✖ Invalid input: expected record, received number\n  → at documents[0]\n✖ Invalid input: expected record, received string\n  → at documents[1]',
    ],
  ];
  for (const { kibana } of [old, middle, now]) {
    const id = await create(kibana, "i");
    const errorSource = kibana === old.kibana ? {} : { errorSource: "user" };
    for (const [params, schema, zod] of cases) {
      const { status, body } = await kibana("POST", `/api/actions/connector/${id}/_execute`, { params });
      const message = `error validating action params: ${kibana === now.kibana ? zod : schema}`;
      assert.deepEqual(
        [status, body],
        [200, { status: "error", message, retry: false, ...errorSource, connector_id: id }],
      );
    }
  }
});

test("a config is refused by zod in 9.4, and every fault is told", async (t) => {
  const { kibana } = await begin(t, { version: "9.4" });
  const refusals: [object, string][] = [
    [{ config: {} }, "✖ Invalid input: expected string, received undefined\n  → at index"],
    [
      { config: { index: 5, refresh: "yes" } },
      "✖ Invalid input: expected string, received number\n  → at index\n✖ Invalid input: expected boolean, received string\n  → at refresh",
    ],
    [{ config: { index: "i", foo: 1 } }, '✖ Unrecognized key: "foo"'],
  ];
  for (const [more, detail] of refusals) {
    const { status, body } = await kibana("POST", "/api/actions/connector", { ...indexConnector("i"), ...more });
    assert.deepEqual([status, body.message], [400, `error validating connector type config: ${detail}`]);
  }
  const secrets = await kibana("POST", "/api/actions/connector", { ...indexConnector("i"), secrets: { key: "k" } });
  assert.equal(secrets.body.message, 'error validating connector type secrets: ✖ Unrecognized key: "key"');
  const key = await kibana("POST", "/api/actions/connector", { ...indexConnector("i"), foo: 1 });
  assert.equal(key.body.message, "[request body.foo]: Additional properties are not allowed ('foo' was unexpected)");
});

/** For each row of the table: the versions that show it, and how it shows. */
const rows: Record<Difference, [string[], (kibana: Call, sandbox: Sandbox) => Promise<boolean>]> = {
  elasticsearch7: [["7.17"], async (kibana) => "_type" in (await firstItem(kibana))],
  pagesWhileStarting: [
    ["8.6", "8.12", "8.19", "9.4"],
    async (kibana, sandbox) => {
      sandbox.state = "not-ready";
      return (await kibana("GET", "/s/ops/api/actions/connectors")).status === 200;
    },
  ],
  corsErrors: [
    ["7.17"],
    async (kibana) => (await kibana("OPTIONS", "/api/actions/connector")).body.message.startsWith("CORS error"),
  ],
  moreTypes: [
    ["8.12", "8.19", "9.4"],
    async (kibana) => (await kibana("GET", "/api/actions/connector_types")).body.length === 23,
  ],
  deprecatedFlag: [["8.6", "8.12", "8.19", "9.4"], async (kibana) => "is_deprecated" in (await created(kibana))],
  featureIds: [
    ["8.6", "8.12", "8.19", "9.4"],
    async (kibana) => (await kibana("GET", "/api/actions/connector_types?foo=1")).status === 400,
  ],
  createItems: [
    ["8.6", "8.12", "8.19", "9.4"],
    async (kibana, sandbox) => {
      await firstItem(kibana);
      return sandbox.requests.some(
        ({ server, body }) => server === "elasticsearch" && body.startsWith('{"index":{"op_type":"create"}}\n'),
      );
    },
  ],
  swallowedFailures: [["8.6"], async (kibana) => (await failedRun(kibana)).status === "ok"],
  pathIds: [
    ["8.12", "8.19", "9.4"],
    async (kibana) =>
      (await kibana("POST", "/api/actions/connector/7d0f4e2a-6e57-4c3a-9f3d-0d5ad5a3a111", indexConnector("i")))
        .status === 200,
  ],
  strictTypes: [
    ["8.12", "8.19", "9.4"],
    async (kibana) =>
      (await kibana("POST", "/api/actions/connector", { ...indexConnector("i"), secrets: { a: "b" } })).status === 400,
  ],
  documentPositions: [
    ["8.12", "8.19", "9.4"],
    async (kibana) => JSON.stringify(await failedRun(kibana)).includes("[1:6] failed to parse field"),
  ],
  systemActions: [["8.12", "8.19", "9.4"], async (kibana) => "is_system_action" in (await created(kibana))],
  joinedReasons: [
    ["8.12", "8.19", "9.4"],
    async (kibana) => String((await failedRun(kibana)).service_message).includes(';For input string: "two")'),
  ],
  errorSource: [["8.19", "9.4"], async (kibana) => (await failedRun(kibana)).errorSource === "user"],
  apiVersionHeader: [
    ["8.19", "9.4"],
    async (kibana) =>
      (await kibana("GET", "/api/actions/connectors")).headers.get("elastic-api-version") === "2023-10-31",
  ],
  deprecatedTypes: [["9.4"], async (kibana) => "is_connector_type_deprecated" in (await created(kibana))],
  zod: [
    ["9.4"],
    async (kibana) =>
      (await kibana("POST", "/api/actions/connector", indexConnector("i", { x: 1 }))).body.message.includes("✖"),
  ],
  shortIds: [
    ["9.4"],
    async (kibana) => (await kibana("POST", "/api/actions/connector/my-name", indexConnector("i"))).status === 200,
  ],
};

async function created(kibana: Call): Promise<object> {
  return (await kibana("GET", `/api/actions/connector/${await create(kibana, "i")}`)).body;
}

async function firstItem(kibana: Call): Promise<object> {
  const { data } = await run(kibana, await create(kibana, "i"), { a: 1 });
  return Object.values(data.items[0] as Record<string, object>)[0] ?? {};
}

async function failedRun(kibana: Call): Promise<Given["body"]> {
  const id = await create(kibana, "conflict");
  await run(kibana, id, { n: 1 });
  return run(kibana, id, { n: "one" }, { n: "two" }, { n: 3 });
}

for (const version of versions) {
  test(`version ${version} differs as the table says, row by row`, async (t) => {
    for (const [difference, [shownBy, isShown]] of Object.entries(rows)) {
      const { sandbox, kibana } = await begin(t, { version });
      const expected = shownBy.some((prefix) => version.startsWith(`${prefix}.`));
      assert.equal(await isShown(kibana, sandbox), expected, `${difference} in ${version}`);
    }
  });
}

test("a version that the sandbox does not know is an error that names those it knows", async () => {
  await assert.rejects(startSandbox({ version: "8.7" }), /knows no Kibana "8\.7"\. It knows 7\.17\.6, 8\.6\.2/);
});

test("an id in the path: UUIDs from 8.8, short names from 9.4, one connector for each id in all spaces", async (t) => {
  const { kibana: middle } = await begin(t, { version: "8.19" });
  const notUuid = await middle("POST", "/api/actions/connector/my-name", indexConnector("i"));
  assert.match(notUuid.body.message, /^Predefined IDs are not allowed .* unless the ID is a UUID\.: Bad Request$/);
  const { kibana } = await begin(t);
  for (const id of ["My-Name", "-x", "x_y", "a%2Fb"]) {
    const { status, body } = await kibana("POST", `/api/actions/connector/${id}`, indexConnector("i"));
    assert.deepEqual(
      [status, body.message],
      [400, "[request params.id]: Connector ID must contain only lowercase letters, numbers, and hyphens."],
    );
  }
  const long = await kibana("POST", `/api/actions/connector/${"x".repeat(37)}`, indexConnector("i"));
  assert.match(long.body.message, /value has length \[37\] but it must have a maximum length of \[36\]/);
  assert.equal((await kibana("POST", "/api/actions/connector/mine", indexConnector("i"))).status, 200);
  const twice = await kibana("POST", "/s/other/api/actions/connector/mine", indexConnector("i"));
  assert.deepEqual([twice.status, twice.body.message], [409, "Saved object [action/mine] conflict"]);
  const fixed = await kibana("POST", "/api/actions/connector/pre-index", indexConnector("i"));
  assert.equal(fixed.body.message, "This pre-index already exists in a preconfigured action.");
});

test("the order of checks is route, credentials, size, content type and JSON, kbn-xsrf, schema, object", async (t) => {
  const { sandbox, kibana } = await begin(t, { maxPayload: 100 });
  const nobody = { authorization: "", "kbn-xsrf": "" };
  const plain = async (method: string, path: string, headers: Record<string, string>, body: string) => {
    const answer = await fetch(sandbox.kibanaUrl + path, { method, headers, body });
    return [answer.status, ((await answer.json()) as { message: string }).message];
  };
  const authorization = `ApiKey ${sandbox.apiKey}`;
  const big = `{"name":"${"x".repeat(100)}`;
  assert.deepEqual(await plain("POST", "/api/nope", {}, big), [404, "Not Found"]);
  assert.deepEqual(await plain("POST", "/api/actions/connector", {}, big), [401, "Unauthorized"]);
  const limit = "Payload content length greater than maximum allowed: 100";
  assert.deepEqual(await plain("POST", "/api/actions/connector", { authorization, "content-type": "a/b" }, big), [
    413,
    limit,
  ]);
  assert.deepEqual(await plain("POST", "/api/actions/connector", { authorization, "content-type": "a/b" }, "{"), [
    415,
    "Unsupported Media Type",
  ]);
  const json = { authorization, "content-type": "application/json" };
  assert.deepEqual(await plain("POST", "/api/actions/connector", json, "{"), [
    400,
    "Invalid request payload JSON format",
  ]);
  assert.deepEqual(await plain("PUT", "/api/actions/connector/x", json, "{}"), [
    400,
    "Request must contain a kbn-xsrf header.",
  ]);
  const schema = await kibana("PUT", "/api/actions/connector/x", {});
  assert.equal(schema.body.message, "[request body.name]: expected value of type [string] but got [undefined]");
  const object = await kibana("PUT", "/api/actions/connector/x", { name: "n" });
  assert.deepEqual([object.status, object.body.message], [404, "Saved object [action/x] not found"]);
  assert.equal(
    (await kibana("GET", "/api/nope", undefined, nobody)).status,
    401,
    "unknown paths are behind the login for GET",
  );
});

test("other content types are read as Kibana reads them", async (t) => {
  const { kibana } = await begin(t);
  const read = (type: string, body: string) => kibana("POST", "/api/actions/connector", body, { "content-type": type });
  const given = JSON.stringify(indexConnector("i"));
  for (const type of [
    "application/json; charset=utf-8",
    "APPLICATION/JSON",
    "application/vnd.api+json",
    "text/plain",
  ]) {
    assert.equal((await read(type, given)).status, 200, type);
  }
  assert.equal(
    (await read("text/html", "<a/>")).body.message,
    "[request body]: could not parse object value from json input",
  );
  assert.equal(
    (await read("application/octet-stream", "x")).body.message,
    "[request body]: expected a plain object value, but found [Uint8Array] instead.",
  );
  const form = "name=n&connector_type_id=.index&config=%7B%22index%22%3A%22i%22%7D";
  assert.equal((await read("application/x-www-form-urlencoded", form)).status, 200);
  assert.equal((await read("multipart/form-data; boundary=x", "--x--")).status, 415);
  assert.equal(
    (await read("multipart/form-data", "x")).body.message,
    "Invalid content-type header: multipart missing boundary",
  );
  assert.equal(
    (await read("application/json", '{"name":"n","config":{"a":{"__proto__":1}}}')).body.message,
    "Invalid request payload JSON format",
  );
});

test("both servers refuse wrong credentials in Elasticsearch's words and take a user or an API key", async (t) => {
  const { sandbox, kibana, elasticsearch } = await begin(t, { version: "8.19" });
  const user = { authorization: `Basic ${btoa("elastic:wrong")}` };
  const reason = "unable to authenticate user [elastic] for REST request";
  const refused = await kibana("GET", "/api/actions/connectors", undefined, user);
  assert.equal(refused.status, 401);
  assert.equal(
    refused.body.message,
    `[security_exception\n\tRoot causes:\n\t\tsecurity_exception: ${reason} [/_security/_authenticate]]: ${reason} [/_security/_authenticate]`,
  );
  const there = await elasticsearch("GET", "/i/_search", undefined, user);
  assert.deepEqual([there.status, there.body.error.reason], [401, `${reason} [/i/_search]`]);
  assert.equal(there.headers.get("www-authenticate"), 'Basic realm="security", charset="UTF-8", ApiKey');
  const nobody = await fetch(`${sandbox.elasticsearchUrl}/`);
  assert.match(await nobody.text(), /missing authentication credentials for REST request \[\/\]/);
  for (const scheme of ["ApiKey", "apikey"]) {
    const key = { authorization: `${scheme} ${sandbox.apiKey}` };
    assert.equal((await kibana("GET", "/api/actions/connectors", undefined, key)).status, 200);
    assert.equal((await elasticsearch("GET", "/", undefined, key)).status, 200);
  }
  const { kibana: old } = await begin(t, { version: "7.17" });
  assert.match(
    (await old("GET", "/api/actions/connectors", undefined, user)).body.message,
    /^\[security_exception: \[security_exception\] Reason: unable/,
  );
});

test("with auth off nobody is asked, and env carries no credentials", async (t) => {
  const { sandbox } = await begin(t, { auth: false });
  assert.equal((await fetch(`${sandbox.kibanaUrl}/api/actions/connectors`)).status, 200);
  assert.equal((await fetch(`${sandbox.elasticsearchUrl}/`)).status, 200);
  assert.deepEqual(
    [sandbox.env.KIBANA_USERNAME, sandbox.env.KIBANA_PASSWORD, sandbox.env.KIBANA_API_KEY, sandbox.env.KIBANA_SPACE],
    ["", "", "", ""],
  );
});

test("base path, then space, then API; the catch-all's redirect keeps both", async (t) => {
  const { sandbox, kibana } = await begin(t, { basePath: "/kbn" });
  assert.match(sandbox.kibanaUrl, /:\d+\/kbn$/);
  const made = await kibana("POST", "/s/sales/api/actions/connector", indexConnector("i"));
  assert.equal(made.status, 200);
  assert.equal(sandbox.connectors()[0]?.space, "sales");
  assert.equal((await kibana("GET", `/api/actions/connector/${made.body.id}`)).status, 404);
  assert.equal((await kibana("GET", "/s/Sales/api/actions/connectors")).status, 404);
  const redirect = await kibana("GET", "/s/sales/api/actions/connectors/?a=b");
  assert.deepEqual(
    [redirect.status, redirect.headers.get("location")],
    [302, "/kbn/s/sales/api%2Factions%2Fconnectors?a=b"],
  );
  const { origin } = new URL(sandbox.kibanaUrl);
  for (const path of [
    "/api/actions/connectors",
    "/kbnx/api/actions/connectors",
    "/s/sales/kbn/api/actions/connectors",
  ]) {
    assert.equal((await fetch(origin + path)).status, 404, path);
  }
});

test("lists are sorted by name, whatever the space holds", async (t) => {
  const { kibana } = await begin(t);
  for (const name of ["żółw", "b", "A", "a"])
    await kibana("POST", "/api/actions/connector", { ...indexConnector("i"), name });
  const { body } = await kibana("GET", "/api/actions/connectors");
  assert.deepEqual(
    body.map(({ name }: { name: string }) => name),
    ["a", "A", "b", "Preconfigured index", "żółw"],
  );
});

test("of four updates at the same time one wins, the others conflict", async (t) => {
  const { sandbox, kibana } = await begin(t, { version: "7.17" });
  const id = await create(kibana, "i");
  const arrived = new EventEmitter();
  const all = once(arrived, "all");
  let count = 0;
  sandbox.intercept = async (_exchange, handle) => {
    if (++count === 4) arrived.emit("all");
    await all;
    return handle();
  };
  const answers = await Promise.all(
    [1, 2, 3, 4].map((n) => kibana("PUT", `/api/actions/connector/${id}`, { name: `n${n}`, config: { index: "i" } })),
  );
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409, 409]);
  const lost = answers.find(({ status }) => status === 409);
  const reason = `[action:${id}]: version conflict, required seqNo [0], primary term [1]. current document has seqNo [1] and primary term [1]`;
  assert.equal(
    lost?.body.message,
    `${reason}: version_conflict_engine_exception: [version_conflict_engine_exception] Reason: ${reason}`,
  );
});

test("states answer as a real Kibana did in them, and can be changed while it runs", async (t) => {
  const { sandbox, kibana, elasticsearch } = await begin(t, { version: "7.17" });
  const id = await create(kibana, "i");
  sandbox.state = "not-ready";
  const starting = await kibana("GET", "/api/actions/connectors");
  assert.deepEqual(
    [starting.status, starting.headers.get("retry-after"), starting.headers.get("content-type"), starting.body],
    [503, "30", "text/html; charset=utf-8", "Kibana server is not ready yet"],
  );
  assert.equal((await kibana("POST", "/api/actions/connector", "{")).status, 400, "JSON is read before");
  sandbox.state = "no-encryption-key";
  for (const path of ["connectors", "connector_types", `connector/${id}`, "connector/pre-index"]) {
    const { status, body } = await kibana("GET", `/api/actions/${path}`);
    assert.deepEqual([status, body.message], [500, "An internal server error occurred."], path);
  }
  sandbox.state = "elasticsearch-gone";
  const first = await kibana("POST", `/api/actions/connector/${id}/_execute`, { params: { documents: [{}] } });
  assert.equal(first.status, 503);
  assert.match(first.body.message, /^socket hang up/);
  for (const path of ["connectors", "connector_types", `connector/${id}`]) {
    const { status, body } = await kibana("GET", `/api/actions/${path}`);
    assert.deepEqual(
      [status, body.message],
      [403, "Actions is unavailable - license information is not available at this time."],
    );
  }
  await assert.rejects(elasticsearch("GET", "/"));
  sandbox.state = "read-only";
  assert.equal((await kibana("GET", `/api/actions/connector/${id}`)).status, 200);
  assert.equal((await run(kibana, id, { a: 1 })).status, "ok");
  const write = await kibana("POST", "/api/actions/connector", { ...indexConnector("i"), connector_type_id: ".nope" });
  assert.deepEqual([write.status, write.body.message], [403, 'Unauthorized to create a ".nope" action']);
  assert.equal(
    (await kibana("PUT", `/api/actions/connector/${id}`, { name: "n" })).body.message,
    "Unauthorized to update actions",
  );
  assert.equal((await kibana("DELETE", `/api/actions/connector/${id}`)).body.message, "Unauthorized to delete actions");
  sandbox.state = "wrong-credentials";
  assert.equal((await kibana("GET", "/api/actions/connectors")).status, 401);
  sandbox.state = "payload-limit=10";
  assert.equal((await kibana("POST", "/api/actions/connector", indexConnector("i"))).status, 413);
  sandbox.state = "slow=1";
  assert.equal((await kibana("GET", "/api/actions/connectors")).status, 200);
  sandbox.state = undefined;
  assert.equal((await kibana("DELETE", `/api/actions/connector/${id}`)).status, 204);
});

test("a chunked body over the limit is cut without an answer", async (t) => {
  const { sandbox } = await begin(t, { maxPayload: 10, auth: false });
  const outgoing = request(`${sandbox.kibanaUrl}/api/actions/connector`, { method: "POST" });
  outgoing.write("x".repeat(20));
  const failed = new Promise((resolve) => outgoing.once("error", resolve).once("response", () => resolve(undefined)));
  outgoing.end();
  assert.equal(((await failed) as NodeJS.ErrnoException).code, "ECONNRESET");
});

test("large answers are zipped for those who ask, small ones are not", async (t) => {
  const { sandbox } = await begin(t, { auth: false });
  const encoding = async (path: string) => (await fetch(sandbox.kibanaUrl + path)).headers.get("content-encoding");
  assert.equal(await encoding("/api/actions/connector_types"), "gzip");
  assert.equal(await encoding("/api/actions/connectors"), null);
});

test("a run goes to _bulk over HTTP with the caller's credentials, no ids, and the connector's refresh", async (t) => {
  const { sandbox, kibana } = await begin(t);
  const id = await create(kibana, "my index/x", { refresh: true, executionTimeField: " at " });
  await kibana(
    "POST",
    `/api/actions/connector/${id}/_execute`,
    { params: { documents: [{ a: 1, at: "mine" }] } },
    { authorization: `ApiKey ${sandbox.apiKey}` },
  );
  const bulk = sandbox.requests.at(-1);
  assert.deepEqual(
    [bulk?.server, bulk?.method, bulk?.path, bulk?.headers.authorization],
    ["elasticsearch", "POST", "/my%20index%2Fx/_bulk?refresh=true", `ApiKey ${sandbox.apiKey}`],
  );
  assert.match(
    bulk?.body ?? "",
    /^\{"index":\{"op_type":"create"\}\}\n\{"a":1,"at":"20\d\d-\d\d-\d\dT[\d:]+\.\d{3}Z"\}\n$/,
  );
});

test("Kibana sends a bulk four times when Elasticsearch is overloaded, and tells what it heard in the end", async (t) => {
  const { sandbox, kibana } = await begin(t, { version: "7.17" });
  const id = await create(kibana, "i");
  const told = async (status: number, type: string, body: string) => {
    sandbox.requests.length = 0;
    sandbox.intercept = (exchange, handle) =>
      exchange.server === "kibana" ? handle() : { status, headers: { "content-type": type }, body };
    const result = await run(kibana, id, { a: 1 });
    return [
      result.status,
      result.service_message ?? result.data,
      sandbox.requests.filter(({ server }) => server === "elasticsearch").length,
    ];
  };
  const error = '{"error":{"type":"t","reason":"r","root_cause":[{"type":"t","reason":"r"}]}}';
  assert.deepEqual(await told(503, "application/json", error), ["error", "t: [t] Reason: r", 4]);
  assert.deepEqual(await told(429, "application/json", error), ["error", "t: [t] Reason: r", 1]);
  assert.deepEqual(await told(502, "text/html", "<html>"), ["error", "<html>", 4]);
  assert.deepEqual(await told(413, "text/plain", ""), ["error", "Response Error", 1]);
  assert.deepEqual(await told(200, "text/html", "<html>hi"), ["ok", "<html>hi", 1]);
  const silent = { errors: true, items: [{ index: { status: 400, error: { type: "x" } } }] };
  assert.deepEqual(await told(200, "application/json", JSON.stringify(silent)), ["ok", silent, 1]);
  sandbox.intercept = ({ server, response }, handle) => (server === "kibana" ? handle() : void response.destroy());
  assert.match((await run(kibana, id, { a: 1 })).service_message, /socket hang up/);
});

test("an intercept sees each exchange first and may answer, change the answer, or take the response over", async (t) => {
  const { sandbox, kibana } = await begin(t);
  sandbox.intercept = async ({ path }, handle) =>
    path.endsWith("types") ? { status: 418, headers: {}, body: "tea" } : { ...(await handle()), status: 299 };
  assert.deepEqual(
    [
      (await kibana("GET", "/api/actions/connector_types")).body,
      (await kibana("GET", "/api/actions/connectors")).status,
    ],
    ["tea", 299],
  );
  sandbox.intercept = ({ response }) => void response.destroy();
  await assert.rejects(kibana("GET", "/api/actions/connectors"));
  assert.deepEqual(sandbox.requests.map(({ path }) => path).slice(-3), [
    "/api/actions/connector_types",
    "/api/actions/connectors",
    "/api/actions/connectors",
  ]);
});

/** What real Elasticsearch 7.17.8 and 8.19.4 said to the second document after the first. */
const conflicts: [object, object, string, string][] = [
  [
    { f: 1.5 },
    { f: "x" },
    "failed to parse field [f] of type [float] in document with id '<id>'. Preview of field's value: 'x' (For input string: \"x\")",
    "[1:6] ",
  ],
  [
    { f: 1 },
    { f: {} },
    "failed to parse field [f] of type [long] in document with id '<id>'. Preview of field's value: '{}' (Current token (START_OBJECT) not numeric, can not use numeric value accessors\n at [Source: (ByteArrayInputStream); line: 1, column: 7])",
    "[1:7] failed to parse field [f] of type [long] in document with id '<id>'. Preview of field's value: '{}' (Cannot parse object as number)",
  ],
  [
    { f: true },
    { f: ["yes"] },
    "failed to parse field [f] of type [boolean] in document with id '<id>'. Preview of field's value: 'yes' (Failed to parse value [yes] as only [true] or [false] are allowed.)",
    "[1:7] ",
  ],
  [
    { f: "2020-01-01" },
    { f: "soon" },
    "failed to parse field [f] of type [date] in document with id '<id>'. Preview of field's value: 'soon' (failed to parse date field [soon] with format [strict_date_optional_time||epoch_millis])",
    "[1:6] ",
  ],
  [
    { a: { b: "t" } },
    { a: { b: { c: 1 } } },
    "failed to parse field [a.b] of type [text] in document with id '<id>'. Preview of field's value: '{c=1}' (Can't get text on a START_OBJECT at 1:11)",
    "[1:17] failed to parse field [a.b] of type [text] in document with id '<id>'. Preview of field's value: '{c=1}' (Expected text at 1:11 but found START_OBJECT)",
  ],
  [
    { a: { b: { c: 1 } } },
    { a: { b: 7 } },
    "object mapping for [a.b] tried to parse field [b] as object, but found a concrete value",
    "[1:11] ",
  ],
  [
    { a: { b: 1 } },
    { a: [{ b: 2 }, 3] },
    "object mapping for [a] tried to parse field [null] as object, but found a concrete value",
    "[1:15] ",
  ],
  [
    { ж: 1 },
    { x: "ü", ж: "żółw" },
    "failed to parse field [ж] of type [long] in document with id '<id>'. Preview of field's value: 'żółw' (For input string: \"żółw\")",
    "[1:16] ",
  ],
  [{ z: 1 }, { x: [1, "a", true] }, "mapper [x] cannot be changed from type [long] to [text]", ""],
  [
    { z: 1 },
    { o: { p: [1, "a"] } },
    "mapper [o.p] cannot be changed from type [text] to [long]",
    "mapper [o.p] cannot be changed from type [long] to [text]",
  ],
  [
    { z: 1 },
    { x: [1, { q: 1 }] },
    "can't merge a non object mapping [x] with an object mapping",
    "mapper [x] cannot be changed from type [long] to [ObjectMapper]",
  ],
  [
    { z: 1 },
    { ".": 1 },
    "failed to parse (field name cannot contain only dots)",
    "[1:2] failed to parse: field name cannot contain only dots (field name cannot contain only dots)",
  ],
];

for (const version of ["7.17", "8.19"]) {
  test(`version ${version} refuses what conflicts with the mapping in Elasticsearch's words`, async (t) => {
    const { sandbox, kibana } = await begin(t, { version });
    for (const [index, [first, second, old, now]] of conflicts.entries()) {
      const id = await create(kibana, `conflict-${index}`);
      assert.equal((await run(kibana, id, first)).status, "ok");
      const expected = version === "7.17" ? old : now.length > 12 ? now : now + old;
      assert.equal(withoutId((await run(kibana, id, second)).service_message), expected, JSON.stringify(second));
      assert.deepEqual(
        sandbox.documents(`conflict-${index}`).map(({ _source }) => _source),
        [first],
      );
    }
  });
}

test("what goes into a mapped field is taken: numbers as text, fractions into long, null and empty anywhere", async (t) => {
  const { sandbox, kibana } = await begin(t);
  const id = await create(kibana, "loose", { refresh: true });
  await run(kibana, id, { l: 1, f: 1.5, b: true, d: "2020-01-01T10:11:12+02:00", t: "text", o: { p: 1 } });
  const fine = [
    { l: "5", f: "1.5", b: "false", d: 1577836800000, t: 5 },
    { l: 1.9, f: 1, b: "", d: "2020", t: true },
    { l: null, f: [], o: {} },
    { "o.p": 2, l: [[1], "2"], t: ["a", 1] },
    {},
  ];
  assert.equal((await run(kibana, id, ...fine)).status, "ok");
  assert.equal(sandbox.documents("loose").length, 6);
});

test("index names are refused by Elasticsearch, one item for each document; some others are not what they seem", async (t) => {
  const { sandbox, kibana } = await begin(t, { version: "7.17" });
  const refused: [string, string][] = [
    ["Ünder", "must be lowercase"],
    ["a|b", 'must not contain the following characters [ , ", *, \\, <, |, ,, >, /, ?]'],
    ["+x", "must not start with '_', '-', or '+'"],
    ["a:b", "must not contain ':'"],
    ["..", "must not be '.' or '..'"],
    ["ż".repeat(200), "index name is too long, (400 > 255)"],
  ];
  for (const [name, rule] of refused) {
    assert.equal(
      (await run(kibana, await create(kibana, name), { a: 1 })).service_message,
      `Invalid index name [${name}], ${rule}`,
    );
  }
  const today = new Date().toISOString().slice(0, 10).replaceAll("-", ".");
  await run(kibana, await create(kibana, "<logs-{now/d}>"), { a: 1 });
  assert.equal(sandbox.documents(`logs-${today}`).length, 1);
});

test("a search sees what was refreshed, a get sees everything, and sequence numbers count for each index", async (t) => {
  const { kibana, elasticsearch } = await begin(t);
  const lazy = await create(kibana, "lazy");
  const { data } = await run(kibana, lazy, { n: 1 }, { n: 2 });
  assert.deepEqual(
    data.items.map((item: { create: { _seq_no: number } }) => item.create._seq_no),
    [0, 1],
  );
  assert.equal("forced_refresh" in data.items[0].create, false);
  const total = async () => (await elasticsearch("GET", "/lazy/_search")).body.hits.total.value;
  assert.equal(await total(), 0);
  assert.equal((await elasticsearch("GET", `/lazy/_doc/${data.items[1].create._id}`)).body._source.n, 2);
  await elasticsearch("POST", "/lazy/_refresh");
  assert.equal(await total(), 2);
  assert.equal((await elasticsearch("GET", "/lazy/_doc/none")).body.found, false);
  assert.equal((await elasticsearch("GET", "/nope/_doc/none")).body.error.type, "index_not_found_exception");
});

test("the official client writes to the small Elasticsearch and reads back", async (t) => {
  const { sandbox } = await begin(t);
  const client = new Client({
    node: sandbox.elasticsearchUrl,
    auth: { username: sandbox.username, password: sandbox.password },
  });
  t.after(() => client.close());
  assert.equal((await client.info()).version.number, "9.4.3");
  await client.indices.create({
    index: "strict",
    mappings: { dynamic: "strict", properties: { n: { type: "long" } } },
  });
  const written = await client.bulk({
    index: "strict",
    operations: [{ index: { _id: "one" } }, { n: 1 }, { create: { _id: "one" } }, { n: 2 }, { index: {} }, { x: 1 }],
  });
  assert.deepEqual(
    written.items.map((item) => Object.values(item)[0]?.status),
    [201, 409, 400],
  );
  assert.match(
    JSON.stringify(written.items[2]),
    /\[1:6\] mapping set to strict, dynamic introduction of \[x\] within \[_doc\] is not allowed/,
  );
  assert.deepEqual((await client.get({ index: "strict", id: "one" }))._source, { n: 1 });
  await client.indices.refresh({ index: "strict" });
  assert.equal((await client.search({ index: "strict" })).hits.hits[0]?._id, "one");
  await client.indices.delete({ index: "strict" });
  await assert.rejects(client.get({ index: "strict", id: "one" }), /no such index \[strict\]/);
});

test("version 9 of the official client can get from 8.19 but not search with a body, as with the real one", async (t) => {
  const { sandbox, kibana } = await begin(t, { version: "8.19" });
  const { data } = await run(kibana, await create(kibana, "i", { refresh: true }), { a: 1 });
  const client = new Client({ node: sandbox.elasticsearchUrl, auth: { apiKey: sandbox.apiKey } });
  t.after(() => client.close());
  assert.deepEqual((await client.get({ index: "i", id: data.items[0].create._id }))._source, { a: 1 });
  await assert.rejects(
    client.search({ index: "i", query: { match_all: {} } }),
    /Accept version must be either version 8 or 7, but found 9/,
  );
});

test("it listens on 127.0.0.1 only, ends open connections when closed, and may be closed twice", async () => {
  const sandbox = await startSandbox({ auth: false });
  assert.match(sandbox.kibanaUrl, /^http:\/\/127\.0\.0\.1:\d+$/);
  sandbox.intercept = () => undefined;
  const hanging = fetch(sandbox.kibanaUrl);
  await Promise.all([
    assert.rejects(hanging),
    new Promise((resolve) => setImmediate(resolve)).then(() => sandbox.close()),
  ]);
  await sandbox.close();
  await assert.rejects(fetch(sandbox.kibanaUrl));
});

test("states of a secured 8.12.2 answer as recorded", async (t) => {
  const { sandbox, kibana } = await begin(t, { version: "8.12" });
  const path = "/api/actions/connectors";
  const bare = { statusCode: 401, error: "Unauthorized", message: "Unauthorized" };
  sandbox.state = "elasticsearch-gone";
  for (const wanted of [path, `/s/ops${path}`]) assert.deepEqual((await kibana("GET", wanted)).body, bare);
  sandbox.state = "no-license";
  const { status, headers, body } = await kibana("GET", path);
  assert.deepEqual([status, headers.get("retry-after"), body.message], [503, "30", "License is not available."]);
  sandbox.state = "not-ready";
  assert.equal((await kibana("GET", path)).body, "Kibana server is not ready yet");
  const page = await kibana("GET", `/s/ops${path}`);
  assert.deepEqual([page.status, page.headers.get("content-type")], [200, "text/html; charset=utf-8"]);
  assert.equal((await kibana("POST", "/s/ops/api/actions/connector", {})).status, 503);
  const answer = await fetch(`${sandbox.kibanaUrl}/api/actions/connector`, { method: "POST" });
  assert.equal(((await answer.json()) as { message: string }).message, "Request must contain a kbn-xsrf header.");
});

test("an ordinary start goes through its stages, and the client's advice fits each", async (t) => {
  const { sandbox } = await begin(t, { version: "8.12" });
  const auth = { username: sandbox.username, password: sandbox.password };
  const advice = async (space?: string) => {
    const client = new KibanaClient({ node: sandbox.kibanaUrl, auth, space });
    const error = await client.actions.getAll().then(
      () => undefined,
      (reason: KibanaError) => reason,
    );
    await client.close();
    return [error?.name, error?.outcome, error?.hint?.split(/[.,:]/)[0]];
  };
  sandbox.state = "refused";
  const refused = await advice();
  assert.deepEqual(refused.slice(0, 2), ["ConnectionError", "not-applied"]);
  assert.match(String(refused[2]), /^Nothing listens at/);
  sandbox.state = "not-ready";
  assert.deepEqual(await advice(), ["NotReadyError", "not-applied", "Kibana is starting"]);
  assert.deepEqual(await advice("ops"), ["DeserializationError", "unknown", "A web page instead of Kibana's API"]);
  sandbox.state = "no-license";
  assert.deepEqual(await advice(), ["NotReadyError", "not-applied", "Kibana is starting"]);
  sandbox.state = "elasticsearch-gone";
  assert.deepEqual(await advice(), ["AuthenticationError", "not-applied", "Kibana could not check the credentials"]);
  sandbox.state = undefined;
  assert.deepEqual(await advice(), [undefined, undefined, undefined]);
});

test("the state `starting` passes through the stages that startup-8.12.2.json has, in their order", async (t) => {
  const file = new URL("../test/golden/startup-8.12.2.json", import.meta.url);
  const recorded = (JSON.parse(readFileSync(file, "utf8")) as [number, string, string][])
    .filter(([, request, answer]) => request === "list" && !answer.startsWith("no answer"))
    .map(([, , answer]) => answer.replace(/ECONN\w+/, "refused").split(" ")[0]);
  const { sandbox, kibana } = await begin(t, { version: "8.12" });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  sandbox.state = "starting";
  const seen: string[] = [];
  while (seen.at(-1) !== "200") {
    t.mock.timers.tick(100);
    const answer = await kibana("GET", "/api/actions/connectors").then(
      ({ status, body }) => (typeof body === "string" ? String(status) : `${status}${status === 200 ? "" : " JSON"}`),
      () => "refused",
    );
    if (answer !== seen.at(-1)) seen.push(answer);
  }
  const stages = recorded.filter((answer, index) => answer !== recorded[index - 1]);
  assert.deepEqual(
    seen.map((answer) => answer.split(" ")[0]),
    stages,
  );
});
