// The command line: `npm run sandbox` serves until Ctrl-C, `npm run sandbox -- [options] <command>` runs a command against it.
import { type ChildProcess, spawn } from "node:child_process";
import { statSync } from "node:fs";
import { constants } from "node:os";
import { parseArgs } from "node:util";
import { type Sandbox, type SandboxOptions, startSandbox, states } from "./sandbox.ts";
import { behaviourOf, versions } from "./versions.ts";

const usage = `Usage: npm run sandbox -- [options] [command [arguments]]

Serves a simulated Kibana with a small Elasticsearch on 127.0.0.1, until Ctrl-C or as long as the command runs.

  --kibana <version>          ${versions.join(", ")} (default: ${versions.at(-1)})
  --license <license>         basic (default) or trial, which enables .webhook, .slack and .teams. They send nothing:
                              a run succeeds, unless the host of its URL ends with .invalid
  --port <number>             Kibana's port (default: 5601; with a command: any free one)
  --elasticsearch-port <n>    Elasticsearch's port (default: 9200; with a command: any free one)
  --no-auth                   asks for no credentials
  --base-path </path>         where Kibana is, as with server.basePath
  --elasticsearch <url>       uses a real Elasticsearch, with the user name and password in the URL
  --state <state>             ${states.join(", ")}
  --cwd <folder>              where the command runs
  --help                      prints this text
`;

const [text, flag] = [{ type: "string" }, { type: "boolean" }] as const;
const known = {
  ...{ kibana: text, license: text, port: text, "elasticsearch-port": text, "base-path": text, elasticsearch: text },
  ...{ state: text, cwd: text, "no-auth": flag, demo: flag, help: flag },
};

const isPort = (value: string) => /^\d{1,5}$/.test(value) && Number(value) < 65_536;
const rules: [option: string, isValid: (value: string) => unknown, refusal: string][] = [
  ["port", isPort, "is no port number"],
  ["elasticsearch-port", isPort, "is no port number"],
  ["license", (value) => /^(basic|trial)$/.test(value), "is neither basic nor trial"],
  ["base-path", (value) => /^(\/[^/?#\s]+)+$/.test(value), "must begin with / and not end with it, as /kbn does"],
  ["elasticsearch", (value) => /^http:/.test(value) && URL.canParse(value), "is no URL such as http://127.0.0.1:9200"],
  ["state", (value) => states.some((state) => state === value), `is none of ${states.join(", ")}`],
  ["cwd", (value) => statSync(value, { throwIfNoEntry: false })?.isDirectory(), "is no folder"],
];

function parse(args: string[]) {
  // What follows the first word that is no option belongs to the command.
  const { tokens } = parseArgs({ args, options: known, strict: false, allowPositionals: true, tokens: true });
  const end = tokens.find(({ kind }) => kind === "positional" || kind === "option-terminator");
  const { values } = parseArgs({ args: args.slice(0, end?.index ?? args.length), options: known });
  const command = end ? args.slice(end.index + (end.kind === "positional" ? 0 : 1)) : [];
  for (const [name, isValid, refusal] of rules) {
    const value = (values as Record<string, unknown>)[name];
    if (typeof value === "string" && !isValid(value)) throw new Error(`--${name} "${value}" ${refusal}.`);
  }
  if (values.cwd !== undefined && command.length === 0) throw new Error("--cwd is for a command, and there is none.");
  const [port, elasticsearchPort] = command.length > 0 ? [0, 0] : [5601, 9200];
  const { kibana, license, state, elasticsearch, "base-path": basePath } = values;
  const options = {
    ...{ license, state, elasticsearch, basePath, auth: !values["no-auth"] },
    version: kibana && behaviourOf(kibana).version,
    port: Number(values.port ?? port),
    elasticsearchPort: Number(values["elasticsearch-port"] ?? elasticsearchPort),
  };
  return { values, command, options: JSON.parse(JSON.stringify(options)) as SandboxOptions };
}

async function main(): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  const { values, command, options } = parsed;
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const sandbox = await startSandbox(options).catch(({ code, port, message }) => {
    const advice = "Choose others with --port and --elasticsearch-port.";
    console.error(code === "EADDRINUSE" ? `Port ${port} is in use. ${advice}` : `The sandbox cannot start: ${message}`);
  });
  if (sandbox === undefined) return 1;
  if (values.demo) console.log("This Kibana is simulated. It and its data are gone when the demo ends.\n");
  const exitCode = await (command.length > 0 ? run(command, sandbox.env, values.cwd) : serve(sandbox));
  await sandbox.close();
  if (values.demo) console.log("\nThe simulated Kibana is gone, and the links above with it.");
  return exitCode;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function serve({ env, kibanaUrl, elasticsearchUrl }: Sandbox): Promise<number> {
  console.log(`A simulated Kibana at ${kibanaUrl}, with a small Elasticsearch at ${elasticsearchUrl}.`);
  console.log("Both forget everything when you press Ctrl-C. Paste this into another terminal to use them:\n");
  for (const [name, value] of Object.entries(env)) console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
  return new Promise((resolve) => {
    for (const signal of signals)
      process.once(signal, () => resolve(signal === "SIGINT" ? 0 : 128 + constants.signals[signal]));
  });
}

function run([command = "", ...args]: string[], env: Record<string, string>, cwd?: string): Promise<number> {
  // Ctrl-C in a terminal reaches the command by itself: passing it on would be a second one.
  const isTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  for (const signal of signals)
    process.on(signal, () => void ((signal === "SIGINT" && isTerminal) || child.kill(signal)));
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env }, ...(cwd && { cwd }) });
  const watchdog = child.pid === undefined ? undefined : watch(child.pid);
  const ended = new Promise<number>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      console.error(`${command} cannot be started: ${error.code === "ENOENT" ? "no such command" : error.message}`);
      resolve(127);
    });
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
  return ended.finally(() => watchdog?.kill("SIGKILL"));
}

/** Ends the command if the sandbox dies without being able to: then the pipe between them closes. */
function watch(pid: number): ChildProcess {
  const code = `process.stdin.resume().on("end", () => process.kill(${pid}))`;
  return spawn(process.execPath, ["-e", code], { stdio: ["pipe", "ignore", "ignore"], detached: true });
}

process.exitCode = await main();
