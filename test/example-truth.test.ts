// The example tells the truth: killed or failing at any request, what it says about what is left agrees with what is there.
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type Answer, type Exchange, startSandbox } from "./sandbox/sandbox.ts";
import { type Child, compile, startChild, temporaryFolder } from "./support/child.ts";

const example = compile("examples/simple-index-connector.ts");
const empty = temporaryFolder();

const onWindows = process.platform === "win32" && "Windows has no signals";

/** What the example does, request by request; `look` only after a delete that failed. */
const steps = ["create", "execute", "get", "read", "delete", "look"] as const;
type Step = (typeof steps)[number];

/** What happens at a step instead of its answer. */
type Fault = (exchange: Exchange, handle: () => Promise<Answer>, child: Child) => Promise<Answer | undefined>;

async function runExample(t: TestContext, flag: "--cleanup" | "--no-cleanup", faults: Partial<Record<Step, Fault>>) {
  const sandbox = await startSandbox();
  t.after(() => sandbox.close());
  const reached: Step[] = [];
  let child: Child | undefined;
  sandbox.intercept = async (exchange, handle) => {
    const step = stepOf(exchange, reached);
    if (!step) return await handle();
    reached.push(step);
    const fault = faults[step];
    return fault && child ? await fault(exchange, handle, child) : await handle();
  };
  const readsBack = "read" in faults || Object.keys(faults).length === 0;
  child = startChild(process.execPath, [...example, flag], {
    env: { ...sandbox.env, ...(!readsBack && { ELASTICSEARCH_URL: "" }) },
    cwd: empty,
    input: "",
  });
  const { exitCode, stdout, stderr } = await child.finished;
  await sandbox.close(); // what was under way has ended
  assert.doesNotMatch(stdout + stderr, /changeme|^\s+at .*:\d+/m, "a secret or a stack trace");
  return { exitCode, stdout, stderr, reached, sandbox };
}

function stepOf({ server, method, path }: Exchange, reached: readonly Step[]): Step | undefined {
  if (server === "elasticsearch") return path.includes("_bulk") ? undefined : "read"; // _bulk is Kibana's own
  if (method === "DELETE") return "delete";
  if (method === "GET") return reached.includes("delete") ? "look" : "get";
  return path.endsWith("_execute") ? "execute" : "create";
}

type Run = Awaited<ReturnType<typeof runExample>>;

/** Holds the list of what is left against what is there, and gives what it says of the connector. */
function judge({ exitCode, stdout, stderr, sandbox }: Run): "none" | "one" | "perhaps" {
  const [where, elsewhere] = exitCode === 0 ? [stdout, stderr] : [stderr, stdout];
  assert.doesNotMatch(elsewhere, /Left behind/);
  const [, list = "", ...more] = where.split("\nLeft behind:\n");
  assert.deepEqual(more, [], "it is told once");
  const lines = list.split("\n").filter(Boolean);
  const there = sandbox.connectors().map(({ id }) => id);
  const documents = sandbox.documents("miconnectedindex").map(({ _id }) => _id);

  const about = (word: string) => lines.filter((line) => line.includes(word));
  assert.equal(about("onnector").length + about("ocument").length, lines.length, where);
  const [connector = "", ...connectors] = about("onnector");
  const [document = "", ...others] = about("ocument");
  assert.deepEqual([connectors, others], [[], []], "one line for each");
  const page = `${sandbox.kibanaUrl}/app/management/insightsAndAlerting/triggersActionsConnectors/connectors`;
  if (connector) assert.ok(connector.includes(page), connector);

  const mayBe = /\bmay (be|have been)\b/;
  if (there.length > 0) assert.ok(mayBe.test(connector) || connector.includes(there[0] ?? ""), `unsaid:\n${where}`);
  else assert.ok(connector === "" || mayBe.test(connector), `a connector is named that is not there:\n${where}`);
  if (documents.length > 0)
    assert.ok(mayBe.test(document) || document.includes(documents[0] ?? ""), `unsaid:\n${where}`);
  else assert.ok(document === "" || mayBe.test(document), `a document is named that is not there:\n${where}`);
  return connector === "" ? "none" : mayBe.test(connector) ? "perhaps" : "one";
}

describe("killed", { concurrency: 4, timeout: 60_000 }, () => {
  // Before create has answered, and while it deletes, it cannot know whether there is a connector.
  const says: Record<Step, string> = {
    create: "perhaps",
    execute: "one",
    get: "one",
    read: "one",
    delete: "perhaps",
    look: "perhaps",
  };
  const kills: [step: Step, signal: "SIGINT" | "SIGTERM" | "SIGHUP", carriedOut: boolean][] = [
    ...steps.map((step): [Step, "SIGINT", false] => [step, "SIGINT", false]),
    ["create", "SIGTERM", true],
    ["execute", "SIGHUP", true],
    ["delete", "SIGTERM", true],
  ];
  const codes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };
  for (const [step, signal, carriedOut] of kills)
    it(`by ${signal} at ${step}, which the server ${carriedOut ? "carries out" : "drops"}`, {
      skip: onWindows,
    }, async (t) => {
      const kill: Fault = async ({ response }, handle, child) => {
        if (carriedOut) await handle();
        child.kill(signal);
        await child.finished;
        response.destroy();
        return undefined;
      };
      const run = await runExample(t, "--cleanup", { ...(step === "look" && { delete: refuses(500) }), [step]: kill });
      assert.equal(run.reached.at(-1), step);
      assert.equal(run.exitCode, codes[signal]);
      assert.equal(judge(run), says[step]);
      if (step === "execute") assert.match(run.stderr, /The document may have been written/);
    });
});

function answers(status: number, body: unknown): Fault {
  const isPage = typeof body === "string";
  return async () => ({
    status,
    headers: { "content-type": isPage ? "text/html" : "application/json" },
    body: isPage ? body : JSON.stringify(body),
  });
}

function refuses(status: number, message = "no"): Fault {
  return answers(status, { statusCode: status, error: "E", message });
}

const drops: Fault = async ({ response }) => {
  response.destroy();
  return undefined;
};
const losesTheAnswer: Fault = async ({ response }, handle) => {
  await handle();
  response.destroy();
  return undefined;
};
/** Carries the request out, and changes the answer. */
const changes =
  (from: string | RegExp, to: string): Fault =>
  async (_exchange, handle) => {
    const answer = await handle();
    const body = answer.body.replace(from, to);
    assert.notEqual(body, answer.body, "there was something to change");
    return { ...answer, body };
  };

describe("failing", { concurrency: 4, timeout: 60_000 }, () => {
  type Case = [step: Step, fault: string, at: Fault, left: string, more?: { exitCode?: 0; says?: RegExp }];
  const run = (id: string, items: object[]) => ({ connector_id: id, status: "ok", data: { errors: false, items } });
  const item = { _index: "miconnectedindex", _id: "1", status: 201 };
  const failedRun =
    (change: (id: string) => object): Fault =>
    async ({ path, ...rest }, handle, child) =>
      await answers(200, change(path.split("/").at(-2) ?? ""))({ path, ...rest }, handle, child);
  const mayBeWritten = /Left behind:\n {2}The document may have been written to the index 'miconnectedindex'\.\n$/;
  const cases: Case[] = [
    // What was refused is not there; what got no answer may be.
    ["create", "a 403", refuses(403), "none"],
    ["create", "an answer that gets lost", losesTheAnswer, "perhaps"],
    ["create", "a login page with 200", answers(200, "<html>log in</html>"), "perhaps"],
    ["create", "a connector without an id", changes(/"id":"[^"]+",/, ""), "perhaps"],
    // After a failure it cleans up all the same.
    ["execute", "a 403", refuses(403), "none", { says: /^(?!.*ocument)/s }],
    ["execute", "an answer that gets lost", losesTheAnswer, "none", { says: mayBeWritten }],
    [
      "execute",
      "a run that is ok with an error",
      failedRun((id) => run(id, [{ create: { ...item, error: {} } }])),
      "none",
    ],
    [
      "execute",
      "a run that names no _id",
      failedRun((id) => run(id, [{ create: { ...item, _id: undefined } }])),
      "none",
    ],
    ["execute", "a run of another connector", failedRun(() => run("another", [{ create: item }])), "none"],
    ["get", "a 500", refuses(500), "none"],
    ["get", "another connector", changes(/"id":"[^"]+"/, '"id":"another"'), "none"],
    ["get", "another index", changes("miconnectedindex", "otherindex"), "none"],
    ["read", "a missing privilege", refuses(403), "none", { says: /You need "read" on miconnectedindex/ }],
    ["read", "another document", changes("Hello", "Goodbye"), "none"],
    ["read", "a time that is none", changes(/"@timestamp":"[^"]+"/, '"@timestamp":"noon"'), "none"],
    // Refused, so it stays; lost, so it may stay, unless Kibana says that it is gone.
    ["delete", "a 403", refuses(403), "one"],
    ["delete", "a proxy's 404 page", answers(404, "<html>nginx</html>"), "one"],
    ["delete", "a dropped connection", drops, "perhaps"],
    ["delete", "an answer that gets lost", losesTheAnswer, "none", { exitCode: 0 }],
    ["look", "a 500", refuses(500), "perhaps"],
    ["look", "another 404 of JSON", answers(404, '{"message":"Connector service not found"}'), "perhaps"],
  ];
  for (const [step, fault, at, left, { exitCode = 1, says } = {}] of cases)
    it(`at ${step} with ${fault}`, async (t) => {
      const faults = { ...(step === "look" && { delete: losesTheAnswer }), [step]: at };
      const run = await runExample(t, "--cleanup", faults);
      assert.ok(run.reached.includes(step), String(run.reached));
      assert.equal(run.exitCode, exitCode, run.stdout + run.stderr);
      assert.equal(run.stderr.includes("✗ "), exitCode === 1);
      assert.equal(judge(run), left, run.stderr);
      if (says) assert.match(run.stderr, says);
      if (step === "create") assert.doesNotMatch(run.stdout, /✓/);
      if (step === "execute") assert.doesNotMatch(run.stdout, /✓ (?!Created|Connector deleted)/);
      if (step === "get") assert.doesNotMatch(run.stdout, /✓ (Connector|Document) verified/);
      if (step === "read") assert.doesNotMatch(run.stdout, /✓ Document verified/);
      assert.equal(run.stdout.includes("🎉"), step === "delete" || step === "look");
      if (step === "delete" || step === "look")
        assert.equal(run.stdout.includes("✓ Connector deleted (confirmed)\n"), exitCode === 0);
    });

  it("at nothing, it succeeds, and each request is made once", async (t) => {
    const run = await runExample(t, "--cleanup", {});
    assert.equal(run.exitCode, 0, run.stderr);
    assert.deepEqual(run.reached, ["create", "execute", "get", "read", "delete"]);
    assert.equal(judge(run), "none");
    assert.match(run.stdout, /Left behind:\n {2}Document \S+ in the index 'miconnectedindex'\n$/);
  });
});
