// The command line: `npm run sandbox` serves until Ctrl-C, `npm run sandbox -- [options] <command> [args]` runs a command against it.
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { parseArgs } from "node:util";
import { type Sandbox, type SandboxOptions, type StateName, startSandbox, states } from "./sandbox.ts";
import { behaviourOf, versions } from "./versions.ts";

const usage = `Usage: npm run sandbox -- [options] [command [args]]

Serves a simulated Kibana and a small Elasticsearch on 127.0.0.1 until Ctrl-C, or as long as the command runs.

  --kibana <version>          ${versions.join(", ")} (default ${versions.at(-1)})
  --port <n>                  Kibana's port (default: 5601; with a command: any free one)
  --elasticsearch-port <n>    Elasticsearch's port (default: 9200; with a command: any free one)
  --no-auth                   ask for no credentials
  --base-path </x>            where Kibana is, as server.basePath does
  --elasticsearch <url>       use a real Elasticsearch (credentials in the URL are handed on)
  --state <name>              ${states.join(", ")}; not-ready=<seconds>,
                              elasticsearch-gone=<seconds>, payload-limit=<bytes>, slow=<milliseconds>
  --demo                      say in one line that this Kibana is simulated
  --help                      this text
`;

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const known = {
  kibana: text,
  port: text,
  "elasticsearch-port": text,
  "no-auth": flag,
  "base-path": text,
  elasticsearch: text,
  state: text,
  demo: flag,
  help: flag,
};

function parse(args: string[]) {
  // What follows the first word that is no option belongs to the command.
  const { tokens } = parseArgs({ args, options: known, strict: false, allowPositionals: true, tokens: true });
  const end = tokens.find(({ kind }) => kind === "positional" || kind === "option-terminator");
  const { values } = parseArgs({ args: args.slice(0, end?.index ?? args.length), options: known });
  const command = end ? args.slice(end.index + (end.kind === "positional" ? 0 : 1)) : [];
  return { values, command };
}

function optionsOf({ values, command }: ReturnType<typeof parse>): SandboxOptions {
  const isServing = command.length === 0;
  const port = (name: "port" | "elasticsearch-port", usual: number): number => {
    const value = values[name] ?? String(isServing ? usual : 0);
    if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return Number(value);
    throw new Error(`--${name} "${value}" is no port number.`);
  };
  const { kibana, elasticsearch, state, "base-path": basePath } = values;
  if (basePath !== undefined && !/^(\/[^/?#\s]+)+$/.test(basePath))
    throw new Error(`--base-path "${basePath}" must begin with / and not end with it, for example /kbn.`);
  if (elasticsearch !== undefined && !(URL.canParse(elasticsearch) && elasticsearch.startsWith("http:")))
    throw new Error("--elasticsearch takes a URL such as http://127.0.0.1:9200.");
  const [name, number] = state?.split("=") ?? [];
  const takesNumber = /^(not-ready|elasticsearch-gone|payload-limit|slow)$/.test(name ?? "");
  const isState = states.some((one) => one === name) && (number === undefined || (takesNumber && /^\d+$/.test(number)));
  if (state !== undefined && !isState) throw new Error(`--state "${state}" is none of ${states.join(", ")}.`);
  return {
    port: port("port", 5601),
    elasticsearchPort: port("elasticsearch-port", 9200),
    auth: !values["no-auth"],
    ...(kibana !== undefined && { version: behaviourOf(kibana).version }),
    ...(basePath !== undefined && { basePath }),
    ...(elasticsearch !== undefined && { elasticsearch }),
    ...(state !== undefined && { state: state as StateName }),
  };
}

async function main(): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  let options: SandboxOptions;
  try {
    parsed = parse(process.argv.slice(2));
    options = parsed.values.help ? {} : optionsOf(parsed);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return 2;
  }
  if (parsed.values.help) {
    process.stdout.write(usage);
    return 0;
  }
  let sandbox: Sandbox;
  try {
    sandbox = await startSandbox(options);
  } catch (error) {
    const { code, port } = error as NodeJS.ErrnoException & { port?: number };
    const advice = "choose others with --port and --elasticsearch-port.";
    console.error(code === "EADDRINUSE" ? `Port ${port} is in use: ${advice}` : `The sandbox cannot start: ${error}`);
    return 1;
  }
  if (parsed.values.demo) console.log("This Kibana is simulated: it and its data are gone when the demo ends.\n");
  try {
    return await (parsed.command.length > 0 ? run(parsed.command, sandbox.env) : serve(sandbox));
  } finally {
    await sandbox.close();
  }
}

/** Until Ctrl-C. */
function serve({ env, kibanaUrl, elasticsearchUrl }: Sandbox): Promise<number> {
  console.log(`A simulated Kibana at ${kibanaUrl}, with a small Elasticsearch at ${elasticsearchUrl}.`);
  console.log("Both forget everything when you press Ctrl-C. For another terminal:\n");
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
    process.on("SIGINT", interrupt);
    process.on("SIGTERM", () => void child.kill("SIGTERM"));
    child.once("error", (error: NodeJS.ErrnoException) => {
      console.error(`${command} cannot be started: ${error.code === "ENOENT" ? "no such command" : error.message}`);
      resolve(127);
    });
    child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

process.exitCode = await main();
