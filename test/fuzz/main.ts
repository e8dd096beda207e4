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
  console.log(`${name}: ${fc.defaultReportMessage(result) ?? "ok"}`);
  if (result.failed) process.exitCode = 1;
}

// One client makes many calls, of which one in twenty fails. The heap must not grow from the middle to the end.
const recorder = await startRecorder();
const ok = '{"connector_id":"c","status":"ok","data":{"items":[{"create":{"_index":"i","_id":"1","status":201}}]}}';
const others = fc.sample(response, { seed, numRuns: 1000 });
let served = 0;
recorder.respond = (response) => {
  recorder.arrived = [];
  if (++served % 20 !== 0) response.end(ok);
  else if (served % 20_000 === 10_000)
    response.end(Buffer.alloc(2 ** 27, "x")); // more than the client takes
  else others[(served / 20) % others.length]?.(response);
};
const client = new KibanaClient({ node: recorder.node, requestTimeout: 500 });
const { signal } = new AbortController(); // one for all calls, as in a long-lived program
const calls = Number(values.calls ?? 200_000);
const params = { documents: [{ message: "Hello" }] };
let failed = 0;
const heap: number[] = [];
while (heap.length < 2) {
  let left = calls / 2;
  const work = async () => {
    while (left-- > 0) await client.actions.execute({ id: "c", params }, { signal }).catch(() => failed++);
  };
  await Promise.all(Array.from({ length: 50 }, work));
  for (let turn = 0; turn < 3; turn++) await setImmediate().then(() => gc?.()); // buffers need two
  heap.push(process.memoryUsage().heapUsed + process.memoryUsage().external);
}
recorder.close();
const [middle = 0, end = 0] = heap.map((bytes) => Math.round(bytes / 2 ** 10));
console.log(`${calls} calls, ${failed} failed; heap and buffers ${middle} KiB in the middle, ${end} KiB at the end`);
if (end - middle > 2048) process.exitCode = 1;
