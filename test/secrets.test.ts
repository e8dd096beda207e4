// Credentials: nothing that a server or a dispatcher says shows them, and they change no verdict.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import {
  type Auth,
  KibanaClient,
  type KibanaClientOptions,
  type KibanaError,
  type ResponseError,
} from "kbn-connectors";
import { MockAgent } from "undici";
import { controller, dispatching, failure, sendJson, serve } from "./support/server.ts";

const password = "hunter2-correct-horse";
const encoded = Buffer.from(`id:${password}`).toString("base64");
const basic = Buffer.from(`elastic:${password}`).toString("base64");
const quoted = 'pass "word" with\ttab and \\ in it';

/** Everything that a user can see of an error. */
function shown(error: KibanaError): string {
  const { message, hint = "", stack = "", cause } = error;
  const { body, headers, serviceMessage, retry } = error as KibanaError & Record<string, unknown>;
  const seen = inspect([error, body, headers, serviceMessage, retry, cause], { depth: 20, showHidden: true });
  return [message, hint, stack, JSON.stringify([error, body, headers]), seen].join("\n");
}

function assertHidden(error: KibanaError, secrets: readonly string[]): void {
  for (const secret of secrets)
    for (const form of [secret, JSON.stringify(secret).slice(1, -1)])
      assert.ok(!shown(error).includes(form), `${form} in ${shown(error)}`);
}

const basicAuth = (secret: string): Auth => ({ username: "elastic", password: secret });

// The worst server: it repeats all that it was sent, in its words, headers and body.
describe("what a server repeats shows no credential:", () => {
  const credentials: [name: string, options: Partial<KibanaClientOptions>, secrets: string[]][] = [
    ["a password", { auth: basicAuth(password) }, [password, basic]],
    ["a password with quotes", { auth: basicAuth(quoted) }, [quoted]],
    ["an API key", { auth: { apiKey: `id:${password}` } }, [password, encoded]],
    ["a token", { auth: { bearer: password } }, [password]],
    ["an authorization header", { headers: { authorization: `Custom ${password}` } }, [password]],
    ["an authorization header of one word", { headers: { authorization: password } }, [password]],
    ["a header with a tab", { headers: { authorization: `Bearer\t${password}` } }, [password]],
    ["a header with parameters", { headers: { authorization: `Token token="${password}", n=1` } }, [password]],
    ["a header of short words", { headers: { authorization: "Custom abc defg" } }, ["abc defg"]],
    ["a password with quotes and what nobody sees", { auth: basicAuth('pa\u200b"ss-word') }, ['pa \\"ss-word']],
  ];
  const answers: [name: string, status: number, wrap: (echo: string) => unknown][] = [
    ["a refusal", 400, (message) => ({ statusCode: 400, error: "Bad Request", message })],
    ["a key of JSON", 500, (echo) => ({ [echo]: [{ [echo]: echo }] })],
    ["a web page", 502, (echo) => `<html>${echo}</html>`],
    ["a text", 503, (echo) => echo],
    ["a 200 of another shape", 200, (echo) => ({ echo })],
    ["a failed run", 200, (m) => ({ connector_id: "c", status: "error", message: m, service_message: m, retry: m })],
  ];
  for (const [kind, options, secrets] of credentials)
    for (const [name, status, wrap] of answers)
      it(`${kind} in ${name}`, async (t) => {
        const { url } = await serve(t, ({ headers }, response) => {
          const { authorization = "" } = headers;
          const [, rest = ""] = /^\S+\s+(.*)$/.exec(authorization) ?? [];
          const decoded = Buffer.from(rest, "base64").toString();
          const parameter = /token="(.*)"/.exec(rest)?.[1];
          const json = JSON.stringify({ authorization, decoded, rest, parameter });
          const echo = wrap(`${json} ${decoded} ${authorization} ${rest} ${parameter}`);
          response.statusMessage = authorization;
          response.writeHead(status, { "x-echo": authorization, "x-two": [authorization, "b"] });
          response.end(typeof echo === "string" ? echo : JSON.stringify(echo));
        });
        const { actions } = new KibanaClient({ node: url, ...options });
        assertHidden(await failure(actions.execute({ id: "c", params: { message: "m" } })), secrets);
      });

  it("a connector's secrets, as they were when the call began: text, numbers, and what toJSON gives", async (t) => {
    const { url } = await serve(t, ({ body }, response) => {
      const { secrets } = JSON.parse(body) as { secrets: { list: unknown[] } };
      sendJson(response, 400, { message: `refused: ${body}`, secrets, number: secrets.list[0] });
    });
    const secrets = { list: [73196412], token: "xoxb-secret-token", nested: { toJSON: () => 'from "toJSON"' } };
    const { actions } = new KibanaClient({ node: url });
    for (const call of [
      () => actions.create({ name: "n", connector_type_id: ".webhook", secrets }),
      () => actions.update({ id: "c", name: "n", secrets }),
    ]) {
      const called = failure(call());
      secrets.token = "changed-meanwhile";
      const error = await called;
      assertHidden(error, ["73196412", "xoxb-secret-token", 'from "toJSON"']);
      secrets.token = "xoxb-secret-token";
    }
  });

  it("one that is the beginning of another, or a part of the mark that stands for it", async (t) => {
    const secrets = { a: "abcd", b: "abcdefgh", c: "redacted", d: "a.cd" };
    const { url } = await serve(t, (_request, response) =>
      sendJson(response, 400, { message: "abcdefgh abcd redacted a.cd abcd" }),
    );
    const error = await failure(
      new KibanaClient({ node: url }).actions.create({ name: "n", connector_type_id: ".x", secrets }),
    );
    assert.match(error.message, /: \[redacted\] \[redacted\] \[redacted\] \[redacted\] \[redacted\]$/);
  });

  it("a long text of many lines, such as a bundle of certificates, which also keeps the verdict", async (t) => {
    const key = 'ab"c$\n'.repeat(20_000);
    const { url } = await serve(t, ({ body }, response) => sendJson(response, 413, { message: "too large", body }));
    const { actions } = new KibanaClient({ node: url });
    const error = await failure(actions.create({ name: "n", connector_type_id: ".x", secrets: { key } }));
    assert.equal(error.name, "PayloadTooLargeError");
    assert.ok(!JSON.stringify(error).includes("ab"));
  });

  it("secrets that are nested deep keep the server's verdict, too", async (t) => {
    let deep: object = { token: password };
    for (let depth = 0; depth < 3500; depth++) deep = { deep };
    const { url } = await serve(t, (_request, response) => sendJson(response, 400, { message: `no ${password}` }));
    const { actions } = new KibanaClient({ node: url });
    const error = await failure(actions.create({ name: "n", connector_type_id: ".x", secrets: { deep } }));
    assert.match(error.message, /400 .*: no \[redacted\]$/);
  });

  it("one that a line break in the server's text would hide from the search", async (t) => {
    const { url } = await serve(t, (_request, response) => response.writeHead(500).end(`no\n${quoted}`));
    const error = await failure(new KibanaClient({ node: url, auth: basicAuth(quoted) }).actions.getAll());
    assertHidden(error, [quoted, quoted.replace("\t", " ")]);
  });

  it("but other headers' words, user names and ids stay", async (t) => {
    const { url } = await serve(t, (_request, response) =>
      sendJson(response, 400, { message: "my server, elastic, c" }),
    );
    const client = new KibanaClient({ node: url, auth: basicAuth(password), headers: { "user-agent": "my server" } });
    assert.match((await failure(client.actions.get({ id: "c" }))).message, /: my server, elastic, c$/);
  });
});

describe("from which length something is hidden", () => {
  const answer = async (t: Parameters<typeof serve>[0], secret: string) => {
    const { url } = await serve(t, (_request, response) =>
      sendJson(response, 400, { [secret]: secret, message: secret }),
    );
    const error = await failure(new KibanaClient({ node: url, auth: basicAuth(secret) }).actions.getAll());
    return (error as ResponseError).body as Record<string, unknown>;
  };

  it("3 characters stay everywhere", async (t) => {
    assert.deepEqual(await answer(t, "abc"), { abc: "abc", message: "abc" });
  });

  for (const secret of ["abcd", "abcdefg"])
    it(`${secret.length} characters are hidden in values, and stay in keys`, async (t) => {
      assert.deepEqual(await answer(t, secret), { [secret]: "[redacted]", message: "[redacted]" });
    });

  it("8 characters are hidden in keys, too", async (t) => {
    assert.deepEqual(await answer(t, "abcdefgh"), { "[redacted]": "[redacted]", message: "[redacted]" });
  });

  it("what is nested deeper than 100 levels is not kept", async (t) => {
    const nested = `${'{"a":'.repeat(200)}"${password}"${"}".repeat(200)}`;
    const { url } = await serve(t, (_request, response) => response.writeHead(500).end(nested));
    const error = await failure(new KibanaClient({ node: url, auth: basicAuth(password) }).actions.getAll());
    assertHidden(error, [password]);
    assert.match(JSON.stringify(error), /\[nested too deep\]/);
  });
});

describe("the same class, outcome and hint whatever the credentials are:", () => {
  const starting = "Kibana server is not ready yet";
  const missing = JSON.stringify({ statusCode: 404, error: "Not Found", message: "Saved object [action/c] not found" });
  const lost = JSON.stringify({
    message: "Actions is unavailable - license information is not available at this time.",
  });
  const run = JSON.stringify({ connector_id: "c", status: "error", message: "error validating action params: x" });
  const cases: [status: number, body: string, words: string[], name: string, outcome: string, hint?: RegExp][] = [
    [
      503,
      starting,
      ["ready", "Kibana", "server is not ready yet"],
      "NotReadyError",
      "not-applied",
      /^Kibana is starting/,
    ],
    [404, missing, ["found", "Saved", "Saved object"], "NotFoundError", "not-applied", /^Searched in the space/],
    [403, lost, ["Actions", "unavailable"], "AuthorizationError", "not-applied", /^Not your privileges/],
    [200, run, ["error", "status", "validating", "params"], "ConnectorExecutionError", "not-applied"],
    [200, "<html>", ["<html>", "html"], "DeserializationError", "unknown", /^A web page/],
  ];
  for (const [status, body, words, name, outcome, hint] of cases)
    for (const word of words)
      for (const options of [{ auth: basicAuth(word) }, { headers: { "user-agent": word } }])
        it(`${status} with "${word}" as ${"auth" in options ? "the password" : "a header"}`, async (t) => {
          const { url } = await serve(t, (_request, response) => response.writeHead(status).end(body));
          const client = new KibanaClient({ node: url, ...options });
          const error = await failure(client.actions.execute({ id: "c", params: {} }));
          assert.deepEqual([error.name, error.outcome], [name, outcome]);
          if (hint) assert.match(error.hint ?? "", hint);
        });

  it("the key `error` of a body stays with the password `error`", async (t) => {
    const { url } = await serve(t, (_request, response) => response.writeHead(404).end(missing));
    const error = await failure(new KibanaClient({ node: url, auth: basicAuth("error") }).actions.get({ id: "c" }));
    assert.deepEqual(Object.keys((error as ResponseError).body as object), ["statusCode", "error", "message"]);
  });
});

describe("what a dispatcher says shows no credential:", () => {
  const failing = (error: Error) => dispatching((handler) => handler.onResponseError(controller, error));
  const client = (dispatcher: KibanaClientOptions["dispatcher"]) =>
    new KibanaClient({ node: "http://kibana.invalid", auth: basicAuth(password), dispatcher });

  it("MockAgent, which prints the headers of a request that it does not know", async (t) => {
    const dispatcher = new MockAgent();
    t.after(() => dispatcher.close());
    dispatcher.disableNetConnect();
    const pool = dispatcher.get("http://kibana.invalid");
    pool.intercept({ path: "/api/actions/connectors", headers: { "x-other": "1" } }).reply(200, []);
    const error = await failure(client(dispatcher).actions.getAll());
    assert.match(error.message, /Mock dispatch not matched for headers/);
    assertHidden(error, [password, basic]);
    assert.equal(error.cause, undefined);
  });

  it("a cause that would print one with other escapes", async () => {
    for (const secret of ["it's-\"`secret", "del\x7f-secret", "two\nlines-of-secret"]) {
      const said = Object.assign(new Error("no"), { data: `"\`it's ${secret}` });
      const dispatcher = failing(said);
      const failing_ = new KibanaClient({ node: "http://kibana.invalid", auth: basicAuth(secret), dispatcher });
      assert.equal((await failure(failing_.actions.getAll())).cause, undefined);
    }
  });

  it("an error that carries one anywhere loses its cause; any other keeps it", async () => {
    const hiding = [
      new Error(`no ${password}`),
      Object.assign(new Error("no"), { data: [{ raw: `x${basic}x` }] }),
      new Error("no", { cause: new Error(password) }),
      Object.assign(new Error("no"), { long: `${"x".repeat(20_000)}${password}` }),
      Object.assign(new Error("no"), { list: [...Array(200).fill(0), password] }),
    ];
    for (const error of hiding) {
      const failed = await failure(client(failing(error)).actions.getAll());
      assertHidden(failed, [password, basic]);
      assert.equal(failed.cause, undefined);
    }
    const unreadable = Object.defineProperty(new Error("no"), "data", { enumerable: true, get: () => assert.fail() });
    assert.equal((await failure(client(failing(unreadable)).actions.getAll())).cause, undefined);
    const harmless = Object.assign(new Error("no"), { data: null });
    assert.equal((await failure(client(failing(harmless)).actions.getAll())).cause, harmless);
  });
});

it("a password in JSON as Go, Python or another maker writes it is hidden", async (t) => {
  const secret = 'a<b>&"ç🔑d';
  const written = [
    'a\\u003cb\\u003e\\u0026\\"ç🔑d', // Go
    'a<b>&\\"\\u00e7\\ud83d\\udd11d', // Python
    'a<b>&\\"ç🔑d',
  ];
  for (const said of written) {
    const { url } = await serve(t, (_request, response) => sendJson(response, 400, { message: `x${said}x` }));
    const error = await failure(new KibanaClient({ node: url, auth: basicAuth(secret) }).actions.getAll());
    assert.match(error.message, /: x\[redacted\]x$/);
  }
});

it("no error that the client makes by itself shows what was sent", async (t) => {
  const { url: silent } = await serve(t, () => {});
  const auth = basicAuth(password);
  for (const [node, requestTimeout] of [["http://127.0.0.1:1"], [silent, 50]] as const) {
    const { actions } = new KibanaClient({ node, auth, requestTimeout });
    assertHidden(await failure(actions.getAll()), [password, basic]);
    const documents = [{ password, n: Number.NaN }];
    assertHidden(await failure(actions.execute({ id: "c", params: { documents } })), [password, basic]);
  }
});

it("neither console.log nor JSON.stringify of a client shows a credential", () => {
  const client = new KibanaClient({
    node: "http://127.0.0.1:1",
    auth: basicAuth(password),
    headers: { "x-token": password },
    tls: { key: password },
  });
  for (const text of [inspect(client, { depth: 12, showHidden: true }), JSON.stringify(client)])
    for (const secret of [password, basic]) assert.ok(!text.includes(secret), text);
});
