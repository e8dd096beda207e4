// Connections: TLS, proxies, dispatchers, what is loaded, and for how long it is tried.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer as createHttpsServer, type ServerOptions } from "node:https";
import { createRequire } from "node:module";
import net from "node:net";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { KibanaClient, type TlsOptions } from "kbn-connectors";
import { MockAgent, ProxyAgent } from "undici";
import { program, startChild, temporaryFolder } from "./support/child.ts";
import { controller, dispatching, failure, listen } from "./support/server.ts";

const connector = { id: "c", name: "n", connector_type_id: ".x", is_preconfigured: false };
const auth = { username: "elastic", password: "hunter2-correct-horse" };
const path = (name: string) => join(import.meta.dirname, "../test/support/tls", name);
const pem = (name: string) => readFileSync(path(name), "utf8");
const [ca, cert, key] = [pem("ca.crt"), pem("client.crt"), pem("worthless.key")];

/** A Kibana that returns a connector for every request, and the requests that came. */
async function kibana(t: TestContext, tls?: ServerOptions) {
  const requests: IncomingMessage[] = [];
  const answer = (request: IncomingMessage, response: { end(text: string): void }) => {
    requests.push(request);
    response.end(JSON.stringify(connector));
  };
  const server = tls ? createHttpsServer({ cert: pem("server.crt"), key, ...tls }, answer) : createHttpServer(answer);
  const host = `localhost:${await listen(t, server)}`;
  return { node: `${tls ? "https" : "http"}://${host}`, host, requests };
}

describe("a proxy, given as a dispatcher,", () => {
  /** A proxy that connects, or refuses with this status, and the requests that came. */
  async function proxy(t: TestContext, status = 200, proxyTunnel = true) {
    const asked: IncomingMessage[] = [];
    const server = createHttpServer((_request, response) => response.writeHead(status).end());
    server.on("connect", (request, client) => {
      asked.push(request);
      client.write(`HTTP/1.1 ${status} Whatever\r\n\r\n`);
      const upstream = net.connect(Number(request.url?.split(":")[1]), "127.0.0.1");
      upstream.pipe(client).pipe(upstream.on("error", () => {}));
    });
    const host = `127.0.0.1:${await listen(t, server)}`;
    const dispatcher = new ProxyAgent({ uri: `http://${host}`, proxyTunnel, requestTls: { ca } });
    t.after(() => dispatcher.destroy());
    return { server, host, dispatcher, asked };
  }

  it("is used, and gets none of Kibana's credentials", async (t) => {
    const { node, host, requests } = await kibana(t, {});
    const { dispatcher, asked } = await proxy(t);
    await new KibanaClient({ node, auth, dispatcher }).space("ops").actions.get({ id: "c" });
    assert.equal(asked[0]?.url, host);
    assert.doesNotMatch(JSON.stringify(asked[0]?.headers), /authorization/);
    assert.equal(requests[0]?.headers.authorization, `Basic ${btoa(`elastic:${auth.password}`)}`);
    assert.equal(requests[0]?.url, "/s/ops/api/actions/connector/c");
  });

  for (const target of ["http://k.invalid", "http://k.invalid without a tunnel", "https://k.invalid"]) {
    const [[node = ""], proxyTunnel] = [target.split(" "), !target.endsWith("tunnel")];
    it(`is named if nothing listens there, instead of ${target}`, async (t) => {
      const { server, host, dispatcher } = await proxy(t, 200, proxyTunnel);
      server.close();
      const { name, outcome, hint = "" } = await failure(new KibanaClient({ node, dispatcher }).actions.getAll());
      assert.deepEqual([name, outcome], ["ConnectionError", "not-applied"]);
      assert.match(hint, new RegExp(`${host}.*proxy`));
    });

    it(`is named if it refuses with 407, for ${target}`, async (t) => {
      const { dispatcher } = await proxy(t, 407, proxyTunnel);
      const { name, outcome, hint = "" } = await failure(new KibanaClient({ node, dispatcher }).actions.getAll());
      assert.deepEqual([name, outcome], ["ConnectionError", proxyTunnel ? "not-applied" : "unknown"]);
      assert.match(hint, /proxy.*credentials/);
    });
  }
});

describe("TLS connects with", () => {
  const working: [what: string, tls: TlsOptions, server?: ServerOptions][] = [
    ["ca as a string", { ca }],
    ["ca as a list", { ca: [pem("self.crt"), ca] }],
    ["rejectUnauthorized: false", { rejectUnauthorized: false }],
    ["servername for a certificate of another name", { ca, servername: "other.example" }, { cert: pem("other.crt") }],
    ["a client certificate", { ca, cert, key }, { requestCert: true, ca }],
  ];
  for (const [what, tls, server = {}] of working)
    it(`${what}, in every space`, async (t) => {
      const { node, requests } = await kibana(t, server);
      await new KibanaClient({ node, auth, tls }).space("ops").actions.get({ id: "c" });
      assert.equal(Object(requests[0]?.socket).authorized, "requestCert" in server);
    });
});

describe("a program's first call", { concurrency: 2 }, () => {
  const library = program("library.mjs");
  const undici = dirname(createRequire(import.meta.url).resolve("undici"));

  type Call = [what: string, installed: string, printed: RegExp, tls?: object | undefined, env?: object];
  const calls: Call[] = [
    ["leaves the dispatcher of its own fetch alone", "all of undici", /^200 true/],
    ["loads all of undici if its Agent has moved", "its index.js", /^200/],
    ["says what to do if undici is missing", "nothing", /^ConfigurationError: Install/],
    ["uses no proxy of the environment", "all of undici", /^200/, undefined, { HTTP_PROXY: "http://127.0.0.1:1" }],
    ["trusts NODE_EXTRA_CA_CERTS", "all of undici", /^200/, {}, { NODE_EXTRA_CA_CERTS: path("ca.crt") }],
    ["trusts no other authority, and the hint says so", "all of undici", /^ConnectionError: Trust the server.s CA/, {}],
  ];
  for (const [what, installed, printed, tls, env] of calls)
    it(what, async (t) => {
      const { node } = await kibana(t, tls);
      const cwd = temporaryFolder();
      const own = join(cwd, "node_modules/undici");
      mkdirSync(installed === "its index.js" ? own : dirname(own), { recursive: true });
      if (installed === "all of undici") symlinkSync(undici, own, "junction");
      if (installed === "its index.js")
        writeFileSync(join(own, "index.js"), `module.exports = require(${JSON.stringify(undici)});`);
      copyFileSync(library, join(cwd, "library.mjs"));
      const code = `import { KibanaClient } from "./library.mjs";
        const dispatchers = () => [1, 2].map((version) => globalThis[Symbol.for("undici.globalDispatcher." + version)]);
        const before = dispatchers();
        const call = new KibanaClient({ node: "${node}" }).actions.get({ id: "c" });
        const result = await call.then(({ statusCode }) => statusCode, ({ name, hint }) => name + ": " + hint);
        console.log(result, dispatchers().every((dispatcher, index) => dispatcher === before[index]));`;
      writeFileSync(join(cwd, "program.mjs"), code);
      const { stdout, stderr } = await startChild(process.execPath, ["program.mjs"], { env: { ...env }, cwd }).finished;
      assert.match(stdout, printed, stderr);
    });
});

it("connecting gets 2.5 s per address of a host and 10 s in all, then it is a TimeoutError: not applied", async (t) => {
  const tried = new EventEmitter();
  const timers = createRequire(import.meta.url)("undici/lib/util/timers.js");
  t.mock.method(timers, "setFastTimeout", (expire: () => void, delay: number) => {
    tried.emit("timer", expire, delay);
    return { clear() {} };
  });
  const socket = new net.Socket();
  t.mock.method(net, "connect", (options: object) => tried.emit("options", options) && socket);
  const [options, timer] = [once(tried, "options"), once(tried, "timer")];
  const call = failure(new KibanaClient({ node: "http://kibana.invalid" }).actions.delete({ id: "c" }));
  assert.equal((await options)[0].autoSelectFamilyAttemptTimeout, 2500);
  const [expire, delay] = await timer;
  assert.equal(delay, 10_000);
  expire();
  const { name, outcome, hint = "" } = await call;
  assert.deepEqual([name, outcome], ["TimeoutError", "not-applied"]);
  assert.match(hint, /^http:\/\/kibana\.invalid does not accept connections/);
});

it("a dispatcher of the caller is used in all spaces, and not closed", async (t) => {
  const dispatcher = new MockAgent();
  t.after(() => dispatcher.close());
  dispatcher.disableNetConnect();
  for (const path of ["/api/actions/connectors", "/s/ops/api/actions/connectors"])
    dispatcher.get("http://kibana.invalid").intercept({ path }).reply(200, [connector]).times(2);
  for (const _ of [1, 2]) {
    await using client = new KibanaClient({ node: "http://kibana.invalid", dispatcher });
    assert.deepEqual((await client.actions.getAll()).body, [connector]);
    assert.deepEqual((await client.space("ops").actions.getAll()).body, [connector]);
  }
  dispatcher.assertNoPendingInterceptors();
});

it("a dispatcher of undici 6 is a ConfigurationError that names the versions that work", async () => {
  const dispatcher = dispatching(() => {
    throw Object.assign(new Error("invalid onError method"), { code: "UND_ERR_INVALID_ARG" });
  });
  const error = await failure(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
  assert.deepEqual([error.name, error.outcome], ["ConfigurationError", "not-applied"]);
  assert.match(error.hint ?? "", /undici 7 or 8/);
});

const list = (length: number) => Buffer.alloc(length, " ").fill("[]", 0, 2);
const manyChunks = [list(2), ...Array(700_000).fill(Buffer.from(" "))];
for (const [what, chunks, says] of [
  ["of 64 MiB is a result", [list(64 * 2 ** 20 - 100)], undefined],
  ["of more than 64 MiB is a DeserializationError", [list(64 * 2 ** 20)], /more than 64 MiB/],
  ["in 700 000 chunks of one byte is one, too", manyChunks, /more than 64 MiB/],
] as const)
  it(`a body ${what}`, async () => {
    const dispatcher = dispatching((handler) => {
      handler.onRequestStart(controller, {});
      handler.onResponseStart(controller, 200, {});
      for (const chunk of chunks) handler.onResponseData(controller, chunk);
      handler.onResponseEnd(controller, {});
    });
    const call = new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll();
    if (says) await assert.rejects(call, { name: "DeserializationError", message: says });
    else assert.deepEqual((await call).body, []);
  });
