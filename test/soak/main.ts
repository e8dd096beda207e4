// The command line: `npm run soak -- [calls]` makes a million calls with faults mixed in, and exits 1 if anything grew.
import { setTimeout } from "node:timers/promises";
import { KibanaClient } from "kbn-connectors";
import { type Answer, type Exchange, startSandbox } from "../sandbox/sandbox.ts";

const calls = Number(process.argv[2] ?? 1_000_000);
const atOnce = 50;
// What there may be more at the end than at the second tenth, when all is warm. A connection is a socket on both sides.
const bounds = { "heap, MiB": 8, sockets: 2 * atOnce, handles: 2 * atOnce };

if (!(calls >= 10) || !gc) {
  console.error("Usage: npm run soak -- [calls, at least 10]");
  process.exit(2);
}

const sandbox = await startSandbox();
const client = new KibanaClient({
  node: sandbox.kibanaUrl,
  auth: { username: sandbox.username, password: sandbox.password },
});
const { body: connector } = await client.actions.create({
  name: "soak",
  connector_type_id: ".index",
  config: { index: "soak" },
});
sandbox.intercept = intercept;

let arrived = 0;

/** Elasticsearch stores nothing, lest the sandbox grows; one in twelve requests to Kibana meets a fault. */
function intercept({ server, response }: Exchange, handle: () => Promise<Answer>) {
  sandbox.requests.length = 0;
  const json = { "content-type": "application/json" };
  const html = { "content-type": "text/html" };
  if (server === "elasticsearch")
    return { status: 200, headers: json, body: '{"errors":false,"items":[{"create":{"_id":"1","status":201}}]}' };
  arrived++;
  if (arrived % 1000 === 0) return { status: 400, headers: {}, body: "x".repeat(2 ** 20 + 1) }; // too long
  if (arrived % 1000 === 500) return undefined; // no answer at all
  switch (arrived % 96) {
    case 8:
      return { status: 500, headers: {}, body: "" };
    case 16:
      return { status: 502, headers: html, body: "<html>bad gateway</html>" };
    case 24:
      return { status: 200, headers: html, body: "<html>log in</html>" };
    case 32:
      return { status: 200, headers: json, body: '{"id":' };
    case 40:
      response.destroy(); // reset
      return undefined;
    case 48:
      response.writeHead(200, { "content-length": "99" }).write('{"id":', () => response.destroy());
      return undefined;
    case 56:
      return { status: 503, headers: html, body: "Kibana server is not ready yet" };
    case 64:
      return { status: 200, headers: json, body: '{"connector_id":"c","status":"error","message":"no"}' };
    default:
      return handle();
  }
}

const { signal } = new AbortController(); // one for all calls, as in a long-lived program
const options = { signal, requestTimeout: 2000 };
const { id } = connector;

function call(index: number): Promise<unknown> {
  const { actions } = client;
  switch (index % 8) {
    case 0:
      return client.space("ops").actions.getAll(options);
    case 1:
      return actions.listTypes({}, options);
    case 2:
      return actions.get({ id: "nobody" }, options);
    case 3:
      return actions.get({ id }, { signal: abortedSoon() });
    case 4:
      return actions.execute({ id, params: { documents: [{ n: Number.NaN }] } }, options);
    default:
      return actions.execute({ id, params: { documents: [{ n: index }] } }, options);
  }
}

function abortedSoon(): AbortSignal {
  const controller = new AbortController();
  setImmediate(() => controller.abort());
  return controller.signal;
}

function measure(): Record<keyof typeof bounds, number> {
  gc?.();
  const handles = process.getActiveResourcesInfo();
  return {
    "heap, MiB": process.memoryUsage().heapUsed / 2 ** 20,
    sockets: handles.filter((name) => name.startsWith("TCPSocket")).length,
    handles: handles.length,
  };
}

const outcomes: Record<string, number> = {};
const warnings: string[] = [];
process.on("warning", ({ message }) => warnings.push(message));
const tenths: ReturnType<typeof measure>[] = [];
const started = Date.now();
let next = 0;

async function work(until: number) {
  while (next < until) {
    const outcome = await call(next++).then(
      () => "success",
      (error: Error) => error.name,
    );
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
}

for (let tenth = 1; tenth <= 10; tenth++) {
  await Promise.all(Array.from({ length: atOnce }, () => work((calls * tenth) / 10)));
  const measured = measure();
  tenths.push(measured);
  const columns = Object.entries(measured).map(([name, value]) => `${name} ${value.toFixed(1)}`);
  console.log(`${next} calls, ${((Date.now() - started) / 1000).toFixed(0)} s: ${columns.join(", ")}`);
}
console.log(outcomes);

const failures = [...warnings];
for (const [name, bound] of Object.entries(bounds) as [keyof typeof bounds, number][]) {
  const grown = (tenths[9]?.[name] ?? 0) - (tenths[1]?.[name] ?? 0);
  if (grown > bound) failures.push(`${name}: grew by ${grown.toFixed(1)}, more than ${bound}`);
}
await client.close();
await sandbox.close();
await setTimeout(100); // the other sides' sockets end, too
const left = process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP")).length;
if (left) failures.push(`${left} sockets are left after closing`);
console.log(
  failures.length
    ? `NOT FLAT\n${failures.join("\n")}`
    : `Flat: no more than ${JSON.stringify(bounds)} over the second tenth.`,
);
process.exitCode = failures.length ? 1 : 0;
