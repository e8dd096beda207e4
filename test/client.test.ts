// The client: what it sends, what it answers, what it refuses before anything is sent.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import * as surface from "kbn-connectors";
import {
  type Auth,
  ConfigurationError,
  KibanaClient,
  type KibanaClientOptions,
  writtenDocuments,
} from "kbn-connectors";
import { Agent, MockAgent } from "undici";
import { versions } from "./sandbox/versions.ts";
import { begin, idsIn, sendJson, serve } from "./support/server.ts";

const cloudId = `my-deployment:${Buffer.from("eu-west-1.aws.found.io$es1$kb1").toString("base64")}`;

const written = { errors: false, items: [{ create: { _index: "i", _id: "1", status: 201 } }] };
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
    "writtenDocuments",
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
          sendJson(response, 200, { connector_id: "c1", status: "ok", data: written });
        else {
          const id = decodeURIComponent(path.split("/")[4] ?? "c1");
          sendJson(response, 200, /connectors|types/.test(path) ? [connector] : { ...connector, id });
        }
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
    const client = new KibanaClient({
      node: url,
      headers: { "X-One": "1", "x-two": "2", "x-host": "a", "host-x": "b" },
    });
    await client.actions.getAll({ headers: { "x-TWO": "3" } });
    assert.equal(requests[0]?.headers["x-one"], "1");
    assert.equal(requests[0]?.headers["x-two"], "3");
    assert.deepEqual([requests[0]?.headers["x-host"], requests[0]?.headers["host-x"]], ["a", "b"]);
  });

  const shapes: [name: string, key: string | { id: string; api_key: string }][] = [
    ["encoded", "aWQ6c2VjcmV0"],
    ["encoded with white space inside", " aWQ6\n c2VjcmV0 \t"],
    ["with a leading ApiKey", " ApiKey\taWQ6c2VjcmV0"],
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

  const sent: [name: string, auth: Auth, authorization: string][] = [
    ["a key of Elastic Cloud", { apiKey: "essu_abc123==" }, "ApiKey essu_abc123=="],
    ["an encoded key with padding", { apiKey: "YTpiYw==" }, "ApiKey YTpiYw=="],
    ["an encoded key without it", { apiKey: "YTpiYw" }, "ApiKey YTpiYw"],
    ["a token with Bearer and white space", { bearer: " Bearer  tok " }, "Bearer tok"],
  ];
  for (const [name, auth, authorization] of sent)
    it(`${name} goes out as ${authorization}`, async (t) => {
      const { url, requests } = await serve(t, [connector]);
      await new KibanaClient({ node: ` ${url} `, auth }).actions.getAll();
      assert.equal(requests[0]?.headers.authorization, authorization);
    });
});

describe("answers", () => {
  it("every call answers body, statusCode and headers, and keeps fields that a newer Kibana adds", async (t) => {
    const { url } = await serve(t, { ...connector, brand_new: true });
    const { body, statusCode, headers } = await new KibanaClient({ node: url }).actions.get({ id: "c1" });
    assert.equal(statusCode, 200);
    assert.equal(headers["content-type"], "application/json; charset=utf-8");
    assert.equal("brand_new" in body && body.brand_new, true);
  });

  it("delete answers 204 and no body", async (t) => {
    const { url } = await serve(t, (_request, response) => response.writeHead(204).end());
    const { body, statusCode } = await new KibanaClient({ node: url }).actions.delete({ id: "c1" });
    assert.equal(statusCode, 204);
    assert.equal(body, undefined);
  });
});

for (const version of versions)
  it(`a connector's whole life works with Kibana ${version}`, async (t) => {
    const sandbox = await begin(t, { version });
    await using client = sandbox.client();
    const index = `life-${randomUUID()}`;
    const config = { index, refresh: true };
    const { body: created } = await client.actions.create({ name: "life", connector_type_id: ".index", config });
    assert.deepEqual(created.config, { ...config, executionTimeField: null });
    const { body: run } = await client.actions.execute({ id: created.id, params: { documents: [{ a: 1 }, { a: 2 }] } });
    const ids = writtenDocuments(run).map(({ id }) => id);
    assert.deepEqual(await idsIn(sandbox, index), ids);
    const { body: updated } = await client.actions.update({ id: created.id, name: "life 2", config: { index } });
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
    ["a node of another scheme", { node: "ftp://localhost" }, /^node "ftp:\/\/localhost": .* or https:\/\/\.$/],
    ["a node that is no URL", { node: "http://a b" }, /^node "http:\/\/a b": not a valid URL/],
    ["a page's address", { node: "http://k:5601/app/home#/" }, /^node: the address of a page.*http:\/\/k:5601/],
    ["credentials inside the URL", { node: "http://u:hunter2@k" }, /^node: must not carry credentials/],
    ["credentials inside a URL without scheme", { node: "u:hunter2@k" }, /^node: must start with http/],
    ["a user without password", { node, auth: { username: "u" } }, /^auth.password: missing/],
    ["a password without user", { node, auth: { password: "hunter2" } }, /^auth.username/],
    ["a user name with a colon", { node, auth: { username: "a:b", password: "hunter2" } }, /^auth.username/],
    ["two kinds of auth", { node, auth: { username: "u", password: "hunter2", bearer: "t" } }, /^auth: has 2 kinds/],
    ["auth and a header", { node, auth: { bearer: "t" }, headers: { Authorization: "x" } }, /^auth: two kinds/],
    ["empty auth", { node, auth: {} }, /^auth: has 0 kinds/],
    ["auth that is a string", { node, auth: "hunter2" }, /^auth: has 0 kinds/],
    ["an API key of no known form", { node, auth: { apiKey: "hunter2" } }, /^auth.apiKey: of no known form/],
    [
      "an API key that was encoded twice",
      { node, auth: { apiKey: "YVdRNmMyVmpjbVYw" } },
      /^auth.apiKey: of no known form/,
    ],
    ...[
      "a:b:hunter2",
      "xessu_hunter2",
      "essu_hunter2!",
      "YTpiOmM=",
      "YT!pi",
      { id: "hunter2" },
      { api_key: "hunter2" },
    ].map((apiKey): [string, unknown, RegExp] => [
      `the API key ${JSON.stringify(apiKey)}`,
      { node, auth: { apiKey } },
      /^auth.apiKey: of no known form/,
    ]),
    ["a token before which another word stands", { node, auth: { bearer: "myBearer hunter2" } }, /^auth.bearer/],
    ["a token that is a number", { node, auth: { bearer: 1 } }, /^auth.bearer/],
    ["an empty user name", { node, auth: { username: "", password: "hunter2" } }, /^auth.username/],
    ["an empty password", { node, auth: { username: "u", password: "" } }, /^auth.password: missing/],
    ["a space that is a number", { node, space: 5 }, /^space number/],
    ["a list as the space", { node, space: ["ops"] }, /^space object/],
    ["a space with more behind it", { node, space: "ops/x" }, /^space "ops\/x"/],
    ["a query alone", { node: "http://k/?x" }, /^node: the address of a page/],
    ["a fragment alone", { node: "http://k/#x" }, /^node: the address of a page/],
    ["a path that ends with /app", { node: "http://k/app" }, /^node: the address of a page/],
    ["a timeout that is too long by 1", { node, requestTimeout: 2 ** 31 }, /^requestTimeout 2147483648/],
    ["a timeout of digits as a string", { node, requestTimeout: "30" }, /^requestTimeout 30/],
    [
      "a node with another scheme that ends in http",
      { node: "xhttp://k" },
      /must start with http:\/\/ or https:\/\/\.$/,
    ],
    ["a node that begins with slashes", { node: "//k/a//b" }, /Did you mean http:\/\/k\/a\/\/b\?$/],
    ["a Cloud ID with more behind it", { node: `${cloudId} x` }, /^node: must start with http/],
    ["a URL that ends like a Cloud ID", { node: `https://${cloudId}` }, /^node: not a valid URL/],
    ["a blank API key", { node, auth: { apiKey: " " } }, /^auth.apiKey: of no known form/],
    ["a token with a line break", { node, auth: { bearer: "a\nhunter2" } }, /^auth.bearer/],
    ["a space in capitals", { node, space: "Sales" }, /^space "Sales"/],
    ["an empty space", { node, space: "" }, /^space ""/],
    ["a timeout of zero", { node, requestTimeout: 0 }, /^requestTimeout 0: must be a positive number/],
    ["a timeout that is not a number", { node, requestTimeout: Number.NaN }, /^requestTimeout NaN/],
    ["an endless timeout", { node, requestTimeout: Number.POSITIVE_INFINITY }, /^requestTimeout Infinity/],
    ["a timeout as a string", { node, requestTimeout: "30s" }, /^requestTimeout 30s/],
    ["a header with a line break", { node, headers: { "x-a": "1\r\nhunter2: 2" } }, /^headers: the value of x-a/],
    ["a header name with a space", { node, headers: { "x a": "hunter2" } }, /^headers: "x a"/],
    ["a header that is a number", { node, headers: { "x-a": 1 } }, /^headers: the value of x-a is not a string/],
    [
      "Headers",
      { node, headers: new Headers({ authorization: "hunter2" }) },
      /^headers: must be a plain object.*fromEntries/,
    ],
    ["a Map of headers", { node, headers: new Map([["a", "hunter2"]]) }, /^headers: must be a plain object/],
    ["a list of headers", { node, headers: [["a", "hunter2"]] }, /^headers: must be a plain object/],
    [
      "a space in the URL",
      { node: "http://k/kbn/s/ops" },
      /^node: contains a space\. Pass http:\/\/k\/kbn, and "ops" as the space/,
    ],
    ["a space in a longer URL", { node: "http://k/s/ops/api" }, /^node: contains a space/],
    [
      "a Cloud ID",
      { node: cloudId },
      /^node: a Cloud ID, not a URL\. .*https:\/\/kb1\.eu-west-1\.aws\.found\.io: pass that/,
    ],
    ["a user and a password alone", { node: "elastic:hunter2" }, /^node: must start with http:\/\/ or https:\/\/\.$/],
    ["a password that begins with a digit", { node: "elastic:2hunter2" }, /^node: must start with http/],
    ["a URL with such a password", { node: "http://elastic:2hunter2" }, /^node: not a valid URL\.$/],
    ["credentials after a backslash", { node: "http://\\u:hunter2@k" }, /^node: must not carry credentials/],
    ["credentials after a tab and a slash", { node: "http://\t/u:hunter2@k" }, /^node: must not carry credentials/],
    ["an escaped @", { node: "http://elastic:hunter2%40k" }, /^node: not a valid URL\.$/],
    ["an empty user before the host", { node: "http://@k" }, /^node: must not carry credentials/],
    ["a user name alone before the host", { node: "http://hunter2@k" }, /^node: must not carry credentials/],
    [
      "a header of the client's own",
      { node, headers: { "Content-Length": "3" } },
      /^headers: content-length cannot be set/,
    ],
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
      message: /has 37 characters; Kibana takes at most 36/,
    });
    await assert.rejects(actions.create({ id: "x".repeat(36), name: "n", connector_type_id: ".x" }), {
      name: "ConnectionError",
    });
  });

  it("a call without its first argument is refused", async () => {
    const { actions } = new KibanaClient({ node });
    await assert.rejects(actions.get(undefined as unknown as { id: string }), {
      name: "ConfigurationError",
      message: /^The first argument must be an object/,
    });
  });

  it("a wrong timeout or header of a single call is refused", async () => {
    const { actions } = new KibanaClient({ node });
    await assert.rejects(actions.getAll({ requestTimeout: -1 }), { message: /^requestTimeout -1/ });
    await assert.rejects(actions.getAll({ headers: { "kbn-xsrf": "x" } }), { message: /^headers: kbn-xsrf/ });
  });
});

describe("connections", () => {
  it("url is the address with base path and space", () => {
    const client = new KibanaClient({ node: "https://proxy.example/kbn//", space: "ops", requestTimeout: 2 ** 31 - 1 });
    assert.equal(client.url, "https://proxy.example/kbn/s/ops");
    assert.equal(client.space("sales").url, "https://proxy.example/kbn/s/sales");
    assert.equal(new KibanaClient({ node: "http://localhost:5601" }).url, "http://localhost:5601");
  });

  it("closing a space's client leaves the others alone", async (t) => {
    const { url } = await serve(t, [connector]);
    const client = new KibanaClient({ node: url, tls: {} });
    await client.space("ops").close();
    assert.equal((await client.actions.getAll()).statusCode, 200);
    await client[Symbol.asyncDispose]();
    await assert.rejects(client.actions.getAll(), { name: "ConfigurationError", message: /closed/ });
  });

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

  it("a client of another space has the credentials and the deadline of the first, as they were given", async (t) => {
    const requests: (string | undefined)[] = [];
    const { url } = await serve(t, ({ headers }, response) => {
      requests.push(headers.authorization);
      if (requests.length === 1) sendJson(response, 200, []);
    });
    const auth = { username: "elastic", password: "first" };
    const client = new KibanaClient({ node: new URL(url), auth, requestTimeout: 50 });
    await client.actions.getAll({ requestTimeout: 10_000 });
    auth.password = "second";
    await assert.rejects(client.space("ops").actions.getAll(), { name: "TimeoutError" });
    assert.deepEqual(requests, Array(2).fill(`Basic ${btoa("elastic:first")}`));
  });
});
