// The programs that the tests start, as bundles: loading their modules one by one would take most of the tests' time.
// Apart from child.ts, because run.ts, which is no test, builds them for all test files.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { buildSync } from "esbuild";

const root = process.cwd(); // npm starts scripts where package.json is

const programs = {
  "example.cjs": "examples/simple-index-connector.ts",
  "kibana.cjs": "test/kibana/main.ts",
  "library.cjs": "src/index.ts",
  "library.mjs": "src/index.ts", // imports undici
  "sandbox.mjs": "test/sandbox/main.ts",
};
export type Program = keyof typeof programs;

/** For V8: compiles undici's parser, which is WebAssembly, once. The second compiler would take 0.07 s of each process. */
export const firstCompilerOnly = "--liftoff-only";

export function buildPrograms(folder: string, names = Object.keys(programs) as Program[]): void {
  // Most runs of the example end without Elasticsearch's client, which takes longer to load than all the rest.
  const elasticsearch = join(folder, "elasticsearch.cjs");
  const client = createRequire(join(root, "package.json")).resolve("@elastic/elasticsearch");
  const lazy = `module.exports = { get Client() { return require(${JSON.stringify(client)}).Client } };`;
  writeFileSync(elasticsearch, lazy);
  for (const extension of [".cjs", ".mjs"] as const)
    buildSync({
      entryPoints: names
        .filter((name) => name.endsWith(extension))
        .map((name) => ({ in: join(root, programs[name]), out: name.slice(0, -extension.length) })),
      outdir: folder,
      outExtension: { ".js": extension },
      tsconfig: join(root, "tsconfig.json"),
      alias: { "@elastic/elasticsearch": elasticsearch },
      external: extension === ".mjs" ? ["undici"] : [],
      bundle: true,
      platform: "node",
      format: extension === ".mjs" ? "esm" : "cjs",
      minify: true, // a third less to load
      banner: extension === ".cjs" ? { js: `require("node:v8").setFlagsFromString("${firstCompilerOnly}");` } : {},
      logLevel: "error",
    });
}
