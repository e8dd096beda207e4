// Generated input: a few hundred cases of what `npm run fuzz` tries a hundred thousand times.
import { randomInt } from "node:crypto";
import { it } from "node:test";
import fc from "fast-check";
import { properties, startRecorder } from "./fuzz/properties.ts";

const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31)); // a failure prints it: FUZZ_SEED=... repeats the run
for (const { name, check } of properties)
  it(`${name} (seed ${seed})`, async (t) => {
    const recorder = await startRecorder();
    t.after(() => recorder.close());
    await fc.assert(check(recorder), { seed, numRuns: 15 });
  });
