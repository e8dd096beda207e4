// The command line: `npm run test:consumers [-- <part of a row's name>]` uses the packed package as others do, and prints a table.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startSandbox } from "../sandbox/sandbox.ts";
import { startChild } from "../support/child.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-consumers-"));
const wanted = process.argv[2] ?? "";

function shell(cwd: string, command: string): string {
  const options = { cwd, shell: true, encoding: "utf8", timeout: 300_000 } as const;
  const { status, stdout, stderr } = spawnSync(command, options);
  if (status !== 0) throw new Error(`${command}\n${stdout}${stderr}`);
  return stdout.trim();
}

shell(root, `npm pack --pack-destination "${folder}"`);
const tarball = join(folder, readdirSync(folder)[0] ?? "");
const sandbox = await startSandbox();

/** A life of a connector, and an error whose code and hint have to survive. */
const body = `
  const { username, password, node } = JSON.parse(process.env.KBN_TARGET);
  const client = new KibanaClient({ node, auth: { username, password }, ...(globalThis.options ?? {}) });
  const { body: connector } = await client.actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } });
  const { body: result } = await client.actions.execute({ id: connector.id, params: { documents: [{ at: new Date(0) }] } });
  const { body: found } = await client.actions.get({ id: connector.id });
  await client.actions.delete({ id: connector.id });
  const missing = await client.actions.get({ id: connector.id }).catch((error) => error);
  await client.close();
  const refused = await new KibanaClient({ node: "http://127.0.0.1:1" }).actions.getAll().catch((error) => error);
  return [found.name, writtenDocuments(result).length, missing.name, missing instanceof NotFoundError, refused.code, /^Nothing listens/.test(refused.hint)].join();
`;
const names = "{ KibanaClient, NotFoundError, writtenDocuments }";
const expected = "n,1,NotFoundError,true,ECONNREFUSED,true";
const esm = `import ${names} from "kbn-connectors";
async function main() {${body}}
main().then(console.log);
`;
const cjs = esm.replace(/import (.*) from ("kbn-connectors");/, "const $1 = require($2);");
const typed = `import { KibanaClient, writtenDocuments, type Connector, type IndexConfig } from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";
export async function main() {
  await using client = new KibanaClient(loadConfig().kibana);
  const config: IndexConfig = { index: "i" };
  const { body } = await client.actions.create({ name: "n", connector_type_id: ".index", config });
  body satisfies Connector<".index">;
  const { body: result } = await client.actions.execute({ id: body.id, params: { documents: [{ a: 1 }] } });
  writtenDocuments(result)[0] satisfies { index: string; id: string } | undefined;
  // @ts-expect-error no such field
  return body.nmae;
}
`;

/** A project that has installed the package, and these packages. */
function project(name: string, files: Record<string, string>, packages = ""): string {
  const cwd = join(folder, name.replace(/\W+/g, "-"));
  mkdirSync(cwd, { recursive: true });
  if (!("package.json" in files)) writeFileSync(join(cwd, "package.json"), '{ "type": "module" }');
  for (const [file, content] of Object.entries(files)) writeFileSync(join(cwd, file), content);
  shell(cwd, `npm install --no-audit --no-fund --ignore-scripts "${tarball}" ${packages}`);
  return cwd;
}

const target = { node: sandbox.kibanaUrl, username: sandbox.username, password: sandbox.password };

/** Runs a command in a project, with the sandbox still answering. */
async function run(cwd: string, [command = "", ...args]: string[]): Promise<string> {
  const env = { KBN_TARGET: JSON.stringify(target), HOME: folder, PATH: process.env.PATH ?? "" };
  const { exitCode, stdout, stderr } = await startChild(command, args, { env, cwd, input: "" }).finished;
  return exitCode === 0 && stdout ? stdout.trim() : `${stdout}${stderr}`.trim();
}

function judge(output: string): string {
  if (output.split("\n").some((line) => line.replace(/^.*?(?=n,1,)/, "") === expected)) return "works";
  throw new Error(output);
}

/** Refused, with the words of the recipe. */
function keptOut(output: string): string {
  if (/undici cannot be loaded:.*keep undici out of the bundle/.test(output)) return 'refused: `external: ["undici"]`';
  throw new Error(output);
}

const node = (version: string) => {
  const cwd = join(folder, `node-${version}`);
  mkdirSync(cwd, { recursive: true });
  // npm's package node fetches the binary of this system in its install script; the binary's own package needs none.
  const system = `${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  shell(cwd, `npm install --no-audit --no-fund --prefix . node-bin-${system}@npm:node-${system}@${version}`);
  return join(cwd, `node_modules/node-bin-${system}/bin/node`);
};

const rows: Record<string, () => Promise<string>> = {};
for (const version of ["20.18.1", "22", "24", "26"]) {
  rows[`Node ${version}, ESM`] = async () => {
    const cwd = project(`plain-${version}`, { "main.mjs": esm, "main.cjs": cjs });
    return judge(await run(cwd, [node(version), "main.mjs"]));
  };
  rows[`Node ${version}, CommonJS`] = async () => {
    const output = await run(project(`plain-${version}`, { "main.cjs": cjs }), [node(version), "main.cjs"]);
    if (version === "20.18.1" && /ERR_REQUIRE_ESM/.test(output)) return "`await import()` only";
    return judge(output);
  };
}
for (const version of ["5.4", "7"])
  for (const [module, moduleResolution] of [
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ])
    rows[`TypeScript ${version}, ${moduleResolution}, without skipLibCheck`] = async () => {
      const compilerOptions = {
        module,
        moduleResolution,
        target: "es2022",
        strict: true,
        noEmit: true,
        types: ["node"],
        skipLibCheck: false,
      };
      const files = { "main.ts": typed, "tsconfig.json": JSON.stringify({ compilerOptions, include: ["main.ts"] }) };
      const cwd = project(`types-${version}-${moduleResolution}`, files, `typescript@${version} @types/node@20`);
      const output = await run(cwd, ["node", "node_modules/typescript/bin/tsc"]);
      if (output !== "") throw new Error(output);
      return "works";
    };
rows["tsx, CommonJS"] = async () => {
  const cwd = project("tsx", { "package.json": "{}", "main.ts": esm }, "tsx");
  return judge(await run(cwd, ["npx", "tsx", "main.ts"]));
};
for (const [format, more, result] of [
  ["cjs", "", "works"],
  ["esm", "", "refused"],
  ["esm", "--external:undici", "works"],
] as const)
  rows[`esbuild, ${format}${more && `, ${more.slice(2)}`}`] = async () => {
    const cwd = project("esbuild", { "main.mjs": esm }, "esbuild");
    const out = format === "cjs" ? "out.cjs" : "out.mjs";
    shell(cwd, `npx esbuild main.mjs --bundle --minify --platform=node --format=${format} ${more} --outfile=${out}`);
    const output = await run(cwd, [process.execPath, out]);
    return result === "works" ? judge(output) : keptOut(output);
  };
for (const external of ["", "undici"])
  rows[`Rollup${external && ", external undici"}`] = async () => {
    const config = `import commonjs from "@rollup/plugin-commonjs"; import json from "@rollup/plugin-json"; import { nodeResolve } from "@rollup/plugin-node-resolve";
export default { input: "main.mjs", external: ["${external}"], output: { dir: "out" }, plugins: [nodeResolve({ preferBuiltins: true, exportConditions: ["node"] }), commonjs(), json()] };`;
    const packages = "rollup @rollup/plugin-commonjs @rollup/plugin-json @rollup/plugin-node-resolve";
    const cwd = project(`rollup${external}`, { "main.mjs": esm, "rollup.config.mjs": config }, packages);
    shell(cwd, "npx rollup -c --silent");
    const output = await run(cwd, [process.execPath, "out/main.js"]);
    return external ? judge(output) : keptOut(output);
  };
rows["webpack 5"] = async () => {
  const config =
    'module.exports = { target: "node", mode: "production", entry: "./main.mjs", output: { filename: "out.cjs", path: __dirname } };';
  const cwd = project("webpack", { "main.mjs": esm, "webpack.config.cjs": config }, "webpack@5 webpack-cli");
  shell(cwd, "npx webpack");
  return judge(await run(cwd, [process.execPath, "out.cjs"]));
};
rows["Vite, SSR build"] = async () => {
  const cwd = project("vite", { "main.mjs": esm }, "vite@7");
  shell(cwd, "npx vite build --ssr main.mjs --outDir out --logLevel error");
  return judge(await run(cwd, [process.execPath, join("out", readdirSync(join(cwd, "out"))[0] ?? "")]));
};
rows.Vitest = async () => {
  const test = `import { expect, it } from "vitest"; import ${names} from "kbn-connectors";
it("works", async () => { const run = async () => {${body}}; const result = await run(); console.log(result); expect(result).toBe("${expected}"); });`;
  return judge(await run(project("vitest", { "main.test.mjs": test }, "vitest@3"), ["npx", "vitest", "run"]));
};
const jestTest = (importing: string) =>
  `${importing}\ntest("works", async () => { const run = async () => {${body}}; expect(await run()).toBe("${expected}"); });`;
rows["Jest, ESM"] = async () => {
  const files = {
    "package.json": '{ "type": "module", "jest": { "transform": {} } }',
    "main.test.js": jestTest(`import ${names} from "kbn-connectors";`),
  };
  const cwd = project("jest-esm", files, "jest");
  const output = await run(cwd, [process.execPath, "--experimental-vm-modules", "node_modules/jest/bin/jest.js"]);
  if (!/Tests: +1 passed/.test(output)) throw new Error(output);
  return "works";
};
rows["Jest, transformIgnorePatterns"] = async () => {
  const jest = { transform: { "\\.js$": "babel-jest" }, transformIgnorePatterns: ["node_modules/(?!kbn-connectors)"] };
  const files = {
    "package.json": JSON.stringify({ jest }),
    "babel.config.json": '{ "presets": [["@babel/preset-env", { "targets": { "node": "current" } }]] }',
    "main.test.js": jestTest(`import ${names} from "kbn-connectors";`),
  };
  const cwd = project("jest-cjs", files, "jest babel-jest @babel/core @babel/preset-env");
  const output = await run(cwd, [process.execPath, "node_modules/jest/bin/jest.js"]);
  if (!/Tests: +1 passed/.test(output)) throw new Error(output);
  return "works";
};
rows.pnpm = async () => {
  const cwd = join(folder, "pnpm");
  mkdirSync(cwd);
  writeFileSync(join(cwd, "package.json"), '{ "type": "module" }');
  writeFileSync(join(cwd, "main.mjs"), esm);
  shell(cwd, `npx --yes pnpm@10 add --ignore-scripts "${tarball}"`);
  return judge(await run(cwd, [process.execPath, "main.mjs"]));
};
rows.Bun = async () => {
  const cwd = project("bun", { "main.mjs": esm }, `@oven/bun-${process.platform}-${process.arch}`);
  return judge(
    await run(cwd, [join(cwd, `node_modules/@oven/bun-${process.platform}-${process.arch}/bin/bun`), "main.mjs"]),
  );
};
rows.Deno = async () => {
  const cwd = project("deno", { "main.mjs": esm }, "deno");
  const [binary = ""] = readdirSync(join(cwd, "node_modules/@deno"));
  return judge(
    await run(cwd, [
      join(cwd, "node_modules/@deno", binary, "deno"),
      "run",
      "-A",
      "--node-modules-dir=manual",
      "main.mjs",
    ]),
  );
};
for (const [version, runtime] of [
  ["6", "20.18.1"],
  ["7", "20.18.1"],
  ["8", "24"],
] as const)
  rows[`a dispatcher of undici ${version}, Node ${runtime}`] = async () => {
    const main = `import { Agent } from "undici";\nglobalThis.options = { dispatcher: new Agent() };\n${esm}`;
    const output = await run(project(`undici-${version}`, { "main.mjs": main }, `undici@${version}`), [
      node(runtime),
      "main.mjs",
    ]);
    if (version === "6" && /dispatcher: must be of undici 7 or 8/.test(output)) return "refused: `undici 7 or 8`";
    return judge(output);
  };
rows["OpenTelemetry's undici instrumentation"] = async () => {
  const main = `import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { UndiciInstrumentation } from "@opentelemetry/instrumentation-undici";
const exporter = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
new UndiciInstrumentation().enable();
${esm.replace("main().then(console.log);", "")}
console.log(await main());
const spans = exporter.getFinishedSpans();
const { password, username } = JSON.parse(process.env.KBN_TARGET);
const shown = JSON.stringify(spans.map(({ name, attributes, events }) => ({ name, attributes, events })));
const isShown = shown.includes(password) || shown.includes(Buffer.from(username + ":" + password).toString("base64"));
console.log("spans", spans.length, isShown);`;
  const packages = "@opentelemetry/api @opentelemetry/sdk-trace-node @opentelemetry/instrumentation-undici";
  const output = await run(project("opentelemetry", { "main.mjs": main }, packages), [process.execPath, "main.mjs"]);
  // Four calls, one that is not found, and one that is refused.
  if (!/^spans 6 false$/m.test(output)) throw new Error(output);
  return judge(output);
};
rows.publint = async () => {
  shell(root, `npx --yes publint@0.3 "${tarball}" --strict`);
  return "nothing to say";
};
rows["are the types wrong?"] = async () => {
  shell(root, `npx --yes @arethetypeswrong/cli@0.18 "${tarball}" --profile esm-only`);
  return "nothing to say";
};

let failed = 0;
console.log("| | |\n|---|---|");
for (const [name, row] of Object.entries(rows).filter(([name]) => name.includes(wanted)))
  try {
    console.log(`| ${name} | ${await row()} |`);
  } catch (error) {
    failed++;
    console.log(`| ${name} | **fails** |`);
    console.error(`${name}: ${error instanceof Error ? error.message.slice(0, 3000) : error}`);
  }
await sandbox.close();
rmSync(folder, { recursive: true });
process.exitCode = failed ? 1 : 0;
