// What holds for any input: a call ends with a value or a typed error, sends what it was given, and shows no credentials.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { inspect } from "node:util";
import fc from "fast-check";
import * as kibana from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";

type Respond = (response: ServerResponse) => unknown;
type Call = (client: kibana.KibanaClient) => Promise<unknown>;
type Handler = { onResponseError(...problem: unknown[]): void };

/** A server that remembers what arrived. */
export async function startRecorder() {
  const server = createServer(async (request, response) => {
    const body = String(Buffer.concat(await request.toArray()));
    recorder.arrived.push({ path: request.url ?? "", headers: Object.keys(request.headers), body });
    recorder.respond(response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const recorder = {
    node: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrived: [] as { path: string; headers: string[]; body: string }[],
    respond: reply(200, "[]"),
    close: () => server.close().closeAllConnections(),
  };
  return recorder;
}

type Recorder = Awaited<ReturnType<typeof startRecorder>>;

/** Makes one call. At most one request arrives; the error, if there is one, is typed. */
async function send(recorder: Recorder, call: Call, options: object = {}) {
  recorder.arrived = [];
  let client: kibana.KibanaClient | undefined;
  let error: (kibana.KibanaError & Partial<kibana.ResponseError>) | undefined;
  try {
    client = new kibana.KibanaClient({ node: recorder.node, requestTimeout: 5000, ...options });
    await call(client);
  } catch (reason) {
    assert.ok(reason instanceof kibana.KibanaError, `not a KibanaError: ${inspect(reason)}`);
    error = reason;
  }
  await client?.close();
  const [request, ...more] = recorder.arrived;
  assert.ok((request || error) && more.length === 0, inspect(recorder.arrived));
  return { request, error };
}

function reply(status: number, text: string, headers = {}): Respond {
  return (response) => response.writeHead(status, headers).end(text);
}

function execute(params: object, id = "c"): Call {
  return ({ actions }) => actions.execute({ id, params });
}

const nasty = "a|..|/|%2e|\\|?|#|//evil.example|@| |\t|\r\nx: 1|\0|\u2028|\ud800|__proto__|'|\"|%|ż|😀".split("|");
const text = fc.oneof(
  fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)), maxLength: 40 }),
  fc.array(fc.constantFrom(...nasty, "x".repeat(999)), { maxLength: 4 }).map((parts) => parts.join("")),
);
/** What callers without TypeScript may pass. */
const anything = fc.oneof(text, fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true }));
const anyOf = (...names: string[]) =>
  fc.record(Object.fromEntries(names.map((name) => [name, anything])), { requiredKeys: [] });
const key = text.filter((name) => !name.includes("__proto__")); // Kibana refuses it
const jsonObject = fc.dictionary(key, fc.jsonValue());
const lostScalars = [Number.NaN, -Infinity, 1n, Symbol(), () => 1, new Date(""), { toJSON: () => null }];
const lostObjects = [new Map(), new Set(), Promise.resolve(), new Error(), /x/, new URLSearchParams("a=1")];
const lost = fc.constantFrom<unknown>(...lostScalars, ...lostObjects, [undefined], Array(1), Buffer.from("a"));

// Each credential begins with this, so that a part of one is found, too.
const mark = "Zq7xWw9k";
const credential = text.map((rest) => mark + rest.toWellFormed());
const status = fc.oneof(fc.constantFrom(200, 400, 401, 404, 409, 503), fc.integer({ min: 200, max: 599 }));
/** The body of a response, with a text where a server could repeat it. */
const body = fc.constantFrom<(message: string, status: number) => string>(
  (message, statusCode) => JSON.stringify({ statusCode, error: "e", message }),
  (message) => JSON.stringify({ connector_id: "c", status: "error", message, service_message: message }),
  (message) => JSON.stringify([{ [message]: [[message], { error: { reason: message } }] }]),
  (message) => `<html><p>${message}</p></html>`,
  (message) => `{"message":"${message}`,
);
const cut = fc.tuple(fc.nat(50), fc.string(), fc.boolean()).map(([length, garbage, open]): Respond => {
  const bytes = "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".slice(0, length) + garbage;
  return ({ socket }) => (open ? socket?.write(bytes) : socket?.end(bytes));
});
const whole = fc.tuple(status, body, text).map(([code, bodyOf, words]) => reply(code, bodyOf(words, code)));
export const response = fc.oneof(cut, whole);

const address = credential.map((password) => `http://u:${password}@host`);
const variable = fc.oneof(
  fc.tuple(fc.constantFrom("KIBANA_URL", "ELASTICSEARCH_URL", "ES_LOCAL_URL"), fc.oneof(text, address)),
  fc.tuple(fc.constantFrom("KIBANA_PASSWORD", "KIBANA_API_KEY", "ES_LOCAL_PASSWORD"), credential),
  fc.tuple(fc.constantFrom("KIBANA_USERNAME", "KIBANA_SPACE", "ES_LOCAL_PORT", "KIBANA_LOCAL_PORT"), text),
  fc.constant<[string, string]>(["ES_LOCAL_DIR", "."]),
);
const folder = mkdtempSync(`${tmpdir()}/kbn-connectors-`);
process.once("exit", () => rmSync(folder, { recursive: true }));

export const properties = Object.entries<(recorder: Recorder) => fc.IAsyncProperty<unknown>>({
  "an id or a space is rejected, or stays in its place of the path": (recorder) =>
    fc.asyncProperty(text, fc.boolean(), async (value, isSpace) => {
      const id = encodeURIComponent(value.toWellFormed());
      const path = isSpace ? `/s/${value}/api/actions/connectors` : `/api/actions/connector/${id}/_execute`;
      const call: Call = isSpace ? (client) => client.space(value).actions.getAll() : execute({}, value);
      const { request } = await send(recorder, call);
      if (request) assert.equal(new URL(request.path, "http://kibana.test").href, `http://kibana.test${path}`);
    }),
  "documents arrive as JSON.parse gives them, or are rejected with a path, which JSON never is": (recorder) =>
    fc.asyncProperty(fc.array(jsonObject), fc.array(fc.dictionary(key, anything)), async (json, others) => {
      const params = { documents: [...json, ...others] };
      const { request, error } = await send(recorder, execute(params));
      if (request) assert.deepEqual(JSON.parse(request.body), JSON.parse(JSON.stringify({ params })));
      else assert.match(`${error}`, /^SerializationError: .*documents\[\d+\]/);
      assert.ok(request || others.length > 0);
    }),
  "a value that JSON would lose is rejected with its path": (recorder) =>
    fc.asyncProperty(fc.array(key), lost, async (keys, value) => {
      const nested = keys.reduceRight<unknown>((inner, step) => ({ before: 1, [step]: [inner] }), value);
      const { error } = await send(recorder, execute({ documents: [{ nested }] }));
      assert.match(`${error}`, /^SerializationError: .*documents\[0\]\.nested/);
    }),
  "options and arguments of any kind end in a typed error, or a request without headers of others": (recorder) => {
    const method = fc.constantFrom("create", "get", "update", "delete", "execute", "listTypes");
    const argument = fc.oneof(anything, anyOf("id", "name", "connector_type_id", "config", "params"));
    const name = fc.constantFrom("auth", "dispatcher", "headers", "signal", "space", "tls");
    const value = fc.oneof(anything, fc.dictionary(text, text), anyOf("apiKey"), anyOf("username", "password"));
    const options = fc.dictionary(name, value, { maxKeys: 2 });
    return fc.asyncProperty(method, argument, options, fc.boolean(), async (method, argument, options, ofCall) => {
      const given = [argument, ofCall ? options : {}];
      const call: Call = ({ actions }) => Reflect.apply(actions[method as "get"], actions, given);
      const { request } = await send(recorder, call, ofCall ? {} : options);
      const passed = Object.keys(Object(options.headers)).map((name) => name.toLowerCase());
      const own = ["host", "connection", "content-type", "content-length", "authorization", "kbn-xsrf"];
      for (const name of request?.headers ?? []) assert.ok([...own, ...passed].includes(name), name);
    });
  },
  "credentials that a server repeats are not in the error": (recorder) =>
    fc.asyncProperty(credential, fc.nat(2), text, status, body, async (secret, which, words, code, bodyOf) => {
      const authorization = `Basic ${Buffer.from(`elastic:${secret}1`).toString("base64")}`;
      const echo = `${words} ${[`${secret}1`, authorization, `${secret}2`][which]} ${words}`;
      recorder.respond = reply(code, bodyOf(echo, code), { "x-echo": authorization });
      const connector = { name: "n", connector_type_id: ".x", secrets: { url: `${secret}2` } };
      const call: Call = which < 2 ? execute({}) : ({ actions }) => actions.create(connector);
      const failing = { dispatch: (_: object, handler: Handler) => handler.onResponseError({}, new Error(echo)) };
      for (const dispatcher of [undefined, failing]) {
        const auth = { username: "elastic", password: `${secret}1` };
        const { error } = await send(recorder, call, { auth, dispatcher });
        const parts = [error, error?.stack, error?.headers, error?.cause, JSON.stringify(error)];
        const shown = inspect(parts, { depth: 99, showHidden: true, maxStringLength: null });
        assert.ok(![mark, authorization].some((hidden) => shown.includes(hidden)), shown);
      }
    }),
  "a call fails with the outcome not-applied only if Kibana says so": (recorder) =>
    fc.asyncProperty(status, body, fc.boolean(), async (code, bodyOf, invalid) => {
      const text = bodyOf(invalid ? "error validating action params: no" : "no", code);
      recorder.respond = reply(code, text);
      const { error } = await send(recorder, execute({}));
      const isRefusal = code >= 400 && code < 500 && text.startsWith(`{"statusCode"`);
      const isInvalidRun = code < 300 && code !== 204 && text.startsWith(`{"connector_id":"c"`) && invalid;
      assert.equal(error?.outcome, isRefusal || isInvalidRun ? "not-applied" : "unknown");
    }),
  "a response of any kind ends the call": () =>
    fc.asyncProperty(response, async (respond) => {
      const recorder = await startRecorder(); // of its own: a request may arrive after its call has ended
      recorder.respond = respond;
      const { error } = await send(recorder, execute({}), { requestTimeout: 50 });
      recorder.close();
      assert.ok(error);
    }),
  "loadConfig returns, or throws a ConfigurationError that shows no credentials": () =>
    fc.asyncProperty(fc.array(variable), fc.array(variable), text, fc.boolean(), async (env, lines, rest, wide) => {
      const file = Buffer.from(lines.map((line) => `${line.join("=")}\n`).join("") + rest, wide ? "utf16le" : "utf8");
      writeFileSync(`${folder}/.env`, file);
      try {
        loadConfig({ env: Object.fromEntries(env), cwd: folder });
      } catch (error) {
        assert.ok(error instanceof kibana.ConfigurationError && !inspect(error).includes(mark), inspect(error));
      }
    }),
}).map(([name, check]) => ({ name, check }));
