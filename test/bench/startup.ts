// Whole processes, from their start to their end, as a person waits for them.
import { built, root, run } from "./children.ts";
import { type Row, row } from "./statistics.ts";

interface Process {
  command: string[];
  env?: Record<string, string>;
  /** What the client's time over this one's may be at most. */
  target?: number;
}

const node = process.execPath;
const python = "python3";

/** In each group the first is the client, and the others are what it is compared with. */
function groups(origin: string): Record<string, Record<string, Process>> {
  const settings = {
    KIBANA_URL: origin,
    KIBANA_USERNAME: "elastic",
    KIBANA_PASSWORD: "changeme",
    KIBANA_API_KEY: "",
    KIBANA_SPACE: "",
    ELASTICSEARCH_URL: "",
  };
  const script = (name: string, ...flags: string[]) => [node, ...flags, `${built}processes/${name}.js`, origin];
  const example = [`${root}test/bench/dist/examples/simple-index-connector.js`, "--cleanup"];
  const source = (path: string) => [node, "--import", "tsx", path];
  return {
    "import, whole process": {
      "kbn-connectors": { command: script("import-client") },
      "undici's Agent alone": { command: script("import-agent"), target: 1.1 },
      undici: { command: script("import-undici"), target: 1.1 },
      "nothing imported": { command: script("nothing") },
    },
    "create, run, get, delete, whole process, plain node": {
      "the example": { command: [node, ...example], env: settings },
      "kbn-connectors": { command: script("four-calls-client") },
      "undici.request": { command: script("four-calls-undici") },
      "kbn-connectors, --liftoff-only": { command: script("four-calls-client", "--liftoff-only") },
      "node:http": { command: script("four-calls-http") },
      "kibana-py": { command: [python, `${root}test/bench/processes/four_calls.py`, origin], target: 1 },
    },
    "the same under tsx": {
      "the example": { command: [...source("examples/simple-index-connector.ts"), "--cleanup"], env: settings },
      "undici.request": { command: [...source("test/bench/processes/four-calls-undici.ts"), origin], target: 1.15 },
    },
    "the example with its look into Elasticsearch, plain node": {
      "the example": { command: [node, ...example], env: { ...settings, ELASTICSEARCH_URL: origin } },
    },
  };
}

export async function measureStartup(
  origin: string,
  { rounds, missing }: { rounds: number; missing: string[] },
): Promise<Row[]> {
  const all = groups(origin);
  if (!(await hasKibanaPy())) {
    missing.push(`kibana-py (pip install kibana-py, for ${python})`);
    for (const group of Object.values(all)) delete group["kibana-py"];
  }
  const taken = new Map<Process, number[]>();
  const processes = Object.values(all).flatMap((group) => Object.values(group));
  for (let round = -1; round < rounds; round++)
    for (const one of processes) {
      const { command, env } = one;
      const [file = "", ...args] = command;
      const { milliseconds } = await run(file, args, env && { env });
      if (round >= 0) taken.set(one, [...(taken.get(one) ?? []), milliseconds]);
    }
  return Object.entries(all).flatMap(([what, group]) => {
    const [client] = Object.values(group);
    return Object.entries(group).map(([who, one]): Row => {
      const about = { what, who, unit: "ms", ...(one.target && { target: one.target }) };
      return row(about, taken.get(one) ?? [], one === client || !client ? undefined : taken.get(client));
    });
  });
}

async function hasKibanaPy(): Promise<boolean> {
  return await run(python, ["-c", "import kibana"]).then(
    () => true,
    () => false,
  );
}
