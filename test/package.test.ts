// The package as others install it: what the tarball holds, and that CommonJS and ESM projects can use it.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import { npm, startChild } from "./support/child.ts";
import { begin } from "./support/server.ts";

const root = resolve(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-package-"));

async function run(cwd: string, command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { exitCode, stdout, stderr } = await startChild(command, args, { env, cwd, input: "" }).finished;
  assert.equal(exitCode, 0, stdout + stderr);
  return stdout;
}

/** A project that has installed the tarball, with the dependencies of this repository. */
function project(name: string, packageJson: object): string {
  const cwd = join(folder, name);
  mkdirSync(join(cwd, "node_modules"), { recursive: true });
  for (const dependency of ["undici", "dotenv", "@elastic", "@types"])
    symlinkSync(join(root, "node_modules", dependency), join(cwd, "node_modules", dependency), "junction");
  cpSync(join(folder, "package"), join(cwd, "node_modules/kbn-connectors"), { recursive: true });
  writeFileSync(join(cwd, "package.json"), JSON.stringify(packageJson));
  return cwd;
}

before(async () => {
  // Packed in a copy, so that a build here does not disturb another test's.
  const copy = join(folder, "copy");
  for (const name of [
    "package.json",
    "README.md",
    "LICENSE",
    "tsconfig.json",
    "tsconfig.build.json",
    "src",
    "examples",
  ])
    cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  await run(copy, ...npm("pack", "--pack-destination", folder), { HOME: folder });
  await run(folder, "tar", ["-xzf", "kbn-connectors-0.2.0.tgz"]);
});
after(() => rmSync(folder, { recursive: true }));

describe("the tarball", () => {
  it("holds dist, README and LICENSE, and nothing else", async () => {
    const files = (await run(folder, "tar", ["-tzf", "kbn-connectors-0.2.0.tgz"])).trim().split("\n");
    const modules = [
      "actions",
      "client",
      "config",
      "connections",
      "connector-types",
      "errors",
      "exchange",
      "failures",
      "hints",
      "index",
      "options",
      "runs",
      "serialize",
      "shown",
      "transport",
    ];
    const built = [
      ...modules.map((name) => `dist/${name}.d.ts`),
      ...["index", "config", "shared"].flatMap((name) => [`dist/${name}.js`, `dist/${name}.js.map`]),
    ];
    const all = ["LICENSE", "README.md", "package.json", ...built].map((name) => `package/${name}`);
    assert.deepEqual(files.sort(), all.sort());
  });

  it("names no path of the machine that made it", () => {
    const entries = readdirSync(join(folder, "package"), { recursive: true, withFileTypes: true });
    for (const entry of entries)
      if (entry.isFile())
        assert.ok(!readFileSync(join(entry.parentPath, entry.name), "utf8").includes(root), entry.name);
  });
});

const importing = `import { KibanaClient, NotFoundError } from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";
const client: KibanaClient = new KibanaClient(loadConfig({ env: {}, cwd: "/" }).kibana);
console.log(typeof client.actions.execute, NotFoundError.name);
`;

describe("an ESM project", () => {
  it("imports it with plain node", async () => {
    const cwd = project("esm", { type: "module" });
    writeFileSync(join(cwd, "index.mjs"), importing.replace(": KibanaClient", ""));
    assert.equal(await run(cwd, process.execPath, ["index.mjs"]), "function NotFoundError\n");
  });

  it("loads no dependency before the first call", async () => {
    const cwd = project("alone", { type: "module" });
    for (const name of ["@elastic", "dotenv", "undici"]) rmSync(join(cwd, "node_modules", name));
    writeFileSync(
      join(cwd, "index.mjs"),
      `import { KibanaClient } from "kbn-connectors";
console.log(process.moduleLoadList.includes("NativeModule http"));
await new KibanaClient({ node: "http://localhost" }).close();
const client = new KibanaClient({ node: "http://localhost" });
await client.actions.getAll({ signal: AbortSignal.abort("mine") }).catch(console.log);
await client.actions.getAll().catch(({ name, message, outcome }) => console.log(name, outcome, message));
await client.close();`,
    );
    const stdout = await run(cwd, process.execPath, ["index.mjs"]);
    assert.match(
      stdout,
      /^false\nmine\nConfigurationError not-applied undici cannot be loaded: Cannot find package 'undici' /,
    );
    assert.match(stdout, / Install kbn-connectors again, with its dependencies\.\n$/);
  });

  const calling = `import { KibanaClient } from "kbn-connectors";
const client = new KibanaClient({ node: process.env.KIBANA_URL });
const { statusCode } = await client.actions.getAll();
console.log(statusCode);`;

  it("leaves fetch as it is: loading all of undici would replace its connections", async (t) => {
    const sandbox = await begin(t, { auth: false });
    const cwd = project("fetch", { type: "module" });
    writeFileSync(
      join(cwd, "index.mjs"),
      `${calling}
await fetch("data:,");
const { Agent } = await import("undici");
console.log(globalThis[Symbol.for("undici.globalDispatcher.1")] instanceof Agent);`,
    );
    assert.equal(await run(cwd, process.execPath, ["index.mjs"], sandbox.env), "200\nfalse\n");
  });

  it("makes its calls also with an undici whose Agent has moved", async (t) => {
    const sandbox = await begin(t, { auth: false });
    const cwd = project("moved", { type: "module" });
    rmSync(join(cwd, "node_modules/undici"));
    mkdirSync(join(cwd, "node_modules/undici"));
    const undici = JSON.stringify(join(root, "node_modules/undici"));
    writeFileSync(
      join(cwd, "node_modules/undici/index.js"),
      `const { Agent } = require(${undici}); exports.Agent = Agent;`,
    );
    writeFileSync(join(cwd, "index.mjs"), calling);
    assert.equal(await run(cwd, process.execPath, ["index.mjs"], sandbox.env), "200\n");
  });

  it("type-checks against it, its declarations included", async () => {
    const cwd = project("types", { type: "module" });
    writeFileSync(join(cwd, "index.ts"), importing);
    const compilerOptions = { module: "nodenext", target: "es2023", strict: true, noEmit: true, types: ["node"] };
    writeFileSync(join(cwd, "tsconfig.json"), JSON.stringify({ compilerOptions }));
    await run(cwd, process.execPath, [join(root, "node_modules/typescript/bin/tsc")]);
  });
});

describe("a CommonJS project", () => {
  it("runs the example pasted into it", async (t) => {
    const sandbox = await begin(t);
    const cwd = project("cjs", {});
    cpSync(join(root, "examples/simple-index-connector.ts"), join(cwd, "index.ts"));
    const args = ["--import", import.meta.resolve("tsx"), "index.ts", "--cleanup"];
    const stdout = await run(cwd, process.execPath, args, sandbox.env);
    assert.match(stdout, /✓ Document verified: .*✓ Connector deleted/s);
    assert.deepEqual(sandbox.connectors(), []);
  });
});

it("the example could be anybody's: no top-level await, and no import from src or test", () => {
  const example = readFileSync(join(root, "examples/simple-index-connector.ts"), "utf8");
  assert.doesNotMatch(example, /^await /m);
  const imports = [...example.matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map(([, name]) => name);
  assert.deepEqual(imports.filter((name) => !name?.startsWith("node:")).sort(), [
    "@elastic/elasticsearch",
    "kbn-connectors",
    "kbn-connectors/config",
  ]);
});
