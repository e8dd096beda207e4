// What an error says: class, outcome and hint, decided by facts; and what it never shows.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import * as library from "kbn-connectors";
import { KibanaClient, KibanaError, type ResponseError } from "kbn-connectors";
import { ProxyAgent } from "undici";
import { controller, dispatching, failure, listen, serve } from "./support/server.ts";

type Options = Partial<library.KibanaClientOptions>;
type Call = (actions: KibanaClient["actions"]) => Promise<unknown>;
type Failure = KibanaError & Pick<ResponseError, "statusCode" | "body" | "headers">;

const getAll: Call = (actions) => actions.getAll();
const get =
  (id: string): Call =>
  (actions) =>
    actions.get({ id });
const create: Call = (actions) => actions.create({ name: "n", connector_type_id: ".x" });
const execute: Call = (actions) => actions.execute({ id: "c", params: { documents: [{ a: 1 }] } });

async function errorOf(call: Call, options: library.KibanaClientOptions): Promise<Failure> {
  const error = await failure(call(new KibanaClient(options).actions));
  assert.equal(Object.entries(library).find(([, value]) => value === error.constructor)?.[0], error.name);
  return error as Failure;
}

/** The error of a call to which a server responds like this. */
async function respond(t: TestContext, status: number, body: unknown, call = get("c"), options: Options = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const { url } = await serve(t, (_request, response) => response.writeHead(status).end(text));
  return await errorOf(call, { node: url, ...options });
}

/** The error of a call that does not get a response, because of this. */
async function breakOff(cause: unknown, sent = false, options: Options = {}) {
  const dispatcher = dispatching((handler) => {
    if (sent) handler.onRequestStart(controller, {});
    handler.onResponseError(controller, cause as Error);
  });
  return await errorOf(getAll, { node: "http://k.invalid", ...options, dispatcher });
}

/** An error of Kibana. */
const kibana = (statusCode: number, message: string) => ({ statusCode, error: "E", message });
/** A run that failed, with what Elasticsearch said. */
const failed = (service_message?: string, message = "error indexing documents") => {
  return { connector_id: "c", status: "error", message, service_message };
};
/** A run that Kibana calls ok, with this result for its document. */
const ok = (result: object) => {
  return { connector_id: "c", status: "ok", data: { items: [{ create: { _index: "i", _id: "1", ...result } }] } };
};
const notFound = (id: string) => kibana(404, `Saved object [action/${id}] not found`);

describe("the outcome:", () => {
  const ofKibana: [name: string, outcome: string, statuses: number[]][] = [
    ["BadRequestError", "not-applied", [400]],
    ["AuthenticationError", "not-applied", [401]],
    ["AuthorizationError", "not-applied", [403]],
    ["ConflictError", "not-applied", [409]],
    ["PayloadTooLargeError", "not-applied", [413]],
    ["TooManyRequestsError", "not-applied", [429]],
    ["ResponseError", "not-applied", [404, 408, 418, 460, 499]],
    ["ResponseError", "unknown", [300, 302, 500, 501, 502, 504]],
    ["NotReadyError", "unknown", [503]],
  ];
  for (const [name, outcome, statuses] of ofKibana)
    for (const status of statuses)
      it(`a ${status} of Kibana is a ${name}, ${outcome}`, async (t) => {
        const error = await respond(t, status, kibana(status, "words"));
        assert.deepEqual([error.name, error.outcome, error.statusCode], [name, outcome, status]);
        assert.deepEqual(error.body, kibana(status, "words"));
        assert.match(error.message, RegExp(`^GET /api/actions/connector/c -> ${status} .*: words$`));
      });

  const others: [what: string, status: number, body: unknown, outcome: string][] = [
    ["JSON without statusCode", 400, { message: "no" }, "unknown"],
    ["JSON with another statusCode", 409, kibana(400, "no"), "unknown"],
    ["JSON with statusCode as text", 403, { statusCode: "403", message: "no" }, "unknown"],
    ["JSON that is cut", 400, '{"statusCode":400,"mess', "unknown"],
    ["text", 429, "slow down", "unknown"],
    ["the words of a start", 503, "Kibana server is not ready yet", "not-applied"],
    ["the words of a start", 502, "Kibana server is not ready yet", "unknown"],
    ["the words of a start in the middle", 503, "x Kibana server is not ready yet", "unknown"],
    ["the words of a start in a page", 503, "<html>Kibana server is not ready yet</html>", "unknown"],
    ["no licence yet", 503, kibana(503, "License is not available."), "not-applied"],
    ["no licence yet, in newer words", 503, kibana(503, "License information could not be obtained"), "not-applied"],
    ["no authentication yet", 503, kibana(503, "Authentication sub-system is not fully"), "not-applied"],
    ["a stop", 503, kibana(503, "Kibana is shutting down and not accepting new incoming requests"), "unknown"],
    ["invalid params", 200, failed(undefined, "error validating action params: no"), "not-applied"],
    ["an invalid config", 200, failed(undefined, "error validating action type config: no"), "not-applied"],
    ["invalid secrets", 200, failed(undefined, "error validating action type secrets: no"), "not-applied"],
    ["an invalid connector", 200, failed(undefined, "error validating action type connector: no"), "not-applied"],
    ["an invalid config, in newer words", 200, failed("", "error validating connector type config: no"), "not-applied"],
    ["words about a validation", 200, failed("x error validating action params"), "unknown"],
    ["a run of unknown status", 200, { connector_id: "c", status: "later" }, "unknown"],
    ["an error beside an id", 200, ok({ status: 201, error: { type: "t", reason: "r" } }), "unknown"],
  ];
  for (const [what, status, body, outcome] of others)
    it(`a ${status} with ${what} is ${outcome}`, async (t) => {
      const error = await respond(t, status, body, execute);
      assert.deepEqual([error.statusCode, error.outcome], [status, outcome]);
      assert.equal(error.name === "ConnectorExecutionError", status === 200);
    });

  it("a failed run's error has what Kibana says about it", async (t) => {
    const facts = { retry: false, errorSource: "user" };
    const error = await respond(t, 200, { ...failed("closed"), ...facts }, execute);
    assert.deepEqual({ ...error }, { ...error, ...facts, connectorId: "c", serviceMessage: "closed" });
  });
});

describe("a NotFoundError", () => {
  for (const id of ["c", "a b", "a/b", "100%", "%2F", "ż?#", "a+b", "$&"])
    it(`stands for a connector "${id}" that Kibana does not have`, async (t) => {
      for (const body of [notFound(id), kibana(404, `Connector ${id} not found`)])
        assert.equal((await respond(t, 404, body, get(id))).name, "NotFoundError");
      assert.equal((await respond(t, 404, notFound(`${id}x`), get(id))).name, "ResponseError");
    });

  const others = [kibana(404, "Not Found"), kibana(404, "x Connector c not found"), { message: notFound("c").message }];
  for (const body of [...others, kibana(404, "Connector c not found x"), "Connector c not found", kibana(400, "no")])
    it(`does not stand for a 404 with ${JSON.stringify(body)}`, async (t) => {
      assert.equal((await respond(t, 404, body)).name, "ResponseError");
    });
});

// The recordings show most hints. These are the others, and those that a word of the user's must not choose.
describe("the hint", () => {
  const hints: [what: string, body: object, hint: RegExp, call?: Call][] = [
    ["Elasticsearch's 401", { error: { type: "security_exception", reason: "r" }, status: 401 }, /is Elasticsearch/],
    ["Elasticsearch's old 400", { error: "no handler found for uri [/api]", status: 400 }, /is Elasticsearch/],
    ["a long name", kibana(400, "[1:43] failed to parse field [action.name.keyword]"), /name is too long/],
    ["an id, from 9.4 on", kibana(400, "[request params.id]: Connector ID must contain"), /a-z, 0-9 and -/],
    ["a system connector", kibana(400, "Execution of system action is not allowed"), /It belongs to Kibana/],
    ["no secrets", failed("", "error validating action type secrets: [u]: no"), /actions.update\(\)/],
    ["the failure store", ok({ status: 201, failure_store: "used" }), /::failures/],
    ["a lost Elasticsearch", failed("connect ECONNREFUSED 127.0.0.1:9200"), /lost its Elasticsearch/],
    ["a slow Elasticsearch", failed("Request timed out"), /lost its Elasticsearch/],
    ["a type with the words of a block", kibana(400, 'Action type "blocked by: [TOO_MANY" is not'), /listTypes/],
    ["an id with the words of a block", notFound("blocked by: [TOO_MANY"), /Not in/, get("blocked by: [TOO_MANY")],
    ["an id with the words of a 401", notFound("Unauthorized"), /Not in the space/, get("Unauthorized")],
    ["an index named closed", failed("no such index [closed]"), /create it first/],
    ["a value", failed("[1:6] failed to parse field [n]: 'request body is required'"), /does not fit the mapping/],
  ];
  for (const [what, body, hint, call] of hints)
    it(`for ${what} says ${hint}`, async (t) => {
      const { statusCode, status = statusCode } = body as { statusCode?: number; status?: number };
      const isRun = "connector_id" in body;
      const error = await respond(t, isRun ? 200 : Number(status), body, call ?? (isRun ? execute : create));
      assert.match(error.hint ?? "", hint);
    });

  it("names the space and the address of the client", async (t) => {
    const { url: node } = await serve(t, (_request, response) => {
      response.writeHead(404).end(JSON.stringify(notFound("c")));
    });
    assert.match((await errorOf(get("c"), { node, space: "ops" })).hint ?? "", /Not in the space "ops"/);
    assert.match((await errorOf(getAll, { node: "http://127.0.0.1:1/kbn" })).hint ?? "", /at http:\/\/127.0.0.1:1\./);
  });

  it("for kibana_system depends on the whole user name", async (t) => {
    const hintFor = async (username: string) =>
      (await respond(t, 401, kibana(401, "no"), getAll, { auth: { username, password: "a:b" } })).hint ?? "";
    assert.match(await hintFor("kibana_system"), /is Kibana's own user/);
    for (const name of ["kibana_system2", "my_kibana_system"]) assert.match(await hintFor(name), /password is wrong/);
  });

  const connections: [codes: string, hint: RegExp | undefined, sent?: boolean, node?: string][] = [
    ["EAI_AGAIN", /cannot be resolved/],
    ["EHOSTUNREACH ENETUNREACH ETIMEDOUT UND_ERR_CONNECT_TIMEOUT", /does not accept connections/],
    ["SELF_SIGNED_CERT_IN_CHAIN UNABLE_TO_GET_ISSUER_CERT_LOCALLY", /NODE_EXTRA_CA_CERTS.*tls: \{ ca \}/],
    ["CERT_NOT_YET_VALID", /check the clock/],
    ["UND_ERR_PRX_TLS", /another host name/],
    ["ERR_SSL_PACKET_LENGTH_TOO_LONG", /use http:\/\//, false, "https://k.invalid"],
    ["ECONNRESET", /client certificate required/, true, "https://k.invalid"],
    ["EUNKNOWN", undefined],
  ];
  for (const [codes, hint, sent = false, node = "http://k.invalid"] of connections)
    for (const code of codes.split(" "))
      it(`for ${code} says ${hint}`, async () => {
        const cause = Object.assign(new Error("what Node says"), { code });
        const error = await breakOff(cause, sent, { node });
        assert.deepEqual([error.outcome, error.cause], [sent ? "unknown" : "not-applied", cause]);
        assert.match(error.message, /-> what Node says$/);
        if (hint) assert.match(error.hint ?? "", hint);
        else assert.ok(!("hint" in error));
      });

  it("for a dispatcher of another undici is that of a ConfigurationError", async () => {
    const cause = Object.assign(new Error("invalid onRequestStart method"), { code: "UND_ERR_INVALID_ARG" });
    const { name, hint } = await breakOff(cause);
    assert.deepEqual([name, /undici 7 or 8/.test(hint ?? "")], ["ConfigurationError", true]);
  });

  it("for a proxy that refuses names the proxy, not Kibana", async (t) => {
    const answer = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    const server = createServer().on("connect", (_request, socket) => socket.end(answer));
    const refusing = `http://127.0.0.1:${await listen(t, server)}`;
    for (const [uri, node, hint] of [
      ["http://127.0.0.1:1", "http://k.invalid", /at 127.0.0.1:1, where your dispatcher expects a proxy/],
      ["http://127.0.0.1:1", "https://k.invalid", /at 127.0.0.1:1, where your dispatcher expects a proxy/],
      [refusing, "https://k.invalid", /proxy of your dispatcher/],
    ] as const) {
      const dispatcher = new ProxyAgent({ uri, proxyTunnel: node.startsWith("https") });
      t.after(() => dispatcher.close());
      assert.match((await errorOf(getAll, { node, dispatcher })).hint ?? "", hint);
    }
  });
});

/** All that a user can see of an error. */
function visible(error: Failure): string {
  const { message, hint, stack, cause, headers } = error;
  const shown = [message, hint, stack, cause, headers, JSON.stringify(error), error];
  return inspect(shown, { depth: 20, showHidden: true, maxStringLength: null });
}

describe("an error does not show", () => {
  const secret = 'a<&>"\\\tçhunter2'; // each secret has the word hunter2, which must not appear, whole or cut
  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const ascii = (json: string) =>
    json.replace(/[<>&\x80-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const credentials: [what: string, options: Options, secrets: string[]][] = [
    ["a password", { auth: { username: "u", password: secret } }, [secret, `u:${secret}`, base64(`u:${secret}`)]],
    ["an API key", { auth: { apiKey: "id:hunter2-key" } }, ["id:hunter2-key", base64("id:hunter2-key")]],
    ["a token", { auth: { bearer: "hunter2-token" } }, ["hunter2-token"]],
    ["an authorization header", { headers: { authorization: "Custom hunter2" } }, []],
    ["the secrets of a connector", {}, [secret]],
  ];
  const responses: [where: string, status: number, wrap: (text: string) => unknown][] = [
    ["an error of Kibana", 400, (text) => kibana(400, text)],
    ["the JSON of Go or Python", 400, (text) => ascii(JSON.stringify(kibana(400, text)))],
    ["keys and nested values", 500, (text) => ({ [text]: [{ [text]: text }] })],
    ["a page", 502, (text) => `<html><title>${text}`],
    ["a long text", 503, (text) => "x".repeat(900) + text.repeat(9)],
    ["a 200 that is not valid", 200, (text) => ({ id: text, text })],
    ["a failed run", 200, (text) => ({ ...failed(text, text), retry: text })],
  ];
  for (const [what, options, secrets] of credentials)
    for (const [where, status, wrap] of responses)
      it(`${what} that the server repeats in ${where}`, async (t) => {
        const { url: node } = await serve(t, ({ headers: { authorization = "" } }, response) => {
          const repeated = [authorization, ...secrets];
          const content = wrap(`${repeated.join(" ")} ${JSON.stringify(repeated)}`);
          response.statusMessage = authorization || "x";
          response.writeHead(status, { "x-echo": authorization, "x-list": [authorization, "b"] });
          response.end(typeof content === "string" ? content : JSON.stringify(content));
        });
        const request = { name: "n", connector_type_id: ".x", secrets: { list: [{ a: secret }] } };
        const call: Call = where === "a failed run" ? execute : (actions) => actions.create(request);
        const text = visible(await errorOf(call, { node, ...options }));
        if (where === "a failed run" && what === "the secrets of a connector") return;
        for (const part of ["hunter2", base64(`u:${secret}`), base64("id:hunter2-key")])
          assert.equal(text.indexOf(part), -1, text.slice(text.indexOf(part) - 40, text.indexOf(part) + 40));
      });

  it("a cause that repeats credentials", async () => {
    const token = base64("u:hunter2-password");
    for (const cause of [new Error("no hunter2-password"), Object.assign(new Error("no"), { data: [`x${token}`] })]) {
      const error = await breakOff(cause, false, { auth: { username: "u", password: "hunter2-password" } });
      assert.equal(error.cause, undefined);
      assert.doesNotMatch(visible(error), RegExp(`hunter2|${token}`));
    }
  });

  it("credentials of 8 characters, and does show shorter ones, which are often ordinary words", async (t) => {
    const shown = async (password: string) =>
      (await respond(t, 400, kibana(400, password), getAll, { auth: { username: "u", password } })).body;
    assert.deepEqual(await shown("seven77"), kibana(400, "seven77"));
    assert.deepEqual(await shown("eight888"), kibana(400, "[redacted]"));
  });

  it("credentials, but they do not change its class, outcome and hint", async (t) => {
    const bodies: [status: number, body: unknown, passwords: string[]][] = [
      [503, "Kibana server is not ready yet", ["Kibana server", "is not ready yet"]],
      [404, notFound("c"), ["statusCode", "Saved object", "[action/c] not found"]],
      [403, kibana(403, "Unauthorized to get actions"), ["Unauthorized", "Unauthorized to get"]],
      [200, failed("", "error validating action params: x"), ["error validating", "connector_id"]],
      [502, "<html><title>t</title>", ["<html><title>"]],
    ];
    for (const [status, body, passwords] of bodies) {
      const verdict = async (password: string) => {
        const { name, outcome, hint } = await respond(t, status, body, execute, { auth: { username: "u", password } });
        return { name, outcome, hint };
      };
      for (const password of passwords) assert.deepEqual(await verdict(password), await verdict("something else"));
    }
  });

  it("anything else that was sent, apart from the path", async (t) => {
    const { url: node } = await serve(t, ({ path }, response) => {
      if (path.includes("cut")) response.destroy();
      else
        response
          .writeHead(path.includes("run") ? 200 : 500)
          .end(JSON.stringify({ ...failed("m"), connector_id: "run" }));
    });
    for (const id of ["cut", "run", "other"]) {
      const call: Call = (actions) =>
        actions.execute({ id, params: { documents: [{ a: "a-word" }] } }, { headers: { cookie: "a-word" } });
      const error = await errorOf(call, { node, headers: { "x-tenant": "a-word", authorization: "a-word" } });
      assert.match(error.message, RegExp(`/connector/${id}/_execute`));
      assert.doesNotMatch(visible(error), /a-word/);
    }
  });

  it("the headers of the response when it is printed, because they may hold a session cookie", async (t) => {
    const { url: node } = await serve(t, (_request, response) =>
      response.writeHead(429, { "set-cookie": "sid=1" }).end(),
    );
    const error = await errorOf(getAll, { node });
    assert.equal(error.headers["set-cookie"], "sid=1");
    assert.doesNotMatch(inspect(error, { depth: 9 }) + JSON.stringify(error), /sid=1/);
  });
});

describe("a message", () => {
  it("is one line of about 1,000 characters at most, without any that control a terminal", async (t) => {
    const { message } = await respond(t, 500, `\u001b[31mred\u0007\r\nnext\u2028line\u202e${"x".repeat(5000)}`);
    assert.match(message, /500 Internal Server Error: +\[31mred next line x+$/);
    assert.ok(message.length < 1100);
  });

  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  const texts = [
    "null",
    "42",
    '"it broke"',
    "1 < 2",
    '{"message":{"toString":1}}',
    '{"error":{"reason":{"toString":1}}}',
  ];
  for (const body of [...texts, '{"__proto__":{"message":"m"},"message":1}', deep, `{"message":${deep}}`])
    it(`of a 500 with ${body.slice(0, 40)} can be printed`, async (t) => {
      const error = await respond(t, 500, body);
      assert.deepEqual([error.name, error.outcome], ["ResponseError", "unknown"]);
      assert.ok(JSON.stringify(error) && inspect(error));
    });

  it("of anything that a dispatcher throws is that of a ConnectionError", async () => {
    for (const cause of ["a text", null, { toString: 1 }, new AggregateError([new Error("one")], "")])
      assert.equal((await breakOff(cause)).name, "ConnectionError");
  });
});

describe("the error classes", () => {
  it("are sixteen, of which all extend KibanaError", () => {
    const errors = Object.entries(library).filter(([name]) => name.endsWith("Error") && name !== "KibanaError");
    assert.equal(errors.length, 15);
    for (const [name, value] of errors) assert.ok(Object(value).prototype instanceof KibanaError, name);
  });

  it("leave out a hint and a cause that are not there", () => {
    const error = new library.ConfigurationError("m");
    assert.deepEqual([Object.keys(error).sort(), "cause" in error], [["name", "outcome"], false]);
    assert.equal(String(error), "ConfigurationError: m");
  });
});
