// What the example prints, asks and answers: a real child process against the sandbox, in terminals and pipes.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type SandboxOptions, startSandbox } from "./sandbox/sandbox.ts";
import { type Child, compile, type Finished, startChild, temporaryFolder } from "./support/child.ts";

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

/** Without Elasticsearch's address, the example does not read the document back, which takes as long as all the rest. */
async function withoutElasticsearch(t: TestContext) {
  const sandbox = await sandboxFor(t);
  return Object.assign(sandbox, { env: { ...sandbox.env, ELASTICSEARCH_URL: "" } });
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

function secretsOf({ KIBANA_USERNAME, KIBANA_PASSWORD, KIBANA_API_KEY }: Record<string, string>): string[] {
  const base64 = (text: string) => Buffer.from(text).toString("base64").replace(/=+$/, "");
  const known = ["changeme", base64("elastic:changeme"), base64("sandbox:changeme-too")];
  if (KIBANA_PASSWORD) known.push(KIBANA_PASSWORD, base64(`${KIBANA_USERNAME}:${KIBANA_PASSWORD}`));
  if (KIBANA_API_KEY) known.push(KIBANA_API_KEY, base64(KIBANA_API_KEY));
  return known;
}

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

/** Section by section what a run without Elasticsearch's address shows up to its success. */
function expectedOutput(url: string, connectorId: string): string {
  return `📊 Kibana Configuration:
   URL: ${url}
   Auth: Basic authentication
   🔐 Credentials detected from environment variables

Creating index connector...
✓ Created connector: ${connectorId}

Writing document to index...
✓ Document written successfully
  Status: ok
✓ Connector verified: My Connected Index Connector
- Document not read back. To verify it too, set ELASTICSEARCH_URL.

🎉 Success! Check your 'miconnectedindex' index in Elasticsearch.
   Connector ID: ${connectorId}
   Kibana Dev Tools: ${url}/app/dev_tools#/console
   Try this query: GET miconnectedindex/_search
`;
}
const asks = `
Connector 'My Connected Index Connector' was created for this example.
${question}`;

describe("what it prints", { concurrency: 4 }, () => {
  const answers: [how: string, input: string, flags: string[], rest: string, deletes: boolean][] = [
    ["y", "y\n", [], `${asks}y\n`, true],
    ["yes, with white space and without a line end,", "  Yes ", [], `${asks}  Yes \n`, true],
    ["a word that only begins with y", "yellow\n", [], `${asks}yellow\n`, false],
    ["enter", "\n", [], `${asks}\n`, false],
    ["the end of input", "", [], `${asks}\n`, false],
    ["--cleanup, whatever the input says,", "n\n", ["--cleanup"], "", true],
    ["--no-cleanup, whatever the input says,", "y\n", ["--no-cleanup"], "", false],
  ];
  for (const [how, input, flags, rest, deletes] of answers)
    test(`${how} ${deletes ? "deletes" : "keeps"} the connector, and says so`, async (t) => {
      const sandbox = await withoutElasticsearch(t);
      let connectorId = "";
      sandbox.intercept = async (_exchange, handle) => {
        connectorId ||= sandbox.connectors()[0]?.id ?? "";
        return handle();
      };
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags, input });
      assert.deepEqual([exitCode, stderr], [0, ""]);
      const { _id } = only(sandbox.documents("miconnectedindex"));
      const { kibanaUrl } = sandbox;
      const page = `${kibanaUrl}/app/management/insightsAndAlerting/triggersActionsConnectors/connectors`;
      const left = [
        ...(deletes ? [] : [`Connector ${connectorId}: ${page}`]),
        `Document ${_id} in the index 'miconnectedindex'`,
      ];
      assert.equal(
        stdout,
        expectedOutput(kibanaUrl, connectorId) +
          rest +
          (deletes ? "✓ Connector deleted\n" : "") +
          `\nLeft behind:\n${left.map((line) => `  ${line}\n`).join("")}`,
      );
      assert.equal(sandbox.connectors().length, deletes ? 0 : 1);
    });

  test("the document that is written is the one of the README", async (t) => {
    const sandbox = await withoutElasticsearch(t);
    const before = Date.now();
    await run(t, { env: sandbox.env, flags: ["--no-cleanup"] });
    const sent = JSON.parse(only(sandbox.requests.filter(({ path }) => path.endsWith("_execute"))).body) as {
      params: { documents: Record<string, string>[] };
    };
    const { "@timestamp": time, ...document } = only(sent.params.documents);
    assert.deepEqual(document, { message: "Hello from Kibana connector!", level: "INFO", service: "example-app" });
    assert.ok(time && new Date(time).toISOString() === time && Date.parse(time) >= before - 1000);
    const { config, name } = only(sandbox.connectors());
    assert.equal(name, "My Connected Index Connector");
    assert.deepEqual(config, { index: "miconnectedindex", refresh: true, executionTimeField: "@timestamp" });
  });

  test("links carry the base path and the space, where everything happens", async (t) => {
    const sandbox = await sandboxFor(t, { basePath: "/kbn" });
    const env = { ...sandbox.env, ELASTICSEARCH_URL: "", KIBANA_SPACE: "marketing" };
    const { exitCode, stdout } = await run(t, { env, flags: ["--no-cleanup"] });
    assert.equal(exitCode, 0);
    const { id, space } = only(sandbox.connectors());
    assert.equal(space, "marketing");
    const url = `${sandbox.kibanaUrl}/s/marketing`;
    assert.ok(stdout.includes(`   URL: ${url}\n`));
    assert.ok(stdout.includes(`   Kibana Dev Tools: ${url}/app/dev_tools#/console\n`));
    assert.ok(stdout.includes(`  Connector ${id}: ${url}/app/management/`));
    assert.match(stdout, /^- Document not read back\. To verify it too, set ELASTICSEARCH_URL\.$/m);
    assert.doesNotMatch(stdout, /Document verified/);
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
    const { exitCode, stdout, stderr } = await run(t, { env: {}, cwd, input: "y\n", program: asDocumented });
    assert.deepEqual([exitCode, stderr], [0, ""]);
    const normal = (text: string) =>
      text
        .replace(/localhost:\d+/g, "localhost:5601")
        .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "<id>")
        .replace(/_doc\/\S+/, "_doc/<id>")
        .replace(/Document \S+ in/, "Document <id> in");
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const [printed = "", query = ""] = [...readme.matchAll(/^```text\n(.*?)^```$/gms)].map(([, code]) => code);
    assert.equal(normal(stdout), normal(printed));
    assert.ok(printed.includes(`Try this query: ${query}`), "the next block of the README is the query");
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
    assert.deepEqual([without.exitCode, without.stderr], [0, ""]);
    assert.match(without.stdout, /Auth: none\n\nCreating/);
  });

  test("a warning of the configuration stands below it", async (t) => {
    const env = { KIBANA_URL: "http://kibana.invalid", KIBANA_USERNAME: "elastic", KIBANA_PASSWORD: "hunter2hunter2" };
    const { exitCode, stdout } = await run(t, { env, flags: ["--cleanup"] });
    assert.equal(exitCode, 1);
    assert.match(stdout, / {3}⚠ The credentials go to http:\/\/kibana\.invalid unencrypted\. Use https\.\n\nCreating/);
  });

  test("what differs is shown", async (t) => {
    const sandbox = await sandboxFor(t);
    sandbox.intercept = async ({ path }, handle) => {
      const answer = await handle();
      return path.includes("/_doc/") ? { ...answer, body: answer.body.replace('"INFO"', '"WARN"') } : answer;
    };
    const { exitCode, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
    assert.equal(exitCode, 1);
    assert.match(stderr, /^\+ {3}level: 'WARN',\n- {3}level: 'INFO',$/m);
  });
});

describe("flags", { concurrency: 4 }, () => {
  test("--help prints the usage on standard output and does nothing", async (t) => {
    const sandbox = await sandboxFor(t);
    const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags: ["--help"] });
    const usage = "Usage: npx tsx examples/simple-index-connector.ts [--cleanup | --no-cleanup]\n";
    assert.deepEqual([exitCode, stdout, stderr], [0, usage, ""]);
    assert.equal(sandbox.requests.length, 0);
  });

  for (const flags of [["--clean-up"], ["--cleanup", "--no-cleanup"], ["positional"]])
    test(`${flags.join(" ")} is answered with the usage on standard error, exit code 2, and nothing is done`, async (t) => {
      const sandbox = await sandboxFor(t);
      const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, flags, input: "y\n" });
      assert.deepEqual([exitCode, stdout], [2, ""]);
      assert.match(stderr, /^Usage: /m);
      assert.ok(stderr.includes(flags.at(-1)?.replace(/=.*/, "") ?? ""), "it names the flag");
      assert.equal(sandbox.requests.length, 0);
    });
});

describe("a failure says what to do:", { concurrency: 4 }, () => {
  type Env = Record<string, string>;
  const failures: [what: string, env: (mine: Env) => Promise<Env>, says: RegExp[]][] = [
    [
      "nothing listens and nothing is configured",
      async (mine) => ({ KIBANA_URL: mine.KIBANA_URL ? await unusedAddress() : "" }),
      [/ECONNREFUSED/, /start-local/, /npm run demo/],
    ],
    [
      "the password is wrong",
      async (mine) => ({ ...mine, KIBANA_PASSWORD: "hunter2hunter2" }),
      [/401 Unauthorized/, /credentials are not accepted/],
    ],
    [
      "there are no credentials",
      async (mine) => ({ ...mine, KIBANA_USERNAME: "", KIBANA_PASSWORD: "" }),
      [/401 Unauthorized/, /No credentials were sent/],
    ],
    [
      "KIBANA_URL has no scheme",
      async (mine) => ({ ...mine, KIBANA_URL: "localhost:5601" }),
      [/KIBANA_URL.*Did you mean http:\/\/localhost:5601\?/],
    ],
    [
      "KIBANA_URL is Elasticsearch's",
      async (mine) => ({ ...mine, KIBANA_URL: mine.ELASTICSEARCH_URL ?? "" }),
      [/is Elasticsearch/],
    ],
  ];
  for (const [what, envFrom, says] of failures)
    test(what, async (t) => {
      const sandbox = await sandboxFor(t);
      const { exitCode, stdout, stderr } = await run(t, { env: await envFrom(sandbox.env), flags: ["--cleanup"] });
      assert.equal(exitCode, 1);
      for (const part of says) assert.match(stderr, part);
      assert.doesNotMatch(stdout + stderr, /✓|🎉|Left behind|Delete the connector/);
      assert.deepEqual(sandbox.connectors(), []);
    });

  test("a privilege is missing", async (t) => {
    const sandbox = await sandboxFor(t, { state: "read-only" });
    const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, input: "y\n" });
    assert.equal(exitCode, 1);
    assert.match(stderr, /403 Forbidden.*\n.*"Actions and Connectors: All"/);
    assert.doesNotMatch(stdout + stderr, /Left behind|Delete the connector/);
  });

  test("Kibana is starting: it says so at once, and does not wait", async (t) => {
    const sandbox = await sandboxFor(t, { state: "not-ready" });
    const { exitCode, stderr } = await run(t, { env: sandbox.env, flags: ["--cleanup"] });
    assert.equal(exitCode, 1);
    assert.match(stderr, /503 Service Unavailable: Kibana server is not ready yet\n {2}Kibana is starting/);
    assert.equal(sandbox.requests.length, 1);
  });

  test("nothing listens at ELASTICSEARCH_URL", async (t) => {
    const sandbox = await sandboxFor(t);
    const env = { ...sandbox.env, ELASTICSEARCH_URL: await unusedAddress() };
    const { exitCode, stdout, stderr } = await run(t, { env, flags: ["--cleanup"] });
    assert.equal(exitCode, 1);
    assert.match(stderr, /ECONNREFUSED/);
    assert.doesNotMatch(stdout, /Document verified|🎉/);
    assert.deepEqual(sandbox.connectors(), []);
  });
});

describe("in a terminal", { concurrency: 4, skip: !hasTerminal() && "needs script(1) of Linux" }, () => {
  test("it asks, takes the answer, and shows it once", async (t) => {
    const sandbox = await withoutElasticsearch(t);
    const child = start(t, { env: sandbox.env, shell: inTerminal });
    await child.printed(question);
    child.type("y\n");
    const { exitCode, stdout } = await child.finished;
    assert.equal(exitCode, 0);
    assert.match(stdout, /\(y\/N\): y\r\n✓ Connector deleted\r\n/);
    assert.deepEqual(sandbox.connectors(), []);
  });

  test("Ctrl-D means no, and leaves the prompt on a line of its own", async (t) => {
    const sandbox = await withoutElasticsearch(t);
    const child = start(t, { env: sandbox.env, shell: inTerminal });
    await child.printed(question);
    child.type("\x04");
    const { exitCode, stdout } = await child.finished;
    assert.equal(exitCode, 0);
    assert.match(stdout, /\(y\/N\): [^\r\n]*\r\n\r\nLeft behind:\r\n {2}Connector /);
    assert.equal(sandbox.connectors().length, 1);
  });

  test("Ctrl-C at the question exits with 130, and the connector is named", async (t) => {
    const sandbox = await withoutElasticsearch(t);
    const child = start(t, { env: sandbox.env, shell: inTerminal });
    await child.printed(question);
    child.type("\x03");
    const { exitCode, stdout } = await child.finished;
    assert.equal(exitCode, 130);
    assert.ok(stdout.slice(stdout.indexOf(question)).includes(only(sandbox.connectors()).id));
  });

  test("a question that nobody can see is not asked", async (t) => {
    const sandbox = await withoutElasticsearch(t);
    const shell = (command: string) => inTerminal(`bash -c "${command.replaceAll("'", "")} | head -1"`, "");
    const { stdout } = await start(t, { env: sandbox.env, shell }).finished;
    assert.match(stdout, /^📊 Kibana Configuration:\r\n/);
    assert.equal(sandbox.connectors().length, 1);
    assert.ok(stdout.includes(only(sandbox.connectors()).id), "it is named on standard error");
  });
});

describe("a reader or an input that goes away", {
  concurrency: 4,
  skip: process.platform === "win32" && "needs sh",
}, () => {
  const pipelines: [what: string, words: (command: string) => string, flags: string[], input: string][] = [
    ["| head -1 with --cleanup", (command) => `${command} | head -1`, ["--cleanup"], ""],
    ["| head -1 with a piped y", (command) => `${command} | head -1`, [], "y\n"],
  ];
  for (const [what, words, flags, input] of pipelines)
    test(`${what}: the job is done and cleaned up`, async (t) => {
      const sandbox = await withoutElasticsearch(t);
      const shell = (command: string): [string, ...string[]] => ["sh", "-c", words(command)];
      const { stdout, stderr } = await run(t, { env: sandbox.env, shell, flags, input });
      assert.equal(stdout, "📊 Kibana Configuration:\n");
      assert.doesNotMatch(stderr, /EPIPE|Error|✗/);
      assert.equal(sandbox.documents("miconnectedindex").length, 1);
      assert.deepEqual(sandbox.connectors(), []);
    });

  test("its exit code is that of the job, and a connector that stays is named on standard error", async (t) => {
    const sandbox = await withoutElasticsearch(t);
    let child: Child | undefined;
    sandbox.intercept = ({ method }, handle) => {
      if (method === "POST") child?.stopReading();
      return handle();
    };
    child = start(t, { env: sandbox.env, flags: ["--no-cleanup"] });
    const { exitCode, stderr } = await child.finished;
    assert.equal(exitCode, 0);
    assert.ok(stderr.includes(only(sandbox.connectors()).id));
    assert.equal(sandbox.documents("miconnectedindex").length, 1);
  });

  test("an input that cannot be read, as with nohup, means no", async (t) => {
    const sandbox = await withoutElasticsearch(t);
    const shell = (command: string): [string, ...string[]] => ["sh", "-c", `exec ${command} 0>/dev/null`];
    const { exitCode, stdout, stderr } = await run(t, { env: sandbox.env, shell });
    assert.deepEqual([exitCode, stderr], [0, ""]);
    assert.ok(stdout.includes(`Left behind:\n  Connector ${only(sandbox.connectors()).id}`));
  });
});

function hasTerminal(): boolean {
  return process.platform === "linux" && existsSync("/usr/bin/script");
}

function inTerminal(command: string, exec = "exec "): [string, ...string[]] {
  return ["script", "--quiet", "--return", "--command", `${exec}${command}`, "/dev/null"];
}
