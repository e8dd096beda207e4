// The documents: every block of code compiles and runs, every command works, every output is printed, every link leads somewhere.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { before, describe, it } from "node:test";
import { buildSync } from "esbuild";
import * as surface from "kbn-connectors";
import type { Sandbox } from "./sandbox/sandbox.ts";
import { startChild, temporaryFolder } from "./support/child.ts";
import { begin } from "./support/server.ts";

const root = resolve(import.meta.dirname, "..");
const read = (name: string) => readFileSync(join(root, name), "utf8");
const { scripts, version } = JSON.parse(read("package.json")) as { scripts: Record<string, string>; version: string };
const names = ["README.md", "docs/reference.md", "docs/recipes.md", "docs/performance.md", "CONTRIBUTING.md"];
const documents = Object.fromEntries(names.map((name) => [name, read(name)]));

const onWindows = process.platform === "win32" && "the commands are for sh";

interface Block {
  document: string;
  language: string;
  code: string;
  /** The text of the section up to the block. */
  section: string;
  line: number;
}

const blocks = names.flatMap((document) => {
  const text = documents[document] ?? "";
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language = "", 2: code = "", index }): Block => {
    const above = text.slice(0, index);
    return {
      document,
      language,
      code,
      section: above.slice(above.lastIndexOf("\n## ")),
      line: above.split("\n").length,
    };
  });
});
const blocksOf = (document: string, language: string) =>
  blocks.filter((block) => block.document === document && block.language === language);

const tsc = join(root, "node_modules/typescript/bin/tsc");
const run = (args: string[], cwd: string, env: Record<string, string> = {}) =>
  startChild(process.execPath, args, { env, cwd, input: "" }).finished;

/** A reader's project: the package with its own dependencies, and of others what the reader was told to install. */
function project(...installed: string[]): string {
  const folder = temporaryFolder();
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "kbn-connectors/node_modules/@elastic"), { recursive: true });
  for (const name of ["undici", "dotenv", "@elastic/elasticsearch"])
    symlinkSync(join(root, "node_modules", name), join(modules, "kbn-connectors/node_modules", name), "junction");
  cpSync(join(root, "package.json"), join(modules, "kbn-connectors/package.json"));
  cpSync(built, join(modules, "kbn-connectors/dist"), { recursive: true });
  for (const name of ["@types", ...installed]) {
    mkdirSync(join(modules, name, ".."), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name), "junction");
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      // @elastic/elasticsearch's declarations name apache-arrow, which it does not install.
      compilerOptions: { module: "nodenext", strict: true, noEmit: true, skipLibCheck: true, types: ["node"] },
    }),
  );
  return folder;
}

const built = join(temporaryFolder(), "dist");
before(async () => {
  const { exitCode, stdout } = await run([tsc, "-p", "tsconfig.build.json", "--outDir", built], root);
  assert.equal(exitCode, 0, stdout);
  const entryPoints = ["index", "config"].map((name) => join(root, `src/${name}.ts`));
  buildSync({ entryPoints, outdir: built, bundle: true, splitting: true, packages: "external", format: "esm" });
});

describe("the code", () => {
  /** What a block of the recipes needs beside the package, if its section says how to install it. */
  function installedFor({ code, section, document, line }: Block): string[] {
    const used = [...code.matchAll(/from "([^"]+)"/g)].map(([, name = ""]) => name);
    return used.flatMap((name) => {
      if (/^(node:|kbn-connectors)/.test(name)) return [];
      const [, told] = new RegExp(`npm install ${name}@(\\d+)`).exec(section) ?? [];
      const { version } = JSON.parse(read(`node_modules/${name}/package.json`)) as { version: string };
      assert.equal(told, version.split(".")[0], `${document}:${line} does not say how to install ${name}`);
      return [name];
    });
  }

  const [listing, shapes] = blocksOf("README.md", "ts");
  const [setup, ...recipes] = blocksOf("docs/recipes.md", "ts");
  const withShapes = listing?.code.replace("// 4. Clean up", `${shapes?.code}// 4. Clean up`) ?? "";

  function withAddresses(code: string, { kibanaUrl, username, password }: Sandbox): string {
    const auth = 'username: "elastic", password: "changeme"';
    return code
      .replaceAll("http://localhost:5601", kibanaUrl)
      .replace(auth, `username: "${username}", password: "${password}"`);
  }

  function projectWithRecipes(): string {
    const folder = project(...new Set(recipes.flatMap(installedFor)));
    for (const { line, code } of recipes)
      writeFileSync(join(folder, `line-${line}.ts`), `${setup?.code}${code}export {};\n`);
    return folder;
  }

  it("compiles as it is pasted", async () => {
    const folder = projectWithRecipes();
    assert.equal(blocksOf("README.md", "ts").length, 2);
    assert.ok(listing && shapes && setup && listing.code.split("\n").length <= 41);
    writeFileSync(join(folder, "listing.ts"), listing.code);
    writeFileSync(join(folder, "shapes.ts"), withShapes);
    const compiled = await run([tsc, "-p", folder], folder);
    assert.equal(compiled.exitCode, 0, compiled.stdout);
  });

  it("of the README runs", async (t) => {
    const sandbox = await begin(t);
    const folder = project();
    writeFileSync(join(folder, "write.ts"), withAddresses(withShapes, sandbox));
    const { exitCode, stdout, stderr } = await run(["--import", import.meta.resolve("tsx"), "write.ts"], folder);
    assert.deepEqual([exitCode, stderr], [0, ""]);
    const lines =
      /^Created connector: (\S+)\nWritten: miconnectedindex\/_doc\/\S+\nConnector: My Connected Index Connector\n$/;
    const [, id = ""] = lines.exec(stdout) ?? [];
    assert.match(stdout, lines);
    assert.deepEqual(sandbox.connectors(), []);
    assert.equal(sandbox.documents("miconnectedindex").length, 4);

    // The calls for Dev Tools are those that the listing makes.
    const sent = sandbox.requests
      .filter(({ server }) => server === "kibana")
      .map(({ method, path, body }) => `${method} kbn:${path.replace(id, "<id>")}\n${body}`.trim());
    const [shapesSent] = sent.splice(3, 1);
    assert.match(shapesSent ?? "", /api_response_time/);
    const shown = blocksOf("README.md", "text").find(({ code }) => code.includes("kbn:"));
    assert.deepEqual(shown?.code.trim().split("\n\n"), sent);
  });

  it("of the recipes runs", async (t) => {
    const sandbox = await begin(t);
    const folder = projectWithRecipes();
    cpSync(join(root, "test/support/tls/ca.crt"), join(folder, "ca.crt"));
    const imports = recipes.map(
      ({ line }) =>
        `await import("./line-${line}.js").catch((error) => { throw new Error("line ${line}", { cause: error }); });\n`,
    );
    writeFileSync(join(folder, "run.js"), imports.join(""));
    buildSync({ entryPoints: recipes.map(({ line }) => join(folder, `line-${line}.ts`)), outdir: folder });
    const { exitCode, stdout, stderr } = await run(["run.js"], folder, sandbox.env);
    assert.deepEqual([exitCode, stderr], [0, ""]);
    const printing = recipes.filter(({ code }) => code.includes("console.log") && !code.includes("outcome !=="));
    assert.equal(stdout.split("\n").length - 1, printing.length);
  });

  it("that bundles the listing gives bundles that run", { skip: onWindows }, async (t) => {
    const sandbox = await begin(t);
    const folder = project();
    assert.ok(listing);
    writeFileSync(join(folder, "write.ts"), withAddresses(listing.code, sandbox));
    const [commands] = blocksOf("docs/recipes.md", "sh").filter(({ code }) => code.includes("npx esbuild"));
    assert.ok(commands);
    const esbuild = join(root, "node_modules/.bin/esbuild");
    symlinkSync(join(root, "node_modules/undici"), join(folder, "node_modules/undici"), "junction"); // not in the bundle
    const shell = commands.code.replaceAll("npx esbuild", `'${esbuild}'`);
    const { exitCode, stderr } = await startChild("sh", ["-ec", shell], { env: {}, cwd: folder, input: "" }).finished;
    assert.equal(exitCode, 0, stderr);
    for (const bundle of ["write.mjs", "write2.mjs"]) {
      const result = await run([bundle], folder);
      assert.match(result.stdout, /Connector: My Connected Index Connector/, result.stderr);
    }
  });
});

describe("the commands", { skip: onWindows }, () => {
  const commands = blocks
    .filter(({ language }) => language === "sh")
    .flatMap(({ code, document }) =>
      code
        .replaceAll("\\\n", "")
        .split("\n")
        .filter(Boolean)
        .map((command) => ({ command, document })),
    );
  const known: [pattern: RegExp, check: (match: RegExpExecArray) => unknown][] = [
    [/^git clone <address of this repository>/, () => true],
    [/^curl -fsSL https:\/\/elastic\.co\/start-local \| sh$/, () => true],
    [/^npm ci && npm run (\S+)$/, ([, name = ""]) => scripts[name]],
    [/^npm ci && npm (test|pack)$/, ([, name = ""]) => name === "pack" || scripts[name]],
    [/^npm run ([\w:]+)(?: -- .*)?$/, ([, name = ""]) => scripts[name]],
    [/^export (\w+)="[^"]+"$/, ([, name = ""]) => read(".env.example").includes(`# ${name}=`)],
    [/^(?:NODE_DEBUG=undici )?npx tsx (examples\/\S+)( --cleanup)?$/, ([, file = ""]) => existsSync(join(root, file))],
    [/^mkdir \.\.\/your-project && cd \.\.\/your-project$/, () => true],
    [/^npm init -y && npm pkg set type=module$/, () => true],
    [/^npm install -D tsx$/, () => true],
    [/^npx tsx write\.ts$/, () => true], // run above
    [/^npm install \.\.\/kbn-connectors\/kbn-connectors-(.*)\.tgz$/, ([, given]) => given === version],
    [/^npx esbuild /, () => true], // run above
    [/^curl -f -u /, () => true], // run below
  ];
  for (const { command, document } of commands)
    it(`of ${document} exist: ${command.slice(0, 80)}`, () => {
      const found = known.flatMap(([pattern, check]) => {
        const match = pattern.exec(command);
        return match ? [check(match)] : [];
      });
      assert.equal(found.length, 1, "one kind of command");
      assert.ok(found[0]);
    });

  it("with curl read what was written, and fail with a wrong password", async (t) => {
    const sandbox = await begin(t);
    const client = sandbox.client();
    const config = { index: "miconnectedindex", refresh: true };
    const { body } = await client.actions.create({ name: "n", connector_type_id: ".index", config });
    await client.actions.execute({ id: body.id, params: { documents: [{ message: "there" }] } });
    const curls = commands.filter(({ command }) => command.startsWith("curl -f -u"));
    assert.equal(curls.length, 1);
    for (const { command } of curls)
      for (const [password, code] of [
        [sandbox.password, 0],
        ["wrong", 22],
      ] as const) {
        const env = { ...sandbox.env, KIBANA_PASSWORD: password };
        const { exitCode, stdout } = await startChild("sh", ["-c", command], { env, cwd: root, input: "" }).finished;
        assert.equal(exitCode, code);
        assert.equal(stdout.includes("there"), code === 0);
      }
  });

  it("that run the example against a Kibana work", async (t) => {
    const sandbox = await begin(t);
    const runnable = commands.filter(({ command }) => /^npm run sandbox -- (?!--)/.test(command));
    assert.equal(runnable.length, 1);
    const finished = runnable.map(async ({ command }) => {
      const { exitCode, stdout, stderr } = await startChild("sh", ["-c", command], {
        env: sandbox.env,
        cwd: root,
        input: "",
      }).finished;
      assert.equal(exitCode, 0, `${command}\n${stderr}`);
      assert.match(stdout, /✓ Connector deleted/);
    });
    await Promise.all(finished);
  });
});

describe("the links", () => {
  const anchorsOf = (text: string) =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
      title
        .toLowerCase()
        .replace(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    );
  for (const [name, text] of Object.entries(documents))
    it(`of ${name} lead somewhere`, () => {
      const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
      for (const link of links.filter((link) => !link.startsWith("https://"))) {
        const [path = "", anchor] = link.split("#");
        const target = path === "" ? name : join(name, "..", path).replaceAll("\\", "/");
        assert.ok(existsSync(join(root, target)), link);
        if (anchor) assert.ok(anchorsOf(read(target)).includes(anchor), link);
      }
    });
});

describe("the reference", () => {
  /** The words in backquotes of the first column of the table in a section. */
  const firstColumn = (title: string): string[] => {
    const text = documents["docs/reference.md"] ?? "";
    const [, section = ""] = text.split(`\n## ${title}\n`);
    const rows =
      section
        .split("\n## ")[0]
        ?.split("\n")
        .filter((row) => row.startsWith("|")) ?? [];
    return rows
      .slice(2)
      .flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word));
  };

  it("lists every option", () => {
    const source = read("src/options.ts");
    const body = source.slice(
      source.indexOf("interface KibanaClientOptions {"),
      source.indexOf("/** Options of one call."),
    );
    const options = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name);
    assert.deepEqual(firstColumn("Options"), options);
  });

  it("lists every method", () => {
    const client = new surface.KibanaClient({ node: "http://localhost:5601" });
    const of = (object: object) =>
      Object.getOwnPropertyNames(Object.getPrototypeOf(object)).filter((name) => name !== "constructor");
    const listed = firstColumn("Methods").map((method) => method.replace(/\(.*/s, ""));
    const actions = of(client.actions).map((name) => `actions.${name}`);
    assert.deepEqual(listed.filter((name) => name.startsWith("actions.")).sort(), actions.sort());
    for (const name of [...of(client), "url"]) assert.ok(listed.includes(`client.${name}`), name);
  });

  it("lists every error", () => {
    const listed = firstColumn("Errors").filter((name) => name.endsWith("Error"));
    const exported = Object.keys(surface).filter((name) => name.endsWith("Error") && name !== "KibanaError");
    assert.deepEqual(listed.sort(), exported.sort());
  });
});
