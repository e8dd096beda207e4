// The command line: `npm run fuzz -- [--runs <n>] [--seed <n>]` checks the properties with generated input.
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { properties, startRecorder } from "./properties.ts";

const { values } = parseArgs({ options: { runs: { type: "string" }, seed: { type: "string" } } });
const runs = Number(values.runs ?? 100_000);
const seed = Number(values.seed ?? randomInt(2 ** 31));
const each = Math.ceil(runs / properties.length);
console.log(`Seed ${seed}: ${properties.length} properties, ${each} cases each.`);
let failed = 0;
let total = 0;
for (const { name, check } of properties) {
  const recorder = await startRecorder();
  const result = await fc.check(check(recorder), { seed, numRuns: each });
  recorder.close();
  total += result.numRuns;
  console.log(`${result.failed ? "FAILED" : "ok    "} ${String(result.numRuns).padStart(7)}  ${name}`);
  if (!result.failed) continue;
  failed++;
  console.log(fc.defaultReportMessage(result));
}
console.log(
  `${total} cases, ${failed} of ${properties.length} properties failed. Again with: npm run fuzz -- --seed ${seed}`,
);
process.exitCode = failed ? 1 : 0;
