// The command line: `npm run test:consumers [-- <part of a row's name>]` uses the packed package as others do, and prints a table.
import { exec } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { startSandbox } from "../sandbox/sandbox.ts";

/** A project that installs the package and these packages, and a command in it. */
interface Row {
  packages?: string;
  command?: string;
  expected?: RegExp; // what the command has to print
  verdict?: string; // what the table says then
  type?: string; // of package.json
  manager?: string;
  files?: Record<string, string>; // beside main.mjs and main.cjs, which make the calls
  folder?: string; // rows with the same folder share their project
}

const root = resolve(import.meta.dirname, "../..");
const calls = `
  const { KIBANA_URL: node, KIBANA_USERNAME: username, KIBANA_PASSWORD: password } = process.env;
  const { actions } = new KibanaClient({ node, auth: { username, password }, ...globalThis.options });
  const { body: { id } } = await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } });
  const { body: result } = await actions.execute({ id, params: { documents: [{ at: new Date(0) }] } });
  const { body: found } = await actions.get({ id });
  await actions.delete({ id });
  const missing = await actions.get({ id }).catch((error) => error);
  const refused = await new KibanaClient({ node: "http://127.0.0.1:1" }).actions.getAll().catch((error) => error);
  const errors = [missing.name, missing instanceof NotFoundError, refused.code, /^Nothing listens/.test(refused.hint)];
  return [found.name, writtenDocuments(result).length, ...errors].join();`;
const returned = "n,1,NotFoundError,true,ECONNREFUSED,true";
const importing = 'import { KibanaClient, NotFoundError, writtenDocuments } from "kbn-connectors";';
const esm = `${importing}\nasync function main() {${calls}\n}\nmain().then(console.log);\n`;
const cjs = esm.replace(/import (.*) from ("kbn-connectors");/, "const $1 = require($2);");
const test = `${importing}\ntest("works", async () => {
  const main = async () => {${calls}\n};\n  expect(await main()).toBe("${returned}");\n});`;

// The package of Node's binary. npm's package "node" fetches it in an install script, which is not run here.
const system = `${process.platform}-${process.arch}`;
const binary = `node-${system.replace("win32", "win")}`;
const otherNode = `node_modules/${binary}/bin/node`;
const undici = { expected: /keep undici out/, verdict: 'refused: `external: ["undici"]`' };
const bundle = "esbuild main.mjs --bundle --minify --platform=node --outfile=out.js --format=";
const rollup = {
  packages: "rollup @rollup/plugin-commonjs @rollup/plugin-json @rollup/plugin-node-resolve",
  command: `rollup main.mjs -d out --silent -p json -p commonjs -p "node-resolve={exportConditions:['node']}"`,
};
const plain = { "main.test.js": test, "jest.config.json": '{ "transform": {} }' };
const tested = { files: plain, expected: /Tests:? +1 passed/ };
const babel = {
  type: "commonjs",
  packages: "jest babel-jest @babel/core @babel/preset-env",
  files: {
    "main.test.js": test,
    "babel.config.json": '{ "presets": [["@babel/preset-env", { "targets": { "node": "current" } }]] }',
    "jest.config.json": '{ "transformIgnorePatterns": ["node_modules/(?!kbn-connectors)"] }',
  },
};
const traced = `import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { UndiciInstrumentation } from "@opentelemetry/instrumentation-undici";
const exporter = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
new UndiciInstrumentation().enable();
${esm.replace("main().then(console.log);", "console.log(await main());")}
const spans = exporter.getFinishedSpans().map(({ name, attributes, events }) => ({ name, attributes, events }));
const { KIBANA_USERNAME: user, KIBANA_PASSWORD: password } = process.env;
const isShown = [password, btoa(user + ":" + password)].some((secret) => JSON.stringify(spans).includes(secret));
console.log(spans.length, "spans", isShown);`;

const rows: Record<string, Row> = {};
for (const version of ["20.18.1", "22", "24", "26"]) {
  const project = { packages: `${binary}@${version}`, folder: `node-${version}` };
  const cannot = version === "20.18.1" && { expected: /ERR_REQUIRE_ESM/, verdict: "`await import()` only" };
  rows[`Node ${version}, ESM`] = { ...project, command: `${otherNode} main.mjs` };
  rows[`Node ${version}, CommonJS`] = { ...project, command: `${otherNode} main.cjs`, ...cannot };
}
for (const [name, command] of Object.entries({
  "5.4, nodenext, without skipLibCheck": "tsc --noEmit --module nodenext --target es2022 typed.ts",
  "5.4, bundler, without skipLibCheck": "tsc --noEmit --moduleResolution bundler -m esnext -t es2022 typed.ts",
  "7, nodenext, without skipLibCheck": "tsc --noEmit --module nodenext typed.ts",
  "7, bundler, without skipLibCheck": "tsc --noEmit --module esnext --moduleResolution bundler typed.ts",
  "7, without tsconfig.json": "tsc --noEmit typed.ts",
  "7, tsc --init": "tsc --init && tsc --noEmit --skipLibCheck false",
  "5.8, tsc --init -m nodenext -t es2022": "tsc --init -m nodenext -t es2022 && tsc --noEmit --skipLibCheck false",
}))
  rows[`TypeScript ${name}`] = {
    files: { "typed.ts": readFileSync(join(root, "test/consumers/typed.ts"), "utf8") },
    // Compilers before 5.6 cannot read newer declarations of Node.
    packages: `typescript@${Number.parseFloat(name)} @types/node${name.startsWith("5.4") ? "@20" : ""}`,
    command: `${command} && echo compiles`,
    expected: /^compiles$/m,
  };
for (const manager of ["npm", "pnpm"])
  for (const [format, type] of Object.entries({ ESM: "module", CommonJS: "commonjs" }))
    for (const version of ["5.8", "7"])
      rows[`mine.ts, ${manager}, ${format}, TypeScript ${version}`] = {
        type,
        manager,
        files: { "mine.ts": readFileSync(join(root, "examples/simple-index-connector.ts"), "utf8") },
        // npm alone lets a project import what its packages depend on.
        packages: `typescript@${version} @types/node tsx ${manager === "pnpm" ? "@elastic/elasticsearch@9" : ""}`,
        command: "tsc --noEmit --module nodenext --target es2022 --skipLibCheck mine.ts && tsx mine.ts",
        expected: /✓ Document verified: .*✓ Connector deleted/s,
      };
rows["a folder with a space and an umlaut"] = { folder: "für mich" };
rows["tsx, CommonJS"] = { type: "commonjs", files: { "main.ts": esm }, packages: "tsx", command: "tsx main.ts" };
rows["esbuild, cjs"] = { packages: "esbuild", type: "commonjs", command: `${bundle}cjs && node out.js` };
rows["esbuild, esm"] = { packages: "esbuild", ...undici, command: `${bundle}esm && node out.js` };
rows["esbuild, esm, external:undici"] = {
  packages: "esbuild",
  command: `${bundle}esm --external:undici && node out.js`,
};
rows.Rollup = { ...rollup, ...undici, command: `${rollup.command} && node out/main.js` };
rows["Rollup, external undici"] = { ...rollup, command: `${rollup.command} -e undici && node out/main.js` };
const webpack = { packages: "webpack@5 webpack-cli", type: "commonjs" };
rows["webpack 5"] = { ...webpack, command: "webpack ./main.mjs --target node && node dist/main.js" };
rows["Vite, SSR build"] = { packages: "vite@7", command: "vite build --ssr main.mjs && node dist/*" };
rows.Vitest = { ...tested, packages: "vitest@3", command: "vitest run --globals" };
rows["Jest, ESM"] = { ...tested, packages: "jest", command: "NODE_OPTIONS=--experimental-vm-modules jest" };
rows["Jest, transformIgnorePatterns"] = { ...tested, ...babel, command: "jest" };
rows.pnpm = { manager: "pnpm" };
rows.Bun = { packages: `@oven/bun-${system}`, command: `node_modules/@oven/bun-${system}/bin/bun main.mjs` };
rows.Deno = { packages: "deno", command: "node_modules/@deno/*/deno run -A --node-modules-dir=manual main.mjs" };
for (const [version, node] of Object.entries({ 6: "20.18.1", 7: "20.18.1", 8: "24" }))
  rows[`a dispatcher of undici ${version}, Node ${node}`] = {
    packages: `undici@${version} ${binary}@${node}`,
    files: { "own.mjs": `import { Agent } from "undici";\nglobalThis.options = { dispatcher: new Agent() };\n${esm}` },
    command: `${otherNode} own.mjs`,
    ...(version === "6" && { expected: /must be of undici 7 or 8/, verdict: "refused: `undici 7 or 8`" }),
  };
rows["OpenTelemetry's undici instrumentation"] = {
  packages: "@opentelemetry/api @opentelemetry/sdk-trace-node @opentelemetry/instrumentation-undici",
  files: { "main.mjs": traced },
  expected: new RegExp(`^${returned}\n6 spans false$`, "m"), // one span for each call, also for those that fail
};
const silent = { expected: /^silent$/m, verdict: "nothing to say" };
const attw = "attw ../*.tgz --profile esm-only && echo silent";
rows.publint = { ...silent, packages: "publint@0.3", command: "publint ../*.tgz --strict && echo silent" };
rows["are the types wrong?"] = { ...silent, packages: "@arethetypeswrong/cli@0.18", command: attw };

const sandbox = await startSandbox();
const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-consumers-"));

/** What a command prints; on standard input, it reads a yes. */
async function run(cwd: string, command: string): Promise<string> {
  const path = join(cwd, "node_modules/.bin") + delimiter + process.env.PATH;
  const running = promisify(exec)(command, {
    cwd,
    env: { ...process.env, ...sandbox.env, PATH: path },
    timeout: 300_000,
  });
  running.child.stdin?.on("error", () => {}).end("y\n");
  const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

async function judge(name: string, row: Row): Promise<string> {
  const cwd = join(folder, row.folder ?? name.replace(/\W+/g, "-"));
  if (!existsSync(cwd)) {
    mkdirSync(cwd);
    const packageJson = JSON.stringify({ type: row.type ?? "module" });
    const files = { "package.json": packageJson, "main.mjs": esm, "main.cjs": cjs, ...row.files };
    for (const [file, content] of Object.entries(files)) writeFileSync(join(cwd, file), content);
    const install = row.manager === "pnpm" ? "npx --yes pnpm@10 add" : "npm install --no-audit --no-fund";
    const output = await run(cwd, `${install} --ignore-scripts ../${tarball} ${row.packages ?? ""}`);
    if (!existsSync(join(cwd, "node_modules/kbn-connectors"))) throw new Error(output);
  }
  const output = await run(cwd, row.command ?? "node main.mjs");
  if (!(row.expected ?? new RegExp(`${returned}$`, "m")).test(output)) throw new Error(output);
  return row.verdict ?? "works";
}

await run(root, `npm pack --pack-destination "${folder}"`);
const [tarball] = readdirSync(folder);
console.log("| | |\n|---|---|");
for (const [name, row] of Object.entries(rows).filter(([name]) => name.includes(process.argv[2] ?? "")))
  try {
    console.log(`| ${name} | ${await judge(name, row)} |`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`| ${name} | **fails** |`);
    console.error(`${name}: ${error instanceof Error ? error.message.slice(0, 3000) : error}`);
  }
await sandbox.close();
rmSync(folder, { recursive: true });
