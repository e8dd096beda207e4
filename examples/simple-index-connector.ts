// Creates an .index connector, writes one document through it, verifies both, and asks whether to delete the connector.
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { ConnectionError, KibanaClient, KibanaError, NotFoundError, NotReadyError } from "kbn-connectors";
import { type Config, loadConfig } from "kbn-connectors/config";

const usage = `Usage: npx tsx examples/simple-index-connector.ts [--cleanup | --no-cleanup] [--help]

Creates an .index connector in Kibana, writes one document through it, verifies both,
and asks whether to delete the connector.

  --cleanup      delete the connector at the end, without asking
  --no-cleanup   keep the connector, without asking
  --help         show this text

Where Kibana is, and the credentials: KIBANA_URL, KIBANA_API_KEY (or KIBANA_USERNAME and
KIBANA_PASSWORD), KIBANA_SPACE, ELASTICSEARCH_URL, from the environment or .env; otherwise
elastic-start-local/.env; otherwise http://localhost:5601 without credentials.`;

const name = "My Connected Index Connector";
const index = "miconnectedindex";
const timeField = "@timestamp";
const document = {
  message: "Hello from Kibana connector!",
  level: "INFO",
  service: "example-app",
  [timeField]: new Date().toISOString(),
};

// What there is left behind at this moment, for an interruption or a failure to say.
let connectorState = "Nothing was created.";
let documentState = "";

async function createWriteAndVerify(client: KibanaClient, config: Config, created: (id: string) => void) {
  console.log("Creating index connector...");
  connectorState = `A connector '${name}' may have been created: look in Kibana under Stack Management > Connectors.`;
  const { body: connector } = await whenReady(() =>
    client.actions.create({
      name, // need not be unique: each run of this example makes a connector of its own
      connector_type_id: ".index",
      config: {
        index, // made with the first document, if it does not exist
        refresh: true, // searches find the document at once; leave this out where you write much
        executionTimeField: timeField, // Kibana puts the time of the run here, over the document's own value
      },
    }),
  );
  created(connector.id);
  console.log(`✓ Created connector: ${connector.id}\n`);

  console.log("Writing document to index...");
  documentState = `The index '${index}' stays, and the document, if it was written.`;
  // Rejects if the run failed, for which Kibana answers HTTP 200, too. Repeating a run writes the document again.
  const { body: result } = await client.actions.execute({ id: connector.id, params: { documents: [document] } });
  const written = result.data.items[0]?.create ?? result.data.items[0]?.index; // create from Kibana 8.4 on
  if (!written) throw new Error("Kibana did not say where the document was written.");
  documentState = `The index '${index}' and the document in it stay.`;
  console.log("✓ Document written successfully");
  console.log(`  Status: ${result.status}`);

  const { body: found } = await client.actions.get({ id: connector.id });
  if (found.name !== name || found.connector_type_id !== ".index" || found.config?.index !== index)
    throw new Error(`Connector ${connector.id} is not what was created: ${JSON.stringify(found)}`);
  console.log(`✓ Connector verified: ${found.name}`);

  if (config.elasticsearch) {
    const stored = await readBack(config.elasticsearch, written._index, written._id);
    if (!isDeepStrictEqual({ ...stored, [timeField]: null }, { ...document, [timeField]: null }))
      throw new Error(`The document differs from what was sent: ${JSON.stringify(stored)}`);
    console.log(`✓ Document verified: ${written._index}/_doc/${written._id}`);
  } else console.log("- Document not read back: set ELASTICSEARCH_URL to verify it, too.");
}

async function readBack(options: NonNullable<Config["elasticsearch"]>, index: string, id: string): Promise<object> {
  const { Client } = await import("@elastic/elasticsearch");
  const elasticsearch = new Client({ ...options, maxRetries: 0 });
  try {
    const { _source } = await elasticsearch.get<object>({ index, id });
    return _source ?? {};
  } catch (cause) {
    throw new Error(`${index}/_doc/${id} could not be read back from ${options.node}: ${String(cause)}`, { cause });
  } finally {
    await elasticsearch.close();
  }
}

/** While Kibana starts, it answers 503 and does nothing, so it is safe to ask again. */
async function whenReady<Result>(call: () => Promise<Result>): Promise<Result> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof NotReadyError && error.outcome === "not-applied") || attempts === 5) throw error;
      console.log("Kibana is not ready yet. Trying again in 2 seconds...");
      await setTimeout(2000);
    }
  }
}

async function deleteConnector(client: KibanaClient, id: string) {
  connectorState = `Connector ${id} may be left behind: it was being deleted.`;
  try {
    await client.actions.delete({ id });
    connectorState = "The connector was deleted.";
    tell("✓ Connector deleted");
  } catch (error) {
    // The answer may be lost although the connector is gone, so look. Only Kibana's own words prove it, not any 404.
    const gone = await client.actions.get({ id }).then(
      () => false,
      (lookError) => lookError instanceof NotFoundError && lookError.message.includes(`[action/${id}] not found`),
    );
    if (!gone) throw error;
    connectorState = "The connector was deleted.";
    tell("✓ Connector deleted (confirmed)");
  }
}

function howToDelete({ url, kibana: { auth } }: Config, id: string): string {
  const credentials =
    auth === undefined
      ? ""
      : "username" in auth
        ? `-u '${auth.username}' `
        : '-H "Authorization: ApiKey $KIBANA_API_KEY" ';
  return `Delete it in Kibana under Stack Management > Connectors, or with
   curl -X DELETE -H 'kbn-xsrf: true' ${credentials}'${url}/api/actions/connector/${id}'`;
}

async function wantsDeletion(): Promise<boolean> {
  if (!process.stdout.writable && process.stdin.isTTY) return false; // nobody can see the question
  console.log(`Connector '${name}' was created for this example.`);
  process.stdout.write("Delete the connector? (y/N): ");
  const lines = createInterface({ input: process.stdin });
  const answer = await new Promise<string>((resolve) => {
    lines.once("line", resolve);
    lines.once("close", () => resolve(""));
  });
  lines.close();
  if (!process.stdin.isTTY) console.log(answer); // the answer's line, which only a terminal shows by itself
  return /^y(es)?$/i.test(answer.trim());
}

/** To the reader of the output, or past one who went away. */
function tell(text: string) {
  if (process.stdout.writable) console.log(text);
  else console.error(text);
}

function report(error: unknown, config?: Config) {
  console.error(`\n✗ ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof KibanaError && error.hint) console.error(`  ${error.hint}`);
  if (error instanceof ConnectionError && error.code === "ECONNREFUSED" && config)
    console.error(`  ${config.ifUnreachable}`);
}

function parseFlags() {
  const { values } = parseArgs({
    options: { cleanup: { type: "boolean" }, "no-cleanup": { type: "boolean" }, help: { type: "boolean" } },
  });
  if (values.cleanup && values["no-cleanup"]) throw new Error("--cleanup and --no-cleanup exclude each other.");
  return values;
}

async function main(): Promise<number> {
  let flags: ReturnType<typeof parseFlags>;
  try {
    flags = parseFlags();
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (flags.help) {
    console.log(usage);
    return 0;
  }

  const config = loadConfig();
  console.log("📊 Kibana Configuration:");
  console.log(`   URL: ${config.url}`);
  console.log(`   Auth: ${config.authentication}`);
  if (config.credentialsFrom) console.log(`   🔐 Credentials detected from ${config.credentialsFrom}`);
  for (const warning of config.warnings) console.log(`   ⚠ ${warning}`);
  console.log();

  const client = new KibanaClient(config.kibana);
  let exitCode = 0;
  let id: string | undefined;
  try {
    await createWriteAndVerify(client, config, (created) => {
      id = created;
      connectorState = `Connector ${id} stays. ${howToDelete(config, id)}`;
    });
    console.log(`\n🎉 Success! Check your '${index}' index in Elasticsearch.`);
    console.log(`   Connector ID: ${id}`);
    console.log(`   Kibana Dev Tools: ${config.url}/app/dev_tools#/console`);
    console.log(`   Try this query: GET ${index}/_search\n`);
  } catch (error) {
    exitCode = 1;
    report(error, config);
    if (id === undefined && error instanceof KibanaError && error.outcome === "not-applied")
      connectorState = "Nothing was created.";
  }

  try {
    if (id !== undefined && (flags.cleanup || (!flags["no-cleanup"] && (await wantsDeletion()))))
      await deleteConnector(client, id);
    else tell(connectorState);
    if (documentState) tell(documentState);
  } catch (error) {
    exitCode = 1;
    report(error, config);
    console.error(`${connectorState} ${documentState}`);
  }
  await client.close();
  return exitCode;
}

for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  process.once(signal, () => {
    console.error(`\nInterrupted. ${connectorState} ${documentState}`);
    process.exit(exitCode);
  });
// A reader that went away (`| head -1`) does not stop the job.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

main()
  .catch((error: unknown) => {
    report(error);
    return 1;
  })
  .then((exitCode) => {
    process.exitCode = exitCode;
  });
