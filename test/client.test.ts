// The client: what it sends, what comes back, and what it refuses before anything is sent.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import * as library from "kbn-connectors";
import { type Auth, ConfigurationError, KibanaClient, writtenDocuments } from "kbn-connectors";
import { Agent } from "undici";
import { begin, failure, idsIn, sendJson, serve } from "./support/server.ts";

const connector = { id: "c1", name: "n", connector_type_id: ".index", is_preconfigured: false };
const written = { errors: false, items: [{ create: { _index: "i", _id: "1", status: 201 } }] };
const run = { connector_id: "c1", status: "ok", data: written };

it("the package exports exactly these names, and the outcome of an error that you create is unknown", () => {
  const names = `
    AuthenticationError AuthorizationError BadRequestError ConfigurationError ConflictError ConnectionError
    ConnectorExecutionError DeserializationError ErrorWithResponse KibanaClient KibanaError NotFoundError NotReadyError
    PayloadTooLargeError ResponseError SerializationError TimeoutError TooManyRequestsError writtenDocuments`;
  assert.deepEqual(Object.keys(library).sort(), names.trim().split(/\s+/));
  assert.equal(new library.TimeoutError("t").outcome, "unknown");
});

type Call = (client: KibanaClient) => Promise<unknown>;

describe("a request on the wire", () => {
  const draft = { name: "n", connector_type_id: ".x", config: { a: "ż" }, secrets: { b: 1 } };
  const params = { documents: [{ a: 1 }], indexOverride: null };
  const odd = { ...connector, id: "a/b?ż" };
  const listTypesOf: Call = ({ actions }) => actions.listTypes({ feature_id: "a&b" });
  const requests: [name: string, call: Call, line: string, body: object | undefined, answer?: unknown][] = [
    ["create", ({ actions }) => actions.create(draft), "POST /connector", draft, connector],
    ["create with id", ({ actions }) => actions.create({ id: "c1", ...draft }), "POST /connector/c1", draft, connector],
    ["get", ({ actions }) => actions.get({ id: odd.id }), "GET /connector/a%2Fb%3F%C5%BC", undefined, odd],
    ["getAll", ({ actions }) => actions.getAll(), "GET /connectors", undefined, [connector]],
    ["update", ({ actions }) => actions.update({ id: "c1", name: "n" }), "PUT /connector/c1", { name: "n" }, connector],
    ["delete", ({ actions }) => actions.delete({ id: "c1" }), "DELETE /connector/c1", undefined],
    ["execute", ({ actions }) => actions.execute({ id: "c1", params }), "POST /connector/c1/_execute", { params }, run],
    ["listTypes", ({ actions }) => actions.listTypes(), "GET /connector_types", undefined, [{ id: ".index" }]],
    ["listTypes of a feature", listTypesOf, "GET /connector_types?feature_id=a%26b", undefined, []],
  ];
  for (const [name, call, line, body, answer] of requests)
    it(`of ${name} is one ${line}, and resolves to body, statusCode and headers`, async (t) => {
      const server = await serve(t, (_request, response) => {
        response.setHeader("X-A", "1");
        answer === undefined ? response.writeHead(204).end() : sendJson(response, 200, answer);
      });
      const { headers, ...result } = (await call(new KibanaClient({ node: server.url }))) as Record<string, object>;
      assert.deepEqual(result, { body: answer, statusCode: answer === undefined ? 204 : 200 });
      assert.equal(Object(headers)["x-a"], "1");
      assert.equal(server.requests.length, 1);
      const [sent] = server.requests;
      assert.equal(`${sent?.method} ${sent?.path}`, line.replace(" ", " /api/actions"));
      assert.equal(sent?.body, body === undefined ? "" : JSON.stringify(body));
      assert.equal(sent?.headers["kbn-xsrf"], "true");
      assert.equal(sent?.headers["content-type"], body === undefined ? undefined : "application/json");
      assert.equal(sent?.headers.authorization, undefined);
    });

  it("has the base path, then the space, then /api; url is what stands before /api", async (t) => {
    const { url, requests } = await serve(t, []);
    const client = new KibanaClient({ node: `${url}/kbn//` });
    const clients = [client, client.space("a_1-x"), client.space("a").space("b")];
    clients.push(new KibanaClient({ node: ` ${url}/s/ops ` }).space("b"));
    for (const { actions } of clients) await actions.getAll();
    const prefixes = ["/kbn", "/kbn/s/a_1-x", "/kbn/s/b", "/s/b"];
    const expected = prefixes.map((prefix) => [`${prefix}/api/actions/connectors`, url + prefix]);
    const sent = requests.map(({ path }, index) => [path, clients[index]?.url]);
    assert.deepEqual(sent, expected);
  });

  it("has the client's headers, which those of the call replace whatever their case", async (t) => {
    const { url, requests } = await serve(t, []);
    const client = new KibanaClient({ node: url, headers: { "X-One": "1", "x-two": "2", "KBN-XSRF": "4" } });
    await client.space("ops").actions.getAll({ headers: { "x-TWO": "3", Authorization: "mine" } });
    const { authorization, "x-one": one, "x-two": two, "kbn-xsrf": xsrf } = requests[0]?.headers ?? {};
    assert.deepEqual([one, two, xsrf, authorization], ["1", "3", "4", "mine"]);
  });

  const encoded = "aWQ6c2VjcmV0";
  const json = `{"id":"id","name":"n","api_key":"secret","encoded":"${encoded}"}`;
  const credentials: [what: string, auth: Auth, authorization: string][] = [
    ["an encoded API key", { apiKey: encoded }, `ApiKey ${encoded}`],
    ["an encoded API key with white space", { apiKey: " aWQ6\n c2VjcmV0 \t" }, `ApiKey ${encoded}`],
    ["an API key with a leading ApiKey", { apiKey: `  ApiKey ${encoded}` }, `ApiKey ${encoded}`],
    ["an API key as id:api_key", { apiKey: "id:secret" }, `ApiKey ${encoded}`],
    ["an API key as an object", { apiKey: { id: "id", api_key: "secret" } }, `ApiKey ${encoded}`],
    ["an API key as the JSON of Elasticsearch's response", { apiKey: json }, `ApiKey ${encoded}`],
    ["an API key with padding", { apiKey: "YTpiYw==" }, "ApiKey YTpiYw=="],
    ["an API key of Elastic Cloud", { apiKey: "essu_abc123==" }, "ApiKey essu_abc123=="],
    ["a token with white space", { bearer: "  tok  " }, "Bearer tok"],
    ["a token with a leading Bearer and white space", { bearer: "  Bearer  tok  " }, "Bearer tok"],
    ["a user and a password", { username: "ż", password: "a:b" }, `Basic ${Buffer.from("ż:a:b").toString("base64")}`],
  ];
  for (const [what, auth, authorization] of credentials)
    it(`with ${what} has the header authorization, in every space`, async (t) => {
      const { url, requests } = await serve(t, []);
      const client = new KibanaClient({ node: url, auth });
      await client.actions.getAll();
      await client.space("ops").actions.getAll();
      const sent = requests.map(({ headers }) => headers.authorization);
      assert.deepEqual(sent, [authorization, authorization]);
    });

  for (const status of [302, 429, 503])
    it(`that gets a ${status} is neither repeated nor sent elsewhere`, async (t) => {
      const headers = { location: "/elsewhere", "retry-after": "0" };
      const { url, requests } = await serve(t, (_request, response) => response.writeHead(status, headers).end());
      const error = await failure(new KibanaClient({ node: url }).actions.getAll());
      assert.deepEqual([Object(error).statusCode, error.outcome, requests.length], [status, "unknown", 1]);
    });
});

describe("a body that the API does not return is a DeserializationError", () => {
  const get: Call = ({ actions }) => actions.get({ id: "c1" });
  const getAll: Call = ({ actions }) => actions.getAll();
  const execute: Call = ({ actions }) => actions.execute({ id: "c1", params: {} });
  const create: Call = ({ actions }) => actions.create({ name: "n", connector_type_id: ".x" });
  const createMine: Call = ({ actions }) => actions.create({ id: "mine", name: "n", connector_type_id: ".x" });
  const bodies: [what: string, call: Call, body: unknown, says: RegExp][] = [
    ["get without connector_type_id", get, { id: "c1" }, /: connector_type_id of the body is undefined/],
    ["get of another connector", get, { ...connector, id: "other" }, /: id of the body is other/],
    ["get of null", get, null, /: the body is not a JSON object/],
    ["create without id", create, { connector_type_id: ".x" }, /: id of the body is undefined/],
    ["create with an id of the caller, for another", createMine, connector, /: id of the body is c1/],
    ["update of another", ({ actions }) => actions.update({ id: "x", name: "n" }), connector, /: id of the body is c1/],
    ["execute of another connector", execute, { ...run, connector_id: "x" }, /: connector_id of the body is x/],
    ["execute without status", execute, { connector_id: "c1" }, /: status of the body is undefined/],
    ["getAll of an object", getAll, connector, /: the body is not a list/],
    ["getAll of a list with something else in it", getAll, [connector, {}], /: an item of the list has no id/],
    ["listTypes of numbers", ({ actions }) => actions.listTypes(), [1], /: an item of the list has no id/],
    ["delete with 200", ({ actions }) => actions.delete({ id: "c1" }), {}, /: 204 was expected/],
  ];
  for (const [what, call, body, says] of bodies)
    it(`that says what is wrong: ${what}`, async (t) => {
      const { url } = await serve(t, (_request, response) => sendJson(response, 200, body));
      const error = await failure(call(new KibanaClient({ node: url })));
      assert.deepEqual([error.name, error.outcome], ["DeserializationError", "unknown"]);
      assert.match(error.message, says);
    });

  it("but fields that a newer Kibana adds are kept", async (t) => {
    const { url } = await serve(t, { ...connector, brand_new: true });
    assert.deepEqual(Object((await get(new KibanaClient({ node: url }))) as object).body.brand_new, true);
  });
});

for (const version of ["8.12", "8.19", "9.4"] as const)
  it(`a connector's whole life works with Kibana ${version}`, async (t) => {
    const sandbox = await begin(t, { version });
    await using client = sandbox.client();
    const { actions } = client;
    const config = { index: `life-${randomUUID()}`, refresh: true };
    const { body: created } = await actions.create({ name: "life", connector_type_id: ".index", config });
    assert.deepEqual(created.config, { ...config, executionTimeField: null });
    const { body } = await actions.execute({ id: created.id, params: { documents: [{ a: 1 }, { a: 2 }] } });
    const ids = writtenDocuments(body).map(({ id }) => id);
    assert.equal(ids.length, 2);
    assert.deepEqual((await idsIn(sandbox, config.index)).sort(), ids.sort());
    const update = { id: created.id, name: "life 2", config: { index: config.index } };
    assert.equal((await actions.update(update)).body.config?.refresh, false);
    assert.equal((await actions.get({ id: created.id })).body.name, "life 2");
    assert.equal((await actions.getAll()).body.find(({ id }) => id === created.id)?.referenced_by_count, 0);
    assert.ok((await actions.listTypes()).body.some(({ id, enabled }) => id === ".index" && enabled));
    await actions.delete({ id: created.id });
    assert.equal((await failure(actions.get({ id: created.id }))).name, "NotFoundError");
  });

describe("an option that is wrong is refused, without repeating an address or a credential", () => {
  const node = "http://127.0.0.1:1";
  const timeouts = [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, "30", null];
  const wrong: Record<string, unknown[]> = {
    options: [undefined, null, "http://k"],
    "node:": [
      {},
      ...["localhost:5601", "ftp://hunter2", "xhttp://k", "http://a b", "//k", "hunter2:bDE="],
      ...["http://u:hunter2@k", "https://elastic:24/hunter2@k", "hunter2@k", "http://k/?hunter2", "http://k/#hunter2"],
    ].map((node) => ({ node })),
    "auth:": [
      ...[{}, null, "hunter2", { username: "u" }, { password: "hunter2" }, { apikey: "hunter2" }],
      ...["", { bearer: "hunter2", apiKey: "id:hunter2" }, { username: "u", password: "hunter2", bearer: "t" }],
    ].map((auth) => ({ node, auth })),
    "auth: there is also a header": [{ node, auth: { bearer: "hunter2" }, headers: { Authorization: "hunter2" } }],
    "auth.password:": ["", undefined].map((password) => ({ node, auth: { username: "hunter2", password } })),
    "auth.username:": ["", undefined, "a:b"].map((username) => ({ node, auth: { username, password: "hunter2" } })),
    "auth.bearer:": ["", undefined, " "].map((bearer) => ({ node, auth: { bearer } })),
    "auth.apiKey:": [
      ...["", undefined, " ", "hunter2", "a:b:hunter2", "YVdRNmMyVmpjbVYw", "YT!pi", "xessu_hunter2", "YTpiOmM="],
      ...[{ id: "hunter2" }, { api_key: "hunter2" }, 5, '{"id":"hunter2"}'],
    ].map((apiKey) => ({ node, auth: { apiKey } })),
    "headers:": [null, [], new Headers(), "x", { a: 1 }].map((headers) => ({ node, headers })),
    "space:": ["", "Sales", "a/b", 5, ["ops"], null].map((space) => ({ node, space })),
    "space: node ends": [{ node: `${node}/s/a`, space: "b" }],
    "requestTimeout:": timeouts.map((requestTimeout) => ({ node, requestTimeout })),
    "tls:": [...["ca.crt", null, []].map((tls) => ({ node, tls })), { node, tls: {}, dispatcher: new Agent() }],
    "dispatcher:": [{ node, dispatcher: {} }],
    "tls.ca:": ["ca.crt", ["hunter2"]].map((ca) => ({ node, tls: { ca } })),
    "tls.cert:": [{ node, tls: { cert: "client.crt", key: "client.key" } }],
    "tls.key:": [{ node, tls: { key: "client.key" } }],
  };
  for (const [start, cases] of Object.entries(wrong))
    for (const options of cases)
      it(`${start} ${inspect(options, { breakLength: 999, depth: 1 })}`, () => {
        assert.throws(
          () => new KibanaClient(options as library.KibanaClientOptions),
          (error) => {
            assert.ok(error instanceof ConfigurationError, inspect(error));
            assert.equal(error.message.slice(0, start.length), start);
            assert.equal(error.outcome, "not-applied");
            assert.doesNotMatch(inspect(error), /hunter2/);
            return true;
          },
        );
      });
});

it("a node may be a URL, and a requestTimeout as long as that of a timer", () => {
  const client = new KibanaClient({ node: new URL("http://localhost:5601/kbn"), requestTimeout: 2 ** 31 - 1 });
  assert.equal(client.url, "http://localhost:5601/kbn");
});

describe("an argument that is wrong is refused, and nothing is sent", () => {
  type CallWith = (client: KibanaClient, wrong: never) => unknown;
  const calls: [what: string, call: CallWith, start: RegExp, wrong: unknown[]][] = [
    ["get", ({ actions }, wrong) => actions.get(wrong), /^The first argument/, [undefined, null, "id", []]],
    ["create", ({ actions }, wrong) => actions.create(wrong), /^The first argument/, [undefined]],
    ["update", ({ actions }, wrong) => actions.update(wrong), /^The first argument/, [undefined]],
    ["delete", ({ actions }, wrong) => actions.delete(wrong), /^The first argument/, [undefined]],
    ["execute", ({ actions }, wrong) => actions.execute(wrong), /^The first argument/, [undefined]],
    ["listTypes", ({ actions }, wrong) => actions.listTypes(wrong), /^The first argument/, [null, "alerting"]],
    ["id of get", ({ actions }, id) => actions.get({ id }), /^id:/, [undefined, "", ".", "..", "\ud800", 5]],
    ["id of update", ({ actions }, id) => actions.update({ id, name: "n" }), /^id:/, [undefined, ""]],
    ["id of delete", ({ actions }, id) => actions.delete({ id }), /^id:/, [undefined, ""]],
    ["id of execute", ({ actions }, id) => actions.execute({ id, params: {} }), /^id:/, [undefined, ""]],
    ["id of create", ({ actions }, id) => actions.create({ id, name: "n", connector_type_id: ".x" }), /^id:/, [""]],
    ["params", ({ actions }, params) => actions.execute({ id: "c", params }), /^params:/, [undefined, null, [], "t"]],
    ["space", (client, id) => client.space(id), /^space:/, [undefined, null, "Ops", ""]],
    ["options", ({ actions }, wrong) => actions.getAll(wrong), /^options:/, [null, 5, "x"]],
    ["timeout", ({ actions }, ms) => actions.getAll({ requestTimeout: ms }), /^requestTimeout:/, [0, "1", 2 ** 31]],
    ["signal", ({ actions }, signal) => actions.getAll({ signal }), /^signal:/, [{}, "x", { throwIfAborted() {} }]],
    ["header's name", ({ actions }, key) => actions.getAll({ headers: { [key]: "1" } }), /invalid header key/, ["x a"]],
    ["header", ({ actions }, value) => actions.getAll({ headers: { "x-a": value } }), /invalid x-a/, ["a\r\nb: c"]],
  ];
  for (const [what, call, start, values] of calls)
    for (const value of values)
      it(`${what}: ${inspect(value)}`, async (t) => {
        const { url, requests } = await serve(t, []);
        const called = (async () => call(new KibanaClient({ node: url }), value as never))();
        const { name, message, outcome } = await failure(called);
        assert.deepEqual([name, outcome, requests.length], ["ConfigurationError", "not-applied", 0]);
        assert.match(message.replace(/^GET \S+ -> /, ""), start);
      });
});
