// The example as its user sees it: output, exit code, and what is in Kibana and Elasticsearch afterwards.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import type { Answer, Exchange, SandboxOptions } from "./sandbox/sandbox.ts";
import { type Child, program, startChild, temporaryFolder } from "./support/child.ts";
import { begin, serve } from "./support/server.ts";

const root = join(import.meta.dirname, "..");
const example = program("example.cjs");
const empty = temporaryFolder(); // without .env and elastic-start-local/
const question = "Delete the connector? (y/N): ";

/** What the example does, request by request; `look` only after a delete that failed. */
type Step = "create" | "execute" | "get" | "read" | "delete" | "look";

/** What happens at a step instead of its response. */
type Fault = (exchange: Exchange, handle: () => Promise<Answer>, child: Child) => Promise<Answer | undefined>;

interface Run {
  sandbox?: SandboxOptions;
  env?: Record<string, string>;
  faults?: Partial<Record<Step, Fault>> | undefined;
  /** All of standard input. Without it, standard input stays open. */
  input?: string | undefined;
  cwd?: string;
  by?: ((command: string[]) => string[]) | undefined;
}

/** Starts the example, with Elasticsearch's address only if a test needs it: reading back takes as long as the rest. */
async function start(t: TestContext, { sandbox: options, env = {}, faults = {}, by, ...run }: Run) {
  const sandbox = await begin(t, options);
  const steps: Step[] = [];
  let id = "";
  sandbox.intercept = async (exchange, handle) => {
    id ||= sandbox.connectors()[0]?.id ?? "";
    const step = stepOf(exchange, steps);
    if (step === undefined) return await handle();
    steps.push(step);
    return await (faults[step]?.(exchange, handle, child) ?? handle());
  };
  const node = [process.execPath, example];
  const [command = "", ...args] = by ? by(node) : node;
  const child = startChild(command, args, {
    env: { ...sandbox.env, ...(faults.read === undefined && { ELASTICSEARCH_URL: "" }), ...env },
    cwd: empty,
    ...run,
  });
  t.after(() => child.kill("SIGKILL"));
  const finished = child.finished.then(({ exitCode, stdout, stderr }) => {
    const shown = stdout + stderr;
    assert.doesNotMatch(shown, /changeme|ZWxhc3RpYzpjaGFuZ2VtZ|hunter2/, "a credential is shown");
    assert.doesNotMatch(shown, /^\s+at .*:\d+/m, "a stack trace is shown");
    assert.doesNotMatch(shown, /npm run|examples\/|sandbox/, "this repository is named");
    return { exitCode, stdout, stderr, steps, id, kept: sandbox.connectors().length === 1 };
  });
  return { sandbox, child, finished };
}

function stepOf({ server, method, path }: Exchange, before: readonly Step[]): Step | undefined {
  if (server === "elasticsearch") return path.includes("_doc/") ? "read" : undefined; // the others are Kibana's
  if (method === "DELETE") return "delete";
  if (method === "GET") return before.includes("delete") ? "look" : "get";
  return path.endsWith("_execute") ? "execute" : "create";
}

const runExample = async (t: TestContext, run: Run) => await (await start(t, { input: "y\n", ...run })).finished;

/** What it prints up to the question, without Elasticsearch's address. */
const output = (
  url: string,
  id: string,
  auth = "Basic authentication",
  from = "environment variables",
) => `📊 Kibana Configuration:
   URL: ${url}
   Auth: ${auth}
   🔐 Credentials detected from ${from}

Creating index connector...
✓ Created connector: ${id}

Writing document to index...
✓ Document written successfully
  Status: ok
✓ Connector verified: My Connected Index Connector
- Document not read back: ELASTICSEARCH_URL is not set.

🎉 Success! Check your 'miconnectedindex' index in Elasticsearch.
   Connector ID: ${id}
   Kibana Dev Tools: ${url}/app/dev_tools#/console
   Try this query: GET miconnectedindex/_search

Connector 'My Connected Index Connector' was created for this example.
${question}`;

describe("the example", { concurrency: 3 }, () => {
  it("run by tsx with start-local's file alone creates, writes, verifies both, and deletes on y", async (t) => {
    const sandbox = await begin(t);
    const [kibana, elasticsearch] = [sandbox.kibanaUrl, sandbox.elasticsearchUrl].map((url) => new URL(url).port);
    const cwd = temporaryFolder();
    mkdirSync(join(cwd, "elastic-start-local"));
    const file = `ES_LOCAL_PASSWORD=${sandbox.password}\nES_LOCAL_PORT=${elasticsearch}\nKIBANA_LOCAL_PORT=${kibana}\n`;
    writeFileSync(join(cwd, "elastic-start-local/.env"), file);
    const args = ["--import", import.meta.resolve("tsx"), join(root, "examples/simple-index-connector.ts")];
    const env = { TSX_TSCONFIG_PATH: join(root, "tsconfig.json") };
    const { exitCode, stdout, stderr } = await startChild(process.execPath, args, { env, cwd, input: "y\n" }).finished;
    assert.deepEqual([exitCode, stderr], [0, ""]);
    const [, id = ""] = /Created connector: (\S+)\n/.exec(stdout) ?? [];
    const [document, ...more] = sandbox.documents("miconnectedindex");
    const expected = output(`http://localhost:${kibana}`, id, undefined, "elastic-start-local/.env");
    const read = `✓ Document verified: miconnectedindex/_doc/${document?._id}`;
    assert.equal(stdout, `${expected.replace(/^- Document not.*$/m, read)}\n✓ Connector deleted\n`);
    assert.deepEqual([more, sandbox.connectors()], [[], []]);
    const { "@timestamp": time, ...fields } = Object(document?._source);
    assert.deepEqual(fields, { message: "Hello from Kibana connector!", level: "INFO", service: "example-app" });
    assert.equal(new Date(time).toISOString(), time);
  });

  const closed = (command: string[]) => ["sh", "-c", `exec "$@" 0<&-`, "sh", ...command];
  const answers: [typed: string, kept: boolean, by?: Run["by"]][] = [
    ...["y\n", "Y\n", "yes\n", "  YES ", "y\ny\n"].map((typed): [string, boolean] => [typed, false]),
    ...["\n", "yellow\n", "n\ny\n", ""].map((typed): [string, boolean] => [typed, true]),
    ["", true, closed],
  ];
  for (const [typed, kept, by] of answers)
    it(`${kept ? "keeps" : "deletes"} the connector after ${by ? "a closed input" : JSON.stringify(typed)}`, async (t) => {
      const staysOpen = typed.endsWith("\n");
      const { sandbox, child, finished } = await start(t, { input: staysOpen ? undefined : typed, by });
      if (staysOpen) child.type(typed);
      const run = await finished;
      const end = kept ? `Connector kept: ${run.id}` : "✓ Connector deleted";
      assert.equal(run.stdout, `${output(sandbox.kibanaUrl, run.id)}\n${end}\n`);
      assert.deepEqual([run.exitCode, run.stderr, run.kept], [0, "", kept]);
    });

  it("shows the base path, the space and the kind of credentials", async (t) => {
    const apiKey = Buffer.from("sandbox:changeme-too").toString("base64");
    const env = { KIBANA_SPACE: "marketing", KIBANA_API_KEY: apiKey };
    const { sandbox, finished } = await start(t, { sandbox: { basePath: "/kbn" }, env, input: "" });
    const { exitCode, stdout, id } = await finished;
    assert.equal(sandbox.connectors()[0]?.space, "marketing");
    assert.equal(stdout, `${output(`${sandbox.kibanaUrl}/s/marketing`, id, "API key")}\nConnector kept: ${id}\n`);
    assert.equal(exitCode, 0);
    assert.match((await runExample(t, { sandbox: { auth: false } })).stdout, /Auth: none\n\nCreating/);
  });

  it("shows a warning about the configuration before it fails", async (t) => {
    const { exitCode, stdout } = await runExample(t, { env: { KIBANA_URL: "http://kibana.invalid" } });
    assert.match(stdout, /\n {3}⚠ .*http:\/\/kibana\.invalid unencrypted.*\n\nCreating index connector\.\.\.\n$/);
    assert.equal(exitCode, 1);
  });
});

const answers =
  (status: number, body: string): Fault =>
  async () => ({ status, headers: {}, body });
const refuses = (statusCode: number, message = "no") =>
  answers(statusCode, JSON.stringify({ statusCode, error: "E", message }));
const drops: Fault = async ({ response }) => void response.destroy();
const losesTheResponse: Fault = async ({ response }, handle) => {
  await handle();
  response.destroy();
  return undefined;
};
/** Carries the request out, and changes the response. */
const changes =
  (from: string, to: string): Fault =>
  async (_exchange, handle) => {
    const answer = await handle();
    assert.ok(answer.body.includes(from), answer.body);
    return { ...answer, body: answer.body.replace(from, to) };
  };

describe("the example fails with exit code 1, and still offers to delete the connector:", { concurrency: 3 }, () => {
  const error = '"error":{"type":"document_parsing_exception","reason":"failed to parse field [level]"},"result":"x"';
  const created = '"result":"created"';
  const failures: [what: string, step: Step, fault: Fault, says: RegExp][] = [
    ["a missing privilege", "create", refuses(403, "Unauthorized to create actions"), /403.*\n {2}.*Connectors: All/],
    ["a wrong password", "create", refuses(401), /401.*\n {2}Wrong user or password/],
    ["a Kibana that is starting", "create", answers(503, "Kibana server is not ready yet"), /503.*\n {2}.*starting/],
    ["a lost response", "create", losesTheResponse, /\n {2}.*check before you repeat/],
    ["a refused document", "execute", changes(created, error), /failed to parse field.*\n {2}.*mapping/],
    ["a document that a pipeline dropped", "execute", changes(created, '"result":"noop"'), /noop.*\n {2}.*pipeline/],
    ["a document in the failure store", "execute", changes(created, `${created},"failure_store":"used"`), /::failures/],
    ["a lost response", "execute", losesTheResponse, /\n {2}.*check before you repeat/],
    ["another index in the connector", "get", changes("miconnectedindex", "other"), /\+ .*'other'.*\n- .*'miconnected/],
    ["no privilege to read", "read", refuses(403), /Written, but not read at ELASTICSEARCH_URL http:\S+: .*/],
    ["another level in the document", "read", changes('"INFO"', '"WARN"'), /level: 'WARN',\n- .*level: 'INFO'/],
  ];
  for (const [what, step, fault, says] of failures)
    it(`${what} at ${step}`, async (t) => {
      const { exitCode, stdout, stderr, steps, kept } = await runExample(t, { faults: { [step]: fault } });
      assert.equal(exitCode, 1);
      assert.match(stderr, /^\n✗ /);
      assert.match(stderr, says);
      const marks = ["✓ Created connector", "✓ Document written", "✓ Connector verified"];
      const done = ["create", "execute", "get", "read"].indexOf(step);
      const cleanup = step === "create" ? [] : ["✓ Connector deleted"];
      assert.deepEqual(stdout.match(/✓ \w+ \w+|🎉/g) ?? [], [...marks.slice(0, done), ...cleanup]);
      assert.equal(stdout.endsWith(`${question}\n✓ Connector deleted\n`), step !== "create", stdout);
      assert.equal(steps.at(-1), step === "create" ? "create" : "delete");
      assert.equal(kept, step === "create" && fault === losesTheResponse);
    });

  it("nothing listens at KIBANA_URL", async (t) => {
    const { exitCode, stderr } = await runExample(t, { env: { KIBANA_URL: "http://127.0.0.1:1" } });
    assert.match(stderr, /ECONNREFUSED.*\n {2}Nothing listens at 127.0.0.1:1\. .*start-local/);
    assert.equal(exitCode, 1);
  });

  it("ELASTICSEARCH_URL does not answer, whose value it names after one attempt", async (t) => {
    const { url, requests } = await serve(t, (_request, response) => response.destroy());
    const { exitCode, stderr, kept } = await runExample(t, { env: { ELASTICSEARCH_URL: url } });
    assert.match(stderr, new RegExp(`Written, but not read at ELASTICSEARCH_URL ${url}: `));
    assert.deepEqual([exitCode, kept, requests.length], [1, false, 1]);
  });

  it("ELASTICSEARCH_URL is Kibana's address, which it names", async (t) => {
    const { kibanaUrl } = await begin(t);
    const { exitCode, stderr, kept } = await runExample(t, { env: { ELASTICSEARCH_URL: kibanaUrl } });
    assert.match(stderr, new RegExp(`ELASTICSEARCH_URL ${kibanaUrl}: `));
    assert.deepEqual([exitCode, kept], [1, false]);
  });
});

it("the example accepts fields that a newer Kibana adds to the config, and a pipeline to the document", async (t) => {
  const faults = { get: changes('"config":{', '"config":{"new":1,'), read: changes('"INFO"', '"INFO","added":true') };
  const { exitCode, stdout, stderr } = await runExample(t, { faults });
  assert.match(stdout, /✓ Connector verified.*\n✓ Document verified/);
  assert.deepEqual([exitCode, stderr], [0, ""]);
});

describe("the example, if the delete fails,", { concurrency: 3 }, () => {
  const forbids = refuses(403, "Unauthorized to delete actions");
  const lost = { delete: losesTheResponse };
  const unchecked = { ...lost, look: refuses(500) };
  const deletes: [what: string, faults: Run["faults"], exitCode: number, says: RegExp, kept: boolean][] = [
    ["because its response is lost, confirms it", lost, 0, /✓ Connector deleted \(confirmed\)\n$/, false],
    ["keeps the connector if it was refused", { delete: forbids }, 1, /Connector kept.*\n\n✗ .*\n {2}.*All/, true],
    ["keeps the connector if it did not arrive", { delete: drops }, 1, /Connector kept.*\n\n✗ .*\n {2}.*check/, true],
    ["says what is known if that cannot be checked", unchecked, 1, /Connector kept, as far as is known: \w/, false],
  ];
  for (const [what, faults, exitCode, says, kept] of deletes)
    it(what, async (t) => {
      const run = await runExample(t, { faults });
      const shown = run.stdout + run.stderr;
      assert.match(shown, says);
      assert.doesNotMatch(shown, exitCode ? /deleted/ : /kept|✗/);
      assert.deepEqual([run.exitCode, run.kept, run.steps.slice(-2)], [exitCode, kept, ["delete", "look"]]);
    });
});

describe("Ctrl-C ends the example", { skip: process.platform === "win32" && "Windows has no signals" }, () => {
  const interrupt: Fault = async ({ response }, _handle, child) => {
    child.kill("SIGINT");
    await child.finished;
    return void response.destroy();
  };
  for (const step of ["create", "execute", "delete", "question"] as const)
    it(`at the ${step}`, async (t) => {
      const isQuestion = step === "question";
      const { child, finished } = await start(t, isQuestion ? {} : { faults: { [step]: interrupt }, input: "y\n" });
      if (isQuestion) await child.printed(question).then(() => child.kill("SIGINT"));
      const { exitCode, steps } = await finished;
      assert.deepEqual([exitCode, steps.at(-1)], [null, isQuestion ? "get" : step]);
    });
});

const hasTerminal = spawnSync("python3", ["-c", "import pty"]).status === 0;
describe("the example in a terminal", { concurrency: 3, skip: !hasTerminal && "needs python3" }, () => {
  const terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])) & 255)";
  for (const [key, typed, shown, exitCode] of [
    ["Enter", "\r", /^\r\n\r\nConnector kept: \S+\r\n$/, 0],
    ["y and Enter", "y\r", /^y\r\n\r\n✓ Connector deleted\r\n$/, 0],
    ["Ctrl-D", "\x04", /^[^\n]*\r\nConnector kept: \S+\r\n$/, 0],
    ["Ctrl-C", "\x03", /^\^C/, 254],
  ] as const)
    it(`ends on ${key}, and shows it once`, async (t) => {
      const { child, finished } = await start(t, { by: (command) => ["python3", "-c", terminal, ...command] });
      await child.printed(question);
      child.type(typed);
      const run = await finished;
      assert.match(run.stdout.slice(run.stdout.indexOf(question) + question.length), shown);
      assert.equal(run.exitCode, exitCode);
    });
});
