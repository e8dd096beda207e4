// The sandbox beyond the recording: what it promises, what it refuses, and its command line.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import expected from "./sandbox/expected.json" with { type: "json" };
import { type SandboxOptions, startSandbox } from "./sandbox/sandbox.ts";
import { type Child, program, startChild, temporaryFolder } from "./support/child.ts";

/** `{id}` in a path stands for the last id in an answer. In `answer`, "a.*.b" is the b of each element of a; null is none. */
type Row = [
  server: "kibana" | "elasticsearch",
  method: string,
  path: string,
  body: object | string | null,
  status: number,
  answer: Record<string, unknown>,
  headers?: Record<string, string>,
];

async function begin(t: TestContext, options: SandboxOptions = {}) {
  const sandbox = await startSandbox(options);
  t.after(() => sandbox.close());
  const authorization = `Basic ${btoa(`${sandbox.username}:${sandbox.password}`)}`;
  const call = async ([server, method, path, body, , , more]: Partial<Row>) => {
    const headers = { authorization, "content-type": "application/json", "kbn-xsrf": "true", ...more };
    const content = typeof body === "string" ? body : body && JSON.stringify(body);
    const response = await fetch(`${sandbox[`${server ?? "kibana"}Url`]}${path}`, {
      ...(method && { method }),
      headers,
      ...(content && { body: content }),
    });
    const text = await response.text();
    return { status: response.status, body: /^[{[]/.test(text) ? JSON.parse(text) : { text } };
  };
  return { sandbox, call };
}

function pick(value: unknown, path: string): unknown {
  const [, each, rest = ""] = /^(\*|[^.]+)\.?(.*)$/.exec(path) ?? [];
  if (each === undefined) return value ?? null;
  if (each === "*") return (value as unknown[]).map((item) => pick(item, rest));
  return pick((value as Record<string, unknown> | undefined)?.[each], rest);
}

for (const [name, { requests, ...rest }] of Object.entries(expected.exchanges))
  test(name, async (t) => {
    const { call } = await begin(t, "options" in rest ? (rest.options as SandboxOptions) : {});
    let id = "";
    for (const [server, method, path, body, status, answer, headers] of requests as unknown as Row[]) {
      const given = await call([server, method, path.replace("{id}", id), body, status, answer, headers ?? {}]);
      id = String(pick(given.body, "id") ?? id);
      const picked = Object.fromEntries(Object.keys(answer).map((key) => [key, pick(given.body, key)]));
      assert.deepEqual([given.status, picked], [status, answer], `${method} ${path} ${JSON.stringify(body)}`);
      if (status !== 501) continue;
      const [message, type] = server === "kibana" ? ["message", "error"] : ["error.root_cause.0.reason", "error.type"];
      assert.match(String(pick(given.body, message)), /^The sandbox does not simulate .+\.$/);
      assert.match(String(pick(given.body, type)), /^(Not Implemented|sandbox_exception)$/);
    }
  });

test("searches see a write after a refresh or a second, and the version before until then", async (t) => {
  t.mock.timers.enable({ apis: ["Date"] });
  const { call } = await begin(t);
  const write = (n: number, refresh: string) => call(["elasticsearch", "PUT", `/i/_doc/1?refresh=${refresh}`, { n }]);
  const seen = async () => pick((await call(["elasticsearch", "GET", "/i/_search"])).body, "hits.hits.*._source.n");
  await write(1, "false");
  assert.deepEqual(await seen(), []);
  assert.equal((await call(["elasticsearch", "GET", "/i/_doc/1"])).body._source.n, 1);
  t.mock.timers.tick(1000);
  assert.deepEqual(await seen(), [1]);
  await write(2, "false");
  await write(3, "false");
  assert.deepEqual(await seen(), [1]);
  await call(["elasticsearch", "POST", "/i/_refresh"]);
  assert.deepEqual(await seen(), [3]);
  await write(4, "wait_for");
  assert.deepEqual(await seen(), [4]);
});

test("?pretty prints what Elasticsearch answers as the real one does", async (t) => {
  const { sandbox } = await begin(t, { auth: false });
  const text = await (await fetch(`${sandbox.elasticsearchUrl}/i/_search?ignore_unavailable=true&pretty`)).text();
  assert.match(text, /^\{\n {2}"took" : \d+,\n {2}"timed_out" : false,\n {2}"_shards" : \{\n {4}"total" : 0,/);
});

test("both servers answer to their own host names only, so that no web page can reach them", async (t) => {
  const { sandbox } = await begin(t, { auth: false });
  for (const [url, path] of [
    [sandbox.kibanaUrl, "message"],
    [sandbox.elasticsearchUrl, "error.reason"],
  ] as const) {
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
    const status = async (host: string) => {
      const [response] = await once(request(url, { headers: { host } }).end(), "response");
      const text = (await response.toArray()).join("");
      return [response.statusCode === 403, response.statusCode === 403 && pick(JSON.parse(text), path)];
    };
    for (const host of ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]", "kibana.localhost:5601"])
      assert.deepEqual(await status(host), [false, false], host);
    const others = "evil.example localhost.evil.example evil-localhost a.localhost.evil.example:80 10.0.0.1";
    for (const host of others.split(" ")) {
      const refusal = `The sandbox serves localhost, 127.0.0.1 and [::1] only, not "${host}".`;
      assert.deepEqual(await status(host), [true, refusal]);
    }
  }
});

test("a run goes to _bulk over HTTP with the caller's credentials, and an intercept can change what comes back", async (t) => {
  const { sandbox, call } = await begin(t);
  const config = { index: "żółw", refresh: true, executionTimeField: " at " };
  const connector = { name: "n", connector_type_id: ".index", config };
  const { body } = await call(["kibana", "POST", "/api/actions/connector", connector]);
  const run = (headers = {}) => {
    const params = { documents: [{ a: 1, at: "mine" }] };
    return call(["kibana", "POST", `/api/actions/connector/${body.id}/_execute`, { params }, 200, {}, headers]);
  };
  const authorization = `ApiKey ${sandbox.apiKey}`;
  assert.equal(pick((await run({ authorization })).body, "data.items.0.create.forced_refresh"), true);
  const { server, method, path, headers, body: sent } = sandbox.requests.at(-1) ?? assert.fail();
  assert.deepEqual([server, method, path], ["elasticsearch", "POST", "/%C5%BC%C3%B3%C5%82w/_bulk?refresh=true"]);
  assert.equal(headers.authorization, authorization);
  assert.match(sent, /^\{"index":\{"op_type":"create"\}\}\n\{"a":1,"at":"20\d\d-[\d-]+T[\d:.]+Z"\}\n$/);
  sandbox.intercept = async (exchange, handle) =>
    exchange.server === "kibana" ? handle() : { status: 503, headers: {}, body: "<html>" };
  assert.equal((await run()).body.service_message, "<html>");
  sandbox.intercept = ({ response }) => void response.destroy();
  await assert.rejects(run());
  const connectors = sandbox.connectors().map(({ name, space }) => [name, space]);
  assert.deepEqual(connectors, [["n", "default"]]);
  assert.equal(sandbox.documents("żółw").length, 1);
});

const main = program("sandbox.mjs");

describe("npm run sandbox", {
  concurrency: true,
  skip: process.platform === "win32" && "Windows has no signals",
}, () => {
  function sandbox(t: TestContext, args: string[], env: Record<string, string> = {}): Child {
    const child = startChild(process.execPath, [main, ...args], { env, cwd: process.cwd(), input: "" });
    t.after(() => child.kill("SIGKILL"));
    return child;
  }
  const script = (code: string, ...args: string[]) => [process.execPath, "-e", code, "--", ...args];
  const patient = script(
    "for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(s, () => { console.log(s); process.exit(5); }); setTimeout(() => {}, 10_000); console.log(process.pid, 'ready');",
  );

  test("without a command it prints what it is and variables to paste, and serves until Ctrl-C", async (t) => {
    const child = sandbox(t, ["--port", "0", "--elasticsearch-port", "0", "--no-auth", "--base-path", "/kbn"]);
    const lines = await child.printed("ELASTICSEARCH_URL");
    assert.match(lines, /^A simulated Kibana at http:.*\n.*Ctrl-C/);
    const [, url = ""] = /^export KIBANA_URL='(http:\/\/127\.0\.0\.1:\d+\/kbn)'$/m.exec(lines) ?? [];
    assert.equal((await fetch(`${url}/api/actions/connectors`)).status, 200);
    child.kill("SIGINT");
    assert.equal((await child.finished).exitCode, 0);
  });

  test("a command runs in its folder with its arguments and the variables, and its exit code is passed on", async (t) => {
    const folder = temporaryFolder();
    const look = "console.log(process.cwd(), process.env.KIBANA_SPACE, process.argv.slice(1).join()); process.exit(7);";
    const child = sandbox(t, ["--cwd", folder, ...script(look, "--port", "x")], { KIBANA_SPACE: "mine" });
    assert.deepEqual(await child.finished, { exitCode: 7, stdout: `${folder}  --port,x\n`, stderr: "" });
    assert.equal((await sandbox(t, script("process.kill(process.pid, 'SIGKILL')")).finished).exitCode, 137);
  });

  test("the demo begins and ends with a line that says that its Kibana is simulated", async (t) => {
    const { stdout } = await sandbox(t, ["--demo", ...script("console.log('demo')")]).finished;
    assert.match(stdout, /^This Kibana is simulated\. .+\n\ndemo\n\nThe simulated Kibana is gone, .+\.\n$/);
  });

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    test(`${signal} is passed on to the command, and the sandbox waits for it`, async (t) => {
      const child = sandbox(t, patient);
      await child.printed("ready");
      child.kill(signal);
      const { exitCode, stdout } = await child.finished;
      assert.deepEqual([exitCode, stdout.split("\n")[1]], [5, signal]);
    });

  test("the command ends when the sandbox is killed", async (t) => {
    const child = sandbox(t, patient);
    await child.printed("ready");
    child.kill("SIGKILL");
    assert.match((await child.finished).stdout, /SIGTERM/);
  });

  test("wrong options say what is wrong and how it works, with exit code 2", async (t) => {
    for (const [args, message] of expected.wrongOptions as [string[], string][]) {
      const { exitCode, stdout, stderr } = await sandbox(t, args).finished;
      assert.deepEqual([exitCode, stdout, stderr.slice(0, message.length)], [2, "", message]);
      assert.match(stderr, /\n\nUsage: npm run sandbox/);
    }
  });

  test("a port in use ends it with exit code 1, a command that cannot be started with 127", async (t) => {
    const other = createServer().listen(0, "127.0.0.1");
    t.after(() => void other.close());
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const taken = await sandbox(t, ["--elasticsearch-port", String(port), "--port", "0"]).finished;
    const advice = "Choose others with --port and --elasticsearch-port.";
    assert.deepEqual([taken.exitCode, taken.stderr], [1, `Port ${port} is in use. ${advice}\n`]);
    const { exitCode, stderr } = await sandbox(t, ["no-such-command-anywhere"]).finished;
    assert.deepEqual([exitCode, stderr], [127, "no-such-command-anywhere cannot be started: no such command\n"]);
  });
});
