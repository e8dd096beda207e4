// Proxies and TLS: through a real CONNECT proxy, and against a real TLS server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer as createHttpsServer, type ServerOptions } from "node:https";
import { connect, createServer as createTcpServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import type { TLSSocket } from "node:tls";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { ConnectionError, KibanaClient, KibanaError, TimeoutError, type TlsOptions } from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";
import { EnvHttpProxyAgent, ProxyAgent } from "undici";
import { listen } from "./server.ts";

const connector = { id: "c", name: "n", connector_type_id: ".x", is_preconfigured: false };
const password = "hunter2-correct-horse";
const auth = { username: "elastic", password };
const path = (name: string) => fileURLToPath(new URL(`tls/${name}`, import.meta.url));
const pem = (name: string) => readFileSync(path(name), "utf8");
const identity = { cert: pem("server.crt"), key: pem("worthless.key") };
const ca = pem("ca.crt");

const variables = ["http_proxy", "https_proxy", "no_proxy"].flatMap((name) => [name, name.toUpperCase()]);

/** Sets these variables, and none of the surroundings' own, until the test ends. */
function setProxies(t: TestContext, env: Record<string, string>) {
  const before = variables.map((name) => [name, process.env[name]] as const);
  t.after(() => {
    for (const [name, value] of before)
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });
  for (const name of variables) delete process.env[name];
  Object.assign(process.env, env);
}

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

/** A proxy that connects, unless `refuse` does something else, and what it was asked for. */
async function proxy(t: TestContext, refuse?: (client: Socket) => void) {
  const asked: IncomingMessage[] = [];
  const server = createHttpServer((_request, response) => response.writeHead(405).end());
  server.on("connect", (request, client: Socket) => {
    asked.push(request);
    client.on("error", () => {});
    if (refuse) return refuse(client);
    const upstream = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    t.after(() => upstream.destroy());
  });
  return { url: `http://127.0.0.1:${await listen(t, server)}`, asked };
}

async function rejection(call: Promise<unknown>): Promise<KibanaError> {
  const error = await call.then(
    () => assert.fail("did not reject"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KibanaError, inspect(error));
  assert.doesNotMatch(inspect(error, { depth: 12 }) + JSON.stringify(error) + inspect(error.cause), /hunter2/);
  return error;
}

describe("a proxy", { timeout: 20_000 }, () => {
  for (const name of ["HTTPS_PROXY", "https_proxy"])
    it(`of ${name} is asked to connect, and sees no credentials of Kibana's`, async (t) => {
      const { node, host, requests } = await kibana(t, {});
      const { url, asked } = await proxy(t);
      setProxies(t, { [name]: url });
      const client = new KibanaClient({ node, auth, tls: { ca } });
      assert.deepEqual((await client.actions.get({ id: "c" })).body, connector);
      await client.close();
      assert.deepEqual(
        asked.map(({ url }) => url),
        [host],
      );
      assert.doesNotMatch(JSON.stringify(asked[0]?.headers), /authorization/);
      assert.equal(requests[0]?.headers.authorization, `Basic ${btoa(`elastic:${password}`)}`);
      assert.equal(requests[0]?.headers.host, host);
    });

  for (const name of ["HTTP_PROXY", "http_proxy"])
    it(`of ${name} is used for http, and shared by all spaces`, async (t) => {
      const { node, host, requests } = await kibana(t);
      const { url, asked } = await proxy(t);
      setProxies(t, { [name]: url });
      const client = new KibanaClient({ node });
      await client.actions.get({ id: "c" });
      await client.space("ops").actions.get({ id: "c" });
      await client.close();
      assert.equal(asked[0]?.url, host);
      assert.deepEqual(
        requests.map(({ url }) => url),
        ["/api/actions/connector/c", "/s/ops/api/actions/connector/c"],
      );
    });

  it("gets its own credentials from its URL", async (t) => {
    const { node } = await kibana(t);
    const { url, asked } = await proxy(t);
    setProxies(t, { HTTP_PROXY: url.replace("//", "//user:pass%21word@") });
    await new KibanaClient({ node }).actions.get({ id: "c" });
    assert.equal(asked[0]?.headers["proxy-authorization"], `Basic ${btoa("user:pass!word")}`);
  });

  for (const noProxy of ["localhost", "*", "example.com, localhost", "LOCALHOST:{port}"])
    it(`is passed by with NO_PROXY=${noProxy}`, async (t) => {
      const { node, requests } = await kibana(t);
      const { url, asked } = await proxy(t);
      setProxies(t, { HTTP_PROXY: url, NO_PROXY: noProxy.replace("{port}", new URL(node).port) });
      await new KibanaClient({ node }).actions.get({ id: "c" });
      assert.equal(requests.length, 1);
      assert.equal(asked.length, 0);
    });

  it("that is unset after the client was made is used all the same", async (t) => {
    const { node, host } = await kibana(t);
    const { url, asked } = await proxy(t);
    setProxies(t, { HTTP_PROXY: url });
    const client = new KibanaClient({ node });
    setProxies(t, {});
    await client.actions.get({ id: "c" });
    assert.deepEqual(
      asked.map(({ url }) => url),
      [host],
    );
  });

  it("that is set after the client was made is not used", async (t) => {
    const { node, requests } = await kibana(t);
    const { url, asked } = await proxy(t);
    setProxies(t, {});
    const client = new KibanaClient({ node });
    setProxies(t, { HTTP_PROXY: url });
    await client.actions.get({ id: "c" });
    assert.deepEqual([requests.length, asked.length], [1, 0]);
  });

  it("of the caller's own, as dispatcher, is used whatever the environment says", async (t) => {
    const { node, requests } = await kibana(t);
    const { url, asked } = await proxy(t);
    setProxies(t, { HTTP_PROXY: "http://127.0.0.1:1" });
    const dispatcher = new ProxyAgent(url);
    await new KibanaClient({ node, dispatcher }).actions.get({ id: "c" });
    await dispatcher.close();
    assert.deepEqual([requests.length, asked.length], [1, 1]);
  });

  const answers: [name: string, refuse: (client: Socket) => void, message: RegExp][] = [
    [
      "asks for credentials (407)",
      (client) => client.end("HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n"),
      /Proxy response \(407\)/,
    ],
    ["cannot reach Kibana (502)", (client) => client.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"), /Proxy response \(502\)/],
    ["closes the connection", (client) => client.end(), /the proxy closed the connection/],
    ["resets the connection", (client) => client.resetAndDestroy(), /ECONNRESET/],
  ];
  for (const [name, refuse, message] of answers)
    for (const tls of [undefined, {}])
      it(`that ${name} is asked once, for ${tls ? "https" : "http"}: nothing was applied`, async (t) => {
        const { node, requests } = await kibana(t, tls);
        const { url, asked } = await proxy(t, refuse);
        setProxies(t, { HTTP_PROXY: url.replace("//", `//user:${password}@`) });
        const client = new KibanaClient({ node, auth, requestTimeout: 10_000 });
        const error = await rejection(client.actions.delete({ id: "c" }));
        assert.ok(error instanceof ConnectionError, inspect(error));
        assert.equal(error.outcome, "not-applied");
        assert.match(error.message, message);
        if (!/ECONNRESET$/.test(error.message))
          assert.match(error.hint ?? "", /^The proxy of HTTPS_PROXY or HTTP_PROXY refused/);
        await client.close();
        assert.deepEqual([requests.length, asked.length], [0, 1]);
      });

  it("where nothing listens is what the advice is about, not Kibana", async (t) => {
    const { node, requests } = await kibana(t);
    const server = createTcpServer();
    const port = await listen(t, server);
    await new Promise((resolve) => server.close(resolve));
    setProxies(t, { HTTP_PROXY: `http://127.0.0.1:${port}` });
    const error = await rejection(new KibanaClient({ node }).actions.getAll());
    assert.ok(error instanceof ConnectionError);
    assert.deepEqual([error.code, error.outcome, requests.length], ["ECONNREFUSED", "not-applied", 0]);
    assert.match(error.hint ?? "", /^The proxy of HTTPS_PROXY or HTTP_PROXY refused, or does not answer/);
  });

  it("that does not answer does not outlast the deadline, nor keep the client from closing", async (t) => {
    const { node } = await kibana(t);
    const { url } = await proxy(t, () => {});
    setProxies(t, { HTTP_PROXY: url });
    const client = new KibanaClient({ node, requestTimeout: 100 });
    const error = await rejection(client.actions.getAll());
    assert.ok(error instanceof TimeoutError);
    assert.equal(error.outcome, "not-applied");
    await client.close();
  });

  it("does not hide that Kibana's certificate is for another host", async (t) => {
    const { node } = await kibana(t, { cert: pem("other.crt") });
    const { url } = await proxy(t);
    setProxies(t, { HTTPS_PROXY: url });
    const error = await rejection(new KibanaClient({ node, tls: { ca } }).actions.getAll());
    assert.equal(error.outcome, "not-applied");
    assert.match(error.hint ?? "", /^The certificate is for another host name/);
  });

  it("whose URL is wrong is a ConfigurationError that shows no password", (t) => {
    setProxies(t, { HTTPS_PROXY: `http://user:${password}@:not a port` });
    assert.throws(
      () => new KibanaClient({ node: "https://localhost" }),
      (error) => {
        assert.match(String(error), /^ConfigurationError: HTTP_PROXY or HTTPS_PROXY: not a valid URL/);
        assert.doesNotMatch(inspect(error), /hunter2/);
        return true;
      },
    );
  });

  for (const url of [
    "proxy.example:3128",
    "http://proxy.example:99999",
    "http://proxy.example/path",
    "http://proxy.example?a=b",
    "http://us%er:password@proxy.example",
    "ftp://proxy.example",
    "http://proxy.example:3128/",
    "https://us%25er:password@proxy.example",
    "socks5://proxy.example:1080",
    "",
  ])
    it(`"${url}" is refused when the client is made, exactly if undici would refuse it`, (t) => {
      setProxies(t, { HTTP_PROXY: url });
      const refusal = (make: () => unknown) => {
        try {
          make();
          return false;
        } catch {
          return true;
        }
      };
      const refused = refusal(() => new EnvHttpProxyAgent());
      assert.equal(
        refusal(() => new KibanaClient({ node: "http://localhost" })),
        refused,
      );
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
      setProxies(t, {});
      const { node, requests } = await kibana(t, "servername" in tls ? { cert: pem("other.crt") } : {});
      const client = new KibanaClient({ node, auth, tls });
      assert.equal((await client.actions.get({ id: "c" })).statusCode, 200);
      assert.equal(requests.length, 1);
    });

  it("shows the server a client certificate", async (t) => {
    setProxies(t, {});
    const { node, requests } = await kibana(t, { requestCert: true, ca });
    const tls = { ca, cert: pem("client.crt"), key: pem("worthless.key") };
    await new KibanaClient({ node, tls }).actions.get({ id: "c" });
    assert.deepEqual(
      requests.map(({ socket }) => (socket as TLSSocket).authorized),
      [true],
    );
  });

  it("names a client certificate that does not fit its key, and shows no key", async (t) => {
    setProxies(t, {});
    const { node } = await kibana(t, { requestCert: true, ca });
    const error = await rejection(
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
      const script = `import { KibanaClient } from "kbn-connectors";
        const { actions } = new KibanaClient({ node: "${node}" });
        console.log(await actions.get({ id: "c" }).then((answer) => answer.statusCode, (error) => error.hint));`;
      const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
        cwd: fileURLToPath(new URL("..", import.meta.url)),
        env: { PATH: process.env.PATH, ...env },
        stdio: ["ignore", "pipe", "inherit"],
      });
      let stdout = "";
      child.stdout.on("data", (chunk) => {
        stdout += chunk;
      });
      assert.deepEqual(await once(child, "close"), [0, null]);
      assert.ok(stdout.startsWith(printed), stdout);
      assert.equal(requests.length, printed === "200" ? 1 : 0);
    });
});

describe("credentials over plain http", () => {
  const credentials = { KIBANA_USERNAME: "elastic", KIBANA_PASSWORD: password };
  const cwd = fileURLToPath(new URL("tls", import.meta.url)); // a folder without .env
  const cases: [name: string, env: Record<string, string>, warnings: RegExp[]][] = [
    [
      "to another host are pointed out",
      { ...credentials, KIBANA_URL: "http://kibana.example:5601" },
      [/kibana\.example/],
    ],
    [
      "to two other hosts are pointed out once",
      { ...credentials, KIBANA_URL: "http://kibana.example", ELASTICSEARCH_URL: "http://es.example" },
      [/unencrypted\. Use https/],
    ],
    [
      "to Elasticsearch alone are pointed out",
      { ...credentials, KIBANA_URL: "https://kibana.example", ELASTICSEARCH_URL: "http://es.example" },
      [/es\.example/],
    ],
    ["to this machine are no matter", { ...credentials, KIBANA_URL: "http://127.0.0.1:5601" }, []],
    ["over https are no matter", { ...credentials, KIBANA_URL: "https://kibana.example" }, []],
    ["that do not exist are no matter", { KIBANA_URL: "http://kibana.example" }, []],
  ];
  for (const [name, env, warnings] of cases)
    it(name, () => {
      const found = loadConfig({ env, cwd }).warnings;
      assert.equal(found.length, warnings.length, String(found));
      for (const [index, warning] of warnings.entries()) assert.match(found[index] ?? "", warning);
      assert.doesNotMatch(String(found), /hunter2/);
    });
});
