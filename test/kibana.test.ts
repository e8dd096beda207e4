// `npm run test:kibana` itself: against the sandbox of each version, a missing privilege, and a Kibana that breaks a promise.
import assert from "node:assert/strict";
import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { after, describe, it } from "node:test";
import { versions } from "./sandbox/versions.ts";
import { bundle, compile, startChild, temporaryFolder } from "./support/child.ts";
import { begin } from "./support/server.ts";

after(() => assert.deepEqual(readdirSync(join(root, "examples")), ["simple-index-connector.ts"]));

/** A small repository for the lane. Its copy of the example loads bundles and runs without tsx, so it starts fast. */
const root = temporaryFolder();
const repository = resolve(import.meta.dirname, "..");
const modules = join(root, "node_modules");
cpSync(join(repository, "examples"), join(root, "examples"), { recursive: true });
bundle("node_modules/@elastic/elasticsearch/index.js", join(modules, "@elastic/elasticsearch/index.js"));
bundle("src/index.ts", join(modules, "kbn-connectors/index.cjs"));
bundle("src/config.ts", join(modules, "kbn-connectors/config.cjs"));
const exports = { ".": "./index.cjs", "./config": "./config.cjs" };
writeFileSync(join(modules, "kbn-connectors/package.json"), JSON.stringify({ exports }));
writeFileSync(
  join(root, "typescript.cjs"),
  `const { transformSync } = require(${JSON.stringify(createRequire(import.meta.url).resolve("esbuild"))});
require.extensions[".ts"] = (module, file) =>
  module._compile(transformSync(require("fs").readFileSync(file, "utf8"), { loader: "ts", format: "cjs" }).code, file);`,
);
const program = ["--require", join(root, "typescript.cjs"), ...compile("test/kibana/main.ts")];
const lane = (env: Record<string, string>) =>
  startChild(process.execPath, program, { env, cwd: root, input: "" }).finished;
/** The lines of a verdict, without their reasons. */
const verdicts = (stdout: string, verdict: string) =>
  stdout.split("\n").flatMap((line) => (line.startsWith(verdict) ? [line.slice(15).split(":")[0] ?? ""] : []));

describe("npm run test:kibana", { concurrency: 2 }, () => {
  for (const version of versions)
    it(`finds that every promise holds with Kibana ${version}, and leaves nothing behind`, async (t) => {
      const sandbox = await begin(t, { version });
      const { exitCode, stdout, stderr } = await lane(sandbox.env);
      assert.equal(exitCode, 0, stdout + stderr);
      assert.match(stdout, new RegExp(`^Kibana ${version} at http:.*credentials from environment variables\\n`));
      const hasIds = !/^(7|8\.6)/.test(version);
      assert.deepEqual(verdicts(stdout, "does not apply"), hasIds ? [] : ["an id of your own, and its conflict"]);
      assert.ok(verdicts(stdout, "holds").length >= 18);
      assert.deepEqual(sandbox.connectors(), []);
      assert.doesNotMatch(stdout, /Left behind/);
    });

  it("says that some promises do not apply to an old Kibana without security", async (t) => {
    const { exitCode, stdout } = await lane((await begin(t, { version: "7.17", auth: false })).env);
    assert.equal(exitCode, 0, stdout);
    assert.ok(verdicts(stdout, "does not apply").includes("an id of your own, and its conflict"));
    assert.equal(verdicts(stdout, "does not apply").length, 3);
  });

  it("reports a missing privilege as such", async (t) => {
    const { exitCode, stdout } = await lane((await begin(t, { state: "read-only" })).env);
    assert.equal(exitCode, 0, stdout);
    assert.match(stdout, /^does not apply create, get, execute, update and delete: a privilege is missing: /m);
    assert.match(stdout, /^does not apply the example runs .*: a privilege is missing: /m);
  });

  it("reports a promise that is broken, with what was seen, and names what it could not remove", async (t) => {
    const sandbox = await begin(t);
    sandbox.intercept = async ({ method }, handle) =>
      method === "DELETE" ? { status: 200, headers: {}, body: "<html>" } : await handle();
    const { exitCode, stdout } = await lane(sandbox.env);
    assert.equal(exitCode, 1);
    assert.match(stdout, /^differs {8}create, get, execute, update and delete: DeserializationError: DELETE /m);
    assert.match(stdout, /^\d+ differ\.$/m);
    for (const { id } of sandbox.connectors()) assert.ok(stdout.includes(`Left behind: connector ${id}`));
  });

  it("says what to do if Kibana cannot be reached", async () => {
    const { exitCode, stderr } = await lane({ KIBANA_URL: "http://127.0.0.1:1" });
    assert.equal(exitCode, 1);
    assert.match(stderr, /ECONNREFUSED.*\nNothing listens at/);
  });
});
