// How far one connector goes, against a server that takes 25 ms a run: documents a run, and runs at once.
import type { Taken } from "./caller.ts";
import { ask } from "./calls.ts";
import { start } from "./children.ts";
import { type Row, row } from "./statistics.ts";

const cases: readonly { documents: number; atOnce: number }[] = [
  ...[1, 10, 100, 1000].map((documents) => ({ documents, atOnce: 1 })),
  ...[10, 50, 200].map((atOnce) => ({ documents: 1, atOnce })),
];

export async function measureScale(origin: string, { rounds }: { rounds: number }): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { documents, atOnce } of cases) {
    const taken = await measure(origin, documents, atOnce, rounds);
    const what = `25 ms a run, ${documents} document${documents === 1 ? "" : "s"} each, ${atOnce} at once`;
    const figures: Record<string, (round: Taken) => number> = {
      "documents/s": ({ wall }) => (documents * 1e6) / wall,
      "µs of processor/document": ({ cpu }) => cpu / documents,
      "MiB, all of Node": ({ memory }) => memory,
    };
    for (const [unit, figure] of Object.entries(figures))
      rows.push(row({ what, who: "kbn-connectors", unit }, taken.map(figure)));
  }
  return rows;
}

/** In a fresh process each, for its memory to be its own. */
async function measure(origin: string, documents: number, atOnce: number, rounds: number): Promise<Taken[]> {
  const child = start("caller.js", [origin]);
  const round = { who: "kbn-connectors", id: `items-${documents}-after-25`, documents, calls: 8 * atOnce, atOnce };
  const taken: Taken[] = [];
  for (let count = -1; count < rounds; count++) {
    const result = await ask(child, round);
    if (count >= 0) taken.push(result);
  }
  child.disconnect();
  return taken;
}
