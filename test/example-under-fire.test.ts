// The example under fire: killed or failing at every request, what it says was left behind is what is left behind.
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type Child, compile, startChild, temporaryFolder } from "./child.ts";
import { type Answer, type Exchange, type Sandbox, startSandbox } from "./sandbox/sandbox.ts";

const example = compile("examples/simple-index-connector.ts");
const empty = temporaryFolder();

/** What the example does, request by request; `look` only after a delete that failed. */
const steps = ["create", "execute", "verify", "read", "delete", "look"] as const;
type Step = (typeof steps)[number];

/** At a step of the example, instead of answering it. */
type Fault = (exchange: Exchange, handle: () => Promise<Answer>, child: Child) => Promise<Answer | undefined>;

interface Run {
  flag: "--cleanup" | "--no-cleanup";
  faults: Partial<Record<Step, Fault>>;
  /** Default: only if something happens there. */
  readsBack?: boolean;
}

async function runExample(t: TestContext, { flag, faults, readsBack = "read" in faults }: Run) {
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
  child = startChild(process.execPath, [...example, flag], {
    // Reading back costs the child 0.3 seconds of start-up.
    env: { ...sandbox.env, ...(!readsBack && { ELASTICSEARCH_URL: "" }) },
    cwd: empty,
    input: "",
  });
  const { exitCode, stdout, stderr } = await child.finished;
  await sandbox.close(); // what was under way has ended
  return { exitCode, said: `${stdout}\n${stderr}`, reached, sandbox };
}

function stepOf({ server, method, path }: Exchange, reached: readonly Step[]): Step | undefined {
  if (server === "elasticsearch") return path.includes("_bulk") ? undefined : "read"; // _bulk is Kibana's own
  if (method === "DELETE") return "delete";
  if (method === "GET") return reached.includes("delete") ? "look" : "verify";
  return path.endsWith("_execute") ? "execute" : "create";
}

/** What it says about the connector, as the number of connectors that this allows. */
const connectorWords: [words: RegExp, left: number[]][] = [
  [/^Nothing was created\./m, [0]],
  [/^A connector may have been created: look in Kibana/m, [0, 1]],
  [/^Connector \S+ stays\. Delete it in Kibana/m, [1]],
  [/^Connector \S+ may be left behind: it was being deleted/m, [0, 1]],
  [/^✓ Connector deleted/m, [0]],
];
const documentWords: [words: RegExp, left: number[]][] = [
  [/The index 'miconnectedindex' stays, and the document, if it was written\./, [0, 1]],
  [/The index 'miconnectedindex' and the document in it stay\./, [1]],
];

/** Holds the words against what is really there, and gives the number of connectors that they allow. */
function judge(said: string, sandbox: Sandbox): number[] {
  const text = said.replace("Interrupted. ", "");
  const about = connectorWords.filter(([words]) => words.test(text));
  const [words, left = []] = about[0] ?? [];
  assert.equal(about.length, 1, `it says ${about.length} things about the connector:\n${said}`);
  const there = sandbox.connectors();
  assert.ok(left.includes(there.length), `${words}, but ${there.length} are there:\n${said}`);
  const id = /^Connector (\S+) (stays|may be)/m.exec(text)?.[1];
  if (id && there.length) assert.equal(id, there[0]?.id);
  const [, documents = [0]] = documentWords.find(([words]) => words.test(text)) ?? [];
  const written = sandbox.documents("miconnectedindex").length;
  assert.ok(documents.includes(written), `${written} documents are there:\n${said}`);
  assert.doesNotMatch(said, /changeme|^\s+at .*:\d+/m, "a secret or a stack trace");
  return left;
}

const certain: Record<string, number[]> = { nothing: [0], one: [1], perhaps: [0, 1] };

describe("killed", { concurrency: 4, timeout: 60_000 }, () => {
  // Before the first answer, it cannot know whether there is a connector, nor while deleting it.
  const allowed: Record<Step, string> = {
    create: "perhaps",
    execute: "one",
    verify: "one",
    read: "one",
    delete: "perhaps",
    look: "perhaps",
  };
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    for (const step of steps)
      for (const carriedOut of signal === "SIGINT" && /create|execute|delete/.test(step) ? [true, false] : [false])
        it(`by ${signal} at ${step}, which the server ${carriedOut ? "carries out" : "drops"}, it says so`, async (t) => {
          const kill: Fault = async ({ response }, handle, child) => {
            if (carriedOut) await handle();
            child.kill(signal);
            await child.finished;
            response.destroy();
            return undefined;
          };
          const faults = { ...(step === "look" && { delete: answers(500, "no") }), [step]: kill };
          const { exitCode, said, reached, sandbox } = await runExample(t, { flag: "--cleanup", faults });
          assert.equal(reached.at(-1), step);
          assert.equal(exitCode, code, said);
          assert.match(said, /^Interrupted\. /m);
          assert.deepEqual(judge(said, sandbox), certain[allowed[step]]);
        });
});

/** A JSON error as Kibana words it, or any body. */
function answers(status: number, body: unknown, headers: Record<string, string> = {}): Fault {
  const said = typeof body === "string" && status >= 400 ? { statusCode: status, error: "E", message: body } : body;
  const html = String(body).startsWith("<");
  return async () => ({
    status,
    headers: { "content-type": html ? "text/html" : "application/json", ...headers },
    body: html ? String(body) : JSON.stringify(said),
  });
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
const breaksTheAnswer: Fault = async ({ response }, handle) => {
  const { body } = await handle();
  response.writeHead(200, { "content-type": "application/json", "content-length": "9999" });
  response.write(body, () => response.destroy());
  return undefined;
};
const starting: Fault = async () => ({
  status: 503,
  headers: { "content-type": "text/html" },
  body: "Kibana server is not ready yet",
});

const faults: Record<string, Fault> = {
  "a dropped connection": drops,
  "an answer that gets lost": losesTheAnswer,
  "an answer that breaks off": breaksTheAnswer,
  "a 500": answers(500, "An internal server error occurred. Check Kibana server logs for details."),
  "a 403": answers(403, "Unauthorized"),
  "a proxy's 404 page": answers(404, "<html>nginx</html>"),
  "a proxy's 502 page": answers(502, "<html>nginx</html>"),
  "a login page with 200": answers(200, "<html>log in</html>"),
};
const runFaults: Record<string, Fault> = {
  ...faults,
  "a failed run": answers(200, { connector_id: "c", status: "error", message: "no", service_message: "why" }),
  "a run that is ok with errors": answers(200, {
    connector_id: "c",
    status: "ok",
    data: { errors: true, items: [{ create: { status: 400, error: { type: "t", reason: "r" } } }] },
  }),
  "a run that is lost in a restart": starting,
};

describe("failing", { concurrency: 4, timeout: 60_000 }, () => {
  interface Case {
    step: Step;
    flag: Run["flag"];
    fault: string;
    faults: Run["faults"];
    left: string;
    exitCode?: 0;
  }
  const cases: Case[] = [];
  const keeps = { flag: "--no-cleanup", left: "one" } as const;
  const deletes = { flag: "--cleanup", left: "nothing" } as const;
  const unsure = { flag: "--cleanup", left: "perhaps" } as const;
  for (const [fault, at] of Object.entries(faults)) {
    const refused = /403|404/.test(fault);
    cases.push({ step: "create", fault, faults: { create: at }, ...(refused ? deletes : unsure) });
    // If the answer to the delete is lost, it looks, and Kibana says that the connector is gone.
    const gone = at === losesTheAnswer || at === breaksTheAnswer;
    cases.push({ step: "delete", fault, faults: { delete: at }, ...(gone ? { ...deletes, exitCode: 0 } : unsure) });
    if (gone) continue; // of what only reads, nothing else is lost
    cases.push({ step: "verify", fault, faults: { verify: at }, ...keeps });
    cases.push({ step: "read", fault, faults: { read: at }, ...deletes });
    cases.push({ step: "look", fault, faults: { delete: losesTheAnswer, look: at }, ...unsure });
  }
  for (const [index, [fault, at]] of Object.entries(runFaults).entries())
    cases.push({ step: "execute", fault, faults: { execute: at }, ...(index % 2 ? keeps : deletes) });

  for (const { step, flag, fault, faults, left, exitCode = 1 } of cases)
    it(`at ${step} with ${fault} (${flag}), it ends with ${exitCode} and says what is left`, async (t) => {
      const { exitCode: code, said, reached, sandbox } = await runExample(t, { flag, faults });
      assert.ok(reached.includes(step), String(reached));
      assert.equal(code, exitCode, said);
      if (exitCode) assert.match(said, /^✗ /m);
      assert.doesNotMatch(exitCode && step !== "delete" && step !== "look" ? said : "", /🎉 Success/);
      assert.deepEqual(judge(said, sandbox), certain[left]);
    });

  it("at create while Kibana starts, it waits, and then succeeds", async (t) => {
    let refusals = 1;
    const create: Fault = async (exchange, handle, child) =>
      refusals-- > 0 ? await starting(exchange, handle, child) : await handle();
    const { exitCode, said, reached, sandbox } = await runExample(t, { flag: "--cleanup", faults: { create } });
    assert.equal(exitCode, 0, said);
    assert.deepEqual(reached.slice(0, 3), ["create", "create", "execute"]);
    assert.match(said, /not ready yet\. Trying again/);
    assert.deepEqual(judge(said, sandbox), [0]);
  });

  it("at nothing, it succeeds, and each request is made once", async (t) => {
    const { exitCode, said, reached, sandbox } = await runExample(t, {
      flag: "--cleanup",
      faults: {},
      readsBack: true,
    });
    assert.equal(exitCode, 0, said);
    assert.deepEqual(reached, ["create", "execute", "verify", "read", "delete"]);
    assert.deepEqual(judge(said, sandbox), [0]);
  });
});
