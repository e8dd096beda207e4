// What a call costs, by the client and by hand.
import type { ChildProcess } from "node:child_process";
import type { Round, Taken } from "./caller.ts";
import { answerOf, start } from "./children.ts";
import { type Row, row } from "./statistics.ts";

const client = "kbn-connectors";

interface Case {
  name: string;
  round: Omit<Round, "who">;
  /** The others, and what the client's figure over theirs may be at most. */
  others: Record<string, { wall?: number; cpu?: number }>;
}

const one = { id: "items-1", documents: 1 };
/** 0.9 MiB of documents: near Kibana's limit of 1 MiB a request. */
const many = { id: "items-4300", documents: 4300 };

const cases: readonly Case[] = [
  {
    name: "execute, 1 document, one at a time",
    round: { ...one, calls: 300, atOnce: 1 },
    others: {
      "undici.request": { wall: 0.85, cpu: 0.8 },
      "bare dispatch": { wall: 1.1 },
      fetch: {},
    },
  },
  {
    name: "execute, 1 document, 50 at once",
    round: { ...one, calls: 900, atOnce: 50 },
    others: {
      "undici.request": { wall: 0.7 },
      "bare dispatch": { wall: 1.1 },
      fetch: {},
    },
  },
  {
    name: "execute, 0.9 MiB of documents",
    round: { ...many, calls: 4, atOnce: 1 },
    others: { "undici.request": { wall: 1.1 }, "bare dispatch": {} },
  },
];

/** What the client and another took, side by side, in each round. */
interface Pair {
  client: Taken[];
  other: Taken[];
}

/**
 * The client has a process together with each of the others, in which both take turns, a short round each: so a change of
 * the machine's speed, or the core that the scheduler chose, meets both. Fresh processes take over now and then, for what V8
 * makes of one and the same code differs from one to the next.
 */
export async function measureCalls(origin: string, { generations, rounds }: { generations: number; rounds: number }) {
  const taken = cases.map(
    ({ others }) => new Map(Object.keys(others).map((other): [string, Pair] => [other, { client: [], other: [] }])),
  );
  for (let generation = 0; generation < generations; generation++) {
    const names = [...new Set(cases.flatMap(({ others }) => Object.keys(others)))];
    const children = new Map(names.map((name) => [name, start("caller.js", [origin])]));
    for (let round = -1; round < rounds; round++)
      for (const [other, child] of children)
        for (const [at, { round: work }] of cases.entries()) {
          const pair = taken[at]?.get(other);
          if (!pair) continue;
          // The first round lets V8 compile what is hot.
          const calls = round < 0 ? work.calls * 25 : work.calls;
          for (const who of round % 2 ? [client, other] : [other, client]) {
            const result = await ask(child, { ...work, who, calls });
            if (round >= 0) pair[who === client ? "client" : "other"].push(result);
          }
        }
    for (const child of children.values()) child.disconnect();
  }
  return cases.flatMap(({ name, others }, at) =>
    (["wall", "cpu"] as const).flatMap((measure): Row[] => {
      const values = (taken: readonly Taken[]) => taken.map((result) => result[measure]);
      const what = `${name}, ${measure === "wall" ? "time" : "processor time"}`;
      const all = [...(taken[at] ?? [])];
      return [
        row({ what, who: client, unit: "µs" }, values(all.flatMap(([, pair]) => pair.client))),
        ...all.map(([who, pair]) => {
          const target = others[who]?.[measure];
          const about = { what, who, unit: "µs", ...(target && { target }) };
          return row(about, values(pair.other), values(pair.client));
        }),
      ];
    }),
  );
}

export async function ask(child: ChildProcess, round: Round): Promise<Taken> {
  const answer = answerOf<Taken>(child);
  child.send(round);
  return await answer;
}
