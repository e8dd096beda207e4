// Every fault of a server or a connection, on a read and on a write: class, outcome and hint; never sent twice.
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { it, type TestContext } from "node:test";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { inspect } from "node:util";
import { KibanaClient, type KibanaClientOptions } from "kbn-connectors";
import { failure, listen } from "./support/server.ts";

interface Target {
  client: KibanaClientOptions;
  /** Resolves when the first request has arrived and the server has sent all that it wants to send. */
  arrived: Promise<unknown>;
  requests(): number;
}

type Start = (t: TestContext) => Promise<Target>;
type Respond = (socket: Socket, request: string) => unknown;

interface Expected {
  error: string;
  outcome: "not-applied" | "unknown";
  hint: RegExp | undefined;
  code?: RegExp;
  statusCode?: number;
  /** The end of the message. */
  says?: RegExp;
  /** Default: 1. */
  arrives?: 0;
}

const file = (name: string) => readFileSync(new URL(`../test/support/tls/${name}`, import.meta.url));
const ca = { tls: { ca: file("ca.crt") } };
const password = "hunter2-correct-horse";
const calls = {
  get: ({ actions }: KibanaClient) => actions.get({ id: "c" }),
  execute: ({ actions }: KibanaClient) => actions.execute({ id: "c", params: { documents: [{ a: 1 }] } }),
};

/** Hands each complete request, as it stood on the wire, to `respond`. */
function receive(respond: Respond) {
  const events = new EventEmitter();
  let count = 0;
  const serve = (socket: Socket) => {
    let request = "";
    socket
      .on("error", () => {})
      .on("data", (chunk) => {
        request += chunk;
        const [head = "", body] = request.split("\r\n\r\n", 2);
        if (body === undefined || body.length < Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)) return;
        count++;
        respond(socket, request);
        request = "";
        events.emit("arrived");
      });
  };
  return { serve, arrived: once(events, "arrived"), requests: () => count };
}

/** A server that responds in any way that HTTP forbids or allows. */
const server =
  (respond: Respond): Start =>
  async (t) => {
    const { serve, ...rest } = receive(respond);
    return { client: { node: `http://127.0.0.1:${await listen(t, createServer(serve))}` }, ...rest };
  };

/** A server that does this with the first bytes of a TLS handshake. */
const onHandshake =
  (act: (socket: Socket) => unknown): Start =>
  async (t) => {
    const serve = (socket: Socket) => socket.once("data", () => act(socket));
    return { client: { node: `https://127.0.0.1:${await listen(t, createServer(serve))}` }, ...receive(() => {}) };
  };

const overTls =
  (cert: string, client: object = {}, options: TlsOptions = {}, protocol = "https"): Start =>
  async (t) => {
    const { serve, ...rest } = receive((socket) => socket.end(http(200, "{}")));
    const tls = createTlsServer({ ...options, key: file("worthless.key"), cert: file(cert) }, serve);
    tls.on("tlsClientError", () => {});
    return { client: { node: `${protocol}://127.0.0.1:${await listen(t, tls)}`, ...client }, ...rest };
  };

function http(status: number, body: string | Buffer, headers: Record<string, string> = {}): Buffer {
  const all = { "content-type": "text/html", "content-length": String(Buffer.byteLength(body)), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} Whatever\r\n${lines.join("")}\r\n`), Buffer.from(body)]);
}

const says = (status: number, body: string | Buffer, headers?: Record<string, string>) =>
  server((socket) => socket.write(http(status, body, headers)));
const page = "<html><head><title>A title</title></head></html>";

const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const chunked = `${head}transfer-encoding: chunked\r\n\r\n`;

/** Writes `piece` again and again until the client goes away. */
function drip(socket: Socket, start: string, piece: string) {
  socket.write(start);
  const timer = setInterval(() => socket.write(piece), 5);
  socket.on("close", () => clearInterval(timer));
}

/** Writes for ever, as fast as the client reads; the client has to stop it after `limit` bytes on the wire. */
const endless =
  (piece: string, limit: number): Start =>
  async (t) => {
    let written = 0;
    const target = await server((socket) => {
      socket.write(chunked);
      const pump = () => {
        do written += piece.length;
        while (!socket.destroyed && socket.write(piece));
      };
      socket.on("drain", pump);
      pump();
    })(t);
    // What was written but not read is in the buffers of the sockets: a few MiB.
    t.after(() => assert.ok(written < limit + 16 * 2 ** 20, `${written} bytes were taken`));
    return target;
  };

const unsent = (code: RegExp, hint: RegExp): Expected => {
  return { error: "ConnectionError", outcome: "not-applied", arrives: 0, code, hint };
};
const broken = { error: "ConnectionError", outcome: "unknown", hint: /connection broke: check before/ } as const;
const cut = { ...broken, code: /^(UND_ERR_SOCKET|ECONNRESET|EPIPE)$/ } as const;
const notHttp = { error: "ConnectionError", outcome: "unknown", hint: /not an HTTP server.*https:\/\// } as const;
const late = { error: "TimeoutError", outcome: "unknown", says: /within 77777 ms$/, hint: /check before/ } as const;
const wrong = (says: RegExp, hint?: RegExp): Expected => {
  return { error: "DeserializationError", outcome: "unknown", statusCode: 200, says, hint };
};

const faults: Record<string, [Start, Expected]> = {
  "a refused connection": [
    async (t) => {
      const closed = createServer();
      const port = await listen(t, closed);
      await new Promise((resolve) => closed.close(resolve));
      return { client: { node: `http://127.0.0.1:${port}` }, ...receive(() => {}) };
    },
    unsent(/^ECONNREFUSED$/, /Nothing listens at 127.0.0.1:\d+\./),
  ],
  "a host name that does not resolve": [
    async () => {
      const lookup = (_host: string, _options: object, callback: (error: Error, address: string) => void) =>
        callback(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" }), "");
      return { client: { node: "http://kibana.invalid", tls: { lookup } }, ...receive(() => {}) };
    },
    unsent(/^ENOTFOUND$/, /host name in http:\/\/kibana.invalid cannot be resolved/),
  ],
  "a certificate that signed itself": [overTls("self.crt"), unsent(/^DEPTH_ZERO_SELF_SIGNED_CERT$/, /NODE_EXTRA_CA/)],
  "a certificate of an unknown authority": [overTls("server.crt"), unsent(/^UNABLE_TO_VERIFY/, /NODE_EXTRA_CA/)],
  "a certificate for another host": [overTls("other.crt", ca), unsent(/^ERR_TLS_CERT_ALTNAME/, /another host/)],
  "an expired certificate": [overTls("expired.crt", ca), unsent(/^CERT_HAS_EXPIRED$/, /not valid now/)],
  // With TLS 1.3, the request leaves before the server has refused the certificate.
  "a required client certificate": [
    overTls("server.crt", ca, { requestCert: true, ca: file("ca.crt") }),
    { ...broken, arrives: 0, hint: /client certificate/ },
  ],
  "a reset during the TLS handshake": [
    onHandshake((socket) => socket.resetAndDestroy()),
    unsent(/^ECONNRESET$/, /disconnected/),
  ],
  "https to an http port": [
    onHandshake((socket) => socket.end(http(400, ""))),
    unsent(/^(EPROTO|ERR_SSL_\w+)$/, /use http:\/\/\./),
  ],
  "http to a TLS port": [overTls("server.crt", {}, {}, "http"), { ...broken, arrives: 0, hint: /TLS, use https/ }],
  "a TLS alert": [server((socket) => socket.end(Buffer.from("15030300020246", "hex"))), notHttp],
  "an SSH banner": [server((socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n")), notHttp],
  "a response that repeats the request": [server((socket, request) => socket.end(`? ${request}`)), notHttp],
  // A connection, but no whole response
  "a connection that is closed after the request": [server((socket) => socket.end()), cut],
  "a connection that is reset after the request": [server((socket) => socket.resetAndDestroy()), cut],
  "a head that is cut": [server((socket) => socket.end(head)), cut],
  "a body of known length that is cut": [server((socket) => socket.end(`${head}content-length: 9\r\n\r\n{"id"`)), cut],
  "a chunked body that is cut": [server((socket) => socket.end(`${chunked}5\r\n[{}]`)), cut],
  "a body that is reset": [server((socket) => socket.write(`${chunked}5\r\n[`, () => socket.resetAndDestroy())), cut],
  silence: [server(() => {}), late],
  "half a head, then silence": [server((socket) => socket.write(head)), late],
  "a head, then silence": [server((socket) => socket.write(`${head}content-length: 5\r\n\r\n`)), late],
  "a head that drips": [server((socket) => drip(socket, head, "x: y\r\n")), late],
  "a body that drips": [server((socket) => drip(socket, chunked, "1\r\n \r\n")), late],
  "two lengths that contradict each other": [
    server((socket) => socket.end(`${head}content-length: 3\r\ncontent-length: 4\r\n\r\n{}`)),
    broken,
  ],
  "headers without an end": [server((socket) => drip(socket, head, "x: y\r\n".repeat(9999))), broken],
  "an upgrade that was not asked for": [
    server((socket) => socket.write("HTTP/1.1 101 X\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")),
    broken,
  ],
  "truncated JSON": [says(200, '{"id":"c","connector_type_id":".x"'), wrong(/the body is not a JSON object: \{/)],
  "the body of another connector": [
    says(200, '{"id":"d","connector_id":"d","connector_type_id":".x","status":"ok"}'),
    wrong(/id of the body is d/),
  ],
  "an empty 200": [says(200, ""), wrong(/the body is not a JSON object$/)],
  "a 204 where a body belongs": [says(204, ""), { ...wrong(/204 Whatever: /), statusCode: 204 }],
  "a page with 200": [says(200, page), wrong(/an HTML page A title$/, /web page/)],
  "an endless body": [endless(`100000\r\n${"x".repeat(2 ** 20)}\r\n`, 64 * 2 ** 20), wrong(/64 MiB: a long body$/)],
  // Of 64 MiB of memory, each chunk takes 101 bytes; on the wire, it has 6.
  "endless tiny chunks": [endless("1\r\nx\r\n".repeat(10_000), 3_986_679), wrong(/64 MiB: a long body$/)],
  "Go's 400 on a TLS port": [
    says(400, "Client sent an HTTP request to an HTTPS server.\n", { "content-type": "text/plain" }),
    { error: "BadRequestError", outcome: "unknown", statusCode: 400, hint: /use https:\/\// },
  ],
};

// What proxies, login pages and load balancers send. They may stand in for an answer of Kibana that got lost.
const pages: [status: number, error: string, hint: RegExp, title?: string][] = [
  [302, "ResponseError", /Redirects are not followed/],
  [400, "BadRequestError", /use https:\/\//, "400 The plain HTTP request was sent to HTTPS port"],
  [400, "BadRequestError", /a login, a proxy/],
  [403, "AuthorizationError", /a login, a proxy/],
  [404, "ResponseError", /a login, a proxy/],
  [407, "ResponseError", /proxy.* needs credentials/],
  [413, "PayloadTooLargeError", /Send fewer documents/],
  [500, "ResponseError", /a login, a proxy/],
  [502, "ResponseError", /A proxy got no response from Kibana.*check before/],
  [503, "NotReadyError", /the proxy in front of it is not available/],
  [504, "ResponseError", /A proxy got no response from Kibana.*check before/],
];
for (const [statusCode, error, hint, title = "A title"] of pages)
  faults[`a page with ${statusCode}, ${title}`] = [
    says(statusCode, page.replace("A title", title), { location: "/login" }),
    { error, outcome: "unknown", statusCode, hint, says: RegExp(`an HTML page ${title}$`) },
  ];

/** Replaces the deadline of the next call: it passes when the returned function is called. */
function controlDeadline(t: TestContext): () => void {
  const { setTimeout: start } = globalThis;
  let expire = () => assert.fail("no deadline was set");
  t.mock.method(globalThis, "setTimeout", (callback: () => never, delay: number) => {
    if (delay === 77_777) expire = callback;
    return start(callback, delay);
  });
  return () => expire();
}

for (const [name, [start, expected]] of Object.entries(faults))
  it(`${name}: ${expected.error}, ${expected.outcome}`, { timeout: 30_000 }, async (t) => {
    for (const call of Object.values(calls)) {
      const expire = controlDeadline(t);
      const { client: options, arrived, requests } = await start(t);
      const client = new KibanaClient({ auth: { username: "u", password }, requestTimeout: 77_777, ...options });
      const failed = failure(call(client));
      if (expected.error === "TimeoutError") await arrived.then(expire);
      const error = await failed;
      const { hint, code, statusCode } = error as { hint?: string; code?: string; statusCode?: number };
      assert.deepEqual([error.name, error.outcome], [expected.error, expected.outcome], inspect(error));
      if (expected.hint) assert.match(hint ?? "", expected.hint);
      else assert.equal(hint, undefined);
      assert.match(code ?? "", expected.code ?? /^/);
      assert.equal(statusCode, expected.statusCode);
      assert.match(error.message, expected.says ?? /^(GET|POST) \/api\/actions\/connector\/c/);
      assert.equal(requests(), expected.arrives ?? 1);
      assert.ok(!inspect(error, { depth: 9 }).includes(password));
      await client.close();
      t.mock.restoreAll(); // else the next call's mock would wrap this one, and outlive the test
    }
  });
