// `npm run test:kibana` itself, against the sandbox of each version and against one that breaks promises.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, it } from "node:test";
import { versions } from "./sandbox/versions.ts";
import { program, startChild, temporaryFolder } from "./support/child.ts";
import { begin } from "./support/server.ts";

/** A repository that has nothing but the example: as a bundle, which node can run without tsx, and that starts fast. */
const root = temporaryFolder();
mkdirSync(join(root, "examples"));
copyFileSync(program("example.cjs"), join(root, "examples/simple-index-connector.ts"));
writeFileSync(join(root, "plain.cjs"), 'require.extensions[".ts"] = require.extensions[".js"];');
const onWindows = process.platform === "win32";
const args = ["--require", join(root, "plain.cjs"), program("kibana.cjs")];
const start = (env: Record<string, string>) => startChild(process.execPath, args, { env, cwd: root, input: "" });
afterEach(() => assert.deepEqual(readdirSync(join(root, "examples")), ["simple-index-connector.ts"]));

for (const version of versions)
  it(`npm run test:kibana finds that Kibana ${version} keeps every promise, and leaves nothing behind`, async (t) => {
    const sandbox = await begin(t, { version });
    const { exitCode, stdout } = await start(sandbox.env).finished;
    assert.match(stdout, /^(kept .*\n(skipped .*\n.*\n)*){13}/m);
    assert.deepEqual([exitCode, sandbox.connectors()], [0, []]);
  });

it("npm run test:kibana skips what the user may not do, and leaves nothing behind", async (t) => {
  const sandbox = await begin(t);
  const error = { type: "security_exception", reason: "action [indices:data/write] is unauthorized for user [u]" };
  const bulk = { errors: true, items: [{ create: { _index: "i", _id: "1", status: 403, error } }] };
  sandbox.intercept = ({ server, path }, handle) => {
    if (server === "kibana") return handle();
    const [status, body] = path.includes("/_bulk") ? [200, bulk] : [403, { error }];
    return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  };
  const { exitCode, stdout } = await start(sandbox.env).finished;
  assert.match(stdout, /^skipped {2}a connector is created .*\n.*is unauthorized for user/m);
  assert.deepEqual([exitCode, sandbox.connectors()], [0, []]);
});

it("npm run test:kibana fails for a broken promise, and for what it cannot delete", async (t) => {
  const sandbox = await begin(t);
  sandbox.intercept = ({ method }, handle) => (method === "DELETE" ? { status: 503, headers: {}, body: "" } : handle());
  const { exitCode, stdout } = await start(sandbox.env).finished;
  assert.match(stdout, /^BROKEN {3}a connector is created .*^Left behind: \/kbn-connectors-test-\w+ in E.* 503/ms);
  assert.deepEqual([exitCode, sandbox.connectors().filter(({ id }) => !stdout.includes(`connector ${id}`))], [1, []]);
});

for (const [creation, n] of Object.entries({ "the example's": 3, "the second": 9 }))
  it(`npm run test:kibana leaves nothing behind after Ctrl-C during ${creation} creation of a connector`, {
    skip: onWindows,
  }, async (t) => {
    const sandbox = await begin(t);
    const lane = start(sandbox.env);
    sandbox.intercept = (_, handle) => {
      if (sandbox.requests.length === n) lane.kill("SIGINT");
      return handle();
    };
    assert.deepEqual([(await lane.finished).exitCode, sandbox.connectors()], [130, []]);
  });
