// A child process that makes calls in one way or another: a round at a time, whenever it is told to.
import { type Execute, variants } from "./variants.ts";

/** What to do in a round. */
export interface Round {
  /** One of the variants. */
  who: string;
  id: string;
  /** Documents of one call. */
  documents: number;
  /** Calls in all, and how many of them at once. */
  calls: number;
  atOnce: number;
}

/** What it took. */
export interface Taken {
  /** Microseconds a call, on the clock. */
  wall: number;
  /** Microseconds a call, of the processor, all threads. */
  cpu: number;
  /** MiB: the most that the process ever held. */
  memory: number;
}

const origin = process.argv[2] ?? "";
const made = new Map<string, Execute>();

/** Made when it is first asked for, and kept with its connections. */
function executeOf(who: string): Execute {
  const execute = made.get(who) ?? variants[who]?.(origin);
  if (!execute) throw new Error(`No such variant: ${who}`);
  made.set(who, execute);
  return execute;
}

const document = {
  message: "Hello from Kibana connector!",
  level: "INFO",
  service: "example-app",
  "@timestamp": new Date().toISOString(),
  request: { method: "GET", path: "/api/status", bytes: 1234, tags: ["a", "b"] },
};

async function run({ who, id, documents, calls, atOnce }: Round): Promise<Taken> {
  const execute = executeOf(who);
  const batch = Array.from({ length: documents }, () => document);
  let left = calls;
  const work = async () => {
    while (left-- > 0) await execute(id, batch);
  };
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  await Promise.all(Array.from({ length: atOnce }, work));
  const wall = Number(process.hrtime.bigint() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { wall: wall / calls, cpu: (user + system) / calls, memory: process.resourceUsage().maxRSS / 1024 };
}

process.on("message", async (round: Round) => process.send?.(await run(round)));
process.once("disconnect", () => process.exit());
