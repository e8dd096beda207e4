// The documents: every block compiles and runs, every command works, every output is what is printed, every link leads somewhere.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, describe, it } from "node:test";
import { buildSync } from "esbuild";
import * as surface from "kbn-connectors";
import { compile, startChild, temporaryFolder } from "./support/child.ts";
import { begin } from "./support/server.ts";

const root = resolve(import.meta.dirname, "..");
const read = (name: string) => readFileSync(join(root, name), "utf8");
const { scripts, version } = JSON.parse(read("package.json")) as { scripts: Record<string, string>; version: string };
const names = ["README.md", "docs/reference.md", "docs/recipes.md", "docs/performance.md", "CONTRIBUTING.md"];
const onWindows = process.platform === "win32" && "the commands are for sh";

interface Block {
  document: string;
  language: string;
  code: string;
  /** The title of its section. */
  title: string;
  /** The text of its section up to the block. */
  section: string;
  line: number;
}

const blocks = names.flatMap((document) =>
  [...read(document).matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language = "", 2: code = "", index }): Block => {
    const above = read(document).slice(0, index);
    const section = above.slice(above.lastIndexOf("\n## ") + 4);
    const [title = ""] = section.split("\n");
    return { document, language, code, title, section, line: above.split("\n").length };
  }),
);
const find = (document: string, language: string, title?: string) =>
  blocks.filter(
    (block) =>
      block.document === document && block.language === language && (title === undefined || block.title === title),
  );
const codeOf = (found: Block[]) => found.map(({ code }) => code).join("");

// The blocks that a reader pastes one after the other, and what he may add to them.
const steps = find("README.md", "ts", "The code, step by step");
const program = codeOf(steps);
const withShapes = program
  .replace("\nconst logEntry", `${codeOf(find("README.md", "ts", "Document shapes"))}\nconst logEntry`)
  .replace("documents: [logEntry]", "documents: [logEntry, ...documents]");
const failing = codeOf(steps.slice(0, 1)) + codeOf(find("README.md", "ts", "Handle errors"));
const [setup, ...recipes] = find("docs/recipes.md", "ts");
const recipeCode = ({ code, section }: Block) =>
  `${/This file is complete/.test(section.split("\n\n").at(-2) ?? "") ? "" : setup?.code}${code}export {};\n`;

const tsc = join(root, "node_modules/typescript/bin/tsc");
const run = (args: string[], cwd: string, env: Record<string, string> = {}, input = "") =>
  startChild(process.execPath, args, { env, cwd, input }).finished;
const shell = (command: string, cwd: string, env: Record<string, string> = {}) =>
  startChild("sh", ["-ec", command], { env, cwd, input: "" }).finished;

/** What a recipe needs beside the package. Its section has to say how to install it. */
function installedFor({ code, section, document, line }: Block): string[] {
  const imported = [...code.matchAll(/from "([^"]+)"/g)].map(([, name = ""]) => name);
  return imported.flatMap((name) => {
    if (/^(node:|kbn-connectors)/.test(name)) return [];
    const [, told] = new RegExp(`npm install ${name}@(\\d+)`).exec(section) ?? [];
    const { version } = JSON.parse(read(`node_modules/${name}/package.json`)) as { version: string };
    assert.equal(told, version.split(".")[0], `${document}:${line} does not say how to install ${name}`);
    return [name];
  });
}

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
  const own = "node_modules/kbn-connectors/node_modules";
  for (const name of ["undici", "dotenv", "@elastic/elasticsearch"]) link(name, own);
  for (const name of ["@types", ...installed]) link(name, "node_modules");
  cpSync(join(root, "package.json"), join(folder, "node_modules/kbn-connectors/package.json"));
  cpSync(built, join(folder, "node_modules/kbn-connectors/dist"), { recursive: true });
  const strict = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };
  const modules = { verbatimModuleSyntax: true, isolatedModules: true, moduleDetection: "force", types: [] };
  const [, module, target] = /set `"module": "(\w+)"` and `"target": "(\w+)"`/.exec(read("README.md")) ?? [];
  const compilerOptions = { module, target, ...strict, ...modules, skipLibCheck: true, noEmit: true };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  return folder;
}

describe("the blocks of code", () => {
  it("compile in a reader's project", async () => {
    const folder = project(...new Set(recipes.flatMap(installedFor)));
    for (const [name, code] of Object.entries({ program, withShapes, failing }))
      writeFileSync(join(folder, `${name}.ts`), code);
    for (const recipe of recipes) writeFileSync(join(folder, `line-${recipe.line}.ts`), recipeCode(recipe));
    const compiled = await run([tsc, "-p", folder], folder);
    assert.equal(compiled.exitCode, 0, compiled.stdout);
  });

  const printed =
    /^✓ Created connector: (?<id>\S+)\n✓ Document written successfully\n {2}Status: ok\n(?: {2}Document: miconnectedindex\/_doc\/\S+\n)+✓ Connector verified: My Connected Index Connector\nDelete the connector\? \(y\/N\): ✓ Connector deleted(?<confirmed> \(confirmed\))?\n$/;

  it("of the README's steps are one program, which makes the calls shown for Dev Tools", async (t) => {
    const sandbox = await begin(t);
    const folder = project();
    writeFileSync(join(folder, "write.mjs"), program); // without tsx: it has no TypeScript syntax
    const { exitCode, stdout, stderr } = await run(["write.mjs"], folder, sandbox.env, "y\n");
    assert.deepEqual([exitCode, stderr], [0, ""]);
    const { id = "", confirmed } = printed.exec(stdout)?.groups ?? assert.fail(stdout);
    assert.equal(confirmed, undefined);
    assert.deepEqual(sandbox.connectors(), []);

    const shown = find("README.md", "text").find(({ code }) => code.includes("kbn:"));
    const ownId = "7d0f4e2a-6e57-4c3a-9f3d-0d5ad5a3a111";
    const sent = sandbox.requests
      .filter(({ server }) => server === "kibana")
      .map(({ method, path, body }) => `${method} kbn:${path.replace(id, ownId)}\n${body}`.trim());
    const [create = "", ...others] = sent;
    assert.equal(shown?.code.trim(), [create.replace("\n", `/${ownId}\n`), ...others].join("\n"));
  });

  it("of the README confirm a delete whose response is lost, and write all shapes of documents", async (t) => {
    const sandbox = await begin(t);
    sandbox.intercept = async (exchange, handle) => {
      if (exchange.method !== "DELETE") return handle();
      await handle();
      exchange.response.destroy();
      return undefined;
    };
    const folder = project();
    writeFileSync(join(folder, "write.mjs"), withShapes);
    const { exitCode, stdout } = await run(["write.mjs"], folder, sandbox.env, "y\n");
    assert.equal(exitCode, 0);
    assert.ok(printed.exec(stdout)?.groups?.confirmed, stdout);
    assert.equal(sandbox.documents("miconnectedindex").length, 4);
  });

  it("of the README report a failure by class, hint and outcome", async (t) => {
    const sandbox = await begin(t);
    const folder = project();
    writeFileSync(join(folder, "failing.mjs"), failing);
    const { exitCode, stderr } = await run(["failing.mjs"], folder, sandbox.env);
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /^POST \S+\/no-such-id\/_execute -> 404 .*\nNot in the space "default".*\nCreate .*\nNothing was written.*\n$/,
    );
  });

  it("of the recipes run", async (t) => {
    const trial = { version: "9.4", license: "trial" } as const;
    const sandbox = await begin(t, trial);
    const folder = project(...new Set(recipes.flatMap(installedFor)));
    cpSync(join(root, "test/support/tls/ca.crt"), join(folder, "ca.crt"));
    for (const recipe of recipes) writeFileSync(join(folder, `line-${recipe.line}.ts`), recipeCode(recipe));
    const once = recipes.filter(({ title }) => title === "Write once"); // twice, as a scheduler may start it
    const imports = [...recipes, ...once].map(
      ({ line }, index) =>
        `await import("./line-${line}.js?${index}").catch((cause) => { throw new Error("line ${line}", { cause }); });\n`,
    );
    writeFileSync(join(folder, "run.js"), imports.join(""));
    buildSync({ entryPoints: recipes.map(({ line }) => join(folder, `line-${line}.ts`)), outdir: folder });
    const { exitCode, stdout, stderr } = await run(["run.js"], folder, sandbox.env);
    assert.deepEqual([exitCode, stderr], [0, ""], stdout);
    assert.match(stdout, /; \.index is enabled\nConnector: \S+\nCreate the connector first\./);
    assert.match(stdout, /https:\/\/kibana\.example\nSlack says: ok\n(.*\n)*2 of 2 documents written\n/);
    assert.match(stdout, /pass 1\n/);
    assert.equal(sandbox.documents("daily-sales").length, 2);
    assert.equal(sandbox.connectors().filter(({ name }) => name === "daily sales").length, 1);
  });
});

describe("the expected output", () => {
  it("is what the example prints with start-local", async (t) => {
    const sandbox = await begin(t);
    const folder = temporaryFolder();
    mkdirSync(join(folder, "elastic-start-local"));
    const port = new URL(sandbox.kibanaUrl).port;
    const values = [`KIBANA_LOCAL_PORT=${port}`, `ES_LOCAL_URL=${sandbox.elasticsearchUrl}`];
    writeFileSync(
      join(folder, "elastic-start-local/.env"),
      [...values, `ES_LOCAL_API_KEY=${sandbox.apiKey}`].join("\n"),
    );
    const example = compile("examples/simple-index-connector.ts");
    const { stdout, stderr } = await run(example, folder, {}, "y\n");
    assert.equal(stderr, "");
    const [shown] = find("README.md", "text", "Expected output");
    const neutral = (text = "") =>
      text
        .replace(/(connector: |Connector ID: )\S+/g, "$1<id>")
        .replace(/_doc\/\S+/, "_doc/<id>")
        .replace("(y/N): y\n", "(y/N): \n"); // a terminal shows what is typed
    assert.equal(neutral(stdout.replaceAll(`:${port}`, ":5601")), neutral(shown?.code));

    const [curl] = find("README.md", "sh", "Check the result");
    const startLocal = curl?.code.split("\n").find((command) => command.startsWith(". elastic-start-local")) ?? "";
    const found = await shell(startLocal, folder);
    assert.match(found.stdout, /Hello from Kibana connector!/, found.stderr);
  });
});

describe("the commands", { skip: onWindows }, () => {
  const commands = find("README.md", "sh").concat(find("docs/recipes.md", "sh"));
  const known: [pattern: RegExp, check?: (match: string) => unknown][] = [
    [/^(?:npm ci|npm ci && npm pack --pack-destination \.\.)$/],
    [/^npm run (\w+)$/, (name) => scripts[name]],
    [/^curl -fsSL https:\/\/elastic\.co\/start-local \| sh$/],
    [/^export (\w+)="[^"]+"$/, (name) => read(".env.example").includes(`# ${name}=`)],
    [/^(?:echo y \| NODE_DEBUG=undici )?npx tsx (\S+)$/, (file) => existsSync(join(root, file))],
    [/^mkdir \.\.\/my-project && cd \.\.\/my-project$/],
    [/^npm init -y && npm pkg set type=module$/],
    [/^npm install \.\.\/kbn-connectors-(.*)\.tgz$/, (given) => given === version],
    [/^npm install -D tsx typescript @types\/node$/],
    [/^(?:npx esbuild |curl -f |\. \S+\/\.env && curl -f |(?:echo y \| )?npm run sandbox -- )/], // run here
  ];
  for (const { document, line, code } of commands)
    it(`of ${document} in line ${line} exist`, () => {
      for (const command of code.replaceAll("\\\n", "").split("\n").filter(Boolean)) {
        const [pattern, check = () => true] = known.find(([pattern]) => pattern.test(command)) ?? assert.fail(command);
        assert.ok(check(pattern.exec(command)?.[1] ?? ""), command);
      }
    });

  it("with curl find what was written", async (t) => {
    const sandbox = await begin(t);
    const config = { index: "miconnectedindex", refresh: true };
    const { actions } = sandbox.client();
    const { body } = await actions.create({ name: "n", connector_type_id: ".index", config });
    await actions.execute({ id: body.id, params: { documents: [{ message: "there" }] } });
    const [curl] = find("README.md", "sh", "Check the result");
    const [withUser = "", withKey = ""] = curl?.code.split("\n") ?? [];
    const env = { ...sandbox.env, KIBANA_API_KEY: sandbox.apiKey };
    for (const command of [withUser, withKey]) assert.match((await shell(command, root, env)).stdout, /there/);
    const wrong = await shell(withUser, root, { ...env, KIBANA_PASSWORD: "wrong" });
    assert.equal(wrong.exitCode, 22);
  });

  it("with the sandbox work, also in another folder", async () => {
    const folder = project("tsx", ".bin");
    writeFileSync(join(folder, "write.ts"), program.replace(/await terminal\.question\(.*\)/, '"y"'));
    const [sandbox] = find("docs/recipes.md", "sh", "Test your script");
    for (const command of sandbox?.code.trim().split("\n") ?? []) {
      const { exitCode, stdout, stderr } = await shell(command.replace("../my-project", folder), root);
      assert.equal(exitCode, 0, stderr);
      assert.match(stdout, /✓ Connector deleted/);
    }
  });

  it("that bundle a program give bundles that run", async (t) => {
    const sandbox = await begin(t);
    const folder = project("undici", "dotenv", "esbuild", ".bin");
    writeFileSync(join(folder, "write.ts"), program);
    const built = await shell(codeOf(find("docs/recipes.md", "sh", "Bundle it")), folder);
    assert.equal(built.exitCode, 0, built.stderr);
    for (const bundle of ["write.mjs", "write2.mjs"])
      assert.match((await run([bundle], folder, sandbox.env, "y\n")).stdout, printedEnd);
  });
  const printedEnd = /✓ Connector deleted\n$/;
});

describe("the links", () => {
  const anchorsOf = (text: string) =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    );
  for (const name of names)
    it(`of ${name} lead somewhere`, () => {
      const links = [...read(name).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
      for (const link of links.filter((link) => !link.startsWith("https://"))) {
        const [path = "", anchor] = link.split("#");
        const target = path === "" ? name : join(name, "..", path).replaceAll("\\", "/");
        assert.ok(existsSync(join(root, target)), link);
        if (anchor) assert.ok(anchorsOf(read(target)).includes(anchor), link);
      }
    });
});

describe("the reference", () => {
  /** The words in backquotes in the first column of the tables of a section. */
  const firstColumn = (title: string): string[] => {
    const [section = ""] = (read("docs/reference.md").split(`\n## ${title}\n`)[1] ?? "").split("\n## ");
    const rows = section.split("\n").filter((row) => row.startsWith("| `"));
    return rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word));
  };

  it("lists every option", () => {
    const source = read("src/options.ts");
    const [, body = ""] = /interface KibanaClientOptions \{(.*?)^\}/ms.exec(source) ?? [];
    const options = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name);
    assert.deepEqual(firstColumn("Options"), options);
  });

  it("lists every method", () => {
    const client = new surface.KibanaClient({ node: "http://localhost:5601" });
    const methodsOf = (object: object, prefix: string) =>
      Object.getOwnPropertyNames(Object.getPrototypeOf(object)).map((name) => `${prefix}.${name}`);
    const listed = firstColumn("Methods").map((method) => method.replace(/\(.*/s, ""));
    const methods = [...methodsOf(client.actions, "actions"), ...methodsOf(client, "client"), "client.url"];
    const expected = methods.filter((name) => !name.endsWith(".constructor"));
    assert.deepEqual(listed.filter((name) => name.includes(".")).sort(), expected.sort());
  });

  it("lists every error", () => {
    const listed = firstColumn("Errors").filter((name) => name.endsWith("Error"));
    const exported = Object.keys(surface).filter((name) => name.endsWith("Error") && name !== "KibanaError");
    assert.deepEqual(listed.sort(), exported.sort());
  });
});
