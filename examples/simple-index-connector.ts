// Creates an .index connector, writes one document through it, verifies both, and asks whether to delete the connector.
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { isDeepStrictEqual, parseArgs } from "node:util";
import {
  ConnectionError,
  type Connector,
  KibanaClient,
  KibanaError,
  NotFoundError,
  NotReadyError,
} from "kbn-connectors";
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

const document = {
  message: "Hello from Kibana connector!",
  level: "INFO",
  service: "example-app",
  "@timestamp": new Date().toISOString(),
};

const definition = {
  name: "My Connected Index Connector", // need not be unique: each run makes a connector of its own
  connector_type_id: ".index",
  config: {
    index: "miconnectedindex", // made with the first document, if it does not exist
    refresh: true, // searches find the document at once; leave it out where you write much
    executionTimeField: "@timestamp", // Kibana puts the time of the run here, over your own value
  },
} as const;

async function createConnector(client: KibanaClient) {
  const { body: connector } = await client.actions.create(definition);
  return connector;
}

async function writeDocument(client: KibanaClient, connector: Connector<".index">) {
  // Rejects if the run failed, for which Kibana answers HTTP 200, too. Nothing repeats it by itself: each run writes anew.
  const { body: result } = await client.actions.execute({ id: connector.id, params: { documents: [document] } });
  const [item] = result.data.items;
  const written = item?.create ?? item?.index; // `create` from Kibana 8.4 on, `index` before
  if (!written) throw new Error("Kibana did not say where the document was written.");
  return { status: result.status, index: written._index, id: written._id };
}

async function verifyConnector(client: KibanaClient, { id }: Connector<".index">) {
  const { body: found } = await client.actions.get({ id });
  const expected = { ...found, ...definition, config: { ...found.config, ...definition.config } };
  if (!isDeepStrictEqual(found, expected))
    throw new Error(`Connector ${id} is not as created: ${JSON.stringify(found)}`);
  return found;
}

async function verifyDocument(options: NonNullable<Config["elasticsearch"]>, index: string, id: string) {
  const { Client } = await import("@elastic/elasticsearch");
  const elasticsearch = new Client({ ...options, maxRetries: 0 });
  const { _source: stored } = await elasticsearch.get<object>({ index, id }).catch((cause: unknown) => {
    throw new Error(`${index}/_doc/${id} could not be read back from ${options.node}: ${cause}`, { cause });
  });
  if (!isDeepStrictEqual({ ...stored, "@timestamp": "" }, { ...document, "@timestamp": "" }))
    throw new Error(`${index}/_doc/${id} differs from what was sent: ${JSON.stringify(stored)}`);
}

async function deleteConnector(client: KibanaClient, id: string) {
  try {
    await client.actions.delete({ id });
    return "✓ Connector deleted";
  } catch (error) {
    // The answer may be lost although the connector is gone, so look. Only Kibana's own words prove it, not any 404.
    const gone = await client.actions.get({ id }).then(
      () => false,
      (lookError) => lookError instanceof NotFoundError && lookError.message.includes(`[action/${id}] not found`),
    );
    if (!gone) throw error;
    return "✓ Connector deleted (confirmed)";
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

async function wantsDeletion(name: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin });
  console.log(`\nConnector '${name}' was created for this example.`);
  process.stdout.write("Delete the connector? (y/N): ", (unseen) => {
    if (unseen && process.stdin.isTTY) lines.close(); // nobody can answer
  });
  const answer = await new Promise<string>((resolve) => {
    lines.once("line", resolve);
    lines.once("close", () => resolve("")); // end of input means no
  });
  lines.close();
  if (!process.stdin.isTTY) console.log(answer); // only a terminal shows it by itself
  return /^y(es)?$/i.test(answer.trim());
}

// What there is left behind at this moment, for an interruption or a failure to say.
let connectorState = "Nothing was created.";
let documentState = "";

async function run(flags: ReturnType<typeof parseFlags>): Promise<number> {
  const config = loadConfig();
  console.log("📊 Kibana Configuration:");
  console.log(`   URL: ${config.url}`);
  console.log(`   Auth: ${config.authentication}`);
  if (config.credentialsFrom) console.log(`   🔐 Credentials detected from ${config.credentialsFrom}`);
  for (const warning of config.warnings) console.log(`   ⚠ ${warning}`);

  const client = new KibanaClient(config.kibana);
  let connector: Connector<".index"> | undefined;
  let exitCode = 0;
  try {
    console.log("\nCreating index connector...");
    connectorState = "A connector may have been created: look in Kibana under Stack Management > Connectors.";
    connector = await whenReady(() => createConnector(client));
    connectorState = `Connector ${connector.id} stays. ${howToDelete(config, connector.id)}`;
    console.log(`✓ Created connector: ${connector.id}`);

    console.log("\nWriting document to index...");
    documentState = "The index 'miconnectedindex' stays, and the document, if it was written.";
    const written = await writeDocument(client, connector);
    documentState = "The index 'miconnectedindex' and the document in it stay.";
    console.log("✓ Document written successfully");
    console.log(`  Status: ${written.status}`);

    const found = await verifyConnector(client, connector);
    console.log(`✓ Connector verified: ${found.name}`);

    if (config.elasticsearch) {
      await verifyDocument(config.elasticsearch, written.index, written.id);
      console.log(`✓ Document verified: ${written.index}/_doc/${written.id}`);
    } else console.log("- Document not read back: set ELASTICSEARCH_URL to verify it, too.");

    console.log("\n🎉 Success! Check your 'miconnectedindex' index in Elasticsearch.");
    console.log(`   Connector ID: ${connector.id}`);
    console.log(`   Kibana Dev Tools: ${config.url}/app/dev_tools#/console`);
    console.log("   Try this query: GET miconnectedindex/_search");
  } catch (error) {
    exitCode = 1;
    report(error, config);
    if (!connector && error instanceof KibanaError && error.outcome === "not-applied")
      connectorState = "Nothing was created.";
  }

  try {
    if (connector && (flags.cleanup || (!flags["no-cleanup"] && (await wantsDeletion(connector.name))))) {
      connectorState = `Connector ${connector.id} may be left behind: it was being deleted. ${howToDelete(config, connector.id)}`;
      const deleted = await deleteConnector(client, connector.id);
      connectorState = "The connector was deleted.";
      tell(deleted);
    } else tell(connectorState);
    if (documentState) tell(documentState);
  } catch (error) {
    exitCode = 1;
    report(error, config);
    console.error(`${connectorState}\n${documentState}`);
  }
  await client.close();
  return exitCode;
}

/** To the reader of the output; if that one went away, to the reader of the errors. */
function tell(text: string) {
  process.stdout.write(`${text}\n`, (unread) => {
    if (unread) console.error(text);
  });
}

function report(error: unknown, config?: Config) {
  console.error(`\n✗ ${error instanceof Error ? error.message : String(error)}`);
  if (error instanceof KibanaError && error.hint) console.error(`  ${error.hint}`);
  if (error instanceof ConnectionError && config && error.hint?.startsWith("Nothing listens"))
    console.error(`  ${config.ifUnreachable}`);
}

function howToDelete({ url, kibana: { auth } }: Config, id: string): string {
  let credentials = "";
  if (auth) credentials = "username" in auth ? `-u '${auth.username}' ` : '-H "Authorization: ApiKey $KIBANA_API_KEY" ';
  return `Delete it in Kibana under Stack Management > Connectors, or with
   curl -X DELETE -H 'kbn-xsrf: true' ${credentials}'${url}/api/actions/connector/${id}'`;
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
  if (!flags.help) return await run(flags);
  console.log(usage);
  return 0;
}

for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  process.once(signal, () => {
    console.error(`\nInterrupted. ${connectorState}\n${documentState}`);
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
