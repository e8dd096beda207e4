// How cost grows with the size of a call: for each size, a fresh process of its own.
import type { Round } from "./caller.ts";
import { ask } from "./calls.ts";
import { start } from "./children.ts";
import { type Row, row } from "./statistics.ts";

interface Size {
  what: string;
  unit: string;
  /** How many units a call has. */
  units: number;
  round: Omit<Round, "who" | "documents"> & Partial<Round>;
}

const documents = (count: number): Size => ({
  what: `a run of ${count} document${count === 1 ? "" : "s"}`,
  unit: "document",
  units: count,
  round: { id: `items-${count}`, documents: count, calls: Math.ceil(2000 / count), atOnce: 1 },
});
const atOnce = (count: number): Size => ({
  what: `runs of 1 document, ${count} at once`,
  unit: "call",
  units: 1,
  round: { id: "items-1", calls: 3000, atOnce: count },
});
const answers = (kib: number, pieces = ""): Size => ({
  what: `an answer of ${kib} KiB${pieces && " in pieces of 100 bytes"}`,
  unit: "KiB",
  units: kib,
  round: {
    who: "kbn-connectors, list",
    id: `kib-${kib}${pieces}`,
    calls: Math.min(500, Math.ceil(16384 / kib)),
    atOnce: 1,
  },
});

const sizes = [
  ...[1, 10, 100, 1000, 10_000].map(documents),
  ...[1, 10, 50, 200].map(atOnce),
  ...[1, 32, 1024, 32_768].map((kib) => answers(kib)),
  ...[1024, 16_384].map((kib) => answers(kib, "-pieces")),
];

export async function measureSizes(origin: string, rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { what, unit, units, round } of sizes) {
    const child = start("caller.js", [origin]);
    const work = { who: "kbn-connectors", documents: 1, ...round };
    const first = await ask(child, { ...work, calls: work.atOnce });
    const taken = [];
    for (let count = -1; count < rounds; count++) {
      const result = await ask(child, work);
      if (count >= 0) taken.push(result);
    }
    child.disconnect();
    rows.push(
      row(
        { what, who: "processor", unit: `µs/${unit}` },
        taken.map(({ cpu }) => cpu / units),
      ),
      row(
        { what, who: "memory, all of Node", unit: "MiB" },
        [first, ...taken].map(({ memory }) => memory),
      ),
    );
  }
  return rows;
}
