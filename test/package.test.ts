// The package as others install it: what npm packs, and that ESM and CommonJS projects can use it.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, describe, it } from "node:test";
import { npm, startChild, temporaryFolder } from "./support/child.ts";
import { begin } from "./support/server.ts";

const root = resolve(import.meta.dirname, "..");
const folder = temporaryFolder();
const packed = join(folder, "package");

async function run(cwd: string, args: string[], env: Record<string, string> = {}, command = process.execPath) {
  const { exitCode, stdout, stderr } = await startChild(command, args, { env, cwd, input: "y\n" }).finished;
  assert.equal(exitCode, 0, stdout + stderr);
  return stdout;
}

/** A project that has installed the package, with the dependencies of this repository. */
function project(name: string, files: Record<string, string>, type = "module"): string {
  const cwd = join(folder, name);
  mkdirSync(join(cwd, "node_modules"), { recursive: true });
  for (const dependency of ["undici", "dotenv", "@elastic", "@types"])
    symlinkSync(join(root, "node_modules", dependency), join(cwd, "node_modules", dependency), "junction");
  cpSync(packed, join(cwd, "node_modules/kbn-connectors"), { recursive: true });
  for (const [file, content] of Object.entries({ "package.json": JSON.stringify({ type }), ...files }))
    writeFileSync(join(cwd, file), content);
  return cwd;
}

before(async () => {
  // Packed in a copy without dist, so that it has to be built, and that no other test's files are disturbed.
  const copy = join(folder, "copy");
  for (const name of ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "tsconfig.json", "tsconfig.build.json"])
    cpSync(join(root, name), join(copy, name));
  for (const name of ["src", "examples"]) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  // prepack has to build. npm pack also runs prepare, which is for `npm ci`: that would build once more.
  const manifest = readFileSync(join(copy, "package.json"), "utf8");
  writeFileSync(join(copy, "package.json"), manifest.replace(/"prepare": /, '"unused": '));
  const [command, args] = npm("pack", "--pack-destination", folder);
  await run(copy, args, { HOME: folder }, command);
  const [tarball = ""] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  await run(folder, ["-xzf", tarball], {}, "tar");
});

describe("the package", () => {
  it("holds package.json, README, LICENSE and dist, without source maps, in less than 130 kB", () => {
    assert.deepEqual(readdirSync(packed).sort(), ["LICENSE", "README.md", "dist", "package.json"]);
    const declarations = readdirSync(join(root, "src")).map((name) => name.replace(/ts$/, "d.ts"));
    const expected = [...declarations, "config.js", "index.js", "shared.js"].sort();
    assert.deepEqual(readdirSync(join(packed, "dist")).sort(), expected);
    const files = readdirSync(packed, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const text = files.map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8")).join("");
    assert.ok(Buffer.byteLength(text) < 130_000, `${Buffer.byteLength(text)} bytes`);
    assert.ok(!text.includes(folder), "it names a path of the machine that made it");
  });

  it("can be published, runs on Node 20.18.1, and has three dependencies", () => {
    const manifest = JSON.parse(readFileSync(join(packed, "package.json"), "utf8")) as Record<string, object>;
    assert.deepEqual([manifest.private, manifest.publishConfig], [undefined, { access: "public", provenance: true }]);
    assert.deepEqual(manifest.engines, { node: ">=20.18.1" });
    assert.deepEqual(Object.keys(manifest.dependencies ?? {}), ["@elastic/elasticsearch", "dotenv", "undici"]);
  });
});

describe("an ESM project", () => {
  it("imports the package without its dependencies, which are loaded by the first call", async () => {
    const main = `import { KibanaClient } from "kbn-connectors";
console.log(process.moduleLoadList.includes("NativeModule http"));
const client = new KibanaClient({ node: "http://localhost" });
await client.actions.getAll({ signal: AbortSignal.abort("mine") }).catch(console.log);
await client.actions.getAll().catch((error) => console.log(error.outcome, error.message, error.hint));
await client.close();`;
    const cwd = project("alone", { "main.mjs": main });
    for (const name of ["@elastic", "dotenv", "undici"]) rmSync(join(cwd, "node_modules", name));
    const stdout = await run(cwd, ["main.mjs"]);
    const expected = /^false\nmine\nnot-applied undici cannot be loaded: .*'undici'.* Install kbn-connectors again/;
    assert.match(stdout, expected);
  });

  const calling = `import { KibanaClient } from "kbn-connectors";
const client = new KibanaClient({ node: process.env.KIBANA_URL });
console.log((await client.actions.getAll()).statusCode);`;

  it("keeps its own fetch: loading all of undici would replace the connections of fetch", async (t) => {
    const { env } = await begin(t, { auth: false });
    const main = `${calling}
await fetch("data:,");
const { Agent } = await import("undici");
console.log(globalThis[Symbol.for("undici.globalDispatcher.1")] instanceof Agent);`;
    assert.equal(await run(project("fetch", { "main.mjs": main }), ["main.mjs"], env), "200\nfalse\n");
  });

  it("makes its calls also with an undici whose Agent has moved", async (t) => {
    const { env } = await begin(t, { auth: false });
    const cwd = project("moved", { "main.mjs": calling });
    rmSync(join(cwd, "node_modules/undici"));
    mkdirSync(join(cwd, "node_modules/undici"));
    const undici = JSON.stringify(join(root, "node_modules/undici"));
    writeFileSync(join(cwd, "node_modules/undici/index.js"), `exports.Agent = require(${undici}).Agent;`);
    assert.equal(await run(cwd, ["main.mjs"], env), "200\n");
  });
});

it("a CommonJS project runs the example pasted into it", async (t) => {
  const sandbox = await begin(t);
  const example = readFileSync(join(root, "examples/simple-index-connector.ts"), "utf8");
  const cwd = project("pasted", { "mine.ts": example }, "commonjs");
  const stdout = await run(cwd, ["--import", import.meta.resolve("tsx"), "mine.ts"], sandbox.env);
  assert.match(stdout, /✓ Document verified: .*✓ Connector deleted/s);
  assert.deepEqual(sandbox.connectors(), []);
});

const typed = `// @ts-check
import { KibanaClient } from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";
new KibanaClient(loadConfig().kibana).actions.getAll().then(({ body }) => body[0]?.name.trim());
// @ts-expect-error no such option
new KibanaClient({ nodes: "http://localhost:5601" });`;
const compilations = { module: "--allowJs main.ts main.js", commonjs: "--module nodenext main.ts" };
for (const [type, options] of Object.entries(compilations))
  it(`the declarations compile with tsc --noEmit ${options}, in a project of type ${type}`, async () => {
    const cwd = project(`${type} ${options}`, { "main.ts": typed, "main.js": typed }, type);
    const tsc = [join(root, "node_modules/typescript/bin/tsc"), "--noEmit", ...options.split(" ")];
    await run(cwd, [...tsc, "--skipDefaultLibCheck"]); // of TypeScript's own, which would take half of the time
  });
