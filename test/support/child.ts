// A real child process for the tests: what it prints, how it ends, and what is typed in between.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { buildPrograms, type Program } from "./programs.ts";

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
  const environment = { PATH: process.env.PATH, ...env };
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

/** A bundle that node can run, or import. Some tests run the source itself, by tsx or as a package. */
export function program(name: Program): string {
  const { TEST_PROGRAMS } = process.env; // set by `npm test`
  const folder = TEST_PROGRAMS ?? temporaryFolder();
  if (TEST_PROGRAMS === undefined) buildPrograms(folder, [name]);
  return join(folder, name);
}
