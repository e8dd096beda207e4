// `npm test`: bundles the test files and runs them, because starting tsx for each file takes a fifth of the whole time.
// Options of `node --test` may follow.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { buildSync } from "esbuild";
import { buildPrograms, firstCompilerOnly } from "./support/programs.ts";

const folder = ".tests"; // beside test/, so that the way to the other folders is the same
const names = readdirSync("test").flatMap((name) => /^(.*)\.test\.ts$/.exec(name)?.[1] ?? []);
// Each of these has a process of its own, because it waits for children most of the time, or has hooks for all its tests.
// All others share one: to start it and to load undici takes longer than most files' tests.
const alone = ["connections", "docs", "example", "kibana", "package", "sandbox"];
rmSync(folder, { recursive: true, force: true });
buildSync({
  entryPoints: names.map((name) => `test/${name}.test.ts`),
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
const programs = resolve(folder, "programs");
mkdirSync(programs);
buildPrograms(programs);
const together = names.filter((name) => !alone.includes(name)).map((name) => `import "./${name}.test.mjs";\n`);
writeFileSync(`${folder}/all-others.mjs`, together.join(""));
const files = [...alone.map((name) => `${name}.test`), "all-others"].map((name) => `${folder}/${name}.mjs`);
const flags = [firstCompilerOnly, "--enable-source-maps", "--test", "--test-concurrency=3", ...process.argv.slice(2)];
const env = { ...process.env, TEST_PROGRAMS: programs };
process.exitCode = spawnSync(process.execPath, [...flags, ...files], { stdio: "inherit", env }).status ?? 1;
