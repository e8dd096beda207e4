// The command line: npm run bench [-- --quick] [--only <part>] [--json <file>]
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { measureCalls } from "./calls.ts";
import { answerOf, root, run, start } from "./children.ts";
import { measureScale } from "./scale.ts";
import { measureStartup } from "./startup.ts";
import { type Row, table } from "./statistics.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: ["calls", "startup", "scale"] },
    json: { type: "string", default: `${root}test/bench/results.json` },
  },
});

const machine = {
  processor: `${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
  system: `${process.platform} ${process.arch}`,
  node: process.version,
};

const tsc = `${root}node_modules/typescript/bin/tsc`;
await run(process.execPath, [tsc, "-p", "tsconfig.build.json"]);
await run(process.execPath, [tsc, "-p", "test/bench/tsconfig.json"]);

const server = start("server.js");
const origin = `http://127.0.0.1:${await answerOf<number>(server)}`;
const rows: Row[] = [];
const missing: string[] = [];
try {
  console.log(
    `${machine.processor}; ${machine.system}; Node ${machine.node}; NODE_EXTRA_CA_CERTS unset for every process`,
  );
  const { quick } = options;
  const parts: Record<string, () => Promise<Row[]>> = {
    calls: () => measureCalls(origin, quick ? { generations: 1, rounds: 3 } : { generations: 3, rounds: 24 }),
    startup: () => measureStartup(origin, { rounds: quick ? 2 : 12, missing }),
    scale: () => measureScale(origin, { rounds: quick ? 2 : 10 }),
  };
  for (const name of options.only) {
    console.log(`Measuring ${name} ...`);
    const measure = parts[name];
    if (!measure) throw new Error(`--only ${name}: must be one of ${Object.keys(parts).join(", ")}.`);
    rows.push(...(await measure()));
  }
} finally {
  server.disconnect();
}
console.log(`\n${table(rows)}`);
for (const name of missing) console.log(`Missing, so not measured: ${name}`);
writeFileSync(options.json, `${JSON.stringify({ date: new Date().toISOString(), machine, missing, rows }, null, 2)}\n`);
console.log(`\nWritten to ${options.json}`);
