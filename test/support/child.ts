// A real child process for the tests: what it prints, how it ends, and what is typed in between.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { buildSync } from "esbuild";
import { nodeOptions } from "./node-options.ts";

const root = process.cwd(); // npm starts scripts where package.json is

export interface Finished {
  /** null if a signal ended it. */
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface Child {
  /** Resolves to standard output so far, once it has this text; rejects if the child ends without it. */
  printed(text: string): Promise<string>;
  /** Writes to standard input and leaves it open. */
  type(text: string): void;
  kill(signal: NodeJS.Signals): void;
  finished: Promise<Finished>;
}

export interface ChildOptions {
  /** Nothing of the surroundings is inherited but PATH. */
  env: Readonly<Record<string, string>>;
  cwd: string;
  /** All of standard input; "" is its end at once. Without it, standard input stays open. */
  input?: string | undefined;
}

export function startChild(command: string, args: readonly string[], { env, cwd, input }: ChildOptions): Child {
  const environment = { PATH: process.env.PATH, NODE_OPTIONS: nodeOptions, ...env };
  const child = spawn(command, args, { cwd, env: environment, timeout: 60_000, killSignal: "SIGKILL" });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      output[name] += chunk;
    });
  child.stdin.on("error", () => {}); // a child may end without having read its input
  if (input !== undefined) child.stdin.end(input);
  const finished = new Promise<Finished>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => resolve({ exitCode, ...output }));
  });
  return {
    finished,
    async printed(text) {
      const ended = finished.then(() => true);
      while (!output.stdout.includes(text))
        if ((await Promise.race([once(child.stdout, "data"), ended])) === true)
          throw new Error(`It ended without printing "${text}": ${JSON.stringify(output)}`);
      return output.stdout;
    },
    type: (text) => void child.stdin.write(text),
    kill: (signal) => void child.kill(signal),
  };
}

/** How to run npm: the one that started this process, or the one on the path. Windows cannot start npm by its name. */
export function npm(...args: string[]): [command: string, args: string[]] {
  const { npm_execpath } = process.env;
  return npm_execpath ? [process.execPath, [npm_execpath, ...args]] : ["npm", args];
}

/** A folder outside the repository, until the test file ends. */
export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "kbn-connectors-")));
  after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/**
 * A module of the repository as one file, .cjs for CommonJS or .mjs for ESM, with all that it imports but `external`:
 * loading the files one by one would take most of the tests' time.
 */
export function bundle(module: string, outfile = join(temporaryFolder(), "bundle.cjs"), external: string[] = []) {
  // Most runs of the example end without Elasticsearch's client, which takes longer to load than all the rest.
  const elasticsearch = join(temporaryFolder(), "elasticsearch.cjs");
  const client = createRequire(join(root, "package.json")).resolve("@elastic/elasticsearch");
  writeFileSync(
    elasticsearch,
    `module.exports = { get Client() { return require(${JSON.stringify(client)}).Client } };`,
  );
  buildSync({
    entryPoints: [join(root, module)],
    tsconfig: join(root, "tsconfig.json"),
    alias: { "@elastic/elasticsearch": elasticsearch },
    external,
    bundle: true,
    platform: "node",
    format: outfile.endsWith(".mjs") ? "esm" : "cjs",
    outfile,
    minify: true, // a third less to load
    logLevel: "error",
  });
  return outfile;
}

/** How node runs a program of the repository as a bundle. Some tests run the source itself, by tsx or as a package. */
export function compile(program: string, name = "program.cjs"): string[] {
  return [bundle(program, join(temporaryFolder(), name))];
}
