// `npm run bench` compares the client with the same calls by hand; `-- --nodes` runs the scripts on four versions of Node.
import { execFileSync, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpus, homedir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import type { Round, Taken } from "./caller.ts";

/** What a script may take of the time of `fetch`, by Node's version. */
const scriptTargets: Readonly<Record<string, string>> = { 20: "1.20", 22: "1.10", 24: "1.00", 26: "0.95" };
const ways = ["client", "hand"] as const;

// Plain JavaScript inside the package, so that it imports the built package by its name.
const dist = join(import.meta.dirname, "dist");
const programs = ["caller", "script-client", "script-hand", "server"];
buildSync({ entryPoints: programs.map((name) => `${import.meta.dirname}/${name}.ts`), outdir: dist, format: "esm" });
// NODE_EXTRA_CA_CERTS would add 70 ms to each start of Node 20.
const { NODE_EXTRA_CA_CERTS: _, NODE_OPTIONS: __, ...env } = process.env;

const server = start("server.js");
const [port] = await once(server, "message");
const origin = `http://127.0.0.1:${port}`;
console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${process.platform}, Node ${process.versions.node}\n`);
console.log("| | client | by hand | time ratio | processor time ratio |\n|---|---|---|---|---|");
await compareCall("1 document (time <= 0.80, processor <= 0.75)", { documents: 1, calls: 300, atOnce: 1 }, 4);
await compareCall("1 document, 50 calls at once (time <= 0.65)", { documents: 1, calls: 900, atOnce: 50 }, 4);
await compareCall("4,100 documents, 0.9 MiB (time <= 1.10)", { documents: 4100, calls: 4, atOnce: 1 }, 4);
const nodes = process.argv.includes("--nodes") ? Object.keys(scriptTargets).map(installNode) : [process.execPath];
for (const node of nodes) compareScript(node);
for (const per of [1, 10, 100, 1000, 10_000])
  await compareCall(`per document, in a run of ${per}`, { documents: per, calls: 1000 / per, atOnce: 1, per });
for (const kib of [1, 32, 1024, 32_768])
  await compareCall(`per KiB, in a response of ${kib}`, { kib, calls: 1000 / kib, atOnce: 1, per: kib });
server.disconnect();

function start(program: string, ...args: string[]) {
  const child = fork(join(dist, program), args, { env, execArgv: [] });
  return child.once("exit", (code) => code !== 0 && process.exit(1)); // it has printed why
}

/**
 * The client and the code by hand share a process and take turns, so that a change of the machine's speed meets both. Several
 * processes, because V8 does not always optimise the same code in the same way.
 */
async function compareCall(name: string, round: Round, processes = 1): Promise<void> {
  const taken = { client: [] as Taken[], hand: [] as Taken[] };
  for (let number = 0; number < processes; number++) {
    const caller = start("caller.js", origin);
    for (let turn = -1; turn < 10; turn++)
      for (const by of turn % 2 ? ways : ways.toReversed()) {
        caller.send({ ...round, by, calls: Math.ceil(round.calls * (turn < 0 ? 5 : 1)) }); // the first warms up
        const [result] = await once(caller, "message");
        if (turn >= 0) taken[by].push(result);
      }
    caller.disconnect();
  }
  printRow(name, "µs", taken);
}

/** Whole processes, from their start to their end. */
function compareScript(node: string): void {
  const version = spawnSync(node, ["-p", "process.versions.node"], { encoding: "utf8" }).stdout.trim();
  const taken = { client: [] as Taken[], hand: [] as Taken[] };
  for (let turn = -1; turn < 15; turn++)
    for (const by of turn % 2 ? ways : ways.toReversed()) {
      const begin = performance.now();
      const { status, stderr } = spawnSync(node, [join(dist, `script-${by}.js`), origin], { env, encoding: "utf8" });
      if (status !== 0) throw new Error(stderr);
      if (turn >= 0) taken[by].push({ time: performance.now() - begin });
    }
  const target = scriptTargets[version.split(".")[0] ?? ""] ?? "any";
  printRow(`script of 4 calls, Node ${version}, by hand: fetch (time <= ${target})`, "ms", taken);
}

/** The binary that npm's package `node` installs, kept for the next time. */
function installNode(version: string): string {
  const name = `node-${process.platform}-${process.arch}`;
  const folder = join(homedir(), ".cache/kbn-connectors-bench", version);
  execFileSync("npm", ["install", "--prefix", folder, "--no-audit", "--no-fund", `${name}@${version}`]);
  return join(folder, "node_modules", name, "bin/node");
}

function printRow(name: string, unit: string, { client, hand }: Record<(typeof ways)[number], Taken[]>): void {
  const quartiles = (values: number[]) => {
    const sorted = values.toSorted((a, b) => a - b);
    return [0.5, 0.25, 0.75].map((part) => sorted[Math.round((sorted.length - 1) * part)] ?? Number.NaN);
  };
  const times = [client, hand].map((taken) => {
    const [median = Number.NaN] = quartiles(taken.map(({ time }) => time));
    return `${median >= 100 ? median.toFixed(0) : median.toPrecision(3)} ${unit}`;
  });
  const ratios = (["time", "processor"] as const).map((what) => {
    const each = client.map((one, turn) => (one[what] ?? Number.NaN) / (hand[turn]?.[what] ?? Number.NaN));
    const [median, low, high] = quartiles(each).map((ratio) => ratio.toFixed(2));
    return median === "NaN" ? "" : `**${median}** (${low} to ${high})`;
  });
  console.log(`| ${[name, ...times, ...ratios].join(" | ")} |`);
}
