// Creates an .index connector, executes it to write a document, verifies both, and deletes the connector if you agree.
// Run it:  npx tsx examples/simple-index-connector.ts [--cleanup | --no-cleanup]   (default: it asks)
// Kibana:  KIBANA_URL, KIBANA_API_KEY (or KIBANA_USERNAME and KIBANA_PASSWORD), KIBANA_SPACE and ELASTICSEARCH_URL, from the
//          environment or .env; otherwise start-local (Elastic's local Docker set-up); otherwise http://localhost:5601.
// Leaves:  the index with its document, and the connector unless you delete it. It says so at the end.
// To copy: definition, document, settings, and the calls of `client`. The rest asks, reports and tracks what is left.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Client, errors } from "@elastic/elasticsearch";
import { ConnectionError, KibanaClient, KibanaError, NotFoundError, writtenDocuments } from "kbn-connectors";
import { type Config, loadConfig } from "kbn-connectors/config";

const index = "miconnectedindex"; // Elasticsearch creates it with the first document
const definition = {
  name: "My Connected Index Connector", // need not be unique: each run of this script creates another connector
  connector_type_id: ".index",
  config: {
    index,
    refresh: true, // searchable immediately; false is better for many runs
    executionTimeField: "@timestamp", // Kibana sets this field of every document to the time of the run
  },
} as const; // keeps connector_type_id as ".index" instead of string, so that TypeScript can check the config
const document = {
  message: "Hello from Kibana connector!",
  level: "INFO",
  service: "example-app",
  "@timestamp": new Date().toISOString(), // Kibana replaces it, because of executionTimeField
};

/** What this run leaves behind. While a change is under way, `pending` replaces the `known` line of the same thing. */
const left: Record<"known" | "pending", { connector?: string; document?: string }> = { known: {}, pending: {} };

async function main(cleanup: boolean | undefined) {
  const settings = loadConfig(); // settings.kibana is, for example, { node: "http://localhost:5601", auth: { apiKey: "..." } }
  const client = new KibanaClient(settings.kibana);
  showSettings(settings, client.url);
  const connectorsPage = `${client.url}/app/management/insightsAndAlerting/triggersActionsConnectors/connectors`;

  // 1. Create the connector
  console.log("\nCreating index connector...");
  left.pending = { connector: `A connector may have been created: ${connectorsPage}` };
  const { body: connector } = await client.actions.create(definition);
  left.known.connector = `Connector ${connector.id}: ${connectorsPage}`;
  left.pending = {};
  console.log(`✓ Created connector: ${connector.id}`);

  try {
    // 2. Write a document
    console.log("\nWriting document to index...");
    left.pending = { document: `The document may have been written to the index '${index}'.` };
    // Kibana answers HTTP 200 even if the run failed; execute() rejects then. It never retries: that could write twice.
    const { body: result } = await client.actions.execute({ id: connector.id, params: { documents: [document] } });
    const [written] = writtenDocuments(result); // [{ index, id }]
    assert.ok(written, "Kibana did not say where the document was written.");
    left.known.document = `Document ${written.id} in the index '${written.index}'`;
    left.pending = {};
    console.log(`✓ Document written successfully\n  Status: ${result.status}`);

    // 3. Verify both
    const { id, name, connector_type_id, config } = (await client.actions.get({ id: connector.id })).body;
    assert.deepEqual({ id, name, connector_type_id, config }, { id: connector.id, ...definition });
    console.log(`✓ Connector verified: ${name}`);
    if (settings.elasticsearch) {
      const elasticsearch = new Client(settings.elasticsearch);
      const { _source: stored } = await elasticsearch.get<typeof document>({ index: written.index, id: written.id });
      assert.ok(Date.parse(stored?.["@timestamp"] ?? ""), "The document's @timestamp is not a date.");
      assert.deepEqual(stored, { ...document, "@timestamp": stored?.["@timestamp"] }); // all but the time
      console.log(`✓ Document verified: ${written.index}/_doc/${written.id}`);
    } else console.log("- Document not read back. To verify it too, set ELASTICSEARCH_URL.");
    console.log(`\n🎉 Success! Check your '${index}' index in Elasticsearch.\n   Connector ID: ${connector.id}`);
    console.log(`   Kibana Dev Tools: ${client.url}/app/dev_tools#/console\n   Try this query: GET ${index}/_search`);
  } catch (error) {
    reportFailure(error); // then clean up all the same
  }

  // 4. Clean up
  if (cleanup ?? (await wantsDeletion())) {
    left.pending = { connector: `${left.known.connector} (may be gone: it was being deleted)` };
    console.log(await deleteConnector(client, connector.id));
    delete left.known.connector;
    left.pending = {};
  }
  await client.close();
}

function showSettings({ kibana: { auth }, credentialsFrom, warnings }: Config, url: string) {
  const kind = auth && ("apiKey" in auth ? "API key" : "Basic authentication");
  console.log(`📊 Kibana Configuration:\n   URL: ${url}\n   Auth: ${kind ?? "none"}`);
  if (credentialsFrom) console.log(`   🔐 Credentials detected from ${credentialsFrom}`);
  for (const warning of warnings) console.log(`   ⚠ ${warning}`);
}

async function wantsDeletion(): Promise<boolean> {
  const lines = createInterface({ input: process.stdin });
  const answer = await new Promise<string | undefined>((resolve) => {
    lines.once("line", resolve);
    for (const end of ["close", "error"]) lines.once(end, () => resolve(undefined)); // no answer
    console.log(`\nConnector '${definition.name}' was created for this example.`);
    process.stdout.write("Delete the connector? (y/N): ");
    if (process.stdin.isTTY && !openOutputs.has(process.stdout)) lines.close(); // nobody sees the question
  });
  lines.close();
  if (!process.stdin.isTTY || answer === undefined) console.log(answer ?? ""); // echo a piped answer, or end the line
  return /^\s*y(es)?\s*$/i.test(answer ?? "");
}

/** Usually one line is enough: `await client.actions.delete({ id })`. After an error, this one looks whether it is gone. */
async function deleteConnector(client: KibanaClient, id: string): Promise<string> {
  try {
    await client.actions.delete({ id });
    return "✓ Connector deleted";
  } catch (error) {
    const found: unknown = await client.actions.get({ id }).catch((lookError: unknown) => lookError);
    if (error instanceof NotFoundError || found instanceof NotFoundError) return "✓ Connector deleted (confirmed)";
    throw error;
  }
}

function reportFailure(error: unknown) {
  process.exitCode = 1;
  console.error(`\n✗ ${error instanceof Error ? error.message : error}`);
  if (error instanceof errors.ResponseError && error.statusCode === 403)
    console.error(`  You need "read" on ${index}.`);
  if (error instanceof KibanaError && error.hint) console.error(`  ${error.hint}`);
  if (error instanceof ConnectionError && error.code === "ECONNREFUSED") console.error("  No Kibana? npm run demo");
  if (error instanceof KibanaError && error.outcome === "not-applied") left.pending = {}; // the server did nothing
  Object.assign(left.known, left.pending); // kept: the next change replaces what is pending
}

function readFlags(): boolean | undefined {
  const usage = "Usage: npx tsx examples/simple-index-connector.ts [--cleanup | --no-cleanup]";
  const flag = { type: "boolean" } as const;
  try {
    const { values } = parseArgs({ options: { cleanup: flag, "no-cleanup": flag, help: flag } });
    assert.ok(!(values.cleanup && values["no-cleanup"]), "--cleanup and --no-cleanup exclude each other.");
    if (!values.help) return values["no-cleanup"] ? false : values.cleanup;
    console.log(usage);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${usage}`);
    process.exitCode = 2;
  }
  return process.exit(); // 2 after a wrong flag, 0 after --help
}

const openOutputs = new Set([process.stdout, process.stderr]);
for (const stream of openOutputs) stream.on("error", () => openOutputs.delete(stream)); // as in `| head -1`: carry on
for (const signal of ["SIGHUP", "SIGINT", "SIGTERM"] as const)
  process.once(signal, (_name: string, number: number) => process.exit(128 + number));
process.once("exit", (code) => {
  const lines = Object.values({ ...left.known, ...left.pending });
  const tell = code === 0 && openOutputs.has(process.stdout) ? console.log : console.error;
  if (lines.length > 0) tell(`\nLeft behind:\n  ${lines.join("\n  ")}`);
});
main(readFlags()).catch(reportFailure);
