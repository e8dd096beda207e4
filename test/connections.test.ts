// Connections: TLS, proxies, dispatchers, and what is loaded when.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer as createHttpsServer, type ServerOptions } from "node:https";
import { connect } from "node:net";
import { describe, it, type TestContext } from "node:test";
import type { TLSSocket } from "node:tls";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { ConnectionError, KibanaClient, type TlsOptions } from "kbn-connectors";
import { EnvHttpProxyAgent, ProxyAgent } from "undici";
import { bundle, startChild } from "./support/child.ts";
import { controller, dispatching, failure, listen, serve } from "./support/server.ts";

const connector = { id: "c", name: "n", connector_type_id: ".x", is_preconfigured: false };
const password = "hunter2-correct-horse";
const auth = { username: "elastic", password };
const library = pathToFileURL(bundle("src/index.ts"));
const path = (name: string) => fileURLToPath(new URL(`../test/support/tls/${name}`, import.meta.url));
const pem = (name: string) => readFileSync(path(name), "utf8");
const identity = { cert: pem("server.crt"), key: pem("worthless.key") };
const ca = pem("ca.crt");

/** A Kibana that answers every request with a connector, and the requests that came. */
async function kibana(t: TestContext, tls?: ServerOptions) {
  const requests: IncomingMessage[] = [];
  const answer = (request: IncomingMessage, response: { end(text: string): void }) => {
    requests.push(request);
    response.end(JSON.stringify(connector));
  };
  const server = tls ? createHttpsServer({ ...identity, ...tls }, answer) : createHttpServer(answer);
  const port = await listen(t, server);
  return { node: `${tls ? "https" : "http"}://localhost:${port}`, host: `localhost:${port}`, requests };
}

/** A proxy that connects, and what it was asked for. */
async function proxy(t: TestContext) {
  const asked: IncomingMessage[] = [];
  const server = createHttpServer((_request, response) => response.writeHead(405).end());
  server.on("connect", (request, client) => {
    asked.push(request);
    const upstream = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
    t.after(() => upstream.destroy());
  });
  return { url: `http://127.0.0.1:${await listen(t, server)}`, asked };
}

describe("a proxy", { timeout: 20_000 }, () => {
  it("of the environment is not used", async (t) => {
    const { node, requests } = await kibana(t);
    const before = process.env.HTTP_PROXY;
    t.after(() => {
      if (before === undefined) delete process.env.HTTP_PROXY;
      else process.env.HTTP_PROXY = before;
    });
    process.env.HTTP_PROXY = "http://127.0.0.1:1";
    await new KibanaClient({ node, auth }).actions.get({ id: "c" });
    assert.equal(requests.length, 1);
  });

  for (const [name, make] of [
    ["ProxyAgent", (url: string) => new ProxyAgent({ uri: url, requestTls: { ca } })],
    ["EnvHttpProxyAgent", (url: string) => new EnvHttpProxyAgent({ httpsProxy: url, noProxy: "", requestTls: { ca } })],
  ] as const)
    it(`of the caller's, as a ${name}, is used, and sees no credentials of Kibana's`, async (t) => {
      const { node, host, requests } = await kibana(t, {});
      const { url, asked } = await proxy(t);
      const dispatcher = make(url);
      const client = new KibanaClient({ node, auth, dispatcher });
      await client.space("ops").actions.get({ id: "c" });
      await dispatcher.close();
      assert.deepEqual(
        asked.map(({ url }) => url),
        [host],
      );
      assert.doesNotMatch(JSON.stringify(asked[0]?.headers), /authorization/);
      assert.equal(requests[0]?.headers.authorization, `Basic ${btoa(`elastic:${password}`)}`);
      assert.equal(requests[0]?.url, "/s/ops/api/actions/connector/c");
    });
});

describe("TLS", { timeout: 30_000 }, () => {
  const working: [name: string, tls: TlsOptions][] = [
    ["tls.ca as a string", { ca }],
    ["tls.ca as a Buffer", { ca: Buffer.from(ca) }],
    ["tls.ca as a list", { ca: [pem("self.crt"), ca] }],
    ["rejectUnauthorized: false, at the user's own risk", { rejectUnauthorized: false }],
    ["tls.servername for a certificate of another name", { ca, servername: "other.example" }],
  ];
  for (const [name, tls] of working)
    it(`connects with ${name}`, async (t) => {
      const { node, requests } = await kibana(t, "servername" in tls ? { cert: pem("other.crt") } : {});
      const client = new KibanaClient({ node, auth, tls });
      assert.equal((await client.actions.get({ id: "c" })).statusCode, 200);
      assert.equal(requests.length, 1);
    });

  it("shows the server a client certificate", async (t) => {
    const { node, requests } = await kibana(t, { requestCert: true, ca });
    const tls = { ca, cert: pem("client.crt"), key: pem("worthless.key") };
    await new KibanaClient({ node, tls }).actions.get({ id: "c" });
    assert.deepEqual(
      requests.map(({ socket }) => (socket as TLSSocket).authorized),
      [true],
    );
  });

  it("names a client certificate that does not fit its key, and shows no key", async (t) => {
    const { node } = await kibana(t, { requestCert: true, ca });
    const error = await failure(
      new KibanaClient({ node, tls: { ca, cert: ca, key: pem("worthless.key") } }).actions.getAll(),
    );
    assert.ok(error instanceof ConnectionError, inspect(error));
    assert.equal(error.outcome, "not-applied");
    assert.doesNotMatch(inspect(error, { depth: 12 }), /PRIVATE KEY/);
  });

  for (const [name, env, printed] of [
    ["trusts NODE_EXTRA_CA_CERTS", { NODE_EXTRA_CA_CERTS: path("ca.crt") }, "200"],
    [
      "trusts nobody without it, and says what to do",
      {},
      "Trust its certificate authority: start node with NODE_EXTRA",
    ],
  ] as const)
    it(name, async (t) => {
      const { node, requests } = await kibana(t, {});
      const script = `import { KibanaClient } from "${library}";
        const { actions } = new KibanaClient({ node: "${node}" });
        console.log(await actions.get({ id: "c" }).then((answer) => answer.statusCode, (error) => error.hint));`;
      const args = ["--input-type=module", "-e", script];
      const { stdout } = await startChild(process.execPath, args, { env, cwd: import.meta.dirname, input: "" })
        .finished;
      assert.ok(stdout.startsWith(printed), stdout);
      assert.equal(requests.length, printed === "200" ? 1 : 0);
    });
});

describe("a dispatcher", { timeout: 20_000 }, () => {
  it("of undici 6 is refused with a word about the version", async () => {
    const error = Object.assign(new Error("invalid onError method"), { code: "UND_ERR_INVALID_ARG" });
    const dispatcher = dispatching(() => {
      throw error;
    });
    const { name, message } = await failure(
      new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll(),
    );
    assert.deepEqual([name, message], ["ConfigurationError", "dispatcher: must be of undici 7 or 8."]);
    error.message = "invalid path";
    const other = await failure(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
    assert.deepEqual(
      [other.name, other.message],
      ["ConfigurationError", "GET /api/actions/connectors -> UND_ERR_INVALID_ARG: invalid path"],
    );
  });
});

describe("a dispatcher's answer is not taken for success", () => {
  const answers: [name: string, statusCode: number, chunk: Buffer, errorName: string][] = [
    ["with a status below 200", 199, Buffer.from("[]"), "DeserializationError"],
    ["with a status above 299", 300, Buffer.from("[]"), "ResponseError"],
    ["if it is empty with 200", 200, Buffer.from(""), "DeserializationError"],
    ["if it is too long", 200, Buffer.alloc(64 * 2 ** 20 + 1), "DeserializationError"],
  ];
  for (const [name, statusCode, chunk, errorName] of answers)
    it(name, async () => {
      const dispatcher = dispatching((handler) => {
        handler.onRequestStart(controller, {});
        handler.onResponseStart(controller, statusCode, {});
        handler.onResponseData(controller, chunk);
        handler.onResponseEnd(controller, {});
      });
      const { actions } = new KibanaClient({ node: "http://k.invalid", dispatcher });
      for (const call of [() => actions.getAll(), () => actions.delete({ id: "c" })]) {
        const error = await failure(call());
        assert.deepEqual([error.name, error.outcome], [errorName, "unknown"]);
      }
    });
});

it("a dispatcher's error may have a code of any kind", async () => {
  const dispatcher = dispatching(() => {
    throw Object.assign(new Error("no"), { code: 42 });
  });
  const error = await failure(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
  assert.ok(error instanceof ConnectionError);
  assert.equal(error.code, undefined);
});

it("a dispatcher that ends an answer that it did not begin is a TimeoutError", async () => {
  const dispatcher = dispatching((handler) => handler.onResponseEnd(controller, {}));
  const client = new KibanaClient({ node: "http://k.invalid", dispatcher, requestTimeout: 1 });
  assert.equal((await failure(client.actions.getAll())).name, "TimeoutError");
});

describe("an answer in small pieces", { timeout: 60_000 }, () => {
  it("of 4 MiB in one-byte chunks costs less than 100 MiB of memory", async (t) => {
    const body = Buffer.from(JSON.stringify([{ ...connector, name: "x".repeat(4 * 2 ** 20) }]));
    const { url } = await serve(t, ({ path }, response) => {
      if (path.endsWith("types")) return void response.end("[]");
      response.socket?.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
      for (let at = 0; at < body.length; at += 2 ** 16) {
        const piece = body.subarray(at, at + 2 ** 16);
        const chunks = Buffer.alloc(piece.length * 6);
        for (const [index, byte] of piece.entries()) chunks.set([49, 13, 10, byte, 13, 10], index * 6);
        response.socket?.write(chunks);
      }
      response.socket?.write("0\r\n\r\n");
    });
    const script = `
      import { KibanaClient } from "${library}";
      const { actions } = new KibanaClient({ node: "${url}" });
      await actions.listTypes();
      gc();
      const before = process.memoryUsage.rss();
      const { body } = await actions.getAll();
      console.log(body[0].name.length, process.resourceUsage().maxRSS * 1024 - before < 100 * 2 ** 20);`;
    const args = ["--expose-gc", "--input-type=module", "-e", script];
    const { stdout, stderr } = await startChild(process.execPath, args, {
      env: {},
      cwd: import.meta.dirname,
      input: "",
    }).finished;
    assert.equal(stdout, `${4 * 2 ** 20} true\n`, stderr);
  });
});
