// Every fault of a server or a connection, on a read and on a write: the right error, once, and no credential in it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { inspect } from "node:util";
import { gzipSync } from "node:zlib";
import {
  KibanaClient,
  type KibanaClientOptions,
  KibanaError,
  type RequestOptions,
  type ResponseError,
} from "kbn-connectors";
import { listen } from "./support/server.ts";

const secrets = {
  password: "hunter2-correct-horse",
  basic: Buffer.from("elastic:hunter2-correct-horse").toString("base64"),
  token: "xoxb-connector-token",
};

type Call = (client: KibanaClient, options?: RequestOptions) => Promise<unknown>;
const webhook = { name: "n", config: { url: "u" }, secrets: { token: secrets.token } };
const calls = {
  create: ({ actions }, options) => actions.create({ ...webhook, connector_type_id: ".webhook" }, options),
  get: ({ actions }, options) => actions.get({ id: "c" }, options),
  getAll: ({ actions }, options) => actions.getAll(options),
  update: ({ actions }, options) => actions.update({ ...webhook, id: "c" }, options),
  delete: ({ actions }, options) => actions.delete({ id: "c" }, options),
  execute: ({ actions }, options) => actions.execute({ id: "c", params: { documents: [{ a: 1 }] } }, options),
  listTypes: ({ actions }, options) => actions.listTypes({}, options),
} satisfies Record<string, Call>;

/** What the client is told about the server, and how many requests have arrived there. */
interface Target {
  options: KibanaClientOptions;
  arrived: () => number;
}

interface Fault {
  name: string;
  start: (t: TestContext) => Promise<Target>;
  error: string;
  outcome: "not-applied" | "unknown";
  statusCode?: number;
  code?: RegExp;
  message?: RegExp;
  /** Default: 1. */
  arrives?: 0;
  /** Default: `get` and `execute`. The code below the calls does not know which one it is. */
  calls?: (keyof typeof calls)[];
  /** The cause is dropped if it shows a credential. */
  causeDropped?: true;
  check?: (error: KibanaError) => void;
}

const certificate = (name: string) => readFileSync(new URL(`../test/support/tls/${name}`, import.meta.url));
const key = certificate("worthless.key");

type Answer = (socket: Socket, request: string) => void;

/** Hands each complete request, as it stood on the wire, to `answer`. */
function receive(answer: Answer) {
  let requests = 0;
  const serve = (socket: Socket) => {
    let request = "";
    socket
      .on("error", () => {})
      .on("data", (chunk) => {
        request += chunk;
        const [head = "", body] = request.split("\r\n\r\n", 2);
        if (body === undefined || body.length < Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)) return;
        requests++;
        answer(socket, request);
        request = "";
      });
  };
  return { serve, arrived: () => requests };
}

/** A server on a real socket that answers in any way that HTTP forbids or allows. */
function answering(answer: Answer): Fault["start"] {
  return async (t) => {
    const { serve, arrived } = receive(answer);
    const node = `http://127.0.0.1:${await listen(t, createServer(serve))}`;
    return { options: { node }, arrived };
  };
}

function overTls(options: { cert: string; requestCert?: true }, client: Partial<KibanaClientOptions>): Fault["start"] {
  return async (t) => {
    const { serve, arrived } = receive((socket) => socket.end(http(200, "{}")));
    const asking = options.requestCert && { requestCert: true, ca: certificate("ca.crt") };
    const server = createTlsServer({ ...asking, key, cert: certificate(options.cert) }, serve);
    server.on("tlsClientError", () => {});
    return { options: { node: `https://127.0.0.1:${await listen(t, server)}`, ...client }, arrived };
  };
}

const ca = { tls: { ca: certificate("ca.crt") } };

/** A complete answer. */
function http(status: number, body: string | Buffer, headers: Record<string, string> = {}): Buffer {
  const all = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} Whatever\r\n${lines.join("")}\r\n`), Buffer.from(body)]);
}

const says = (status: number, body: unknown, headers?: Record<string, string>) =>
  answering((socket) => socket.write(http(status, typeof body === "string" ? body : JSON.stringify(body), headers)));
const refuses = (statusCode: number, message: string) => says(statusCode, { statusCode, error: "E", message });

const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const html = { "content-type": "text/html" };

/** Writes `piece` until the client goes away. */
function drip(socket: Socket, piece: string) {
  const timer = setInterval(() => socket.write(piece), 10);
  socket.on("close", () => clearInterval(timer));
}

/** Writes for ever, as fast as the client reads. */
const endless =
  (status: number, limit: number): Fault["start"] =>
  async (t) => {
    let sent = 0;
    const megabyte = Buffer.from(`100000\r\n${"x".repeat(0x100000)}\r\n`);
    const target = await answering((socket) => {
      socket.write(`HTTP/1.1 ${status} Whatever\r\ntransfer-encoding: chunked\r\n\r\n`);
      const pump = () => {
        do sent += megabyte.length;
        while (!socket.destroyed && socket.write(megabyte));
      };
      socket.on("drain", pump);
      pump();
    })(t);
    // What was written and not read stands in the sockets' buffers: a few MiB.
    t.after(() => assert.ok(sent < limit + 16 * 2 ** 20, `${sent} bytes were taken`));
    return target;
  };

const timeout = { error: "TimeoutError", outcome: "unknown", message: /no complete answer within \d+ ms$/ } as const;
const broken = { error: "ConnectionError", outcome: "unknown", code: /^(UND_ERR_SOCKET|ECONNRESET|EPIPE)$/ } as const;
const wrong = { error: "DeserializationError", outcome: "unknown", statusCode: 200 } as const;
const untrusted = { error: "ConnectionError", outcome: "not-applied", arrives: 0 } as const;
const slow = { requestTimeout: 100 };

const faults: Fault[] = [
  // No connection
  {
    name: "connection refused",
    start: async (t) => {
      const server = createServer();
      const port = await listen(t, server);
      await new Promise((resolve) => server.close(resolve));
      return { options: { node: `http://127.0.0.1:${port}` }, arrived: () => 0 };
    },
    ...untrusted,
    code: /^ECONNREFUSED$/,
  },
  {
    name: "a host name that does not resolve",
    start: async () => ({
      options: {
        node: "http://kibana.invalid",
        tls: {
          lookup: (host, _options, callback) =>
            callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" }), ""),
        },
      },
      arrived: () => 0,
    }),
    ...untrusted,
    code: /^ENOTFOUND$/,
  },
  {
    name: "a certificate that signed itself",
    start: overTls({ cert: "self.crt" }, {}),
    ...untrusted,
    code: /^DEPTH_ZERO_SELF_SIGNED_CERT$/,
  },
  {
    name: "a certificate of an unknown authority",
    start: overTls({ cert: "server.crt" }, {}),
    ...untrusted,
    code: /^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/,
  },
  {
    name: "a certificate for another host",
    start: overTls({ cert: "other.crt" }, ca),
    ...untrusted,
    code: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
  },
  {
    name: "an expired certificate",
    start: overTls({ cert: "expired.crt" }, ca),
    ...untrusted,
    code: /^CERT_HAS_EXPIRED$/,
  },
  {
    name: "a client certificate that is missing",
    start: overTls({ cert: "server.crt", requestCert: true }, ca),
    error: "ConnectionError",
    // With TLS 1.3 the request leaves before the server has refused the certificate.
    outcome: "unknown",
    code: /^(ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED|ECONNRESET|EPIPE|UND_ERR_SOCKET)$/,
    arrives: 0,
  },
  {
    name: "https to an http port",
    start: async (t) => {
      // An HTTP server answers to the first bytes of TLS that they are no request.
      const server = createServer((socket) => socket.once("data", () => socket.end(http(400, ""))));
      return { options: { node: `https://127.0.0.1:${await listen(t, server)}` }, arrived: () => 0 };
    },
    ...untrusted,
    code: /^(EPROTO|ERR_SSL_\w+)$/,
  },
  {
    name: "http to an https port",
    start: async (t) => {
      const { options, arrived } = await overTls({ cert: "server.crt" }, {})(t);
      return { options: { node: String(options.node).replace("https:", "http:") }, arrived };
    },
    ...broken,
    arrives: 0,
  },
  {
    name: "a server that closes before it has read",
    start: async (t) => ({
      options: {
        node: `http://127.0.0.1:${await listen(
          t,
          createServer((socket) => socket.destroy()),
        )}`,
      },
      arrived: () => 0,
    }),
    ...broken,
    arrives: 0,
  },
  // A connection, but no whole answer
  { name: "closed at once", start: answering((socket) => socket.end()), ...broken },
  { name: "reset at once", start: answering((socket) => socket.resetAndDestroy()), ...broken },
  { name: "no answer", start: answering(() => {}), ...timeout },
  { name: "half a head, then nothing", start: answering((socket) => socket.write(head)), ...timeout },
  {
    name: "a head, then nothing",
    start: answering((socket) => socket.write(`${head}content-length: 5\r\n\r\n`)),
    ...timeout,
  },
  {
    name: "100 Continue, which nobody asked for",
    start: answering((socket) => socket.write("HTTP/1.1 100 Continue\r\n\r\n")),
    ...broken,
  },
  {
    name: "a head that drips past the deadline",
    start: answering((socket) => {
      socket.write(head);
      drip(socket, "x: y\r\n");
    }),
    ...timeout,
  },
  {
    name: "a body that drips past the deadline",
    start: answering((socket) => {
      socket.write(`${head}transfer-encoding: chunked\r\n\r\n`);
      drip(socket, "1\r\n \r\n");
    }),
    ...timeout,
  },
  {
    name: "reset inside the body",
    start: answering((socket) =>
      socket.write(`${head}content-length: 999\r\n\r\n{"id":`, () => socket.resetAndDestroy()),
    ),
    ...broken,
  },
  {
    name: "closed inside a body of known length",
    start: answering((socket) => socket.end(`${head}content-length: 999\r\n\r\n{"id":`)),
    ...broken,
  },
  {
    name: "closed inside a chunked body",
    start: answering((socket) => socket.end(`${head}transfer-encoding: chunked\r\n\r\n5\r\n[{}]`)),
    ...broken,
  },
  {
    name: "not HTTP at all",
    start: answering((socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n")),
    error: "ConnectionError",
    outcome: "unknown",
    message: /does not match the HTTP/,
  },
  {
    name: "not HTTP, repeating the request",
    start: answering((socket, request) => socket.end(`? ${request}`)),
    error: "ConnectionError",
    outcome: "unknown",
    causeDropped: true,
  },
  {
    name: "two lengths that contradict each other, and the request",
    start: answering((socket, request) =>
      socket.end(`${head}content-length: 3\r\ncontent-length: 4\r\n\r\n${request}`),
    ),
    error: "ConnectionError",
    outcome: "unknown",
  },
  {
    name: "headers without an end",
    start: answering((socket) => socket.write(`${head}${"x: y\r\n".repeat(20_000)}\r\n`)),
    error: "ConnectionError",
    outcome: "unknown",
    code: /^UND_ERR_HEADERS_OVERFLOW$/,
  },
  {
    name: "an upgrade that nobody asked for",
    start: answering((socket) =>
      socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
    ),
    error: "ConnectionError",
    outcome: "unknown",
  },
  // 2xx, but not the API
  { name: "truncated JSON", start: says(200, '{"id":"c","connector_type_id":".x"'), ...wrong },
  { name: "a web page with 200", start: says(200, "<html>Log in</html>", html), ...wrong, message: /an HTML page/ },
  { name: "nothing with 200", start: says(200, ""), ...wrong, message: /empty/ },
  { name: "null with 200", start: says(200, "null"), ...wrong },
  { name: "a number with 200", start: says(200, "42"), ...wrong },
  { name: "a string with 200", start: says(200, '"ok"'), ...wrong },
  { name: "an object of another kind with 200", start: says(200, { acknowledged: true }), ...wrong },
  { name: "a list of something else with 200", start: says(200, [null]), ...wrong },
  {
    name: "nothing with 204, for a call that has an answer",
    start: answering((socket) => socket.write("HTTP/1.1 204 No Content\r\n\r\n")),
    ...wrong,
    statusCode: 204,
  },
  {
    name: "gzip that nobody asked for, with 200",
    start: answering((socket) =>
      socket.write(http(200, gzipSync('{"id":"c","connector_type_id":".x"}'), { "content-encoding": "gzip" })),
    ),
    ...wrong,
    message: /compressed/,
  },
  { name: "an endless body with 200", start: endless(200, 64 * 2 ** 20), ...wrong, message: /too long/ },
  {
    name: "a failed run",
    start: says(200, { connector_id: "c", status: "error", message: "error indexing documents" }),
    error: "ConnectorExecutionError",
    outcome: "unknown",
    statusCode: 200,
    calls: ["execute"],
  },
  // Not 2xx
  {
    name: "a redirect to another origin",
    start: async (t) => {
      const elsewhere = await answering((socket) => socket.write(http(200, "{}")))(t);
      const { options, arrived } = await says(302, "", { location: `${elsewhere.options.node}/` })(t);
      return { options, arrived: () => arrived() + elsewhere.arrived() };
    },
    error: "ResponseError",
    outcome: "unknown",
    statusCode: 302,
  },
  { name: "400", start: refuses(400, "no"), error: "BadRequestError", outcome: "not-applied", statusCode: 400 },
  { name: "401", start: refuses(401, "no"), error: "AuthenticationError", outcome: "not-applied", statusCode: 401 },
  { name: "403", start: refuses(403, "no"), error: "AuthorizationError", outcome: "not-applied", statusCode: 403 },
  {
    name: "404 for the connector",
    start: refuses(404, "Saved object [action/c] not found"),
    error: "NotFoundError",
    outcome: "not-applied",
    statusCode: 404,
  },
  {
    name: "404 as a web page that uses Kibana's words",
    start: says(404, "Saved object [action/c] not found", html),
    error: "ResponseError",
    outcome: "not-applied",
    statusCode: 404,
  },
  {
    name: "404 for the path",
    start: refuses(404, "Not Found"),
    error: "ResponseError",
    outcome: "not-applied",
    statusCode: 404,
  },
  { name: "409", start: refuses(409, "no"), error: "ConflictError", outcome: "not-applied", statusCode: 409 },
  {
    name: "413 as a web page",
    start: says(413, "<html>nginx</html>", html),
    error: "PayloadTooLargeError",
    outcome: "not-applied",
    statusCode: 413,
  },
  {
    name: "429 with retry-after",
    start: says(429, { statusCode: 429, error: "E", message: "Server is overloaded" }, { "retry-after": "7" }),
    error: "TooManyRequestsError",
    outcome: "not-applied",
    statusCode: 429,
    check: (error) => assert.equal((error as ResponseError).headers["retry-after"], "7"),
  },
  { name: "a bare 500", start: says(500, ""), error: "ResponseError", outcome: "unknown", statusCode: 500 },
  { name: "500", start: refuses(500, "no"), error: "ResponseError", outcome: "unknown", statusCode: 500 },
  {
    name: "502 as a web page",
    start: says(502, "<html>nginx</html>", html),
    error: "ResponseError",
    outcome: "unknown",
    statusCode: 502,
  },
  {
    name: "503 while Kibana starts",
    start: says(503, "Kibana server is not ready yet", { ...html, "retry-after": "30" }),
    error: "NotReadyError",
    outcome: "not-applied",
    statusCode: 503,
  },
  {
    name: "503 while Kibana does not know its licence yet",
    start: refuses(503, "License is not available."),
    error: "NotReadyError",
    outcome: "not-applied",
    statusCode: 503,
  },
  {
    name: "503 for another reason",
    start: refuses(503, "socket hang up - Local: 127.0.0.1:59744, Remote: 127.0.0.1:9211"),
    error: "NotReadyError",
    outcome: "unknown",
    statusCode: 503,
  },
  {
    name: "an error that is a JSON string",
    start: says(500, '"it broke"'),
    error: "ResponseError",
    outcome: "unknown",
    statusCode: 500,
    check: (error) => assert.equal((error as ResponseError).body, "it broke"),
  },
  {
    name: "an error that is broken JSON",
    start: says(400, '{"statusCode":400,"mess'),
    error: "BadRequestError",
    outcome: "not-applied",
    statusCode: 400,
    check: (error) => assert.equal((error as ResponseError).body, '{"statusCode":400,"mess'),
  },
  {
    name: "an error that is nested without end",
    start: says(500, `${'{"a":['.repeat(20_000)}${"]}".repeat(20_000)}`),
    error: "ResponseError",
    outcome: "unknown",
    statusCode: 500,
  },
  {
    name: "an error that is gzip",
    start: answering((socket) => socket.write(http(400, gzipSync("{}"), { "content-encoding": "gzip" }))),
    error: "BadRequestError",
    outcome: "not-applied",
    statusCode: 400,
    message: /compressed/,
  },
  {
    name: "an endless error",
    start: endless(500, 2 ** 20),
    error: "ResponseError",
    outcome: "unknown",
    statusCode: 500,
    message: /too long/,
  },
  // The worst servers repeat what they were sent
  {
    name: "an error that repeats the request as text",
    start: answering((socket, request) => socket.write(http(400, request, { "content-type": "text/plain" }))),
    error: "BadRequestError",
    outcome: "not-applied",
    statusCode: 400,
  },
  {
    name: "an error that repeats the request as keys and values of JSON, with escapes of its own",
    start: answering((socket, request) => {
      const sent = Object.fromEntries([secrets.basic, secrets.password].map((secret) => [`k ${secret}`, [secret]]));
      const body = JSON.stringify({ message: request, sent }).replaceAll("/", "\\/").replaceAll("h", "\\u0068");
      socket.write(http(400, body));
    }),
    error: "BadRequestError",
    outcome: "not-applied",
    statusCode: 400,
  },
  {
    name: "a 200 that repeats the request",
    start: answering((socket, request) => socket.write(http(200, JSON.stringify({ request })))),
    ...wrong,
  },
  {
    name: "headers and a reason that repeat the credentials",
    start: answering((socket, request) => {
      const authorization = /authorization: (.*)\r\n/i.exec(request)?.[1] ?? "";
      const echo = ["retry-after", "content-encoding", "location", "content-type", "www-authenticate", "set-cookie"];
      const headers = echo.map((name) => `${name}: ${authorization}\r\n`).join("");
      socket.end(`HTTP/1.1 503 ${authorization}\r\n${headers}content-length: 2\r\n\r\n{}`);
    }),
    error: "NotReadyError",
    outcome: "unknown",
    statusCode: 503,
  },
  {
    name: "503 while Kibana starts, with the credentials as retry-after",
    start: says(503, "Kibana server is not ready yet", { "retry-after": `Basic ${secrets.basic}` }),
    error: "NotReadyError",
    outcome: "not-applied",
    statusCode: 503,
  },
  {
    name: "a body that repeats the request and then breaks",
    start: answering((socket, request) => socket.end(`${head}content-length: 99999\r\n\r\n${request}`)),
    ...broken,
  },
];

for (const fault of faults)
  describe(`${fault.name} is a ${fault.error}, ${fault.outcome}`, { concurrency: 2 }, () => {
    for (const name of fault.calls ?? (["get", "execute"] as const))
      it(name, { timeout: 20_000 }, (t) => assertFault(t, fault, calls[name]));
  });

describe("every other call meets the same faults", () => {
  const [refused, lost] = ["500", "reset inside the body"].map((name) => faults.find((fault) => fault.name === name));
  for (const name of ["create", "getAll", "update", "delete", "listTypes"] as const)
    it(name, { timeout: 20_000 }, async (t) => {
      for (const fault of [refused, lost]) {
        assert.ok(fault);
        await assertFault(t, fault, calls[name]);
      }
    });
});

async function assertFault(t: TestContext, fault: Fault, call: Call) {
  const { options, arrived } = await fault.start(t);
  const client = new KibanaClient({
    auth: { username: "elastic", password: secrets.password },
    requestTimeout: 15_000,
    ...(fault.error === "TimeoutError" && slow),
    ...options,
  });
  const error = await call(client).then(
    (answer) => assert.fail(`resolved: ${inspect(answer)}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KibanaError, inspect(error));
  assert.equal(error.name, fault.error, inspect(error));
  assert.equal(error.outcome, fault.outcome);
  assert.equal("statusCode" in error ? error.statusCode : undefined, fault.statusCode);
  if (fault.code) assert.match("code" in error ? String(error.code) : "", fault.code);
  if (fault.message) assert.match(error.message, fault.message);
  const keepsCause = fault.error === "ConnectionError" && !fault.causeDropped;
  assert.equal(error.cause instanceof Error, keepsCause, "the reason is kept as cause");
  fault.check?.(error);
  assertNoSecret(error);
  // Nothing is repeated behind the caller's back, nor left open.
  await client.close();
  assert.equal(arrived(), fault.arrives ?? 1);
}

function assertNoSecret(error: KibanaError) {
  const { message, hint = "", stack = "" } = error;
  const cause = inspect(error.cause, { depth: 12, showHidden: true });
  for (const text of [inspect(error, { depth: 12 }), JSON.stringify(error), message, hint, stack, cause])
    for (const secret of Object.values(secrets)) assert.ok(!text.includes(secret), `${secret} in ${text}`);
}
