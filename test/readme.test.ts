// The README: its code compiles and runs, its commands exist, its output is what the example prints.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import * as surface from "kbn-connectors";
import { startChild } from "./child.ts";
import { type Sandbox, startSandbox } from "./sandbox/sandbox.ts";

const root = resolve(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const example = readFileSync(join(root, "examples/simple-index-connector.ts"), "utf8");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };

function blocks(language: string): { code: string; line: number }[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map((match) => ({
    code: match[1] ?? "",
    line: readme.slice(0, match.index).split("\n").length,
  }));
}

/** Reads the words in backquotes of the first column of the table under a sentence. */
function firstColumn(sentence: string): string[] {
  const table = readme.slice(readme.indexOf(sentence)).split("\n\n")[1] ?? "";
  const cells = table
    .split("\n")
    .slice(2)
    .map((row) => row.split("|")[1] ?? "");
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word ?? ""));
}

// What a block may take as given.
const given = `import { type Connector, KibanaClient } from "kbn-connectors";
const client = new KibanaClient({ node: "http://localhost:5601", auth: { username: "elastic", password: "changeme" } });
const { body: connector } = await client.actions.create({
  name: "readme",
  connector_type_id: ".index",
  config: { index: "readme" },
});
`;

describe("the code", () => {
  const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-readme-"));
  let sandbox: Sandbox;
  before(async () => {
    sandbox = await startSandbox();
    const installed = join(folder, "node_modules/kbn-connectors");
    mkdirSync(installed, { recursive: true });
    writeFileSync(join(installed, "package.json"), readFileSync(join(root, "package.json")));
    const build = ["-p", join(root, "tsconfig.build.json"), "--outDir", join(installed, "dist")];
    const built = await startChild(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), ...build], {
      env: {},
      cwd: root,
      input: "",
    }).finished;
    assert.equal(built.exitCode, 0, built.stdout);
    for (const name of ["undici", "dotenv", "@elastic", "@types"])
      symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        // @elastic/elasticsearch's declarations name apache-arrow, which it does not install.
        compilerOptions: { module: "nodenext", strict: true, noEmit: true, skipLibCheck: true, types: ["node"] },
      }),
    );
    for (const { code, line } of blocks("ts")) {
      const whole = /new KibanaClient|@elastic\/elasticsearch/.test(code) ? code : given + code;
      writeFileSync(join(folder, `line-${line}.ts`), `${whole}export {};\n`);
    }
    const options = firstColumn("Options of `new KibanaClient(...)`").map((name) => `"${name}"`);
    writeFileSync(
      join(folder, "options.ts"),
      `import type { KibanaClientOptions } from "kbn-connectors";
[${options}] satisfies (keyof KibanaClientOptions)[];
"" as keyof KibanaClientOptions satisfies ${options.join(" | ")};\n`,
    );
  });
  after(async () => {
    await sandbox.close();
    rmSync(folder, { recursive: true });
  });

  it("compiles in a consumer's project, and the table of options has all of them", async () => {
    const { exitCode, stdout } = await startChild(
      process.execPath,
      [join(root, "node_modules/typescript/bin/tsc"), "-p", folder],
      { env: {}, cwd: root, input: "" },
    ).finished;
    assert.equal(exitCode, 0, stdout);
  });

  it("runs against the sandbox", async () => {
    const imports = blocks("ts").map(({ line }) => {
      const file = join(folder, `line-${line}.ts`);
      const code = readFileSync(file, "utf8")
        .replaceAll("http://localhost:5601", sandbox.kibanaUrl)
        .replaceAll("http://localhost:9200", sandbox.elasticsearchUrl)
        .replaceAll(
          'username: "elastic", password: "changeme"',
          `username: "${sandbox.username}", password: "${sandbox.password}"`,
        );
      writeFileSync(join(folder, `run-${line}.ts`), code);
      return `await import("./run-${line}.ts").catch((error) => { console.error("line ${line}:", error); process.exitCode = 1; });\n`;
    });
    writeFileSync(join(folder, "run.ts"), imports.join(""));
    const tsx = join(root, "node_modules/tsx/dist/cli.mjs");
    const { exitCode, stderr, stdout } = await startChild(process.execPath, [tsx, "run.ts"], {
      env: sandbox.env,
      cwd: folder,
      input: "",
    }).finished;
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /2 of 2 documents written/);
    assert.equal(sandbox.documents("readme").length, 4);
    assert.deepEqual(stderr, "");
  });
});

describe("the commands", () => {
  const commands = blocks("sh").flatMap(({ code }) => code.split("\n").filter(Boolean));
  for (const command of commands)
    it(`exist: ${command}`, () => {
      for (const [, name = ""] of command.matchAll(/npm (?:run )?(test|(?<=run )[\w:-]+)/g))
        assert.ok(scripts[name], name);
      for (const [, file = ""] of command.matchAll(/(?:tsx|import tsx) (\S+)/g))
        assert.ok(existsSync(join(root, file)), file);
      for (const [flag] of (command.split("simple-index-connector.ts")[1] ?? "").matchAll(/--[\w-]+/g))
        assert.ok(example.includes(`"${flag.slice(2)}"`) || example.includes(` ${flag.slice(2)}:`), flag);
    });

  it("that take the sandbox or a Kibana run", async (t) => {
    const sandbox = await startSandbox();
    t.after(() => sandbox.close());
    const runnable = commands.filter((command) => /^(npm run sandbox|NODE_DEBUG|curl)/.test(command));
    assert.equal(runnable.length, 4);
    const runs = runnable.map(async (command) => {
      const { exitCode, stderr } = await startChild("sh", ["-c", command], { env: sandbox.env, cwd: root, input: "" })
        .finished;
      assert.equal(exitCode, 0, `${command}\n${stderr}`);
    });
    await Promise.all(runs);
  });

  it("that curl uses shows what the example wrote", () => {
    assert.ok(readme.includes("/miconnectedindex/_search"));
  });
});

it("the output is what the example prints, ids and ports aside", async (t) => {
  const sandbox = await startSandbox();
  const cwd = mkdtempSync(join(tmpdir(), "kbn-connectors-readme-"));
  t.after(async () => {
    rmSync(cwd, { recursive: true });
    await sandbox.close();
  });
  mkdirSync(join(cwd, "elastic-start-local"));
  writeFileSync(
    join(cwd, "elastic-start-local/.env"),
    `ES_LOCAL_PASSWORD=${sandbox.password}
KIBANA_LOCAL_PORT=${new URL(sandbox.kibanaUrl).port}
ES_LOCAL_URL=${sandbox.elasticsearchUrl}\n`,
  );
  const args = ["--import", import.meta.resolve("tsx"), join(root, "examples/simple-index-connector.ts")];
  const { stdout } = await startChild(process.execPath, args, {
    env: { TSX_TSCONFIG_PATH: join(root, "tsconfig.json") },
    cwd,
    input: "y\n",
  }).finished;
  const normal = (text: string) =>
    text
      .replace(/localhost:\d+/g, "localhost:5601")
      .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "<id>")
      .replace(/_doc\/\S+/, "_doc/<id>")
      .replace(/Document \S+ in/, "Document <id> in");
  const [printed] = blocks("text");
  assert.equal(normal(printed?.code ?? ""), normal(stdout));
});

it("the links inside the repository exist", () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(([, link]) => link ?? "");
  for (const link of links.filter((link) => !link.includes("://"))) assert.ok(existsSync(join(root, link)), link);
  assert.ok(links.length > 1);
});

it("the tables of methods and errors name what there is", () => {
  const { actions } = new surface.KibanaClient({ node: "http://localhost:5601" });
  const methods = firstColumn("Methods. Each takes").filter((method) => method.startsWith("actions."));
  const named = methods.map((method) => method.replace(/^actions\.(\w+).*/, "$1"));
  const all = Object.getOwnPropertyNames(Object.getPrototypeOf(actions)).filter((name) => name !== "constructor");
  assert.deepEqual(named.sort(), all.sort());
  const errors = firstColumn("Errors, all of them `KibanaError`").filter((name) => name.endsWith("Error"));
  const exported = Object.keys(surface).filter((name) => name.endsWith("Error") && name !== "KibanaError");
  assert.deepEqual(errors.sort(), exported.sort());
});

it("the figures are those of the benchmark's last run", () => {
  const { rows, machine } = JSON.parse(readFileSync(join(root, "test/bench/results.json"), "utf8")) as {
    rows: { what: string; who: string; median: number }[];
    machine: { processor: string; node: string };
  };
  const median = (what: string, who: string) => rows.find((row) => row.what === what && row.who === who)?.median;
  for (const who of ["kbn-connectors", "undici dispatch", "undici.request", "node:http", "fetch"]) {
    const sequential = median("execute, 1 document, one at a time, time", who)?.toFixed(0);
    const together = median("execute, 1 document, 50 at once, time", who)?.toFixed(0);
    const batch = median("execute, 0.9 MiB of documents, time", who);
    const last = batch === undefined ? "" : `${(batch / 1000).toFixed(1)} ms`;
    assert.ok(readme.includes(`| ${who} | ${sequential} µs | ${together} µs | ${last} |`), who);
  }
  const script = (who: string) => median("create, run, get, delete, whole process, plain node", who)?.toFixed(0);
  const paragraph = readme.replaceAll("\n", " ");
  for (const text of [
    `on plain node: ${script("kbn-connectors")} ms; with undici.request ${script("undici.request")} ms,`,
    `with kibana-py ${script("kibana-py")} ms.`,
    `with \`node --liftoff-only\` it is ${script("kbn-connectors, --liftoff-only")} ms.`,
  ])
    assert.ok(paragraph.includes(text), text);
  assert.ok(readme.includes(`Node ${machine.node.slice(1)} on ${machine.processor}`));
});
