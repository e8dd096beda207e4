// What a call costs, by the client and by hand.
import type { ChildProcess } from "node:child_process";
import type { Round, Taken } from "./caller.ts";
import { answerOf, start } from "./children.ts";
import { type Row, row } from "./statistics.ts";

const client = "kbn-connectors";

interface Case {
  name: string;
  round: Round;
  /** The others, and what the client's figure over theirs may be at most. */
  others: Record<string, { wall?: number; cpu?: number }>;
}

const one = { id: "items-1", documents: 1 };
/** 0.9 MiB of documents: near Kibana's limit of 1 MiB a request. */
const many = { id: "items-4300", documents: 4300 };

const cases: readonly Case[] = [
  {
    name: "execute, 1 document, one at a time",
    round: { ...one, calls: 500, atOnce: 1 },
    others: {
      "undici.request": { wall: 0.85, cpu: 0.8 },
      "undici dispatch": { wall: 1.1 },
      fetch: { wall: 1 / 3 },
      "node:http": {},
    },
  },
  {
    name: "execute, 1 document, 50 at once",
    round: { ...one, calls: 1500, atOnce: 50 },
    others: {
      "undici.request": { wall: 0.7 },
      "undici dispatch": { wall: 1.1 },
      fetch: { wall: 1 / 3 },
      "node:http": {},
    },
  },
  {
    name: "execute, 0.9 MiB of documents",
    round: { ...many, calls: 6, atOnce: 1 },
    others: { "undici.request": { wall: 1.1 }, "undici dispatch": {} },
  },
];

/**
 * Each way to make a call has a process of its own, so that none pays for another's garbage or compiled code. They take
 * turns, a round each, so that a change of the machine's speed meets all; and fresh ones take over now and then, for what V8
 * makes of one and the same code differs by more than the ways do.
 */
export async function measureCalls(origin: string, { generations, rounds }: { generations: number; rounds: number }) {
  const taken = new Map<string, Taken[]>();
  for (let generation = 0; generation < generations; generation++) {
    const names = [...new Set([client, ...cases.flatMap(({ others }) => Object.keys(others))])];
    const children = new Map(names.map((name) => [name, start("caller.js", [name, origin])]));
    const participants = cases.map(({ others }) => [client, ...Object.keys(others)]);
    for (let round = -1; round < rounds; round++)
      for (const [at, { name, round: work }] of cases.entries()) {
        const order = participants[at] ?? [];
        order.push(...order.splice(0, 1)); // another one begins each time, and every other time they go backwards
        for (const who of round % 2 ? order.toReversed() : order) {
          // The first round lets V8 compile what is hot.
          const warmUp = round < 0 ? { ...work, calls: work.calls * 5 } : work;
          const result = await ask(children.get(who), warmUp);
          if (round < 0) continue;
          const key = `${name}\n${who}`;
          taken.set(key, [...(taken.get(key) ?? []), result]);
        }
      }
    for (const child of children.values()) child.disconnect();
  }
  return cases.flatMap(({ name, others }) =>
    (["wall", "cpu"] as const).flatMap((measure): Row[] => {
      const values = (who: string) => (taken.get(`${name}\n${who}`) ?? []).map((result) => result[measure]);
      const what = `${name}, ${measure === "wall" ? "time" : "processor time"}`;
      return [
        row({ what, who: client, unit: "µs" }, values(client)),
        ...Object.entries(others).map(([who, targets]) => {
          const target = targets[measure];
          return row({ what, who, unit: "µs", ...(target && { target }) }, values(who), values(client));
        }),
      ];
    }),
  );
}

export async function ask(child: ChildProcess | undefined, round: Round): Promise<Taken> {
  if (!child) throw new Error("No such child");
  const answer = answerOf<Taken>(child);
  child.send(round);
  return await answer;
}
