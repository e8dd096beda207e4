// `npm test`: bundles the test files and runs them, because starting tsx for each file takes a fifth of the whole time.
// They are named one by one: not every shell expands test/*.test.ts. Options of `node --test` may follow.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { buildSync } from "esbuild";

const folder = ".tests"; // beside test/, so that the way to the other folders is the same
const names = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
rmSync(folder, { recursive: true, force: true });
buildSync({
  entryPoints: names.map((name) => `test/${name}`),
  outdir: folder,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  splitting: true,
  external: ["@elastic/*", "dotenv", "esbuild", "undici"],
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  logLevel: "error",
});
const files = names.map((name) => `${folder}/${name.replace(/ts$/, "mjs")}`);
const flags = ["--enable-source-maps", "--test", "--test-concurrency=3", ...process.argv.slice(2)];
process.exitCode = spawnSync(process.execPath, [...flags, ...files], { stdio: "inherit" }).status ?? 1;
