// The command line: `npm run bench` measures calls, starts and sizes; `npm run bench -- --nodes` the start on four versions of Node.
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { npm } from "../support/child.ts";
import { measureCalls } from "./calls.ts";
import { answerOf, root, run, start } from "./children.ts";
import { measureSizes } from "./sizes.ts";
import { measureStart } from "./startup.ts";
import { type Row, table } from "./statistics.ts";

const { values: options } = parseArgs({ options: { nodes: { type: "boolean" } } });

const tsc = `${root}node_modules/typescript/bin/tsc`;
await run(...npm("run", "build"));
await run(process.execPath, [tsc, "-p", "test/bench/tsconfig.json"]);

const [processor] = cpus();
const memory = Math.round(totalmem() / 2 ** 30);
console.log(
  `${processor?.model.trim()}, ${cpus().length} cores, ${memory} GiB; ${process.platform}; Node ${process.version}\n`,
);

const server = start("server.js");
try {
  const origin = `http://127.0.0.1:${await answerOf<number>(server)}`;
  console.log(table(options.nodes ? await onEachNode(origin) : await onThisNode(origin)));
} finally {
  server.disconnect();
}

async function onThisNode(origin: string): Promise<Row[]> {
  const calls = await measureCalls(origin, { generations: 2, rounds: 10 });
  return [...calls, ...(await measureStart(origin, process.execPath, 10)), ...(await measureSizes(origin, 5))];
}

/** With the binaries that npm's package `node` installs, without its script. */
async function onEachNode(origin: string): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-bench-"));
  const rows: Row[] = [];
  try {
    for (const version of ["20", "22", "24", "26"]) {
      const prefix = join(folder, version);
      const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
      await run(...npm("install", "--no-audit", "--no-fund", "--prefix", prefix, `${name}@${version}`));
      rows.push(...(await measureStart(origin, join(prefix, "node_modules", name, "bin/node"), 15)));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return rows;
}
