// The error classes: which answer gives which, what it carries, and that no answer gives anything else.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import * as surface from "kbn-connectors";
import {
  ConfigurationError,
  ConnectionError,
  DeserializationError,
  KibanaClient,
  KibanaError,
  ResponseError,
} from "kbn-connectors";
import { Agent, interceptors } from "undici";
import { begin, controller, dispatching, failure, sendJson, serve } from "./support/server.ts";

const classes: Record<string, unknown> = surface;

describe("an answer that is not 2xx", () => {
  const statuses: [status: number, name: string, outcome: string][] = [
    [300, "ResponseError", "unknown"],
    [302, "ResponseError", "unknown"],
    [400, "BadRequestError", "not-applied"],
    [401, "AuthenticationError", "not-applied"],
    [403, "AuthorizationError", "not-applied"],
    [408, "ResponseError", "unknown"],
    [499, "ResponseError", "unknown"],
    [409, "ConflictError", "not-applied"],
    [413, "PayloadTooLargeError", "not-applied"],
    [418, "ResponseError", "not-applied"],
    [429, "TooManyRequestsError", "not-applied"],
    [500, "ResponseError", "unknown"],
    [502, "ResponseError", "unknown"],
    [503, "NotReadyError", "unknown"],
  ];
  for (const [status, name, outcome] of statuses)
    it(`${status} is a ${name}, ${outcome}`, async (t) => {
      const body = { statusCode: status, error: "E", message: "what Kibana says" };
      const { url } = await serve(t, (_request, response) => sendJson(response, status, body));
      const error = await failure(new KibanaClient({ node: url, space: "ops" }).actions.delete({ id: "c" }));
      assert.ok(error instanceof ResponseError);
      assert.ok(error instanceof (classes[name] as typeof ResponseError));
      assert.equal(error.name, name);
      assert.equal(error.outcome, outcome);
      assert.equal(error.statusCode, status);
      assert.deepEqual(error.body, body);
      assert.equal(error.headers["content-type"], "application/json; charset=utf-8");
      assert.ok(!Object.keys(error).includes("headers"), "headers are not printed");
      assert.match(
        error.message,
        RegExp(`^DELETE /s/ops/api/actions/connector/c -> ${status} [\\w' -]+: what Kibana says$`),
      );
      assert.equal(error.stack?.split("\n")[0], `${name}: ${error.message}`);
    });

  const missing: [name: string, status: number, body: string, expected: string][] = [
    ["no such connector", 404, '{"message":"Saved object [action/c] not found"}', "NotFoundError"],
    ["no such system connector", 404, '{"message":"Connector c not found"}', "NotFoundError"],
    ["no such other connector", 404, '{"message":"Saved object [action/d] not found"}', "ResponseError"],
    ["no such service", 404, '{"message":"Connector service not found"}', "ResponseError"],
    ["no such path", 404, '{"message":"Not Found"}', "ResponseError"],
    ["a web page", 404, "<html>Saved object [action/c] not found</html>", "ResponseError"],
    ["plain text", 404, "Saved object [action/c] not found", "ResponseError"],
    ["no such connector, with another status", 400, '{"message":"Connector c not found"}', "BadRequestError"],
  ];
  for (const [name, status, body, expected] of missing)
    it(`${status} that says ${name} is a ${expected}`, async (t) => {
      const { url } = await serve(t, (_request, response) => response.writeHead(status).end(body));
      assert.equal((await failure(new KibanaClient({ node: url }).actions.get({ id: "c" }))).name, expected);
    });

  it("404 of no such connector is a NotFoundError under any base path and in any space", async (t) => {
    const { url } = await serve(t, (_request, response) =>
      sendJson(response, 404, { message: "Connector abc not found" }),
    );
    for (const path of ["/connector/kbn", "/connector/%zz"]) {
      const { actions } = new KibanaClient({ node: url + path }).space("connector");
      assert.equal((await failure(actions.get({ id: "abc" }))).name, "NotFoundError");
    }
  });

  for (const message of [
    "Kibana server is not ready yet",
    '{"message":"License is not available."}',
    '{"message":"License information could not be obtained from Elasticsearch. Please check the logs."}',
    '{"message":"Authentication sub-system is not fully initialized yet."}',
  ])
    it(`503 ${message} means that nothing was done`, async (t) => {
      const { url } = await serve(t, (_request, response) => response.writeHead(503).end(message));
      const error = await failure(new KibanaClient({ node: url }).actions.delete({ id: "c" }));
      assert.deepEqual([error.name, error.outcome], ["NotReadyError", "not-applied"]);
    });

  it("any other status with these words may have done something", async (t) => {
    const { url } = await serve(t, (_request, response) =>
      response.writeHead(502).end("Kibana server is not ready yet"),
    );
    assert.equal((await failure(new KibanaClient({ node: url }).actions.delete({ id: "c" }))).outcome, "unknown");
  });

  it("reads as Kibana's own words after method, path and status", async (t) => {
    const sandbox = await begin(t);
    const { actions } = sandbox.client();
    const request = { id: "twice", name: "n", connector_type_id: ".index", config: { index: "i" } } as const;
    await actions.create(request);
    const error = await failure(actions.create(request));
    const text =
      "ConflictError: POST /api/actions/connector/twice -> 409 Conflict: Saved object [action/twice] conflict";
    assert.equal(String(error), text);
    assert.match(error.hint ?? "", /^The id is taken/);
  });

  it("is one line of at most 1000 characters of the server's, without any that control a terminal", async (t) => {
    const { url } = await serve(t, (_request, response) =>
      response.writeHead(500).end(`\u001b[31mred\u0007\r\nnext\u2028line${"x".repeat(5000)}`),
    );
    const { message } = await failure(new KibanaClient({ node: url }).actions.getAll());
    assert.match(message, /500 Internal Server Error: {2}\[31mred {3}next linex+$/);
    assert.ok(message.length < 1100);
  });
});

describe("an odd answer is a typed error with the right outcome:", () => {
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  const odd: [name: string, status: number, body: string, error: string, outcome: string][] = [
    ["a reason that is an object", 400, '{"error":{"reason":{"toString":1}}}', "BadRequestError", "not-applied"],
    ["a message that is an object", 409, '{"message":{"toString":1}}', "ConflictError", "not-applied"],
    ["a message of 20,000 nested arrays", 400, `{"message":${deep}}`, "BadRequestError", "not-applied"],
    ["20,000 nested arrays", 500, deep, "ResponseError", "unknown"],
    ["20,000 nested arrays with 200", 200, deep, "DeserializationError", "unknown"],
    ["an own key __proto__", 500, '{"__proto__":{"message":"m"},"message":1}', "ResponseError", "unknown"],
    ["null", 500, "null", "ResponseError", "unknown"],
    ["another connector", 200, '{"id":"d","connector_type_id":".x"}', "DeserializationError", "unknown"],
    ["a connector without a type", 200, '{"id":"c"}', "DeserializationError", "unknown"],
    ["more than 1 MiB with 200", 200, JSON.stringify("x".repeat(2 ** 20)), "DeserializationError", "unknown"],
  ];
  for (const [name, status, body, expected, outcome] of odd)
    it(name, async (t) => {
      const { url } = await serve(t, (_request, response) => response.writeHead(status).end(body));
      const { actions } = new KibanaClient({ node: url });
      for (const call of [() => actions.get({ id: "c" }), () => actions.update({ id: "c", name: "n" })]) {
        const error = await failure(call());
        assert.deepEqual([error.name, error.outcome], [expected, outcome]);
        assert.ok(JSON.stringify(error) && inspect(error, { depth: 200 }));
      }
    });

  it("a run, a created connector or a list of somebody else's", async (t) => {
    const { url } = await serve(t, { id: "d", connector_id: "d", connector_type_id: ".x", status: "ok" });
    const { actions } = new KibanaClient({ node: url });
    for (const call of [
      () => actions.execute({ id: "c", params: {} }),
      () => actions.create({ id: "c", name: "n", connector_type_id: ".x" }),
      () => actions.getAll(),
      () => actions.listTypes(),
      () => actions.delete({ id: "c" }),
    ])
      assert.ok((await failure(call())) instanceof DeserializationError);
  });

  const wrong: [name: string, body: unknown, call: (actions: KibanaClient["actions"]) => Promise<unknown>][] = [
    ["a list with a type that has no id", [{ id: 1 }], (actions) => actions.listTypes()],
    ["a list with null", [null], (actions) => actions.listTypes()],
    [
      "a new connector without an id",
      { connector_type_id: ".x" },
      (actions) => actions.create({ name: "n", connector_type_id: ".x" }),
    ],
    ["a run without a status", { connector_id: "c" }, (actions) => actions.execute({ id: "c", params: {} })],
  ];
  for (const [name, body, call] of wrong)
    it(name, async (t) => {
      const { url } = await serve(t, body as object);
      assert.ok((await failure(call(new KibanaClient({ node: url }).actions))) instanceof DeserializationError);
    });

  it("what is said of it: empty, a page, a text with <, an encoding that is none", async (t) => {
    const answers: [status: number, body: string, encoding: string, said: RegExp][] = [
      [200, "", "", /: empty$/],
      [500, "", "", /500 Internal Server Error$/],
      [500, "\n <html>", "", /: an HTML page$/],
      [500, "1 < 2", "", /: 1 < 2$/],
      [500, "plain", "identity", /: plain$/],
      [500, "packed", "gzip", /: compressed, although/],
    ];
    for (const [status, body, encoding, said] of answers) {
      const { url } = await serve(t, (_request, response) =>
        response.writeHead(status, encoding ? { "content-encoding": encoding } : {}).end(body),
      );
      assert.match((await failure(new KibanaClient({ node: url }).actions.getAll())).message, said);
    }
  });

  it("a long wrong answer is not kept", async (t) => {
    const { url } = await serve(t, (_request, response) => response.end(JSON.stringify("x".repeat(2 ** 20))));
    const error = await failure(new KibanaClient({ node: url }).actions.getAll());
    assert.equal((error as DeserializationError).body, undefined);
    assert.match(error.message, /too long to show$/);
  });

  it("an early hint before the answer does no harm", async (t) => {
    const { url } = await serve(t, (_request, response) => {
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      sendJson(response, 200, []);
    });
    assert.equal((await new KibanaClient({ node: url }).actions.getAll()).statusCode, 200);
  });
});

describe("an interceptor's error that carries an answer", () => {
  it("of responseError becomes the ResponseError of that status, with its body", async (t) => {
    const message = "Saved object [action/c] not found";
    const { url } = await serve(t, (_request, response) => sendJson(response, 404, { message }));
    const dispatcher = new Agent().compose(interceptors.responseError());
    t.after(() => dispatcher.close());
    const error = await failure(new KibanaClient({ node: url, dispatcher }).actions.get({ id: "c" }));
    assert.equal(error.name, "NotFoundError");
    assert.deepEqual([error.outcome, (error as ResponseError).body], ["not-applied", { message }]);
    assert.match(error.hint ?? "", /^Searched in the space/);
  });

  it("of retry becomes the ResponseError of that status; with throwOnError: false nothing is lost", async (t) => {
    const { url } = await serve(t, (_request, response) => sendJson(response, 503, { message: "why" }));
    for (const throwOnError of [true, false]) {
      const retry = { methods: ["GET" as const], maxRetries: 1, minTimeout: 1, statusCodes: [503], throwOnError };
      const dispatcher = new Agent().compose(interceptors.retry(retry));
      t.after(() => dispatcher.close());
      const error = await failure(new KibanaClient({ node: url, dispatcher }).actions.getAll());
      assert.deepEqual([error.name, error.outcome], ["NotReadyError", "unknown"]);
      assert.equal(/why$/.test(error.message), !throwOnError);
    }
  });

  it("of an answer that began well is a ConnectionError", async () => {
    const facts = { statusCode: 206, headers: {}, code: "UND_ERR_REQ_RETRY" };
    const mismatch = Object.assign(new Error("ETag mismatch"), facts);
    const dispatcher = dispatching((handler) => handler.onResponseError(controller, mismatch));
    const error = await failure(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
    assert.ok(error instanceof ConnectionError && error.code === "UND_ERR_REQ_RETRY");
  });

  it("without an answer shows its message and its code, or those of all attempts", async () => {
    const errors: [error: Error, said: RegExp, code: string | undefined][] = [
      [Object.assign(new Error("broken"), { code: "E_X" }), /-> E_X: broken$/, "E_X"],
      [Object.assign(new Error("broken E_X"), { code: "E_X" }), /-> broken E_X$/, "E_X"],
      [new Error("broken"), /-> broken$/, undefined],
      [new AggregateError([new Error("one"), new Error("two")], ""), /-> Error: one; Error: two$/, undefined],
      [new AggregateError([new Error("one")], "all"), /-> all$/, undefined],
      [new Error(""), /->\s*$/, undefined],
    ];
    for (const [cause, said, code] of errors) {
      const dispatcher = dispatching((handler) => handler.onResponseError(controller, cause));
      const error = await failure(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
      assert.match(error.message, said);
      assert.deepEqual(["code" in error, (error as ConnectionError).code], [code !== undefined, code]);
    }
  });

  it("an answer without a reason phrase shows none", async () => {
    const dispatcher = dispatching((handler) => {
      handler.onResponseStart(controller, 500, {});
      handler.onResponseData(controller, Buffer.from("why"));
      handler.onResponseEnd(controller, {});
    });
    const { message } = await failure(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
    assert.equal(message, "GET /api/actions/connectors -> 500: why");
  });

  it("a thrown string, or nothing, is a ConnectionError", async () => {
    for (const reason of ["no error at all", null, { toString: 1 }]) {
      const dispatcher = dispatching(() => {
        throw reason;
      });
      const error = await failure(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
      assert.ok(error instanceof ConnectionError && error.outcome === "not-applied");
    }
  });
});

describe("the classes", () => {
  it("form one tree, and each has its own name", () => {
    for (const [name, value] of Object.entries(classes)) {
      if (!name.endsWith("Error")) continue;
      const { prototype } = value as typeof KibanaError;
      assert.ok(value === KibanaError || prototype instanceof KibanaError, name);
      assert.equal(prototype.name, name);
    }
    assert.ok(new ConfigurationError("m") instanceof Error);
    const mine = Object.assign(new ConfigurationError("m"), { name: "Mine" });
    assert.equal(String(mine), "Mine: m");
  });

  it("leave out a hint and a cause that are not there", () => {
    assert.deepEqual(Object.keys(new ConfigurationError("m")), ["outcome"]);
    assert.equal("cause" in new ConfigurationError("m"), false);
  });
});
