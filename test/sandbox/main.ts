// The command line: `npm run sandbox` serves until Ctrl-C, `npm run sandbox -- [options] <command> [args]` runs a command against it.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { type SandboxOptions, type StateName, startSandbox, states } from "./sandbox.ts";
import { behaviourOf, versions } from "./versions.ts";

const usage = `Usage: npm run sandbox -- [options] [command [args]]

Serves a simulated Kibana and a small Elasticsearch on 127.0.0.1 until Ctrl-C, or as long as the command runs.

  --kibana <version>      whose behaviour: ${versions.join(", ")} (default ${versions.at(-1)})
  --port <n>              Kibana's port (default: any free one)
  --no-auth               ask for no credentials
  --base-path </x>        where Kibana lives, as server.basePath does
  --elasticsearch <url>   stand in front of a real Elasticsearch (credentials in the URL are handed on)
  --state <name>          ${states.join(", ")};
                          not-ready=<seconds>, payload-limit=<bytes>, slow=<milliseconds>
  --help                  this text
`;

class UsageError extends Error {}

function parse(args: string[]): { options: SandboxOptions; command: string[]; help: boolean } {
  const options: SandboxOptions = {};
  for (let index = 0; index < args.length; index++) {
    const [flag = "", inline] = args[index]?.startsWith("--") ? (args[index] ?? "").split(/=(.*)/s, 2) : [args[index]];
    const value = (): string => {
      const given = inline ?? args[++index];
      if (given === undefined || given === "") throw new UsageError(`${flag} needs a value.`);
      return given;
    };
    if (!flag.startsWith("-")) return { options, command: args.slice(index), help: false };
    if (flag === "--") return { options, command: args.slice(index + 1), help: false };
    switch (flag) {
      case "--help":
        return { options, command: [], help: true };
      case "--kibana":
        options.version = behaviourOf(value()).version;
        break;
      case "--port":
        options.port = portOf(value());
        break;
      case "--no-auth":
        options.auth = false;
        break;
      case "--base-path":
        options.basePath = basePathOf(value());
        break;
      case "--elasticsearch":
        options.elasticsearch = urlOf(value());
        break;
      case "--state":
        options.state = stateOf(value());
        break;
      default:
        throw new UsageError(`Unknown option ${flag}.`);
    }
  }
  return { options, command: [], help: false };
}

function portOf(value: string): number {
  if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return Number(value);
  throw new UsageError(`--port "${value}" is no port number.`);
}

function basePathOf(value: string): string {
  if (/^(\/[^/?#\s]+)+$/.test(value)) return value;
  throw new UsageError(`--base-path "${value}" must begin with / and not end with it, for example /kbn.`);
}

function urlOf(value: string): string {
  if (URL.canParse(value) && /^http:/.test(value)) return value;
  throw new UsageError("--elasticsearch takes a URL such as http://127.0.0.1:9200.");
}

function stateOf(value: string): StateName {
  const [name, number] = value.split("=");
  const known = states.some((state) => state === name);
  const takesNumber = name === "not-ready" || name === "payload-limit" || name === "slow";
  if (known && (number === undefined || (takesNumber && /^\d+$/.test(number)))) return value as StateName;
  throw new UsageError(`--state "${value}" is none of ${states.join(", ")}.`);
}

async function main(): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  if (parsed.help) {
    process.stdout.write(usage);
    return 0;
  }
  let sandbox: Awaited<ReturnType<typeof startSandbox>>;
  try {
    sandbox = await startSandbox(parsed.options);
  } catch (error) {
    const inUse = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    console.error(
      inUse
        ? `Port ${parsed.options.port} is in use: choose another with --port.`
        : `The sandbox cannot start: ${error}`,
    );
    return 1;
  }
  try {
    return await (parsed.command.length > 0 ? run(parsed.command, sandbox.env) : serve(sandbox.env));
  } finally {
    await sandbox.close();
  }
}

/** Until Ctrl-C. */
function serve(env: Record<string, string>): Promise<number> {
  for (const [name, value] of Object.entries(env)) console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
  return new Promise((resolve) => {
    process.once("SIGINT", () => resolve(0));
    process.once("SIGTERM", () => resolve(143));
  });
}

function run([command = "", ...args]: string[], env: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
    // Ctrl-C in a terminal reaches the whole process group, the command too: passing it on would be a second one.
    const interrupt = () => {
      if (![process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)) child.kill("SIGINT");
    };
    const terminate = () => void child.kill("SIGTERM");
    process.on("SIGINT", interrupt);
    process.on("SIGTERM", terminate);
    child.once("error", (error: NodeJS.ErrnoException) => {
      console.error(`${command} cannot be started: ${error.code === "ENOENT" ? "no such command" : error.message}`);
      resolve(127);
    });
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

process.exitCode = await main();
