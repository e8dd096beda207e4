// Starting the processes that the benchmark measures, and asking them.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** NODE_EXTRA_CA_CERTS, where it is set, adds 70 ms to every process of Node 20: not in here. */
const { NODE_EXTRA_CA_CERTS: _, NODE_OPTIONS: __, NODE_V8_COVERAGE: ___, ...env } = process.env;

export const root = fileURLToPath(new URL("../../", import.meta.url));
/** What `tsc -p test/bench` made of this folder. */
export const built = `${root}test/bench/dist/test/bench/`;

export function start(file: string, args: readonly string[] = []): ChildProcess {
  return fork(built + file, args, { env, execArgv: [] });
}

/** The next message, unless the process ends before. */
export async function answerOf<Message>(child: ChildProcess): Promise<Message> {
  const ended = new AbortController();
  try {
    return await Promise.race([
      once(child, "message", { signal: ended.signal }).then(([message]) => message as Message),
      once(child, "exit", { signal: ended.signal }).then(([code]) => {
        throw new Error(`${child.spawnargs.slice(1).join(" ")} ended with ${code}`);
      }),
    ]);
  } finally {
    ended.abort();
  }
}

/** Runs a command to its end; its output shows only if it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<{ milliseconds: number; output: string }> {
  const begin = process.hrtime.bigint();
  const child = spawn(command, args, { cwd: root, ...options, env: { ...env, ...options.env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      output += chunk;
    });
  const [code] = await once(child, "close");
  const milliseconds = Number(process.hrtime.bigint() - begin) / 1e6;
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${output}`);
  return { milliseconds, output };
}
