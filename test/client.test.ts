// The client: what it sends, what it answers, what it refuses before anything is sent.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { EventEmitter } from "node:events";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import * as surface from "kbn-connectors";
import { ConfigurationError, type Connector, KibanaClient, type KibanaClientOptions } from "kbn-connectors";
import { Agent, MockAgent } from "undici";
import { begin, idsIn, sendJson, serve } from "./server.ts";

const connector = { id: "c1", name: "n", connector_type_id: ".index", is_preconfigured: false };

it("the public surface is exactly this", () => {
  assert.deepEqual(Object.keys(surface).sort(), [
    "AuthenticationError",
    "AuthorizationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "ConnectionError",
    "ConnectorExecutionError",
    "DeserializationError",
    "KibanaClient",
    "KibanaError",
    "NotFoundError",
    "NotReadyError",
    "PayloadTooLargeError",
    "ResponseError",
    "SerializationError",
    "TimeoutError",
    "TooManyRequestsError",
  ]);
});

describe("requests on the wire", () => {
  const cases: [
    name: string,
    call: (client: KibanaClient) => Promise<unknown>,
    method: string,
    path: string,
    body: string,
  ][] = [
    [
      "create",
      ({ actions }) => actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } }),
      "POST",
      "/api/actions/connector",
      '{"name":"n","connector_type_id":".index","config":{"index":"i"}}',
    ],
    [
      "create with an id of the caller's",
      ({ actions }) => actions.create({ id: "my-id", name: "n", connector_type_id: ".server-log" }),
      "POST",
      "/api/actions/connector/my-id",
      '{"name":"n","connector_type_id":".server-log"}',
    ],
    ["get", ({ actions }) => actions.get({ id: "a/b ż" }), "GET", "/api/actions/connector/a%2Fb%20%C5%BC", ""],
    ["getAll", ({ actions }) => actions.getAll(), "GET", "/api/actions/connectors", ""],
    [
      "update",
      ({ actions }) => actions.update({ id: "c1", name: "n", config: { index: "i" } }),
      "PUT",
      "/api/actions/connector/c1",
      '{"name":"n","config":{"index":"i"}}',
    ],
    ["delete", ({ actions }) => actions.delete({ id: "c1" }), "DELETE", "/api/actions/connector/c1", ""],
    [
      "execute",
      ({ actions }) => actions.execute({ id: "c1", params: { documents: [{ a: 1 }] } }),
      "POST",
      "/api/actions/connector/c1/_execute",
      '{"params":{"documents":[{"a":1}]}}',
    ],
    ["listTypes", ({ actions }) => actions.listTypes(), "GET", "/api/actions/connector_types", ""],
    [
      "listTypes with a feature",
      ({ actions }) => actions.listTypes({ feature_id: "a&b" }),
      "GET",
      "/api/actions/connector_types?feature_id=a%26b",
      "",
    ],
  ];
  for (const [name, call, method, path, body] of cases)
    it(`${name} sends ${method} ${path}`, async (t) => {
      const { url, requests } = await serve(t, ({ method, path }, response) => {
        if (method === "DELETE") response.writeHead(204).end();
        else if (path.endsWith("_execute"))
          sendJson(response, 200, {
            connector_id: "c1",
            status: "ok",
            data: { errors: false, items: [{ create: { status: 201 } }] },
          });
        else sendJson(response, 200, /connectors|types/.test(path) ? [connector] : connector);
      });
      await call(new KibanaClient({ node: url, auth: { bearer: "t" } }));
      const [request] = requests;
      assert.equal(requests.length, 1);
      assert.deepEqual([request?.method, request?.path, request?.body], [method, path, body]);
      assert.equal(request?.headers.authorization, "Bearer t");
      assert.equal(request?.headers["kbn-xsrf"], method === "GET" ? undefined : "true");
      assert.equal(request?.headers["content-type"], body ? "application/json" : undefined);
    });

  it("the base path comes first, then the space, then /api", async (t) => {
    const { url, requests } = await serve(t, [connector]);
    const client = new KibanaClient({ node: `${url}/kbn/` });
    await client.actions.getAll();
    await client.space("sales_1-x").actions.getAll();
    await new KibanaClient({ node: new URL(`${url}/kbn`), space: "ops" }).actions.getAll();
    assert.deepEqual(
      requests.map(({ path }) => path),
      ["/kbn/api/actions/connectors", "/kbn/s/sales_1-x/api/actions/connectors", "/kbn/s/ops/api/actions/connectors"],
    );
  });

  it("headers of a call go over those of the client", async (t) => {
    const { url, requests } = await serve(t, [connector]);
    const client = new KibanaClient({ node: url, headers: { "X-One": "1", "x-two": "2" } });
    await client.actions.getAll({ headers: { "x-TWO": "3" } });
    assert.equal(requests[0]?.headers["x-one"], "1");
    assert.equal(requests[0]?.headers["x-two"], "3");
  });

  const shapes: [name: string, key: string | { id: string; api_key: string }][] = [
    ["encoded", "aWQ6c2VjcmV0"],
    ["encoded with white space inside", " aWQ6\n c2VjcmV0 \t"],
    ["with a leading ApiKey", "ApiKey aWQ6c2VjcmV0"],
    ["id:key", "id:secret"],
    ["an object", { id: "id", api_key: "secret" }],
    ["the JSON of Elasticsearch's answer", '{"id":"id","name":"n","api_key":"secret","encoded":"aWQ6c2VjcmV0"}'],
  ];
  for (const [name, apiKey] of shapes)
    it(`an API key may be ${name}`, async (t) => {
      const { url, requests } = await serve(t, [connector]);
      await new KibanaClient({ node: url, auth: { apiKey } }).actions.getAll();
      assert.equal(requests[0]?.headers.authorization, "ApiKey aWQ6c2VjcmV0");
    });

  it("a key of Elastic Cloud goes out as it is", async (t) => {
    const { url, requests } = await serve(t, [connector]);
    await new KibanaClient({ node: url, auth: { apiKey: "essu_abc123==" } }).actions.getAll();
    assert.equal(requests[0]?.headers.authorization, "ApiKey essu_abc123==");
  });
});

describe("answers", () => {
  it("every call answers body, statusCode and headers, and keeps fields that a newer Kibana adds", async (t) => {
    const { url } = await serve(t, { ...connector, brand_new: true });
    const { body, statusCode, headers } = await new KibanaClient({ node: url }).actions.get({ id: "c1" });
    assert.equal(statusCode, 200);
    assert.equal(headers["content-type"], "application/json; charset=utf-8");
    assert.equal(body.brand_new, true);
  });

  it("delete answers 204 and no body", async (t) => {
    const { url } = await serve(t, (_request, response) => response.writeHead(204).end());
    const { body, statusCode } = await new KibanaClient({ node: url }).actions.delete({ id: "c1" });
    assert.equal(statusCode, 204);
    assert.equal(body, undefined);
  });
});

for (const version of ["7.17.6", "8.6", "8.19", "9.4"])
  it(`a connector's whole life works with Kibana ${version}`, async (t) => {
    const sandbox = await begin(t, { version });
    const client = new KibanaClient({
      node: sandbox.kibanaUrl,
      auth: { username: sandbox.username, password: sandbox.password },
    });
    const index = `life-${randomUUID()}`;
    const { body: created } = await client.actions.create({
      name: "life",
      connector_type_id: ".index",
      config: { index, refresh: true },
    });
    assert.deepEqual(created.config, { index, refresh: true, executionTimeField: null });
    const { body: run } = await client.actions.execute({ id: created.id, params: { documents: [{ a: 1 }, { a: 2 }] } });
    const ids = run.data.items.map((item) => (item.create ?? item.index)?._id);
    assert.deepEqual(await idsIn(sandbox, index), ids);
    const { body: updated } = await client.actions.update({
      id: created.id,
      name: "life 2",
      config: { index },
    });
    assert.equal(updated.config?.refresh, false);
    const { body: all } = await client.actions.getAll();
    assert.equal(all.find(({ id }) => id === created.id)?.referenced_by_count, 0);
    const { body: types } = await client.actions.listTypes();
    assert.ok(types.some(({ id, enabled }) => id === ".index" && enabled));
    await client.actions.delete({ id: created.id });
    assert.deepEqual(sandbox.connectors(), []);
  });

describe("refused before anything is sent", () => {
  const node = "http://127.0.0.1:1";
  const options: [name: string, options: unknown, message: RegExp][] = [
    ["no options", undefined, /^options: missing/],
    ["no node", {}, /^node: missing/],
    [
      "a node without scheme",
      { node: "localhost:5601" },
      /^node "localhost:5601": .*Did you mean http:\/\/localhost:5601\?/,
    ],
    ["a node of another scheme", { node: "ftp://localhost" }, /^node "ftp:\/\/localhost": must start with http/],
    ["a node that is no URL", { node: "http://a b" }, /^node "http:\/\/a b": not a valid URL/],
    ["a page's address", { node: "http://k:5601/app/home#/" }, /^node: an address of a page.*http:\/\/k:5601/],
    ["credentials inside the URL", { node: "http://u:hunter2@k" }, /^node: must not carry credentials/],
    ["credentials inside a URL without scheme", { node: "u:hunter2@k" }, /^node: must start with http/],
    ["a user without password", { node, auth: { username: "u" } }, /^auth.password: missing/],
    ["a password without user", { node, auth: { password: "hunter2" } }, /^auth.username/],
    ["a user name with a colon", { node, auth: { username: "a:b", password: "hunter2" } }, /^auth.username/],
    ["two kinds of auth", { node, auth: { username: "u", password: "hunter2", bearer: "t" } }, /^auth: two kinds/],
    ["auth and a header", { node, auth: { bearer: "t" }, headers: { Authorization: "x" } }, /^auth: two kinds/],
    ["empty auth", { node, auth: {} }, /^auth: empty/],
    ["auth that is a string", { node, auth: "hunter2" }, /^auth: must be/],
    ["an API key of no known shape", { node, auth: { apiKey: "hunter2" } }, /^auth.apiKey: of no known shape/],
    [
      "an API key that was encoded twice",
      { node, auth: { apiKey: "YVdRNmMyVmpjbVYw" } },
      /^auth.apiKey: of no known shape/,
    ],
    ["a blank API key", { node, auth: { apiKey: " " } }, /^auth.apiKey: of no known shape/],
    ["a token with a line break", { node, auth: { bearer: "a\nhunter2" } }, /^auth.bearer/],
    ["a space in capitals", { node, space: "Sales" }, /^space "Sales"/],
    ["an empty space", { node, space: "" }, /^space ""/],
    ["a timeout of zero", { node, requestTimeout: 0 }, /^requestTimeout 0: must be a positive number/],
    ["a timeout that is not a number", { node, requestTimeout: Number.NaN }, /^requestTimeout NaN/],
    ["an endless timeout", { node, requestTimeout: Number.POSITIVE_INFINITY }, /^requestTimeout Infinity/],
    ["a timeout as a string", { node, requestTimeout: "30s" }, /^requestTimeout 30s/],
    ["a header with a line break", { node, headers: { "x-a": "1\r\nhunter2: 2" } }, /^headers: "x-a"/],
    ["a header name with a space", { node, headers: { "x a": "hunter2" } }, /^headers: "x a"/],
    ["a header of the client's own", { node, headers: { "Content-Length": "3" } }, /^headers: content-length is set/],
    ["a dispatcher that is none", { node, dispatcher: {} }, /^dispatcher: must be a Dispatcher/],
    ["tls beside a dispatcher", { node, dispatcher: new Agent(), tls: { ca: "" } }, /^tls: belongs to the dispatcher/],
  ];
  for (const [name, wrong, message] of options)
    it(`${name} is a ConfigurationError that names the option, and no secret`, () => {
      assert.throws(
        () => new KibanaClient(wrong as KibanaClientOptions),
        (error) => {
          assert.ok(error instanceof ConfigurationError, inspect(error));
          assert.match(error.message, message);
          assert.doesNotMatch(inspect(error), /hunter2/);
          return true;
        },
      );
    });

  for (const id of ["", ".", "..", "\ud800", undefined as unknown as string])
    it(`the id ${JSON.stringify(id)} is refused by every method that takes one`, async (t) => {
      const { url, requests } = await serve(t, connector);
      const { actions } = new KibanaClient({ node: url });
      for (const call of [
        () => actions.get({ id }),
        () => actions.update({ id, name: "n" }),
        () => actions.delete({ id }),
        () => actions.execute({ id, params: {} }),
        ...(id === undefined ? [] : [() => actions.create({ id, name: "n", connector_type_id: ".x" })]),
      ])
        await assert.rejects(call, { name: "ConfigurationError", message: /^id /, outcome: "not-applied" });
      assert.equal(requests.length, 0);
    });

  it("an id of more than 36 characters is refused on create", async () => {
    const { actions } = new KibanaClient({ node });
    await assert.rejects(actions.create({ id: "x".repeat(37), name: "n", connector_type_id: ".x" }), {
      message: /has 37 characters; Kibana takes 36 at most/,
    });
  });

  it("a wrong timeout or header of a single call is refused", async () => {
    const { actions } = new KibanaClient({ node });
    await assert.rejects(actions.getAll({ requestTimeout: -1 }), { message: /^requestTimeout -1/ });
    await assert.rejects(actions.getAll({ headers: { "kbn-xsrf": "x" } }), { message: /^headers: kbn-xsrf/ });
  });
});

describe("connections", () => {
  it("close refuses later calls of all spaces, and may be called twice", async (t) => {
    const { url, requests } = await serve(t, [connector]);
    const client = new KibanaClient({ node: url });
    const other = client.space("other");
    await other.actions.getAll();
    await client.close();
    await other.close();
    await assert.rejects(other.actions.getAll(), { name: "ConfigurationError", message: /closed/ });
    assert.equal(requests.length, 1);
  });

  it("a dispatcher of the caller's is used and not closed", async () => {
    const dispatcher = new MockAgent();
    dispatcher.disableNetConnect();
    dispatcher
      .get("http://kibana.invalid")
      .intercept({ method: "GET", path: "/s/ops/api/actions/connectors" })
      .reply(200, [connector])
      .times(2);
    const client = new KibanaClient({ node: "http://kibana.invalid", dispatcher });
    const { body } = await client.space("ops").actions.getAll();
    assert.deepEqual(body, [connector]);
    await client.close();
    await new KibanaClient({ node: "http://kibana.invalid", space: "ops", dispatcher }).actions.getAll();
    dispatcher.assertNoPendingInterceptors();
    await dispatcher.close();
  });

  it("a signal rejects with the caller's own reason, before and during the call", async (t) => {
    const arrived = new EventEmitter();
    const { url } = await serve(t, () => arrived.emit("request"));
    const { actions } = new KibanaClient({ node: url });
    const reason = { my: "reason" };
    await assert.rejects(actions.getAll({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
    const controller = new AbortController();
    arrived.once("request", () => controller.abort(reason));
    await assert.rejects(actions.getAll({ signal: controller.signal }), (error) => error === reason);
  });
});

it("neither console.log nor JSON.stringify of a client shows a credential", () => {
  const client = new KibanaClient({
    node: "http://127.0.0.1:1",
    auth: { username: "elastic", password: "hunter2" },
    headers: { "x-token": "hunter2" },
    tls: { key: "hunter2" },
  });
  for (const text of [inspect(client, { depth: 12, showHidden: true }), JSON.stringify(client)])
    assert.doesNotMatch(text, /hunter2|ZWxhc3RpYzpodW50ZXIy/);
});

declare module "kbn-connectors" {
  interface ConnectorTypes {
    ".pager": { config: { url: string }; secrets: { token: string }; params: { page: string }; data: { sent: number } };
  }
}

// Never runs: the compiler is the test.
export async function types({ actions }: KibanaClient) {
  const { body: created } = await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } });
  const { body: run } = await actions.execute({ id: created.id, params: { documents: [{ a: 1 }] } });
  run.data.items[0]?.create?._id satisfies string | undefined;
  created.connector_type_id satisfies ".index";
  // @ts-expect-error `document` is no param of .index
  await actions.execute({ id: created.id, params: { document: [{ a: 1 }] } });
  // @ts-expect-error a document is an object
  await actions.execute({ id: created.id, params: { documents: ["a"] } });
  // @ts-expect-error .index needs a config
  await actions.create({ name: "n", connector_type_id: ".index" });
  // @ts-expect-error refresh is a boolean
  await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i", refresh: "wait_for" } });
  // @ts-expect-error an update replaces the config, so it needs one
  await actions.update({ id: created.id, name: "n" });
  // @ts-expect-error .index has no secrets
  await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" }, secrets: { a: "b" } });
  await actions.create({ name: "n", connector_type_id: ".server-log" });
  await actions.create({ name: "n", connector_type_id: ".webhook", config: { url: "u" }, secrets: { user: "u" } });
  // A plain id takes any params, unless the type is named.
  const { body: other } = await actions.execute({ id: "plain", params: { anything: 1 } });
  other.data satisfies unknown;
  await actions.execute<".server-log">({ id: "plain", params: { message: "m" } });
  // @ts-expect-error a .server-log takes a message
  await actions.execute<".server-log">({ id: "plain", params: { documents: [] } });
  const { body: got } = await actions.get<".index">({ id: "plain" });
  got.config?.index satisfies string | undefined;
  got.brand_new satisfies unknown;
  (await actions.getAll()).body satisfies Connector[];
  // A type that a user added above.
  const pager = { name: "n", connector_type_id: ".pager", config: { url: "u" }, secrets: { token: "t" } } as const;
  const { body: added } = await actions.create(pager);
  (await actions.execute({ id: added.id, params: { page: "p" } })).body.data.sent satisfies number;
  // @ts-expect-error the secrets are needed
  await actions.create({ name: "n", connector_type_id: ".pager", config: { url: "u" } });
  // @ts-expect-error one kind of auth at a time, and whole
  new KibanaClient({ node: "http://k", auth: { username: "u" } });
}
