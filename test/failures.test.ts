// What an error says: class, outcome and hint, decided by facts; and what it never shows.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { it, type TestContext } from "node:test";
import { inspect } from "node:util";
import * as library from "kbn-connectors";
import { KibanaClient, type KibanaError, type ResponseError } from "kbn-connectors";
import { ProxyAgent } from "undici";
import { controller, dispatching, failure, listen, serve } from "./support/server.ts";

type Options = Partial<library.KibanaClientOptions>;
type Call = (actions: KibanaClient["actions"]) => Promise<unknown>;
type Failure = KibanaError & Pick<ResponseError, "statusCode" | "body" | "headers">;

const getAll: Call = (actions) => actions.getAll();
function get(id: string): Call {
  return (actions) => actions.get({ id });
}
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

const kibana = (statusCode: number, message: string) => ({ statusCode, error: "E", message });
const failed = (service_message?: string, message = "error indexing documents") => {
  return { connector_id: "c", status: "error", message, service_message };
};
const ok = (result: object) => {
  return { connector_id: "c", status: "ok", data: { items: [{ create: { _index: "i", _id: "1", ...result } }] } };
};
const notFound = (id: string) => kibana(404, `Saved object [action/${id}] not found`);

const classes: Record<string, number[]> = {
  BadRequestError: [400],
  AuthenticationError: [401],
  AuthorizationError: [403],
  ConflictError: [409],
  PayloadTooLargeError: [413],
  TooManyRequestsError: [429],
  NotReadyError: [503],
  ResponseError: [300, 302, 404, 408, 418, 460, 499, 500, 501, 502, 504],
};
for (const [name, statuses] of Object.entries(classes))
  for (const status of statuses)
    it(`a ${status} of Kibana is a ${name}, ${status < 400 || status > 499 ? "unknown" : "not-applied"}`, async (t) => {
      const error = await respond(t, status, kibana(status, "words"));
      const outcome = status < 400 || status > 499 ? "unknown" : "not-applied";
      assert.deepEqual([error.name, error.outcome, error.statusCode], [name, outcome, status]);
      assert.deepEqual(error.body, kibana(status, "words"));
      assert.match(error.message, RegExp(`^GET /api/actions/connector/c -> ${status} .*: words$`));
    });

const others: [what: string, status: number, body: unknown, outcome: string][] = [
  ["JSON without statusCode", 400, { message: "no" }, "unknown"],
  ["JSON with another statusCode", 409, kibana(400, "no"), "unknown"],
  ["JSON that is cut", 400, '{"statusCode":400,"mess', "unknown"],
  ["the words of a start", 502, "Kibana server is not ready yet", "unknown"],
  ["the words of a start in the middle", 503, "x Kibana server is not ready yet", "unknown"],
  ["no licence yet, in newer words", 503, kibana(503, "License information could not be obtained"), "not-applied"],
  ["no authentication yet", 503, kibana(503, "Authentication sub-system is not fully"), "not-applied"],
  ["a stop", 503, kibana(503, "Kibana is shutting down and not accepting new incoming requests"), "unknown"],
  ["invalid secrets", 200, failed(undefined, "error validating action type secrets: no"), "not-applied"],
  ["an invalid config, in newer words", 200, failed("", "error validating connector type config: no"), "not-applied"],
  ["words about a validation", 200, failed("x error validating action params"), "unknown"],
  ["another system's words about a validation", 200, failed("error validating action params"), "unknown"],
  ["a run of unknown status", 200, { connector_id: "c", status: "later" }, "unknown"],
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

for (const id of ["c", "a b", "a/b", "100%", "%2F", "ż?#", "a+b", "$&"])
  it(`a NotFoundError stands for a connector "${id}" that Kibana does not have`, async (t) => {
    for (const body of [notFound(id), kibana(404, `Connector ${id} not found`)])
      assert.equal((await respond(t, 404, body, get(id))).name, "NotFoundError");
    assert.equal((await respond(t, 404, notFound(`${id}x`), get(id))).name, "ResponseError");
  });

const notMissing = [
  kibana(404, "Not Found"),
  kibana(404, "x Connector c not found"),
  { message: notFound("c").message },
];
for (const body of [...notMissing, kibana(404, "Connector c not found x"), "Connector c not found"])
  it(`a NotFoundError does not stand for a 404 with ${JSON.stringify(body)}`, async (t) => {
    assert.equal((await respond(t, 404, body)).name, "ResponseError");
    assert.equal((await respond(t, 400, kibana(400, "Connector c not found"))).name, "BadRequestError");
  });

// The recordings show most hints. These are the others, and those that a word of the user's must not choose.
const hints: [what: string, body: object, hint: RegExp, call?: Call][] = [
  ["a long name", kibana(400, "[1:43] failed to parse field [action.name.keyword]"), /name is too long/],
  ["an id, from 9.4 on", kibana(400, "[request params.id]: Connector ID must contain"), /randomUUID/],
  ["a system connector", kibana(400, "Execution of system action is not allowed"), /It belongs to Kibana/],
  ["no secrets", failed("", "error validating action type secrets: [u]: no"), /actions.update\(\)/],
  ["invalid params", failed(undefined, "error validating action params: [documents]: no"), /params|documents/],
  ["an empty run of 7.17", failed("parse_exception: [parse_exception] Reason: request body is required"), /is empty/],
  ["the failure store", ok({ status: 201, failure_store: "used" }), /::failures/],
  ["a lost Elasticsearch", failed("connect ECONNREFUSED 127.0.0.1:9200"), /Elasticsearch is unreachable/],
  ["a slow Elasticsearch", failed("Request timed out"), /Elasticsearch is unreachable/],
  ["an id with the words of a block", notFound("blocked by: [TOO_MANY"), /Not in/, get("blocked by: [TOO_MANY")],
  ["an id with the words of a 401", notFound("Unauthorized"), /Not in space/, get("Unauthorized")],
  ["an id with the words of Go", notFound("HTTP request to HTTPS port"), /Not in/, get("HTTP request to HTTPS port")],
];
for (const [what, body, hint, call] of hints)
  it(`the hint for ${what} says ${hint}`, async (t) => {
    const { statusCode = 200 } = body as { statusCode?: number };
    const error = await respond(t, statusCode, body, call ?? ("connector_id" in body ? execute : create));
    assert.match(error.hint ?? "", hint);
  });

it("the hint for the address of Elasticsearch says so, and that for a gateway's JSON does not", async (t) => {
  const headers = { "x-elastic-product": "Elasticsearch" };
  const { url: node } = await serve(t, (_request, response) => response.writeHead(404, headers).end("{}"));
  assert.match((await errorOf(getAll, { node })).hint ?? "", /is Elasticsearch/);
  for (const error of [{ type: "security_exception", reason: "r" }, "no handler found for uri [/api] and method [GET]"])
    assert.match((await respond(t, 401, { error, status: 401 })).hint ?? "", /is Elasticsearch/);
  assert.doesNotMatch((await respond(t, 403, { error: { code: 403, message: "m" } })).hint ?? "", /is Elasticsearch/);
});

for (const said of ["The order has no price", "closed accounts", "connector id is missing"])
  it(`the hint for "${said}", which a pipeline may say, does not name another cause`, async (t) => {
    const { hint = "" } = await respond(t, 200, failed(said), execute);
    assert.doesNotMatch(hint, /does not fit the mapping|index is closed|Elasticsearch is unreachable/);
  });

it("the hint for a wrong password does not depend on words in the user's name", async (t) => {
  for (const username of [
    "kibana_system2",
    "my_kibana_system",
    "Team Elasticsearch Admin",
    "a page b",
    "\nUnauthorized",
  ]) {
    const error = await respond(t, 401, kibana(401, "no"), getAll, { auth: { username, password: "a:b" } });
    assert.match(error.hint ?? "", /Wrong user or password/);
  }
});

it("the hint for a missing privilege does not depend on a token, whose bytes may be line breaks", async (t) => {
  const bearer = base64("a\nb\r\nUnauthorized");
  const error = await respond(t, 403, kibana(403, "Unauthorized to get actions"), getAll, { auth: { bearer } });
  assert.match(error.hint ?? "", /Actions and Connectors: Read/);
});

const tls = "https://k.invalid";
const connections: [codes: string, hint: RegExp | undefined, sent?: boolean, node?: string][] = [
  ["EAI_AGAIN", /cannot be resolved/],
  ["EHOSTUNREACH ENETUNREACH ETIMEDOUT UND_ERR_CONNECT_TIMEOUT", /does not accept connections/],
  ["CERT_NOT_YET_VALID", /check the clock/],
  ["UND_ERR_PRX_TLS", /another host/],
  ["ERR_SSL_PACKET_LENGTH_TOO_LONG", /use http:\/\//, false, tls],
  ["ECONNRESET", /client certificate required/, true, tls],
  ["UND_ERR_INVALID_ARG", /undici 7 or 8/],
  ["ECONNREFUSED", /Nothing listens at 10.0.0.1:443\..*proxy/, false, tls],
  ["ECONNRESET UND_ERR_SOCKET", /^(?!.*check before)/], // nothing was sent
  ["EUNKNOWN", undefined],
];
for (const [codes, hint, sent = false, node = "http://k.invalid:5601"] of connections)
  for (const code of codes.split(" "))
    it(`the hint for ${code} ${sent ? "after" : "before"} the request says ${hint}`, async () => {
      const cause = Object.assign(new Error("invalid onWords"), { code, address: "10.0.0.1", port: 443 });
      const error = await breakOff(cause, sent, { node });
      assert.deepEqual([error.outcome, error.cause], [sent ? "unknown" : "not-applied", undefined]);
      assert.match(error.message, /-> invalid onWords$/);
      assert.equal(error.name === "ConfigurationError", code === "UND_ERR_INVALID_ARG");
      if (hint) assert.match(error.hint ?? "", hint);
      else assert.ok(!("hint" in error));
      const unknown = await breakOff(
        Object.assign(new Error("x invalid onWords"), { code: `X${code}`, port: 443 }),
        sent,
      );
      assert.notEqual(unknown.hint, error.hint ?? "");
    });

it("the hint for a proxy that refuses names the proxy, not Kibana", async (t) => {
  const server = createServer((_request, response) => response.writeHead(407).end());
  server.on("connect", (_request, socket) => socket.end("HTTP/1.1 407 No\r\n\r\n"));
  const refusing = `http://127.0.0.1:${await listen(t, server)}`;
  for (const [uri, node, hint] of [
    ["http://127.0.0.1:1", "http://k.invalid", /at 127.0.0.1:1\..*your proxy/],
    ["http://127.0.0.1:1", "https://k.invalid", /at 127.0.0.1:1\..*your proxy/],
    [refusing, "https://k.invalid", /proxy of your dispatcher/],
    [refusing, "http://k.invalid", /proxy of your dispatcher/],
  ] as const) {
    const dispatcher = new ProxyAgent({ uri, proxyTunnel: node.startsWith("https") });
    t.after(() => dispatcher.close());
    assert.match((await errorOf(getAll, { node, dispatcher })).hint ?? "", hint);
  }
});

/** All that a user can see of an error. */
function visible(error: Failure): string {
  const parts = [error, error.stack, error.cause, error.headers, JSON.stringify(error)];
  return inspect(parts, { depth: 20, showHidden: true, maxStringLength: null });
}

// Each secret has the word hunter2 many times, which must not appear, wherever the secret is cut.
const word = "hunter2-".repeat(20);
const secret = `shorter-/<&>"\\\tç${word}`;
const base64 = (text: string) => Buffer.from(text).toString("base64");
const ascii = (json: string) =>
  json.replace(/[<>&\x80-\uffff]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`).replaceAll("/", "\\/");
const credentials: [what: string, options: Options, secrets: string[]][] = [
  ["a password", { auth: { username: "u", password: secret } }, [secret, `u:${secret}`, base64(`u:${secret}`)]],
  ["an API key", { auth: { apiKey: `id:${word}` } }, [`id:${word}`, base64(`id:${word}`)]],
  ["a token", { auth: { bearer: word } }, [word]],
  ["an authorization header", { headers: { authorization: `Custom ${word}` } }, []],
  ["the secrets of a connector", {}, [secret, "12345678"]],
];
const responses: [where: string, status: number, wrap: (text: string) => unknown][] = [
  ["an error of Kibana", 400, (text) => kibana(400, text)],
  ["the JSON of Go or Python", 400, (text) => ascii(JSON.stringify(kibana(400, ascii(text))))],
  ["keys and nested values", 500, (text) => ({ [text]: [{ [text]: text }] })],
  ["a page", 502, (text) => `<html><title>${text}`],
  ["a long text", 503, (text) => "x".repeat(900) + text.repeat(9)],
  ["a 200 that is not valid", 200, (text) => ({ id: text, text })],
  ["a failed run", 200, (text) => ({ ...failed(text, text), retry: text })],
];
for (const [what, options, secrets] of credentials)
  for (const [where, status, wrap] of responses)
    it(`an error does not show ${what} that the server repeats in ${where}`, async (t) => {
      const { url: node } = await serve(t, ({ headers: { authorization = "" } }, response) => {
        const repeated = [authorization, ...secrets];
        const content = wrap(`${repeated.join(" ")} ${JSON.stringify(repeated)}`);
        response.statusMessage = authorization || "x";
        response.writeHead(status, { "x-echo": authorization, "x-list": [authorization, "b"] });
        response.end(typeof content === "string" ? content : JSON.stringify(content));
      });
      const request = { name: "n", connector_type_id: ".x", secrets: { list: [12345678, { a: secret }] } };
      const isRun = where === "a failed run" && secrets[0] !== secret;
      const call: Call = isRun ? execute : (actions) => actions.create(request);
      const text = visible(await errorOf(call, { node, ...options }));
      assert.match(text, /\[redacted\]/);
      assert.doesNotMatch(text, /12345678/);
      for (const part of ["hunter2", base64(`u:${secret}`).slice(0, 40), base64(`id:${word}`).slice(0, 40)])
        assert.equal(text.indexOf(part), -1, text.slice(text.indexOf(part) - 40, text.indexOf(part) + 40));
    });

it("an error does not show what else the error of a dispatcher contains", async () => {
  const token = base64("u:hunter2-password");
  const cause = Object.assign(new Error("no hunter2-password"), { data: [`x${token}`] });
  const error = await breakOff(cause, false, { auth: { username: "u", password: "hunter2-password" } });
  assert.equal(error.cause, undefined);
  assert.doesNotMatch(visible(error), RegExp(`hunter2|${token}`));
});

it("an error does not show credentials of 8 characters, and does show shorter ones, which are often ordinary words", async (t) => {
  const shown = async (password: string) =>
    (await respond(t, 400, kibana(400, password), getAll, { auth: { username: "u", password } })).body;
  assert.deepEqual(await shown("seven77"), kibana(400, "seven77"));
  assert.deepEqual(await shown("eight888"), kibana(400, "[redacted]"));
});

it("a credential in the words of a server does not change the class, the outcome and the hint", async (t) => {
  const words: [status: number, body: unknown, password: string][] = [
    [503, "Kibana server is not ready yet", "Kibana server"],
    [404, notFound("c"), "statusCode"],
    [403, kibana(403, "Unauthorized to get actions"), "Unauthorized to get"],
    [200, failed("", "error validating action params: x"), "connector_id"],
  ];
  for (const [status, body, password] of words) {
    const error = await respond(t, status, body, execute, { auth: { username: "u", password } });
    const { name, outcome, hint } = await respond(t, status, body, execute, { auth: { username: "u", password: "x" } });
    assert.deepEqual([error.name, error.outcome, error.hint], [name, outcome, hint]);
  }
});

it("an error does not show anything else that was sent, apart from the path", async (t) => {
  const { url: node } = await serve(t, ({ path }, response) => {
    if (path.includes("/lost/")) response.destroy();
    else response.end(JSON.stringify({ ...failed("m"), connector_id: "run" }));
  });
  const names = { lost: "ConnectionError", run: "ConnectorExecutionError", other: "DeserializationError" };
  for (const [id, name] of Object.entries(names)) {
    const params = { documents: [{ a: "a-word" }] };
    const call: Call = (actions) => actions.execute({ id, params }, { headers: { cookie: "a-word" } });
    const error = await errorOf(call, { node, headers: { "x-tenant": "a-word", authorization: "a-word" } });
    assert.equal(error.name, name);
    assert.doesNotMatch(visible(error), /a-word/);
  }
});

it("an error does not show the headers of the response when it is printed, because they may hold a session cookie", async (t) => {
  const { url } = await serve(t, (_request, response) => response.writeHead(429, { "set-cookie": "sid=1" }).end());
  const error = await errorOf(getAll, { node: url });
  assert.equal(error.headers["set-cookie"], "sid=1");
  assert.doesNotMatch(inspect(error, { depth: 9 }) + JSON.stringify(error), /sid=1/);
});

it("a message is one line of about 1,000 characters at most, without any that control a terminal", async (t) => {
  const { message } = await respond(t, 500, `\u001b[31mred\u0007\r\nnext\u2028line\u202e${"x".repeat(5000)}`);
  assert.match(message, /500 Internal Server Error: +\[31mred next line x+$/);
  assert.ok(message.length < 1100);
});

const deep = `{"error":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
for (const body of ["null", "1 < 2", '{"message":{"toString":1}}', '{"__proto__":{"message":"m"}}', deep])
  it(`a message of a 500 with ${body.slice(0, 40)} can be printed`, async (t) => {
    const error = await respond(t, 500, body);
    assert.deepEqual([error.name, error.outcome], ["ResponseError", "unknown"]);
    assert.match(inspect(error), /^ResponseError: /);
  });

it("a message of anything that a dispatcher throws is that of a ConnectionError", async () => {
  for (const cause of ["a text", null, { toString: 1 }]) assert.equal((await breakOff(cause)).name, "ConnectionError");
  assert.match((await breakOff({ a: 1n })).message, /-> a value that JSON cannot represent$/);
  assert.match((await breakOff(new AggregateError([new Error("one"), new Error("two")], ""))).message, /-> two$/);
});

it("an error does not keep a body that is longer than 1 MiB, and a response that is no 2xx ends there", async (t) => {
  for (const [status, says] of Object.entries({ 200: /OK: .*: a long body$/, 500: /Error: a long body$/ })) {
    const { body, message } = await respond(t, Number(status), "x".repeat(2 ** 20 + 1));
    assert.deepEqual([body, says.test(message)], [undefined, true], message);
  }
  const run = await respond(t, 200, { ...failed("m"), data: "x".repeat(2 ** 20) }, execute);
  assert.deepEqual([run.body, Object(run).connectorId, Object(run).serviceMessage], [undefined, "c", "m"]);
});

it("an error keeps a text as a text, and has no fields that a failed run does not have", async (t) => {
  assert.equal((await respond(t, 500, '"123"')).body, "123");
  assert.doesNotMatch(inspect(await respond(t, 200, failed("m"), execute)), /undefined/);
});
