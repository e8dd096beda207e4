// Whole processes, from their start to their end, as a person waits for them.
import { built, run } from "./children.ts";
import { type Row, row } from "./statistics.ts";

/** What the client may take of the time of the same script with `fetch`, by Node's major version. */
const targets: Readonly<Record<string, number>> = { 20: 1.25, 22: 1.05, 24: 1, 26: 0.95 };

const four = "create, run, get, delete: whole process";

/** The processes take turns, so that a change of the machine's speed meets all of them. */
export async function measureStart(origin: string, node: string, rounds: number): Promise<Row[]> {
  const version = (await run(node, ["-p", "process.versions.node"])).output.trim();
  const target = targets[version.split(".")[0] ?? ""];
  const scripts = {
    "kbn-connectors": "four-calls-client",
    fetch: "four-calls-fetch",
    "undici.request": "four-calls-undici",
    "import of kbn-connectors": "import-client",
    nothing: "nothing",
  };
  const taken = new Map<string, number[]>(Object.keys(scripts).map((who) => [who, []]));
  for (let round = -1; round < rounds; round++)
    for (const [who, script] of Object.entries(scripts)) {
      const { milliseconds } = await run(node, [`${built}processes/${script}.js`, origin]);
      if (round >= 0) taken.get(who)?.push(milliseconds);
    }
  const about = (who: string) => ({ what: `${four}, Node ${version}`, who, unit: "ms" });
  const client = taken.get("kbn-connectors") ?? [];
  const compared = { fetch: target, "undici.request": 0.8 };
  return [
    row(about("kbn-connectors"), client),
    ...Object.entries(compared).map(([who, target]) =>
      row({ ...about(who), ...(target && { target }) }, taken.get(who) ?? [], client),
    ),
    ...["import of kbn-connectors", "nothing"].map((who) => row(about(who), taken.get(who) ?? [])),
  ];
}
