// The command line: `npm run test:kibana` checks what the README promises against your own Kibana, and deletes what it made.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { inspect } from "node:util";
import { KibanaClient, KibanaError, writtenDocuments } from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";

/** This promise cannot be checked here. */
class Skipped extends Error {}

const { kibana, elasticsearch, credentialsFrom } = loadConfig();
const client = new KibanaClient(kibana);
/** The names of all that is made begin with this. */
const name = `kbn-connectors-test-${randomUUID().slice(0, 8)}`;
const copyOfExample = `examples/${name}.ts`;
const madeInElasticsearch = new Set<string>();
let stoppedAt = 0;

function expect(condition: unknown, seen: unknown): asserts condition {
  if (!condition) throw new Error(typeof seen === "string" ? seen : inspect(seen, { depth: 3, breakLength: Infinity }));
}

const lacksPrivilege = (message: string) => /Unauthorized to |is unauthorized for/.test(message);

/** Reports what is left behind, and why. */
const reportLeft =
  (what: string) =>
  (error: unknown): undefined => {
    console.log(`Left behind: ${what}: ${error}`);
    process.exitCode = 1;
  };

/** Checks the class of a call's error, and its outcome. */
async function fails(call: Promise<unknown>, expected: string): Promise<undefined> {
  const error = await call.catch((reason: unknown) => reason);
  expect(error instanceof Error, { resolved: error });
  if (!(error instanceof KibanaError) || lacksPrivilege(error.message)) throw error;
  expect(`${error.name}, ${error.outcome}`.startsWith(expected), `${error} (${error.outcome})`);
}

async function request(method: string, path: string, body?: object, node = elasticsearch?.node) {
  const { apiKey, username, password } = Object(kibana.auth) as Record<string, string>;
  const basic = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  const authorization = kibana.auth && { authorization: apiKey ? `ApiKey ${apiKey}` : basic };
  const headers = { "content-type": "application/json", ...authorization };
  const response = await fetch(node + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  return { status: response.status, body: await response.text() };
}

/** Makes what not every user may make, or what not every Elasticsearch has. */
async function put(path: string, definition: object): Promise<void> {
  const { status, body } = await request("PUT", path, definition);
  if (status >= 400) throw new Skipped(`Elasticsearch refuses PUT ${path}: ${body}`);
  madeInElasticsearch.add(path);
}

async function create(config: object = {}, own: { id?: string } = {}): Promise<string> {
  const definition = { name, connector_type_id: ".index", config: { index: name, refresh: true, ...config }, ...own };
  const { body } = await client.actions.create(definition).catch((error: KibanaError) => {
    if (error.outcome === "unknown") reportLeft(`perhaps a connector '${name}'`)(error);
    throw error;
  });
  return body.id;
}

async function run(id: string, documents: object[], path = `/${name}`) {
  const { body } = await client.actions.execute<".index">({ id, params: { documents } }).catch((error: KibanaError) => {
    if (error.outcome === "unknown" && !lacksPrivilege(error.message)) madeInElasticsearch.add(path);
    throw error;
  });
  madeInElasticsearch.add(path);
  return body;
}

async function listTypesWith(auth: typeof kibana.auth): Promise<never> {
  await new KibanaClient({ node: kibana.node, auth }).actions.listTypes();
  throw new Skipped("this Kibana has no security");
}

const promises: Record<string, () => Promise<undefined>> = {
  "the example runs to its end": async () => {
    const source = readFileSync("examples/simple-index-connector.ts", "utf8").replaceAll("miconnectedindex", name);
    writeFileSync(copyOfExample, source.replaceAll("My Connected Index Connector", name));
    // Detached, so that Ctrl-C does not end it while its connector exists.
    const child = spawn(process.execPath, [...process.execArgv, copyOfExample], { detached: true });
    child.stdin.on("error", () => {}).end("y\n");
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    if (stdout.includes("✓ Document written")) madeInElasticsearch.add(`/${name}`);
    expect(stdout.includes("✓ Document verified") && stdout.includes("✓ Connector deleted"), stderr + stdout);
  },
  "a connector is created (twice with the same name), read, listed, run, updated and deleted": async () => {
    const [id, twin] = [await create(), await create()];
    expect(id !== twin, "the same name gets the same id");
    expect((await client.actions.get({ id })).body.name === name, "get returns another name");
    const { body: all } = await client.actions.getAll();
    expect(all.find((connector) => connector.id === id)?.referenced_by_count === 0, all);
    const written = writtenDocuments(await run(id, [{ message: "one" }, { message: "two" }]));
    expect(written.length === 2 && written.every(({ index }) => index === name), written);
    const { body } = await client.actions.update<".index">({ id, name: `${name}-2`, config: { index: name } });
    expect(body.name === `${name}-2` && body.config?.refresh === false, body); // what is left out is reset
    await client.actions.delete({ id });
    await fails(client.actions.get({ id }), "NotFoundError, not-applied");
    await fails(client.actions.delete({ id }), "NotFoundError, not-applied");
  },
  "an id of your own that is taken is a ConflictError": async () => {
    const id = await create({}, { id: randomUUID() });
    await fails(create({}, { id }), "ConflictError, not-applied");
  },
  "a run is rejected if one of its documents does not fit, and the others are written": async () => {
    const id = await create({ index: `${name}-n` });
    await run(id, [{ n: 1 }], `/${name}-n`);
    await fails(run(id, [{ n: 2 }, { n: "bad" }]), "ConnectorExecutionError, unknown");
    const found = (await request("GET", `/${name}-n/_search`)).body;
    expect(found.includes('"total":{"value":2,'), found);
  },
  "a run is rejected if an ingest pipeline drops its document": async () => {
    await put(`/_ingest/pipeline/${name}`, { processors: [{ drop: {} }] });
    await put(`/${name}-drop`, { settings: { default_pipeline: name } });
    await fails(run(await create({ index: `${name}-drop` }), [{ a: 1 }]), "ConnectorExecutionError, unknown");
  },
  "a run is rejected if its document goes to the failure store": async () => {
    const mappings = { properties: { n: { type: "long" } } };
    const template = { data_stream_options: { failure_store: { enabled: true } }, mappings };
    await put(`/_index_template/${name}`, { index_patterns: [`${name}-stream`], data_stream: {}, template });
    const id = await create({ index: `${name}-stream`, executionTimeField: "@timestamp" });
    await fails(run(id, [{ n: "bad" }], `/_data_stream/${name}-stream`), "ConnectorExecutionError, unknown");
  },
  "Kibana sets the executionTimeField": async () => {
    await run(await create({ index: `${name}-at`, executionTimeField: "at" }), [{ at: "2001-01-01" }], `/${name}-at`);
    const found = (await request("GET", `/${name}-at/_search`)).body;
    expect(/"at":"20(?!01)\d\d-/.test(found), found);
  },
  "a run without documents fails": async () => fails(run(await create(), []), "ConnectorExecutionError, unknown"),
  "a run fails if the index has an invalid name": async () =>
    fails(run(await create({ index: `${name}-UPPER` }), [{ a: 1 }]), "ConnectorExecutionError, unknown"),
  "a run with params that Kibana refuses is not applied": async () =>
    fails(client.actions.execute({ id: await create(), params: { a: 1 } }), "ConnectorExecutionError, not-applied"),
  "more than 1 MiB is a PayloadTooLargeError (unless server.maxPayload is larger)": async () =>
    fails(run(await create(), [{ text: "x".repeat(1_100_000) }]), "PayloadTooLargeError, not-applied"),
  "a connector is not found in another space": async () =>
    fails(client.space(name.slice(0, 30)).actions.get({ id: await create() }), "NotFoundError, not-applied"),
  "an unknown connector type is a BadRequestError": () =>
    fails(client.actions.create({ name, connector_type_id: ".none" }), "BadRequestError, not-applied"),
  "a wrong base path is a ResponseError, not a NotFoundError": () =>
    fails(new KibanaClient({ ...kibana, node: `${kibana.node}/none` }).actions.get({ id: "none" }), "ResponseError"),
  "a wrong password is an AuthenticationError": () =>
    fails(listTypesWith({ username: "elastic", password: name }), "AuthenticationError, not-applied"),
  "missing credentials are an AuthenticationError": () =>
    fails(listTypesWith(undefined), "AuthenticationError, not-applied"),
};

/** Deletes all that was made. */
async function cleanUp(): Promise<void> {
  rmSync(copyOfExample, { force: true });
  const list = await client.actions.getAll().catch(reportLeft(`perhaps connectors '${name}'`));
  for (const connector of list?.body ?? [])
    if (connector.name.startsWith(name))
      await client.actions.delete(connector).catch(reportLeft(`connector ${connector.id}`));
  for (const path of [...madeInElasticsearch].reverse())
    await request("DELETE", path)
      .then(({ status, body }) => expect(status === 200 || status === 404, `${status} ${body}`))
      .catch(reportLeft(`${path} in Elasticsearch`));
}

function stop(): void {
  if (!stoppedAt) console.log("Stopping after this promise. Press Ctrl-C again to leave without cleaning up.");
  stoppedAt ||= Date.now();
  process.exitCode = 130;
  if (Date.now() - stoppedAt < 1000) return; // npm repeats the signal of a terminal at once
  console.log(`Perhaps left behind: connectors and indices whose names begin with ${name}`);
  process.exit();
}

async function main(): Promise<void> {
  await client.actions.listTypes(); // rejects with a hint if Kibana cannot be reached
  if (!elasticsearch) throw new Error("Set ELASTICSEARCH_URL too. Without it, the indices cannot be deleted.");
  const { body } = await request("GET", "/api/status", undefined, kibana.node);
  const version = /"number":"([^"]+)"/.exec(body)?.[1] ?? "of unknown version";
  console.log(`Kibana ${version} at ${client.url}, credentials from ${credentialsFrom ?? "nowhere"}\n`);
  for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const) process.on(signal, stop);
  process.stdout.on("error", () => {}); // cleans up although nobody reads
  for (const [promise, check] of Object.entries(promises)) {
    if (stoppedAt) break;
    const error = await check().catch((reason: KibanaError) => reason);
    const { message = "", hint = "" } = error ?? {};
    const isSkipped = error instanceof Skipped || lacksPrivilege(message) || /needs? Kibana/.test(hint);
    console.log((error ? (isSkipped ? "skipped" : "BROKEN") : "kept").padEnd(8), promise);
    if (error) console.log(`         ${message} ${hint}`.replaceAll("\n", " ").slice(0, 400));
    if (error && !isSkipped) process.exitCode = 1;
  }
  await cleanUp();
  console.log(process.exitCode ? "\nFailed: see above." : "\nAll that could be checked is as the README says.");
}

main().catch((error: KibanaError) => {
  console.error([error.message, error.hint].join("\n"));
  process.exitCode = 1;
});
