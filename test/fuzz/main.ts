// `npm run fuzz -- [--cases <n>] [--calls <n>] [--seed <n>]`: generated cases, then calls with faults after which memory is flat.
import { randomInt } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { parseArgs } from "node:util";
import fc from "fast-check";
import { KibanaClient } from "kbn-connectors";
import { properties, response, startRecorder } from "./properties.ts";

const option = { type: "string" } as const;
const { values } = parseArgs({ options: { cases: option, calls: option, seed: option } });
const seed = Number(values.seed ?? randomInt(2 ** 31));
const numRuns = Math.ceil(Number(values.cases ?? 100_000) / properties.length);
console.log(`${properties.length} properties, ${numRuns} cases each, seed ${seed}`);
for (const { name, check } of properties) {
  const recorder = await startRecorder();
  const result = await fc.check(check(recorder), { seed, numRuns, timeout: 10_000 });
  recorder.close();
  console.log(`${result.failed ? "FAILED" : "ok"}: ${name}`);
  if (result.failed) fail(fc.defaultReportMessage(result));
}

// One client makes many calls, of which one in twenty fails. The heap must not grow from the middle to the end.
const recorder = await startRecorder();
const success =
  '{"connector_id":"c","status":"ok","data":{"items":[{"create":{"_index":"i","_id":"1","status":201}}]}}';
const tooLarge = Buffer.alloc(2 ** 27, "x");
const others = fc.sample(response, { seed, numRuns: 1000 });
let served = 0;
recorder.respond = (response) => {
  recorder.arrived = [];
  served++;
  if (served % 20 !== 0) response.end(success);
  else if (served % 20_000 === 0) response.end(tooLarge);
  else others[(served / 20) % others.length]?.(response);
};
const client = new KibanaClient({ node: recorder.node, requestTimeout: 500 });
const { signal } = new AbortController(); // one for all calls, as in a long-lived program
const calls = Number(values.calls ?? 200_000);
let failed = 0;

/** MiB, after half of the calls. */
async function heapAfterHalf(): Promise<number> {
  let left = calls / 2;
  const work = async () => {
    while (left-- > 0) {
      const call = client.actions.execute({ id: "c", params: { documents: [{ left }] } }, { signal });
      await call.catch(() => failed++);
    }
  };
  await Promise.all(Array.from({ length: 50 }, work));
  await setImmediate();
  gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

const [middle, end] = [await heapAfterHalf(), await heapAfterHalf()];
await client.close();
recorder.close();
console.log(
  `${calls} calls, ${failed} of them failed; heap ${middle.toFixed(1)} MiB in the middle, ${end.toFixed(1)} at the end`,
);
if (!(end - middle < 2)) fail("The heap grew.");

function fail(message: string | undefined): void {
  console.error(message);
  process.exitCode = 1;
}
