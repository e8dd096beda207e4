// The documents: every block compiles and runs, every command works, every output is what is printed, every link leads somewhere.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, describe, it } from "node:test";
import { buildSync } from "esbuild";
import * as surface from "kbn-connectors";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { program as bundleOf, startChild, temporaryFolder } from "./support/child.ts";
import { begin } from "./support/server.ts";

const root = resolve(import.meta.dirname, "..");
const read = (name: string) => readFileSync(join(root, name), "utf8");
const { scripts, version } = JSON.parse(read("package.json")) as { scripts: Record<string, string>; version: string };
const names = ["README.md", "docs/reference.md", "docs/recipes.md", "docs/performance.md", "CONTRIBUTING.md"];

/** `section` is the text of the block's section above it. */
const blocks = names.flatMap((document) =>
  [...read(document).matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language = "", 2: code = "", index }) => {
    const above = read(document).slice(0, index);
    const section = above.slice(above.lastIndexOf("\n## ") + 4);
    return { document, language, code, title: section.split("\n")[0] ?? "", section, line: above.split("\n").length };
  }),
);
/** `wanted` is a document, a language and, unless all its sections are wanted, the title of one. */
const find = (...wanted: string[]) =>
  blocks.filter(({ document, language, title }) => [document, language, title].join().startsWith(wanted.join()));
const codeOf = (found: { code: string }[]) => found.map(({ code }) => code).join("");
const commandsOf = (found: { code: string }[]) => codeOf(found).replaceAll("\\\n", "").trim().split("\n");

// The blocks that a reader pastes one after the other.
const steps = find("README.md", "ts", "The code, step by step");
const program = codeOf(steps);
const withShapes = program
  .replace("\nconst logEntry", `${codeOf(find("README.md", "ts", "Document shapes"))}\nconst logEntry`)
  .replace("documents: [logEntry]", "documents: [logEntry, ...documents]");
const failing = codeOf(steps.slice(0, 1)) + codeOf(find("README.md", "ts", "Handle errors"));
const [setup, ...recipes] = find("docs/recipes.md", "ts");

const tsc = join(root, "node_modules/typescript/bin/tsc");
const run = (args: string[], cwd: string, env: Record<string, string> = {}) =>
  startChild(process.execPath, args, { env, cwd, input: "y\n" }).finished;
const shell = (command: string, cwd: string, env: Record<string, string> = {}) =>
  startChild("sh", ["-ec", command], { env, cwd, input: "" }).finished;

const built = join(temporaryFolder(), "dist");
before(async () => {
  const { exitCode, stdout } = await run([tsc, "-p", "tsconfig.build.json", "--outDir", built], root);
  assert.equal(exitCode, 0, stdout);
  const entryPoints = ["index", "config"].map((name) => join(root, `src/${name}.ts`));
  buildSync({ entryPoints, outdir: built, bundle: true, splitting: true, packages: "external", format: "esm" });
});

/** A reader's project: the package, other packages, tsconfig.json as `tsc --init` writes it, with the README's two lines. */
function project(...installed: string[]): string {
  const folder = temporaryFolder();
  const link = (name: string, modules: string) => {
    mkdirSync(join(folder, modules, name, ".."), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(folder, modules, name), "junction");
  };
  const own = "node_modules/kbn-connectors";
  for (const name of ["undici", "dotenv", "@elastic/elasticsearch"]) link(name, `${own}/node_modules`);
  for (const name of ["@types", ...installed]) link(name, "node_modules");
  cpSync(join(root, "package.json"), join(folder, own, "package.json"));
  cpSync(built, join(folder, own, "dist"), { recursive: true });
  const strict = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };
  const modules = { verbatimModuleSyntax: true, isolatedModules: true, moduleDetection: "force", types: [] };
  const [, module, target] = /set `"module": "(\w+)"` and `"target": "(\w+)"`/.exec(read("README.md")) ?? [];
  const compilerOptions = { module, target, ...strict, ...modules, skipLibCheck: true, noEmit: true };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  return folder;
}

/** Without tsx: the README says that its program has no TypeScript syntax. */
function runProgram(code: string, { env }: Sandbox) {
  const folder = project();
  writeFileSync(join(folder, "write.mjs"), code);
  return run(["write.mjs"], folder, env);
}

function loseResponse(sandbox: Sandbox, isMeant: (request: Sandbox["requests"][number]) => boolean) {
  sandbox.intercept = async (exchange, handle) => {
    const answer = await handle();
    if (!isMeant(exchange)) return answer;
    exchange.response.destroy();
    return undefined;
  };
}

/** A project with the recipes. Their sections have to say how to install what they import. */
function projectWithRecipes(): string {
  const folder = project("undici", "@elastic/elasticsearch");
  for (const { code, section, line } of recipes) {
    for (const [, name = ""] of code.matchAll(/from "((?!node:|kbn-)[^"]+)"/g))
      assert.match(section, new RegExp(`npm install ${name}@\\d`), `line ${line}`);
    const isComplete = section.trimEnd().endsWith("This file is complete:");
    writeFileSync(join(folder, `line-${line}.ts`), `${isComplete ? "" : setup?.code}${code}export {};\n`);
  }
  return folder;
}

describe("the blocks of code", () => {
  it("compile in a reader's project", async () => {
    const folder = projectWithRecipes();
    for (const [name, code] of Object.entries({ program, withShapes, failing }))
      writeFileSync(join(folder, `${name}.ts`), code);
    const compiled = await run([tsc, "-p", folder], folder);
    assert.equal(compiled.exitCode, 0, compiled.stdout);
  });

  it("of the README's steps are one program, which makes the calls shown for Dev Tools", async (t) => {
    const sandbox = await begin(t);
    const { exitCode, stdout, stderr } = await runProgram(program, sandbox);
    assert.deepEqual([exitCode, stderr], [0, ""]);
    const [, id = ""] = /^✓ Created connector: (.*)/.exec(stdout) ?? [];
    const written = "✓ Document written successfully\n {2}Status: ok\n {2}Document: miconnectedindex/_doc/\\S+";
    const verified = "✓ Connector verified: My Connected Index Connector";
    assert.match(stdout, new RegExp(`\n${written}\n${verified}\n.*: ✓ Connector deleted\n$`));
    assert.deepEqual(sandbox.connectors(), []);
    const shown = find("README.md", "text").find(({ code }) => code.includes("kbn:"))?.code ?? "";
    const [ownId = ""] = /[\w-]{36}/.exec(shown) ?? [];
    const [create = "", ...others] = sandbox.requests
      .filter(({ server }) => server === "kibana")
      .map(({ method, path, body }) => `${method} kbn:${path.replace(id, ownId)}\n${body}`.trim());
    assert.equal(shown.trim(), [create.replace("\n", `/${ownId}\n`), ...others].join("\n"));
  });

  it("of the README confirm a delete whose response is lost, and write documents of all shapes", async (t) => {
    const sandbox = await begin(t);
    loseResponse(sandbox, ({ method }) => method === "DELETE");
    const { exitCode, stdout } = await runProgram(withShapes, sandbox);
    assert.equal(exitCode, 0);
    assert.match(stdout, /✓ Connector deleted \(confirmed\)\n$/);
    assert.equal(sandbox.documents("miconnectedindex").length, 4);
  });

  it("of the README report a failure by class, hint and outcome", async (t) => {
    const { exitCode, stderr } = await runProgram(failing, await begin(t));
    assert.equal(exitCode, 1);
    assert.match(stderr, /^POST \S+\/no-such-id\/_execute -> 404 .*\nNot in space .*\nCreate .*\nNothing .*\n$/);
  });

  it("of the recipes run, and a job whose response is lost writes once", async (t) => {
    const trial = { version: "9.4", license: "trial" } as const;
    const sandbox = await begin(t, trial);
    loseResponse(sandbox, ({ server, body }) => server === "kibana" && body.includes("sales-2026"));
    const folder = projectWithRecipes();
    cpSync(join(root, "test/support/tls/ca.crt"), join(folder, "ca.crt"));
    buildSync({ entryPoints: recipes.map(({ line }) => join(folder, `line-${line}.ts`)), outdir: folder });
    const job = recipes.filter(({ title }) => title === "Write once"); // twice, as a scheduler may start it
    const imports = [...recipes, ...job].map(({ line }, index) => `await import("./line-${line}.js?${index}");\n`);
    writeFileSync(join(folder, "run.js"), imports.join(""));
    const { exitCode, stdout, stderr } = await run(["run.js"], folder, sandbox.env);
    assert.deepEqual([exitCode, stderr], [0, ""], stdout);
    assert.match(stdout, /; \.index is enabled\nConnector: \S+\nCreate the connector first\./);
    assert.match(stdout, /https:\/\/kibana\.example\nSlack says: ok\n(.*\n)*2 of 2 documents written\n/);
    assert.match(stdout, /pass 1\n/);
    assert.equal(sandbox.documents("daily-sales").length, 2);
    assert.equal(sandbox.connectors().filter(({ name }) => name === "daily sales").length, 1);
  });
});

describe("the commands", { skip: process.platform === "win32" && "the commands are for sh" }, () => {
  const known: [pattern: RegExp, check?: (match: string) => unknown][] = [
    [/^npm (ci|ci && npm pack --pack-destination \.\.|init -y && npm pkg set type=module)$/],
    [/^npm run (\w+)$/, (name) => scripts[name]],
    [/^npm install \.\.\/kbn-connectors-(.*)\.tgz$/, (given) => given === version],
    [/^npm install -D tsx typescript @types\/node$/],
    [/^mkdir \.\.\/my-project && cd \.\.\/my-project$/],
    [/^export (\w+)="[^"]+"$/, (name) => read(".env.example").includes(`# ${name}=`)],
    [/^(?:echo y \| NODE_DEBUG=undici )?npx tsx (\S+)$/, (file) => existsSync(join(root, file))],
    [/^curl -fsSL https:\/\/elastic\.co\/start-local \| sh$/],
    [/^(?:npx esbuild |curl -f |\. \S+\/\.env && curl -f |(?:echo y \| )?npm run sandbox -- )/], // run here
  ];
  it("exist", () => {
    for (const command of commandsOf([...find("README.md", "sh"), ...find("docs/recipes.md", "sh")])) {
      const [pattern, check = () => true] = known.find(([pattern]) => pattern.test(command)) ?? assert.fail(command);
      assert.ok(check(pattern.exec(command)?.[1] ?? ""), command);
    }
  });

  it("with start-local print the expected output, and with curl find what was written", async (t) => {
    const sandbox = await begin(t);
    const { elasticsearchUrl, apiKey } = sandbox;
    const { port } = new URL(sandbox.kibanaUrl);
    const folder = temporaryFolder();
    const values = [`KIBANA_LOCAL_PORT=${port}`, `ES_LOCAL_URL=${elasticsearchUrl}`, `ES_LOCAL_API_KEY=${apiKey}`];
    mkdirSync(join(folder, "elastic-start-local"));
    writeFileSync(join(folder, "elastic-start-local/.env"), values.join("\n"));
    const { stdout, stderr } = await run([bundleOf("example.cjs")], folder);
    assert.equal(stderr, "");
    const neutral = (text: string) =>
      text.replace(/(connector: |Connector ID: )\S+/g, "$1<id>").replace(/_doc\/\S+/, "_doc/<id>");
    const shown = codeOf(find("README.md", "text", "Expected output"));
    assert.equal(neutral(stdout.replaceAll(`:${port}`, ":5601").replace("(y/N): ", "(y/N): y\n")), neutral(shown));
    const curls = commandsOf(find("README.md", "sh", "Check the result"));
    const env = { ...sandbox.env, KIBANA_API_KEY: apiKey };
    for (const curl of curls) assert.match((await shell(curl, folder, env)).stdout, /Hello from Kibana connector!/);
  });

  it("with the sandbox work, also in another folder", async () => {
    const folder = project();
    writeFileSync(join(folder, "write.mjs"), program.replace("process.stdin", '["y"]'));
    const sandboxes = commandsOf(find("docs/recipes.md", "sh", "Test your script"));
    // That of this folder is run by npm and tsx, as it is written; that of the other by node, which starts faster.
    const inOther = /^npm run sandbox -- (.*)\.\.\/my-project npx tsx (\w+)\.ts$/;
    const byNode = `node ${bundleOf("sandbox.mjs")} $1${folder} node $2.mjs`;
    const started = sandboxes.map((command) => command.replace(inOther, byNode).replace("npx tsx", "tsx"));
    for (const finished of started.map((command) => shell(command, root))) {
      const { exitCode, stdout, stderr } = await finished;
      assert.deepEqual([exitCode, stderr], [0, ""]);
      assert.match(stdout, /✓ Connector deleted\n/);
    }
  });

  it("that bundle a program give bundles that run", async (t) => {
    const sandbox = await begin(t);
    const folder = project("undici", "dotenv", "esbuild", ".bin");
    writeFileSync(join(folder, "write.ts"), program);
    const commands = codeOf(find("docs/recipes.md", "sh", "Bundle it"));
    const bundled = await shell(commands.replaceAll("npx ", "node_modules/.bin/"), folder);
    assert.equal(bundled.exitCode, 0, bundled.stderr);
    for (const bundle of ["write.mjs", "write2.mjs"])
      assert.match((await run([bundle], folder, sandbox.env)).stdout, /✓ Connector deleted\n$/);
  });
});

describe("the links", () => {
  const toAnchor = (title = "") => title.toLowerCase().replace(/[^\w-]/g, (other) => (other === " " ? "-" : ""));
  for (const name of names)
    it(`of ${name} lead somewhere`, () => {
      for (const [, link = ""] of read(name).matchAll(/\]\((?!https:)([^)\s]+)\)/g)) {
        const [path = "", anchor] = link.split("#");
        const target = path === "" ? name : join(name, "..", path).replaceAll("\\", "/");
        assert.ok(existsSync(join(root, target)), link);
        const titles = anchor ? [...read(target).matchAll(/^#+ (.*)$/gm)] : [];
        assert.ok(!anchor || titles.some(([, title]) => toAnchor(title) === anchor), link);
      }
    });
});

it("the reference lists every option, method and error", () => {
  /** The first words in backquotes of the rows of a section's tables, if they match. */
  const firstWords = (title: string, pattern: RegExp) => {
    const [section = ""] = (read("docs/reference.md").split(`\n## ${title}\n`)[1] ?? "").split("\n## ");
    const words = [...section.matchAll(/^\| `([\w.]+)/gm)].map(([, word = ""]) => word);
    return new Set(words.filter((word) => pattern.test(word)));
  };
  const [body = ""] =
    /interface RequestOptions .*?interface KibanaClientOptions .*?^\}/ms.exec(read("src/options.ts")) ?? [];
  const options = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name);
  assert.deepEqual(firstWords("Options", /./), new Set(options.filter((name) => name !== "signal")));
  const client = new surface.KibanaClient({ node: "http://localhost:5601" });
  const methodsOf = (object: object) => Object.getOwnPropertyNames(Object.getPrototypeOf(object)).slice(1);
  const actions = methodsOf(client.actions).map((name) => `actions.${name}`);
  const others = [...methodsOf(client), "url"].map((name) => `client.${name}`);
  assert.deepEqual(firstWords("Methods", /\./), new Set([...actions, ...others]));

  const errors = Object.keys(surface).filter((name) => name.endsWith("Error") && name !== "KibanaError");
  assert.deepEqual(firstWords("Errors", /Error$/), new Set(errors));
});
