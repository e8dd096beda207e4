// The errors: their classes, messages, outcomes and causes, and that none of them shows a secret.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import * as errors from "kbn-connectors";
import { ConfigurationError, ConnectorExecutionError, KibanaClient, KibanaError, ResponseError } from "kbn-connectors";
import { begin, idsIn, sendJson, serve } from "./server.ts";

const classes: Record<string, unknown> = errors;

async function rejection(promise: Promise<unknown>): Promise<KibanaError> {
  const error = await promise.then(
    () => assert.fail("did not reject"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KibanaError, inspect(error));
  return error;
}

describe("an answer that is not 2xx", () => {
  const statuses: [status: number, name: string, outcome: string][] = [
    [302, "ResponseError", "unknown"],
    [400, "BadRequestError", "not-applied"],
    [401, "AuthenticationError", "not-applied"],
    [403, "AuthorizationError", "not-applied"],
    [404, "NotFoundError", "not-applied"],
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
      const error = await rejection(new KibanaClient({ node: url, space: "ops" }).actions.delete({ id: "c" }));
      assert.ok(error instanceof ResponseError);
      assert.ok(error instanceof (classes[name] as typeof ResponseError));
      assert.equal(error.name, name);
      assert.equal(error.outcome, outcome);
      assert.equal(error.statusCode, status);
      assert.deepEqual(error.body, body);
      assert.equal(error.headers["content-type"], "application/json; charset=utf-8");
      assert.match(
        error.message,
        new RegExp(`^DELETE /s/ops/api/actions/connector/c -> ${status} [\\w' -]+: what Kibana says$`),
      );
      assert.equal(error.stack?.split("\n")[0], `${name}: ${error.message}`);
    });

  it("the message reads as the design says", async (t) => {
    const sandbox = await begin(t);
    const { actions } = new KibanaClient({
      node: sandbox.kibanaUrl,
      auth: { username: sandbox.username, password: sandbox.password },
    });
    const request = { id: "twice", name: "n", connector_type_id: ".index", config: { index: "i" } } as const;
    await actions.create(request);
    const error = await rejection(actions.create(request));
    assert.equal(
      String(error),
      "ConflictError: POST /api/actions/connector/twice -> 409 Conflict: Saved object [action/twice] conflict",
    );
    assert.match(error.hint ?? "", /^The id is taken/);
  });

  it("a text for terminals has no control characters and an end", async (t) => {
    const { url } = await serve(t, (_request, response) =>
      response.writeHead(500).end(`\u001b[31mred\u0007${"x".repeat(5000)}`),
    );
    const { message } = await rejection(new KibanaClient({ node: url }).actions.getAll());
    assert.match(message, /500 Internal Server Error: \[31mredx+$/);
    assert.ok(message.length < 1100);
  });
});

describe("a run", () => {
  const item = { create: { _index: "i", _id: "1", status: 201 } };
  const refused = { create: { status: 400, error: { type: "mapper_parsing_exception", reason: "failed to parse" } } };
  const runs: [name: string, run: object, message: RegExp][] = [
    [
      "with status error",
      { status: "error", message: "error indexing documents", service_message: "why" },
      /the run failed: error indexing documents: why$/,
    ],
    ["with status error and no reason", { status: "error" }, /the run failed: status error$/],
    ["of an unknown status", { status: "queued" }, /the run failed: status queued$/],
    [
      "with ok and data.errors",
      { status: "ok", data: { errors: true, items: [item, refused] } },
      /Elasticsearch refused 1 of 2 documents: mapper_parsing_exception: failed to parse$/,
    ],
    [
      "with ok and an item that failed without a reason",
      { status: "ok", data: { errors: true, items: [item, { index: { status: 429 } }] } },
      /refused 1 of 2 documents: no reason given$/,
    ],
    [
      "with ok, no data.errors and an item without a 2xx status",
      { status: "ok", data: { errors: false, items: [item, { index: { status: 400 } }] } },
      /refused 1 of 2 documents/,
    ],
    [
      "with ok and an item of no known kind",
      { status: "ok", data: { errors: false, items: [item, {}] } },
      /refused 1 of 2/,
    ],
    [
      "with ok and an item too few",
      { status: "ok", data: { errors: false, items: [item] } },
      /but not that the documents were/,
    ],
    [
      "with ok and data that is a web page",
      { status: "ok", data: "<html>" },
      /but not that the documents were written$/,
    ],
    ["with ok and no data", { status: "ok" }, /but not that the documents were written$/],
  ];
  for (const [name, run, message] of runs)
    it(`${name} rejects although Kibana answers HTTP 200`, async (t) => {
      const { url, requests } = await serve(t, { connector_id: "c", ...run });
      const { actions } = new KibanaClient({ node: url });
      const error = await rejection(actions.execute({ id: "c", params: { documents: [{ a: 1 }, { a: 2 }] } }));
      assert.ok(error instanceof ConnectorExecutionError, inspect(error));
      assert.match(error.message, message);
      assert.equal(error.outcome, "unknown");
      assert.equal(error.connectorId, "c");
      assert.deepEqual(error.body, { connector_id: "c", ...run });
      assert.equal(requests.length, 1);
    });

  it("tells what Kibana adds: service message, retry, error source", async (t) => {
    const { url } = await serve(t, {
      connector_id: "c",
      status: "error",
      message: "m",
      service_message: "security_exception",
      retry: "2026-01-01T00:00:00.000Z",
      errorSource: "user",
    });
    const { actions } = new KibanaClient({ node: url });
    const error = await rejection(actions.execute({ id: "c", params: {} }));
    assert.ok(error instanceof ConnectorExecutionError);
    assert.equal(error.serviceMessage, "security_exception");
    assert.equal(error.retry, "2026-01-01T00:00:00.000Z");
    assert.equal(error.errorSource, "user");
    assert.match(error.hint ?? "", /create_doc/);
  });

  it("of another connector type is believed when it says ok", async (t) => {
    const { url } = await serve(t, { connector_id: "c", status: "ok", data: { errors: "none of ours" } });
    const { body } = await new KibanaClient({ node: url }).actions.execute({ id: "c", params: { message: "m" } });
    assert.deepEqual(body.data, { errors: "none of ours" });
  });

  for (const version of ["7.17", "8.6", "8.19", "9.4"])
    it(`that Elasticsearch refuses rejects with Kibana ${version}, and says that the good documents are written`, async (t) => {
      const sandbox = await begin(t, { version });
      const { actions } = new KibanaClient({
        node: sandbox.kibanaUrl,
        auth: { username: sandbox.username, password: sandbox.password },
      });
      const index = `run-${randomUUID()}`;
      const { body } = await actions.create({ name: "n", connector_type_id: ".index", config: { index } });
      await actions.execute({ id: body.id, params: { documents: [{ n: 1 }] } });
      const error = await rejection(
        actions.execute({ id: body.id, params: { documents: [{ n: 2 }, { n: "bad" }, { n: 3 }] } }),
      );
      assert.ok(error instanceof ConnectorExecutionError, inspect(error));
      assert.match(error.message, /failed to parse field \[n\] of type \[long\]/);
      assert.match(error.hint ?? "", /_mapping\)\. Of several documents, those that fit have been written/);
      assert.equal((await idsIn(sandbox, index)).length, 3);
    });
});

describe("a document that JSON would change", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = [cyclic];
  let deep: object = {};
  for (let depth = 0; depth < 20_000; depth++) deep = { deep };
  const documents: [name: string, document: object, message: RegExp][] = [
    ["NaN", { value: Number.NaN }, /^documents\[1\]\.value: NaN is no JSON number/],
    ["Infinity", { a: { "b c": [Number.NEGATIVE_INFINITY] } }, /^documents\[1\]\.a\["b c"\]\[0\]: -Infinity is no/],
    ["a BigInt", { "@n": 1n }, /^documents\[1\]\.@n: a BigInt is no JSON number/],
    ["an invalid date", { at: new Date("x") }, /^documents\[1\]\.at: an invalid date/],
    ["a Map", { map: new Map() }, /^documents\[1\]\.map: a Map would be stored as \{\}/],
    ["a function", { f: () => 1 }, /^documents\[1\]\.f: a function would be left out/],
    ["a circle", cyclic, /^documents\[1\]\.self\[0\]: contains itself/],
    ["NaN behind toJSON", { x: { toJSON: () => ({ y: Number.NaN }) } }, /^documents\[1\]\.x\.y: NaN/],
    [
      "__proto__",
      JSON.parse('{"__proto__":1}'),
      /^documents\[1\]\["?\.?__proto__|^documents\[1\]\.__proto__: Kibana refuses/,
    ],
    ["too many levels", deep, /nested too deep/],
    ["an array", [1], /^documents\[1\]: must be an object/],
    ["null", null as unknown as object, /^documents\[1\]: must be an object/],
  ];
  for (const [name, document, message] of documents)
    it(`such as ${name}, is refused before anything is sent`, async (t) => {
      const { url, requests } = await serve(t, {});
      const { actions } = new KibanaClient({ node: url });
      const error = await rejection(actions.execute({ id: "c", params: { documents: [{}, document] } }));
      assert.equal(error.name, "SerializationError");
      assert.equal(error.outcome, "not-applied");
      assert.match(error.message, message);
      assert.equal(requests.length, 0);
    });

  it("in a config is named by its path", async () => {
    const { actions } = new KibanaClient({ node: "http://127.0.0.1:1" });
    const error = await rejection(
      actions.create({ name: "n", connector_type_id: ".webhook", config: { port: Number.NaN } }),
    );
    assert.match(error.message, /^config\.port: NaN/);
  });

  it("params that are no object are refused", async () => {
    const { actions } = new KibanaClient({ node: "http://127.0.0.1:1" });
    const error = await rejection(
      actions.execute({ id: "c", params: undefined as unknown as Record<string, unknown> }),
    );
    assert.match(error.message, /^params: must be an object/);
  });

  it("dates, nulls and what has a toJSON go through", async (t) => {
    const { url, requests } = await serve(t, {
      connector_id: "c",
      status: "ok",
      data: { errors: false, items: [{ index: { status: 201 } }] },
    });
    const document = { at: new Date(0), none: null, custom: { toJSON: () => "c" }, list: [true] };
    await new KibanaClient({ node: url }).actions.execute({ id: "c", params: { documents: [document] } });
    assert.equal(
      requests[0]?.body,
      '{"params":{"documents":[{"at":"1970-01-01T00:00:00.000Z","none":null,"custom":"c","list":[true]}]}}',
    );
  });
});

describe("secrets", () => {
  const secret = "hunter2-correct-horse";
  const encoded = Buffer.from(`id:${secret}`).toString("base64");
  const basic = Buffer.from(`elastic:${secret}`).toString("base64");
  const credentials: [name: string, options: object][] = [
    ["a password", { auth: { username: "elastic", password: secret } }],
    ["an API key", { auth: { apiKey: `id:${secret}` } }],
    ["a token", { auth: { bearer: secret } }],
    ["a header", { headers: { "x-secret": secret } }],
    ["an authorization header", { headers: { authorization: `Custom ${secret}` } }],
  ];
  // The worst server: it repeats all that it was sent, in its words, headers and body.
  const answers: [name: string, status: number, wrap: (echo: string) => unknown][] = [
    ["a refusal", 400, (message) => ({ statusCode: 400, error: "Bad Request", message })],
    ["a web page", 502, (echo) => `<html>${echo}</html>`],
    ["a text", 503, (echo) => echo],
    ["a 200 of another shape", 200, (echo) => ({ echo })],
    ["a failed run", 200, (message) => ({ connector_id: "c", status: "error", message, service_message: message })],
  ];
  for (const [kind, options] of credentials)
    for (const [name, status, wrap] of answers)
      it(`${kind} is in no error, though the server repeats it in ${name}`, async (t) => {
        const { url } = await serve(t, ({ headers, body }, response) => {
          const echo = wrap(`${JSON.stringify(headers)} ${body}`);
          response
            .writeHead(status, { "set-cookie": `sid=${secret}` })
            .end(typeof echo === "string" ? echo : JSON.stringify(echo));
        });
        const { actions } = new KibanaClient({ node: url, ...options });
        const calls = [
          actions.execute({ id: "c", params: { message: "harmless" } }),
          actions.create({ name: "n", connector_type_id: ".webhook", secrets: { token: secret } }),
          actions.get({ id: "c" }),
        ];
        for (const call of calls) assertNoSecret(await rejection(call));
      });

  it("are in no connection error, timeout or serialization error", async (t) => {
    const { url } = await serve(t, (_request, { socket }) => socket?.destroy());
    const { url: silent } = await serve(t, () => {});
    const auth = { username: "elastic", password: secret };
    assertNoSecret(await rejection(new KibanaClient({ node: url, auth }).actions.getAll()));
    assertNoSecret(await rejection(new KibanaClient({ node: "http://127.0.0.1:1", auth }).actions.getAll()));
    assertNoSecret(await rejection(new KibanaClient({ node: silent, auth, requestTimeout: 50 }).actions.getAll()));
    const { actions } = new KibanaClient({ node: url, auth });
    assertNoSecret(
      await rejection(actions.execute({ id: "c", params: { documents: [{ password: secret, n: Number.NaN }] } })),
    );
  });

  function assertNoSecret(error: KibanaError) {
    const shown = [
      inspect(error, { depth: 12 }),
      JSON.stringify(error),
      error.message,
      error.stack,
      inspect(error.cause),
    ];
    for (const text of shown)
      for (const hidden of [secret, encoded, basic]) assert.ok(!text?.includes(hidden), `${hidden} in ${text}`);
  }
});

it("ConfigurationError, SerializationError and the rest form one tree", () => {
  for (const [name, value] of Object.entries(errors))
    if (name.endsWith("Error")) assert.ok(value === KibanaError || value.prototype instanceof KibanaError, name);
  assert.ok(new ConfigurationError("m") instanceof Error);
});
