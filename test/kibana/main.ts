// The command line: `npm run test:kibana` holds the promises of the README against the Kibana that the example would find.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import {
  AuthorizationError,
  ConnectorExecutionError,
  KibanaClient,
  type KibanaClientOptions,
  KibanaError,
  NotFoundError,
  writtenDocuments,
} from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";

/** A promise that this Kibana did not keep, with what was seen. */
class Differs extends Error {}
/** A promise that cannot be held against this Kibana, and why. */
class DoesNotApply extends Error {}

const root = process.cwd();
const config = loadConfig();
const client = new KibanaClient(config.kibana);
const name = `kbn-connectors-test-${randomUUID().slice(0, 8)}`;
/** The copy of the example that is run. */
const copy = join(root, `examples/${name}.ts`);
const made = new Set<string>();
let indexWasWritten = false;

/** Asks Kibana's status, and else Elasticsearch, for the version. */
async function versionOf(): Promise<string | undefined> {
  const number = /"number":"([^"]+)"/;
  const headers = authorization();
  const status = await (await fetch(`${config.kibana.node}/api/status`, { headers })).text();
  const info = await elasticsearch("GET", "/").catch(() => "");
  return (number.exec(status) ?? number.exec(info))?.[1];
}

function authorization(): Record<string, string> {
  const { auth } = config.kibana;
  if (!auth) return {};
  if ("apiKey" in auth) return { authorization: `ApiKey ${auth.apiKey}` };
  const { username, password } = auth as { username: string; password: string };
  return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
}

async function elasticsearch(method: string, path: string): Promise<string> {
  if (!config.elasticsearch) throw new DoesNotApply("no address of Elasticsearch is known: set ELASTICSEARCH_URL");
  const answer = await fetch(config.elasticsearch.node + path, { method, headers: authorization() });
  const text = await answer.text();
  if (answer.status === 403) throw new DoesNotApply("the credentials may not do this in Elasticsearch");
  return text;
}

function expect(condition: unknown, seen: unknown): asserts condition {
  if (!condition)
    throw new Differs(typeof seen === "string" ? seen : inspect(seen, { depth: 3, breakLength: Infinity }));
}

async function rejection(call: Promise<unknown>): Promise<KibanaError> {
  const error = await call.then(
    (answer) => Promise.reject(new Differs(`it resolved: ${inspect(answer, { depth: 3, breakLength: Infinity })}`)),
    (reason: unknown) => reason,
  );
  if (!(error instanceof KibanaError) || lacksPrivilege(error)) throw error;
  return error;
}

function lacksPrivilege(error: unknown): boolean {
  return (
    error instanceof AuthorizationError || (error instanceof KibanaError && /is unauthorized for/.test(error.message))
  );
}

async function create(more: { id?: string; index?: string } & Record<string, unknown> = {}) {
  const { id, index = name, ...config } = more;
  const request = { name, connector_type_id: ".index", config: { index, refresh: true, ...config } } as const;
  const { body } = await client.actions.create(id === undefined ? request : { ...request, id });
  made.add(body.id);
  return body;
}

async function remove(id: string): Promise<void> {
  await client.actions.delete({ id });
  made.delete(id);
}

/** A connector for one promise. */
async function withConnector(more: Parameters<typeof create>[0], use: (id: string) => Promise<void>): Promise<void> {
  const { id } = await create(more);
  try {
    await use(id);
  } finally {
    await remove(id);
  }
}

async function run(id: string, documents: object[]) {
  const { body } = await client.actions.execute<".index">({ id, params: { documents } });
  indexWasWritten = true;
  return body;
}

let numbers: [number, number] = [99, 0];
const isSince = (major: number, minor: number) => numbers[0] > major || (numbers[0] === major && numbers[1] >= minor);

const promises: Record<string, () => Promise<void>> = {
  "the example runs from its first to its last line": async () => {
    // A copy in which the index and the connector carry the random name.
    const source = readFileSync(join(root, "examples/simple-index-connector.ts"), "utf8");
    writeFileSync(copy, source.replaceAll("miconnectedindex", name).replace("My Connected Index Connector", name));
    const args = [...process.execArgv, copy, "--cleanup"]; // by tsx, like this file
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk: string) => {
        output += chunk;
      });
    const code = await new Promise((resolve) => child.once("close", resolve));
    indexWasWritten ||= output.includes("✓ Document written");
    const [failure = ""] = /✗ .*/.exec(output) ?? [];
    if (/Unauthorized to |is unauthorized for/.test(output)) throw missingPrivilege(failure);
    expect(code === 0 && output.includes("✓ Connector deleted"), output);
  },
  "getAll proves address and credentials": async () => {
    const { body } = await client.actions.getAll();
    expect(Array.isArray(body), body);
  },
  "listTypes tells that .index is enabled": async () => {
    const { body } = await client.actions.listTypes();
    expect(
      body.some(({ id, enabled }) => id === ".index" && enabled),
      body.map(({ id }) => id),
    );
  },
  "create, get, execute, update and delete": async () => {
    const { id, config } = await create();
    expect(config?.refresh === true && config.executionTimeField === null, config);
    expect((await client.actions.get({ id })).body.name === name, "another name");
    const written = writtenDocuments(await run(id, [{ message: "one" }, { message: "two" }]));
    expect(written.length === 2 && written.every(({ index }) => index === name), written);
    const { body } = await client.actions.update<".index">({ id, name: `${name} 2`, config: { index: name } });
    expect(body.name === `${name} 2`, body);
    await remove(id);
    expect((await rejection(client.actions.get({ id }))) instanceof NotFoundError, "still there");
    expect((await rejection(client.actions.delete({ id }))) instanceof NotFoundError, "deleted twice");
  },
  "an id of your own, and its conflict": async () => {
    const id = randomUUID();
    if (!isSince(8, 8)) {
      const error = await rejection(create({ id }));
      expect(/^An id of your own needs Kibana 8\.8/.test(error.hint ?? ""), error);
      throw new DoesNotApply("an id of your own needs Kibana 8.8");
    }
    await withConnector({ id }, async () => {
      const error = await rejection(create({ id }));
      expect(error.name === "ConflictError" && error.outcome === "not-applied", error);
    });
  },
  "the same name twice makes two connectors": async () =>
    withConnector({}, (first) =>
      withConnector({}, async (second) => {
        const { body } = await client.actions.getAll();
        expect(body.filter(({ name: known }) => known === name).length === 2 && first !== second, body);
      }),
    ),
  "getAll tells referenced_by_count": async () =>
    withConnector({}, async (id) => {
      const { body } = await client.actions.getAll();
      expect(body.find((connector) => connector.id === id)?.referenced_by_count === 0, body);
    }),
  "an update resets what it leaves out": async () =>
    withConnector({ executionTimeField: "at" }, async (id) => {
      const { body } = await client.actions.update<".index">({ id, name, config: { index: name } });
      expect(body.config?.refresh === false && body.config.executionTimeField === null, body);
    }),
  "of four updates at once, those that lose are a ConflictError": async () =>
    withConnector({}, async (id) => {
      const update = (at: number) =>
        client.actions.update<".index">({ id, name: `${name} ${at}`, config: { index: name } }).then(
          () => "ok",
          (error: Error) => error.name,
        );
      const outcomes = await Promise.all([0, 1, 2, 3].map(update));
      expect(outcomes.includes("ok") && outcomes.every((outcome) => /^(ok|ConflictError)$/.test(outcome)), outcomes);
    }),
  "a batch with one bad document rejects, and the good one is written": async () =>
    withConnector({ index: `${name}-batch` }, async (id) => {
      await run(id, [{ n: 1 }]);
      const error = await rejection(run(id, [{ n: 2 }, { n: "bad" }]));
      expect(error instanceof ConnectorExecutionError && error.outcome === "unknown", error);
      const text = await elasticsearch("GET", `/${name}-batch/_search`);
      expect(/"hits":\{"total":\{"value":2,/.test(text), text);
    }),
  "no documents reject": async () =>
    withConnector({}, async (id) => {
      expect((await rejection(run(id, []))) instanceof ConnectorExecutionError, "another error");
    }),
  "an invalid index name fails when it runs": async () =>
    withConnector({ index: `${name}-UPPER` }, async (id) => {
      const error = await rejection(run(id, [{ a: 1 }]));
      expect(error instanceof ConnectorExecutionError, error);
    }),
  "params that Kibana refuses are not applied": async () =>
    withConnector({}, async (id) => {
      const error = await rejection(client.actions.execute({ id, params: { nonsense: 1 } }));
      expect(error instanceof ConnectorExecutionError && error.outcome === "not-applied", error);
    }),
  "more than 1 MiB is a PayloadTooLargeError": async () =>
    withConnector({}, async (id) => {
      const error = await rejection(run(id, [{ text: "x".repeat(1_100_000) }]));
      if (error.name !== "PayloadTooLargeError") throw new Differs(`${error} (server.maxPayload may be larger here)`);
    }),
  "a connector is not found in another space": async () =>
    withConnector({}, async (id) => {
      const other = client.space(`${name.slice(0, 20)}-none`);
      expect((await rejection(other.actions.get({ id }))) instanceof NotFoundError, "another error");
    }),
  "executionTimeField is set by Kibana": async () =>
    withConnector({ index: `${name}-time`, executionTimeField: "at" }, async (id) => {
      await run(id, [{ at: "2001-01-01T00:00:00.000Z" }]);
      const text = await elasticsearch("GET", `/${name}-time/_search`);
      expect(/"at":"20(?!01)\d\d-/.test(text), text);
    }),
  "an unknown type is a BadRequestError": async () => {
    const error = await rejection(client.actions.create({ name, connector_type_id: ".no-such-type" }));
    expect(error.name === "BadRequestError", error);
  },
  "a wrong password is an AuthenticationError": async () => {
    const error = await refusedWith({ auth: { username: "elastic", password: name } });
    expect(error.name === "AuthenticationError" && error.outcome === "not-applied", error);
  },
  "no credentials are an AuthenticationError": async () => {
    const error = await refusedWith({ auth: undefined });
    expect(error.name === "AuthenticationError" && /^No credentials/.test(error.hint ?? ""), error);
  },
};

async function refusedWith(options: Pick<KibanaClientOptions, "auth">): Promise<KibanaError> {
  const other = new KibanaClient({ node: config.kibana.node, ...options });
  try {
    await other.actions.listTypes();
  } catch (error) {
    if (error instanceof KibanaError) return error;
    throw error;
  } finally {
    await other.close();
  }
  throw new DoesNotApply("security is off");
}

function missingPrivilege(text: string): DoesNotApply {
  return new DoesNotApply(`a privilege is missing: ${text}`);
}

function reasonOf(error: unknown): [word: string, reason: string] {
  if (error instanceof DoesNotApply) return ["does not apply", error.message];
  if (lacksPrivilege(error)) return ["does not apply", missingPrivilege(String(error)).message];
  return ["differs", error instanceof Differs ? error.message : String(error)];
}

/** Removes what was made, and names what cannot be removed. */
async function cleanUp(): Promise<void> {
  rmSync(copy, { force: true });
  const { body: all } = await client.actions.getAll().catch(() => ({ body: [] }));
  for (const connector of all) if (connector.name.startsWith(name)) made.add(connector.id);
  for (const id of made)
    await remove(id).catch((error: Error) => console.log(`Left behind: connector ${id} (${error.message})`));
  for (const index of indexWasWritten ? [name, `${name}-batch`, `${name}-time`] : [])
    await elasticsearch("DELETE", `/${index}`).catch((error: Error) =>
      console.log(`Left behind: index ${index} (${error.message})`),
    );
}

async function main(): Promise<number> {
  await client.actions.listTypes(); // or it says why Kibana cannot be reached
  const version = await versionOf();
  const [major = 99, minor = 0] = (version ?? "99").split(".").map(Number);
  numbers = [major, minor];
  const from = config.credentialsFrom ? `, credentials from ${config.credentialsFrom}` : "";
  console.log(`Kibana ${version ?? "of unknown version"} at ${client.url}${from}\n`);
  let differing = 0;
  for (const [promise, keep] of Object.entries(promises)) {
    const [word, reason] = await keep().then((): [string, string] => ["holds", ""], reasonOf);
    if (word === "differs") differing++;
    console.log(`${word.padEnd(14)} ${promise}${reason && `: ${reason.replaceAll(/\s+/g, " ").slice(0, 400)}`}`);
  }
  console.log(`\n${differing === 0 ? "Every promise that applies holds." : `${differing} differ.`}`);
  return differing === 0 ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    indexWasWritten = true; // it may have been
    void cleanUp().finally(() => process.exit(1));
  });
main()
  .catch((error: unknown) => {
    console.error(error instanceof KibanaError ? `${error.message}\n${error.hint ?? ""}` : error);
    return 1;
  })
  .then(async (exitCode) => {
    process.exitCode = exitCode;
    await cleanUp();
    await client.close();
  });
