// Installs the packed tarball for real and uses it with Node 20, 22 and 24; then publint and attw: `npm run test:package`.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startChild } from "../child.ts";
import { startSandbox } from "../sandbox/sandbox.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-package-"));
process.once("exit", () => rmSync(folder, { recursive: true }));

function run(cwd: string, command: string, ...args: string[]): void {
  console.log(`$ ${[command, ...args].join(" ").replaceAll(folder, "<folder>")}`);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`exit code ${status}\n${stdout}\n${stderr}`);
}

/** An empty project of that kind, with the tarball and one version of Node's binary installed. */
function project(version: string, kind: "commonjs" | "module", tarball: string): { cwd: string; node: string } {
  const cwd = join(folder, `${kind}-${version}`);
  mkdirSync(cwd);
  writeFileSync(join(cwd, "package.json"), JSON.stringify({ type: kind }));
  run(cwd, "npm", "install", "--no-audit", "--no-fund", tarball, "tsx", `node@${version}`);
  return { cwd, node: join(cwd, "node_modules/node/bin/node") };
}

run(root, "npm", "pack", "--pack-destination", folder);
const tarball = join(folder, readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "");
const sandbox = await startSandbox();
for (const version of ["20.18.1", "22", "24"])
  for (const kind of ["module", "commonjs"] as const) {
    const { cwd, node } = project(version, kind, tarball);
    const use = "new KibanaClient({ node: 'http://localhost:5601' }).actions.execute";
    run(cwd, node, "--input-type=module", "-e", `import { KibanaClient } from "kbn-connectors"; ${use}`);
    // require() of ESM came with Node 20.19 and 22.12.
    if (version !== "20.18.1")
      run(cwd, node, "--input-type=commonjs", "-e", `const { KibanaClient } = require("kbn-connectors"); ${use}`);
    copyFileSync(join(root, "examples/simple-index-connector.ts"), join(cwd, "index.ts"));
    const { exitCode, stdout, stderr } = await startChild(node, ["--import", "tsx", "index.ts", "--cleanup"], {
      env: sandbox.env,
      cwd,
      input: "",
    }).finished;
    if (exitCode !== 0 || !stdout.includes("✓ Connector deleted")) throw new Error(stdout + stderr);
    console.log(`✓ Node ${version}, ${kind}: imported, and the example pasted into it ran`);
  }
await sandbox.close();
run(root, "npx", "--yes", "publint@0.3", tarball, "--strict");
run(root, "npx", "--yes", "@arethetypeswrong/cli@0.18", tarball, "--profile", "esm-only");
console.log("✓ publint and attw have nothing to say");
