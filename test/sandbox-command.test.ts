// The sandbox's command line, as real child processes.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { type Child, compile, startChild } from "./support/child.ts";

const program = compile("test/sandbox/main.ts", "program.mjs");

const onWindows = process.platform === "win32" && "Windows has no signals";

function sandbox(t: TestContext, args: string[], env: Record<string, string> = {}): Child {
  const child = startChild(process.execPath, [...program, ...args], { env, cwd: process.cwd(), input: "" });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

/** Without a command it would listen on the ports of the README. */
const anyPorts = ["--port", "0", "--elasticsearch-port", "0"];
const script = (code: string, ...args: string[]) => [process.execPath, "-e", code, "--", ...args];

describe("npm run sandbox", { concurrency: true }, () => {
  test("without a command it prints variables to export, serves, and ends with Ctrl-C", {
    skip: onWindows,
  }, async (t) => {
    const { kill, printed, finished } = sandbox(t, [...anyPorts, "--no-auth", "--base-path", "/kbn"]);
    const lines = await printed("ELASTICSEARCH_URL");
    assert.match(lines, /^A simulated Kibana at http:.*\n.*Ctrl-C/);
    const url = /^export KIBANA_URL='(http:\/\/127\.0\.0\.1:\d+\/kbn)'$/m.exec(lines)?.[1] ?? "";
    assert.equal((await fetch(`${url}/api/actions/connectors`)).status, 200);
    kill("SIGINT");
    assert.equal((await finished).exitCode, 0);
    await assert.rejects(fetch(url), "nothing listens any more");
  });

  test("a command runs against it with the variables set, and what leaks from outside is blanked", async (t) => {
    const look = `
    const { KIBANA_URL, KIBANA_USERNAME: u, KIBANA_PASSWORD: p, KIBANA_API_KEY, KIBANA_SPACE, ELASTICSEARCH_URL } = process.env;
    const headers = { authorization: "Basic " + btoa(u + ":" + p) };
    const answers = await Promise.all([KIBANA_URL + "/api/actions/connector_types", ELASTICSEARCH_URL].map((url) => fetch(url, { headers })));
    console.log(answers.map(({ status }) => status).join(), JSON.stringify([KIBANA_API_KEY, KIBANA_SPACE]), (await answers[1].json()).version.number);`;
    const { finished } = sandbox(t, ["--kibana", "8.19", process.execPath, "--input-type=module", "-e", look], {
      KIBANA_API_KEY: "mine",
      KIBANA_SPACE: "mine",
    });
    assert.deepEqual(await finished, { exitCode: 0, stdout: '200,200 ["",""] 8.19.4\n', stderr: "" });
  });

  test("the command's exit code is passed on, its signal as 128 and its number", { skip: onWindows }, async (t) => {
    const exits = sandbox(t, script("process.exit(7)"));
    const killed = sandbox(t, script("process.kill(process.pid, 'SIGKILL')"));
    assert.equal((await exits.finished).exitCode, 7);
    assert.equal((await killed.finished).exitCode, 137);
  });

  test("the options end where the command begins", async (t) => {
    const { finished } = sandbox(t, [
      "--state",
      "no-encryption-key",
      ...script("console.log(process.argv.slice(1).join())", "--port", "x"),
    ]);
    assert.deepEqual(await finished, { exitCode: 0, stdout: "--port,x\n", stderr: "" });
  });

  test("a signal goes to the command, and the sandbox waits for it", { skip: onWindows }, async (t) => {
    const patient =
      "process.on('SIGINT', () => { console.log('cleaned up'); process.exit(5); }); setInterval(() => {}, 1000); console.log('ready');";
    const interrupted = sandbox(t, script(patient));
    await interrupted.printed("ready");
    interrupted.kill("SIGINT");
    assert.deepEqual(await interrupted.finished, { exitCode: 5, stdout: "ready\ncleaned up\n", stderr: "" });
    const terminated = sandbox(t, script(patient));
    await terminated.printed("ready");
    terminated.kill("SIGTERM");
    assert.equal((await terminated.finished).exitCode, 143);
  });

  test("wrong options say what is wrong and how it works, with exit code 2", async (t) => {
    const wrong: [string[], RegExp][] = [
      [["--nope"], /^Unknown option '--nope'/],
      [["--kibana", "8.7"], /^The sandbox knows no Kibana "8\.7"/],
      [["--kibana"], /^Option '--kibana <value>' argument missing/],
      [["--port", "70000"], /^--port "70000" is no port number\./],
      [["--base-path", "kbn/"], /^--base-path "kbn\/" must begin with \//],
      [["--elasticsearch", "localhost:9200"], /^--elasticsearch takes a URL/],
      [["--state", "sleepy"], /^--state "sleepy" is none of starting, refused, not-ready, /],
      [["--state", "slow=soon"], /^--state "slow=soon" is none of/],
    ];
    const results = await Promise.all(wrong.map(([args]) => sandbox(t, args).finished));
    for (const [index, { exitCode, stdout, stderr }] of results.entries()) {
      assert.deepEqual([exitCode, stdout], [2, ""], wrong[index]?.[0].join(" "));
      assert.match(stderr, wrong[index]?.[1] ?? /never/);
      assert.match(stderr, /Usage: npm run sandbox/);
    }
  });

  test("a port in use is named, with exit code 1; a command that cannot be started with 127", async (t) => {
    const other = createServer().listen(0, "127.0.0.1");
    t.after(() => void other.close());
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const [taken, missing] = await Promise.all([
      sandbox(t, ["--port", String(port), "--elasticsearch-port", "0"]).finished,
      sandbox(t, ["no-such-command-anywhere"]).finished,
    ]);
    assert.deepEqual(taken, {
      exitCode: 1,
      stdout: "",
      stderr: `Port ${port} is in use: choose others with --port and --elasticsearch-port.\n`,
    });
    assert.deepEqual(missing, {
      exitCode: 127,
      stdout: "",
      stderr: "no-such-command-anywhere cannot be started: no such command\n",
    });
  });
});
