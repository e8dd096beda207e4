// The example as people run it: a real child process against the sandbox, with every fault that may come in between.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Child, compile, type Finished, startChild, temporaryFolder } from "./child.ts";
import { type Answer, type Exchange, type Intercept, type SandboxOptions, startSandbox } from "./sandbox/sandbox.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const example = join(root, "examples/simple-index-connector.ts");
const question = "Delete the connector? (y/N): ";

// As documented, by tsx, it takes most of a second to start. What does not depend on that runs compiled.
const asDocumented = ["--import", import.meta.resolve("tsx"), example];
const compiled = compile("examples/simple-index-connector.ts");

/** For the child to work in, so that nobody's .env or elastic-start-local/ is found. */
const empty = temporaryFolder();

async function sandboxFor(t: TestContext, options: SandboxOptions = {}) {
  const sandbox = await startSandbox(options);
  t.after(() => sandbox.close());
  return sandbox;
}

interface Run {
  env: Record<string, string>;
  flags?: string[];
  /** Without it, standard input stays open. */
  input?: string;
  cwd?: string;
  /** What a shell or a terminal is to do with the command, as sh(1) words. */
  shell?: (command: string) => [program: string, ...args: string[]];
  /** What node is to run; the compiled example, unless told. */
  program?: string[];
}

/** Starts the example. However it ends, it must have shown no credential and no stack trace. */
function start(t: TestContext, { env, flags = [], input, cwd = empty, shell, program = compiled }: Run): Child {
  const command: [string, ...string[]] = [process.execPath, ...program, ...flags];
  const [file, ...args] = shell ? shell(command.map((word) => `'${word}'`).join(" ")) : command;
  const tsconfig = { TSX_TSCONFIG_PATH: join(root, "tsconfig.json") };
  const child = startChild(file, args, { env: { ...tsconfig, ...env }, cwd, input });
  t.after(() => child.kill("SIGKILL"));
  return {
    ...child,
    finished: child.finished.then((finished) => {
      const shown = finished.stdout + finished.stderr;
      for (const secret of secretsOf(env)) assert.ok(!shown.includes(secret), `a credential is shown:\n${shown}`);
      assert.doesNotMatch(shown, /^\s+at .*:\d+/m, "a stack trace is shown");
      return finished;
    }),
  };
}

function run(t: TestContext, options: Run): Promise<Finished> {
  return start(t, { input: "", ...options }).finished;
}

/** Reading back costs the child 0.3 seconds of start-up. */
function withoutReadBack(env: Record<string, string>): Record<string, string> {
  return { ...env, ELASTICSEARCH_URL: "" };
}

function secretsOf({ KIBANA_USERNAME, KIBANA_PASSWORD, KIBANA_API_KEY }: Record<string, string>): string[] {
  const base64 = (text: string) => Buffer.from(text).toString("base64").replace(/=+$/, "");
  const known = ["changeme", base64("elastic:changeme"), base64("sandbox:changeme-too")];
  if (KIBANA_PASSWORD) known.push(KIBANA_PASSWORD, base64(`${KIBANA_USERNAME}:${KIBANA_PASSWORD}`));
  if (KIBANA_API_KEY) known.push(KIBANA_API_KEY, base64(KIBANA_API_KEY));
  return known;
}

const calls = {
  create: { server: "kibana", method: "POST", path: /\/api\/actions\/connector$/ },
  execute: { server: "kibana", method: "POST", path: /\/_execute$/ },
  get: { server: "kibana", method: "GET", path: /\/api\/actions\/connector\/[^/]+$/ },
  "read back": { server: "elasticsearch", method: "GET", path: /\/_doc\// },
  delete: { server: "kibana", method: "DELETE", path: /\/api\/actions\/connector\/[^/]+$/ },
} as const;
type Call = keyof typeof calls;

function isCall(call: Call, { server, method, path }: Exchange): boolean {
  const wanted = calls[call];
  return server === wanted.server && method === wanted.method && wanted.path.test(path);
}

/** Lets everything through but one call. */
function at(call: Call, intercept: Intercept): Intercept {
  return (exchange, handle) => (isCall(call, exchange) ? intercept(exchange, handle) : handle());
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** The real answer, with one piece of its text replaced. */
function changed(from: string | RegExp, to: string): Intercept {
  return async (_exchange, handle) => {
    const answer = await handle();
    const body = answer.body.replace(from, to);
    assert.notEqual(body, answer.body, "there was something to replace");
    return { ...answer, body };
  };
}

/** Carries the request out and loses the answer. */
const lost: Intercept = async ({ response }, handle) => {
  await handle();
  response.destroy();
  return undefined;
};

const proxyPage: Answer = {
  status: 404,
  headers: { "content-type": "text/html" },
  body: "<html><body><h1>404 Not Found</h1>nginx</body></html>",
};

const broken = json(500, { statusCode: 500, error: "Internal Server Error", message: "It broke." });

async function unusedAddress(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

function only<Item>(items: readonly Item[]): Item {
  assert.equal(items.length, 1);
  return items[0] as Item;
}

/** The lines with a check mark, without ids. */
function checked(stdout: string): string[] {
  return [...stdout.matchAll(/^✓ ([^:\n]*)/gm)].map(([, what]) => what ?? "");
}

const done = ["Created connector", "Document written successfully", "Connector verified", "Document verified"];
const deleted = [...done, "Connector deleted"];

/** Section by section what a run shows up to its success. */
function expectedOutput(url: string, credentialsFrom: string, connectorId: string, documentId: string): string {
  return `📊 Kibana Configuration:
   URL: ${url}
   Auth: Basic authentication
   🔐 Credentials detected from ${credentialsFrom}

Creating index connector...
✓ Created connector: ${connectorId}

Writing document to index...
✓ Document written successfully
  Status: ok
✓ Connector verified: My Connected Index Connector
✓ Document verified: miconnectedindex/_doc/${documentId}

🎉 Success! Check your 'miconnectedindex' index in Elasticsearch.
   Connector ID: ${connectorId}
   Kibana Dev Tools: ${url}/app/dev_tools#/console
   Try this query: GET miconnectedindex/_search
`;
}
const asks = `
Connector 'My Connected Index Connector' was created for this example.
${question}`;

describe("what it prints and does", { concurrency: 4 }, () => {
  const answers: [how: string, input: string, flags: string[], rest: string, deletes: boolean][] = [
    ["y", "y\n", [], `${asks}y\n`, true],
    ["yes, with white space and without a line end,", "  Yes ", [], `${asks}  Yes \n`, true],
    ["n", "n\n", [], `${asks}n\n`, false],
    ["a word that only begins with y", "yellow\n", [], `${asks}yellow\n`, false],
    ["enter", "\n", [], `${asks}\n`, false],
    ["the end of input", "", [], `${asks}\n`, false],
    ["--cleanup, whatever the input says,", "n\n", ["--cleanup"], "", true],
    ["--no-cleanup, whatever the input says,", "y\n", ["--no-cleanup"], "", false],
  ];
  for (const [how, input, flags, rest, deletes] of answers)
    test(`${how} ${deletes ? "deletes" : "keeps"} the connector, and says so after the output that the README shows`, async (t) => {
      const sandbox = await sandboxFor(t);
      const program = how === "y" ? asDocumented : compiled;
      let connectorId = "";
      sandbox.intercept = at("get", async (_exchange, handle) => {
        connectorId = only(sandbox.connectors()).id;
        return handle();
      });
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags, input, program });
      assert.equal(stderr, "");
      assert.equal(exitCode, 0);
      const written = only(sandbox.documents("miconnectedindex"));
      const { kibanaUrl } = sandbox;
      const expected = expectedOutput(kibanaUrl, "environment variables", connectorId, written._id) + rest;
      assert.equal(stdout.slice(0, expected.length), expected);

      const after = stdout.slice(expected.length);
      assert.match(after, /index 'miconnectedindex' and the document in it stay/);
      if (deletes) {
        assert.deepEqual(sandbox.connectors(), []);
        assert.match(after, /^\n?✓ Connector deleted\n/);
      } else {
        assert.equal(only(sandbox.connectors()).id, connectorId);
        assert.ok(!after.includes("✓"));
        assert.ok(after.includes(connectorId));
      }
    });

  test("the document that is written is the one of the README", async (t) => {
    const sandbox = await sandboxFor(t);
    const before = Date.now();
    await run(t, { env: sandbox.env, flags: ["--no-cleanup"] });
    const sent = JSON.parse(only(sandbox.requests.filter((exchange) => isCall("execute", exchange))).body) as {
      params: { documents: Record<string, string>[] };
    };
    const { "@timestamp": time, ...document } = only(sent.params.documents);
    assert.deepEqual(document, { message: "Hello from Kibana connector!", level: "INFO", service: "example-app" });
    assert.ok(time && new Date(time).toISOString() === time && Date.parse(time) >= before);
    const { config, name } = only(sandbox.connectors());
    assert.equal(name, "My Connected Index Connector");
    assert.deepEqual(config, { index: "miconnectedindex", refresh: true, executionTimeField: "@timestamp" });
  });

  test("the way it tells to delete a kept connector later does delete it, below base path and space", async (t) => {
    const sandbox = await sandboxFor(t, { basePath: "/kbn" });
    const { stdout } = await run(t, {
      env: { ...withoutReadBack(sandbox.env), KIBANA_SPACE: "marketing" },
      flags: ["--no-cleanup"],
    });
    const [, command = ""] = /^\s*(curl .*)$/m.exec(stdout) ?? [];
    const [, address = ""] = /'(http[^']*)'/.exec(command) ?? [];
    assert.match(command, /^curl -X DELETE -H 'kbn-xsrf: true' -u 'elastic' /);
    const authorization = `Basic ${Buffer.from(`${sandbox.username}:${sandbox.password}`).toString("base64")}`;
    const response = await fetch(address, { method: "DELETE", headers: { "kbn-xsrf": "true", authorization } });
    assert.equal(response.status, 204);
    assert.deepEqual(sandbox.connectors(), []);
  });

  test("links carry the base path and the space, where everything happens", async (t) => {
    const sandbox = await sandboxFor(t, { basePath: "/kbn" });
    const env = { ...withoutReadBack(sandbox.env), KIBANA_SPACE: "marketing" };
    const { exitCode, stdout } = await run(t, { env, flags: ["--no-cleanup"] });
    assert.equal(exitCode, 0);
    assert.equal(only(sandbox.connectors()).space, "marketing");
    assert.ok(stdout.includes(`   URL: ${sandbox.kibanaUrl}/s/marketing\n`));
    assert.ok(stdout.includes(`   Kibana Dev Tools: ${sandbox.kibanaUrl}/s/marketing/app/dev_tools#/console\n`));
  });

  test("with start-local's file alone it prints just what the README shows", async (t) => {
    const sandbox = await sandboxFor(t);
    const cwd = temporaryFolder();
    mkdirSync(join(cwd, "elastic-start-local"));
    const port = (address: string) => new URL(address).port;
    writeFileSync(
      join(cwd, "elastic-start-local/.env"),
      `ES_LOCAL_PASSWORD=${sandbox.password}\nES_LOCAL_PORT=${port(sandbox.elasticsearchUrl)}\nES_LOCAL_URL=http://localhost:\${ES_LOCAL_PORT}\nKIBANA_LOCAL_PORT=${port(sandbox.kibanaUrl)}\n`,
    );
    const { exitCode, stdout, stderr } = await run(t, { env: {}, cwd, flags: ["--no-cleanup"] });
    assert.equal(stderr, "");
    assert.equal(exitCode, 0);
    const url = `http://localhost:${port(sandbox.kibanaUrl)}`;
    const { id } = only(sandbox.connectors());
    const { _id } = only(sandbox.documents("miconnectedindex"));
    assert.ok(stdout.startsWith(expectedOutput(url, "elastic-start-local/.env", id, _id)), stdout);
  });

  test("it works with an API key, and with a Kibana that asks for nothing", async (t) => {
    const secured = await sandboxFor(t);
    const keyed = { ...secured.env, KIBANA_USERNAME: "", KIBANA_PASSWORD: "", KIBANA_API_KEY: secured.apiKey };
    const open = await sandboxFor(t, { auth: false });
    const [withKey, without] = await Promise.all([
      run(t, { env: keyed, flags: ["--no-cleanup"] }),
      run(t, { env: open.env, flags: ["--cleanup"] }),
    ]);
    assert.deepEqual([withKey.exitCode, withKey.stderr], [0, ""]);
    assert.match(withKey.stdout, /Auth: API key\n {3}🔐 Credentials detected from environment variables\n/);
    assert.ok(withKey.stdout.includes("$KIBANA_API_KEY"), "the way to delete it later names the variable, not the key");
    assert.deepEqual([without.exitCode, without.stderr], [0, ""]);
    assert.match(without.stdout, /Auth: none\n\nCreating/);
  });

  for (const [version, item] of [
    ["7.17", "index"],
    ["8.6", "create"],
    ["8.19", "create"],
    ["9.4", "create"],
  ] as const)
    test(`it works with Kibana ${version}, whose run answers an item "${item}"`, async (t) => {
      const sandbox = await sandboxFor(t, { version });
      let answered = "";
      sandbox.intercept = at("execute", async (_exchange, handle) => {
        const answer = await handle();
        answered = answer.body;
        return answer;
      });
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
      assert.deepEqual([exitCode, stderr, checked(stdout)], [0, "", deleted]);
      assert.ok(answered.includes(`"items":[{"${item}":`), answered);
      assert.deepEqual(sandbox.connectors(), []);
    });

  test("in a terminal it asks, takes the answer, and shows it once", { skip: !hasTerminal() }, async (t) => {
    const sandbox = await sandboxFor(t);
    const child = start(t, { env: sandbox.env, shell: inTerminal });
    await child.printed(question);
    child.type("y\n");
    const { exitCode, stdout } = await child.finished;
    assert.equal(exitCode, 0);
    assert.match(stdout, /\(y\/N\): y\r\n✓ Connector deleted\r\n/);
    assert.deepEqual(sandbox.connectors(), []);
  });
});

describe("flags", { concurrency: 4 }, () => {
  test("--help prints the usage on standard output and does nothing", async (t) => {
    const sandbox = await sandboxFor(t);
    const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--help"], program: asDocumented });
    assert.deepEqual([exitCode, stderr], [0, ""]);
    assert.match(stdout, /^Usage: npx tsx examples\/simple-index-connector\.ts/);
    for (const flag of ["--cleanup", "--no-cleanup", "--help"]) assert.ok(stdout.includes(`  ${flag} `));
    assert.equal(sandbox.requests.length, 0);
  });

  for (const flags of [["--clean-up"], ["--cleanup", "--no-cleanup"], ["positional"], ["--cleanup=no"], ["-y"]])
    test(`${flags.join(" ")} is answered with the usage on standard error, exit code 2, and nothing is done`, async (t) => {
      const sandbox = await sandboxFor(t);
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags, input: "y\n" });
      assert.deepEqual([exitCode, stdout], [2, ""]);
      assert.match(stderr, /^Usage: /m);
      assert.ok(stderr.includes(flags.at(-1)?.replace(/=.*/, "") ?? ""), "it names the flag");
      assert.equal(sandbox.requests.length, 0);
    });
});

describe("failures before there is a connector", { concurrency: 4 }, () => {
  const failures: [
    what: string,
    env: (mine: Record<string, string>) => Promise<Record<string, string>>,
    says: RegExp[],
  ][] = [
    [
      "nothing listens at KIBANA_URL",
      async (mine) => ({ ...mine, KIBANA_URL: await unusedAddress() }),
      [/ECONNREFUSED/, /KIBANA_URL/, /Nothing was created/],
    ],
    [
      "the password is wrong",
      async (mine) => ({ ...mine, KIBANA_PASSWORD: "hunter2hunter2" }),
      [/401 Unauthorized/, /credentials are not accepted/, /Nothing was created/],
    ],
    [
      "there are no credentials",
      async (mine) => ({ ...mine, KIBANA_USERNAME: "", KIBANA_PASSWORD: "" }),
      [/401 Unauthorized/, /No credentials were sent/, /Nothing was created/],
    ],
    [
      "KIBANA_URL has no scheme",
      async (mine) => ({ ...mine, KIBANA_URL: "localhost:5601" }),
      [/KIBANA_URL.*Did you mean http:\/\/localhost:5601\?/],
    ],
    [
      "KIBANA_URL holds credentials",
      async (mine) => ({ ...mine, KIBANA_URL: "http://elastic:changeme@localhost:5601" }),
      [/KIBANA_URL: must not carry credentials/],
    ],
    [
      "KIBANA_URL is Elasticsearch's",
      async (mine) => ({ ...mine, KIBANA_URL: mine.ELASTICSEARCH_URL ?? "" }),
      [/that is Elasticsearch|is Elasticsearch/i, /Nothing was created/],
    ],
  ];
  for (const [what, envFrom, says] of failures)
    test(`if ${what}, that is said on standard error, exit code 1`, async (t) => {
      const sandbox = await sandboxFor(t);
      const { exitCode, stdout, stderr } = await run(t, { env: await envFrom(sandbox.env), flags: ["--cleanup"] });
      assert.equal(exitCode, 1);
      for (const part of says) assert.match(part.source.includes("Nothing") ? stdout + stderr : stderr, part);
      assert.ok(!stdout.includes("✓") && !stdout.includes("Success"), stdout);
      assert.deepEqual(sandbox.connectors(), []);
    });

  test("if start-local is installed but not running, it says how to start it", async (t) => {
    const cwd = temporaryFolder();
    mkdirSync(join(cwd, "elastic-start-local"));
    const { port } = new URL(await unusedAddress());
    writeFileSync(join(cwd, "elastic-start-local/.env"), `ES_LOCAL_PASSWORD=changeme\nKIBANA_LOCAL_PORT=${port}\n`);
    const { exitCode, stderr } = await run(t, { env: {}, cwd });
    assert.equal(exitCode, 1);
    assert.match(stderr, /Start it: elastic-start-local\/start\.sh/);
  });

  test("a 403 on create names the privilege, and nothing was created", async (t) => {
    const sandbox = await sandboxFor(t, { state: "read-only" });
    const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, input: "y\n" });
    assert.equal(exitCode, 1);
    assert.match(stderr, /403 Forbidden/);
    assert.match(stderr, /"Actions and Connectors: All"/);
    assert.match(stdout, /Nothing was created\./);
    assert.ok(!stdout.includes(question));
  });

  test("a Kibana that is not ready is asked again after 2 seconds, which is said", async (t) => {
    const sandbox = await sandboxFor(t);
    let creations = 0;
    sandbox.intercept = at("create", (_exchange, handle) => {
      creations += 1;
      if (creations > 1) return handle();
      return { status: 503, headers: { "retry-after": "30" }, body: "Kibana server is not ready yet" };
    });
    const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
    assert.deepEqual([exitCode, stderr, checked(stdout)], [0, "", deleted]);
    assert.match(stdout, /Kibana is not ready yet\. Trying again in 2 seconds\.\.\.\n✓ Created connector/);
    const [first, second] = sandbox.requests.filter((exchange) => isCall("create", exchange));
    assert.ok(first && second && second.at - first.at >= 1_900);
  });

  for (const [what, answer] of [
    ["a proxy's 503", { status: 503, headers: {}, body: "<html>no upstream</html>" }],
    ["a 500", broken],
  ] as const)
    test(`${what} on create is not asked again, and a connector may be there`, async (t) => {
      const sandbox = await sandboxFor(t, { intercept: at("create", () => answer) });
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
      assert.equal(exitCode, 1);
      assert.equal(sandbox.requests.length, 1);
      assert.match(stderr, new RegExp(`-> ${answer.status} `));
      assert.match(stdout + stderr, /may have been created/);
    });

  test("if create's answer is lost, it says that a connector may have been created and where to look", async (t) => {
    const sandbox = await sandboxFor(t, { intercept: at("create", lost) });
    const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
    assert.equal(exitCode, 1);
    assert.equal(sandbox.connectors().length, 1);
    assert.match(stdout + stderr, /may have been created.*Stack Management > Connectors/);
    assert.ok(!stdout.includes("Nothing was created"));
  });
});

describe("no check mark without a check", { concurrency: 4 }, () => {
  const item = (result: object) => ({ errors: false, took: 1, items: [{ create: result }] });
  const ran =
    (body: object): Intercept =>
    () =>
      json(200, { connector_id: "x", ...body });
  const [creates, writes, getsConnector] = [done.slice(0, 1), done.slice(0, 2), done.slice(0, 3)];
  const product = { "x-elastic-product": "Elasticsearch" };

  const faults: [what: string, call: Call, intercept: Intercept, reason: RegExp, checkMarks: string[]][] = [
    [
      'the run says status "error"',
      "execute",
      ran({ status: "error", message: "error indexing documents", service_message: "index is blocked", retry: false }),
      /the run failed: .*index is blocked/,
      creates,
    ],
    [
      "the run says ok with errors true",
      "execute",
      ran({
        status: "ok",
        data: { errors: true, items: [{ create: { status: 400, error: { reason: "bad field" } } }] },
      }),
      /the run failed: .*bad field/,
      creates,
    ],
    [
      "the run says ok for an item with status 400",
      "execute",
      ran({ status: "ok", data: item({ _index: "miconnectedindex", _id: "1", status: 400 }) }),
      /the run failed: .*refused 1 of 1 documents/,
      creates,
    ],
    [
      "the run says ok for an item without a status",
      "execute",
      ran({ status: "ok", data: item({ _index: "miconnectedindex", _id: "1" }) }),
      /the run failed: /,
      creates,
    ],
    [
      "the run says ok without an item",
      "execute",
      ran({ status: "ok", data: { errors: false, items: [] } }),
      /./,
      creates,
    ],
    ["the run answers no data", "execute", ran({ status: "ok" }), /./, creates],
    ["the run answers a proxy's page", "execute", () => ({ ...proxyPage, status: 200 }), /HTML page/, creates],
    ["the run's answer is lost", "execute", lost, /_execute -> /, creates],
    ["the connector has another name", "get", changed('"name":"My ', '"name":"Your '), /Connector .* is not /, writes],
    [
      "the connector has another index",
      "get",
      changed('"index":"miconnectedindex"', '"index":"another"'),
      /Connector .* is not /,
      writes,
    ],
    [
      "the connector has another type",
      "get",
      changed('"connector_type_id":".index"', '"connector_type_id":".server-log"'),
      /Connector .* is not /,
      writes,
    ],
    ["getting the connector fails", "get", () => broken, /500 Internal Server Error: It broke\./, writes],
    [
      "Elasticsearch has no such document",
      "read back",
      () => json(404, { _index: "miconnectedindex", _id: "1", found: false }, product),
      /could not be read back/,
      getsConnector,
    ],
    [
      "Elasticsearch does not accept the credentials",
      "read back",
      () => json(401, { error: { type: "security_exception", reason: "unable to authenticate" }, status: 401 }),
      /could not be read back/,
      getsConnector,
    ],
    ["Elasticsearch breaks off", "read back", lost, /could not be read back/, getsConnector],
    ["it is no Elasticsearch", "read back", () => json(200, { found: true }), /could not be read back/, getsConnector],
    [
      "a field has another value",
      "read back",
      changed('"INFO"', '"WARN"'),
      /differs from what was sent/,
      getsConnector,
    ],
    ["a field is missing", "read back", changed('"level":"INFO",', ""), /differs from what was sent/, getsConnector],
    [
      "a field came in",
      "read back",
      changed('"level"', '"more":1,"level"'),
      /differs from what was sent/,
      getsConnector,
    ],
  ];
  for (const [what, call, intercept, reason, checkMarks] of faults)
    test(`if ${what}, it exits with 1, the reason, and only the check marks that are true`, async (t) => {
      const sandbox = await sandboxFor(t, { intercept: at(call, intercept) });
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
      assert.equal(exitCode, 1);
      assert.match(stderr, /^\n?✗ ./);
      assert.match(stderr, reason);
      assert.ok(!stdout.includes("Success"));
      assert.deepEqual(checked(stdout), [...checkMarks, "Connector deleted"]);
      assert.deepEqual(sandbox.connectors(), []);
    });

  test("if nothing listens at ELASTICSEARCH_URL, the document is not verified", async (t) => {
    const sandbox = await sandboxFor(t);
    const env = { ...sandbox.env, ELASTICSEARCH_URL: await unusedAddress() };
    const { exitCode, stdout, stderr } = await run(t, { env, flags: ["--cleanup"] });
    assert.equal(exitCode, 1);
    assert.match(stderr, /could not be read back from http:.*ECONNREFUSED/);
    assert.deepEqual(checked(stdout), [...getsConnector, "Connector deleted"]);
  });

  for (const version of ["7.17", "8.6", "9.4"])
    test(`if the document does not fit the index's mapping, the run of Kibana ${version} counts as failed`, async (t) => {
      const sandbox = await sandboxFor(t, { version });
      const authorization = `Basic ${Buffer.from(`${sandbox.username}:${sandbox.password}`).toString("base64")}`;
      const created = await fetch(`${sandbox.elasticsearchUrl}/miconnectedindex`, {
        method: "PUT",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify({ mappings: { properties: { level: { type: "long" } } } }),
      });
      assert.equal(created.status, 200);
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
      assert.equal(exitCode, 1);
      assert.match(stderr, /the run failed: .*failed to parse field \[level\] of type \[long\]/s);
      assert.deepEqual(checked(stdout), [...creates, "Connector deleted"]);
      assert.deepEqual(sandbox.documents("miconnectedindex"), []);
    });

  test("a changed @timestamp alone is Kibana's doing, and fine", async (t) => {
    const timestamp = changed(/"@timestamp":"[^"]*"/, '"@timestamp":"2001-02-03T04:05:06.789Z"');
    const sandbox = await sandboxFor(t, { intercept: at("read back", timestamp) });
    const { exitCode, stdout } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
    assert.deepEqual([exitCode, checked(stdout)], [0, deleted]);
  });

  test("without an Elasticsearch URL it says that it did not read back, and names ELASTICSEARCH_URL", async (t) => {
    const sandbox = await sandboxFor(t);
    const env = { ...sandbox.env, ELASTICSEARCH_URL: "" };
    const { exitCode, stdout, stderr } = await run(t, { env, flags: ["--cleanup"] });
    assert.deepEqual([exitCode, stderr], [0, ""]);
    assert.match(stdout, /not read back.*ELASTICSEARCH_URL/);
    assert.deepEqual(checked(stdout), [...getsConnector, "Connector deleted"]);
  });

  test("after a failure the connector's fate is asked for, too", async (t) => {
    const failing = at("execute", () => broken);
    const [deleting, keeping] = [
      await sandboxFor(t, { intercept: failing }),
      await sandboxFor(t, { intercept: failing }),
    ];
    const [yes, no] = await Promise.all([
      run(t, { env: deleting.env, input: "y\n" }),
      run(t, { env: keeping.env, input: "n\n" }),
    ]);
    assert.deepEqual([yes.exitCode, no.exitCode], [1, 1]);
    assert.ok(yes.stdout.includes(question));
    assert.deepEqual(deleting.connectors(), []);
    const { id } = only(keeping.connectors());
    assert.ok(no.stdout.includes(question) && no.stdout.slice(no.stdout.indexOf(question)).includes(id));
  });
});

describe("deleting", { concurrency: 4 }, () => {
  const failed: [what: string, intercept: () => Intercept, flags: string[], reason: RegExp][] = [
    ["is answered 500", () => at("delete", () => broken), [], /500 Internal Server Error: It broke\./],
    ["is answered 500", () => at("delete", () => broken), ["--cleanup"], /500 Internal Server Error: It broke\./],
    ["is answered by a proxy's 404 page", () => at("delete", () => proxyPage), [], /404 Not Found/],
    [
      "and looking are both answered by a proxy's 404 page",
      () => {
        let deleting = false;
        return (exchange, handle) => {
          deleting ||= isCall("delete", exchange);
          return deleting ? proxyPage : handle();
        };
      },
      ["--cleanup"],
      /404 Not Found/,
    ],
  ];
  for (const [what, intercept, flags, reason] of failed)
    test(`if deleting ${what} (${flags[0] ?? "y"}), it exits with 1 and names the connector that is still there`, async (t) => {
      const sandbox = await sandboxFor(t, { intercept: intercept() });
      const { exitCode, stdout, stderr } = await run(t, { env: withoutReadBack(sandbox.env), flags, input: "y\n" });
      assert.equal(exitCode, 1);
      assert.match(stderr, reason);
      assert.ok(stderr.includes(only(sandbox.connectors()).id));
      assert.doesNotMatch(stdout + stderr, /Connector deleted|was deleted|is gone/);
      assert.deepEqual(checked(stdout), done.slice(0, 3));
    });

  for (const [what, options, space] of [
    ["Kibana 9.4", {}, ""],
    ["Kibana 7.17, in a space", { version: "7.17" }, "marketing"],
  ] as const)
    test(`if the answer is lost but the connector is gone, that is confirmed (${what})`, async (t) => {
      const sandbox = await sandboxFor(t, { ...options, intercept: at("delete", lost) });
      const env = { ...withoutReadBack(sandbox.env), KIBANA_SPACE: space };
      const { exitCode, stdout, stderr } = await run(t, { env, input: "y\n" });
      assert.deepEqual([exitCode, stderr], [0, ""]);
      assert.match(stdout, /^✓ Connector deleted \(confirmed\)$/m);
      assert.deepEqual(sandbox.connectors(), []);
    });

  test("if somebody else deleted it before, that is confirmed", async (t) => {
    const twice: Intercept = async (_exchange, handle) => {
      await handle();
      return handle();
    };
    const sandbox = await sandboxFor(t, { intercept: at("delete", twice) });
    const { exitCode, stdout } = await run(t, { env: withoutReadBack(sandbox.env), input: "y\n" });
    assert.equal(exitCode, 0);
    assert.match(stdout, /^✓ Connector deleted \(confirmed\)$/m);
  });
});

describe("interruptions", { concurrency: 4 }, () => {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    test(`${signal} while it waits for the answer names the connector that stays, exit code ${code}`, async (t) => {
      const sandbox = await sandboxFor(t);
      const child = start(t, { env: withoutReadBack(sandbox.env) });
      await child.printed(question);
      child.kill(signal);
      const { exitCode, stderr } = await child.finished;
      assert.equal(exitCode, code);
      assert.ok(stderr.includes(only(sandbox.connectors()).id));
      assert.match(stderr, /document in it stay/);
    });

  const moments: [call: Call, carriedOut: boolean, signal: "SIGINT" | "SIGTERM", says: RegExp][] = [
    ["create", false, "SIGINT", /may have been created.*Stack Management > Connectors/],
    ["create", true, "SIGTERM", /may have been created.*Stack Management > Connectors/],
    ["execute", false, "SIGINT", /<id> stays.*index 'miconnectedindex' stays, and the document, if it was written/s],
    ["get", false, "SIGINT", /<id> stays.*document in it stay/s],
    ["read back", false, "SIGINT", /<id> stays.*document in it stay/s],
    ["delete", false, "SIGINT", /<id> may be left behind/],
    ["delete", true, "SIGTERM", /<id> may be left behind/],
  ];
  for (const [call, carriedOut, signal, says] of moments)
    test(`${signal} in the middle of "${call}" ${carriedOut ? "when it was" : "before it is"} carried out says what may remain`, async (t) => {
      const sandbox = await sandboxFor(t);
      let id = "";
      const reached = new Promise<void>((resolve) => {
        sandbox.intercept = async (exchange, handle) => {
          if (!isCall(call, exchange)) return handle();
          id = sandbox.connectors()[0]?.id ?? "";
          if (carriedOut) await handle();
          resolve();
          return undefined; // the request stays open
        };
      });
      const env = call === "delete" ? withoutReadBack(sandbox.env) : sandbox.env;
      const child = start(t, { env, flags: ["--cleanup"], input: "" });
      await Promise.race([reached, child.finished]);
      child.kill(signal);
      const { exitCode, stdout, stderr } = await child.finished;
      assert.equal(exitCode, signal === "SIGINT" ? 130 : 143);
      assert.match(stderr, /^Interrupted\./m);
      assert.match(id ? stderr.replaceAll(id, "<id>") : stderr, says);
      const before: Call[] = ["create", "execute", "get"];
      assert.deepEqual(checked(stdout), done.slice(0, before.includes(call) ? before.indexOf(call) : 3));
      assert.equal(stdout.includes("Success"), call === "delete");
    });

  test("Ctrl-C in a terminal while it waits for the answer exits with 130", { skip: !hasTerminal() }, async (t) => {
    const sandbox = await sandboxFor(t);
    const child = start(t, { env: sandbox.env, shell: inTerminal });
    await child.printed(question);
    child.type("\x03");
    const { exitCode, stdout } = await child.finished;
    assert.equal(exitCode, 130);
    assert.ok(stdout.slice(stdout.indexOf(question)).includes(only(sandbox.connectors()).id));
  });
});

describe("a reader that goes away", { concurrency: 4 }, () => {
  const pipelines: [what: string, words: (command: string) => string, flags: string[], input: string][] = [
    ["| head -1 with --cleanup", (command) => `${command} | head -1`, ["--cleanup"], ""],
    ["| head -1 with a piped y", (command) => `${command} | head -1`, [], "y\n"],
    ["2>&1 | head -1 with --cleanup", (command) => `${command} 2>&1 | head -1`, ["--cleanup"], ""],
  ];
  for (const [what, words, flags, input] of pipelines)
    test(`${what}: the job is done and cleaned up`, async (t) => {
      const sandbox = await sandboxFor(t);
      const shell = (command: string): [string, ...string[]] => ["sh", "-c", words(command)];
      const { stdout, stderr } = await run(t, { env: sandbox.env, shell, flags, input });
      assert.equal(stdout, "📊 Kibana Configuration:\n");
      assert.doesNotMatch(stderr, /EPIPE|Error|✗/);
      assert.equal(sandbox.documents("miconnectedindex").length, 1);
      assert.deepEqual(sandbox.connectors(), []);
    });

  test("its exit code is that of the job, and a connector that stays is named on standard error", async (t) => {
    const sandbox = await sandboxFor(t);
    let child: Child | undefined;
    sandbox.intercept = at("create", (_exchange, handle) => {
      child?.stopReading();
      return handle();
    });
    child = start(t, { env: withoutReadBack(sandbox.env), flags: ["--no-cleanup"] });
    const { exitCode, stderr } = await child.finished;
    assert.equal(exitCode, 0);
    assert.ok(stderr.includes(only(sandbox.connectors()).id));
    assert.equal(sandbox.documents("miconnectedindex").length, 1);
  });
});

function hasTerminal(): boolean {
  return process.platform === "linux" && existsSync("/usr/bin/script");
}

function inTerminal(command: string): [string, ...string[]] {
  return ["script", "--quiet", "--return", "--command", `exec ${command}`, "/dev/null"];
}
