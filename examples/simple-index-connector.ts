// Creates an .index connector, writes a document, verifies both, and asks whether to delete the
// connector. Run it: npx tsx simple-index-connector.ts   (unattended: echo y | npx tsx ...)
// It uses start-local, or KIBANA_URL, KIBANA_API_KEY (or KIBANA_USERNAME and KIBANA_PASSWORD), and
// ELASTICSEARCH_URL to read the document back, from the environment or .env. Exit code 1: failed.
import assert from "node:assert/strict";
import { Client } from "@elastic/elasticsearch";
import { KibanaClient, KibanaError, NotFoundError, writtenDocuments } from "kbn-connectors";
import { type Config, loadConfig } from "kbn-connectors/config";

const index = "miconnectedindex"; // Elasticsearch creates it with the first document
const logEntry = { message: "Hello from Kibana connector!", level: "INFO", service: "example-app" };

async function main() {
  // In your script: new KibanaClient({ node: "http://localhost:5601", auth: { apiKey: "..." } })
  const settings = loadConfig();
  const client = new KibanaClient(settings.kibana);
  showSettings(settings, client.url);

  // 1. Create the connector
  console.log("\nCreating index connector...");
  const name = "My Connected Index Connector"; // need not be unique
  const config = {
    index,
    refresh: true, // searches find the document immediately
    executionTimeField: "@timestamp", // Kibana adds this field: the time of the run
  };
  const { id } = (await client.actions.create({ name, connector_type_id: ".index", config })).body;
  console.log(`✓ Created connector: ${id}`);

  try {
    // 2. Write a document. If Elasticsearch refuses it, Kibana answers HTTP 200, but execute()
    // rejects. It never retries, because a retry could write the document twice.
    console.log("\nWriting document to index...");
    const { body: run } = await client.actions.execute({ id, params: { documents: [logEntry] } });
    console.log(`✓ Document written successfully\n  Status: ${run.status}`);

    // 3. Verify both: a newer Kibana or an ingest pipeline may add fields to those that were sent
    const { body: found } = await client.actions.get({ id });
    assert.deepEqual(found, { ...found, name, config: { ...found.config, ...config } });
    console.log(`✓ Connector verified: ${found.name}`);
    for (const written of writtenDocuments(run)) await verifyDocument(settings, written);
    console.log(`\n🎉 Success! Check your '${index}' index in Elasticsearch.`);
    console.log(`   Connector ID: ${id}`);
    console.log(`   Kibana Dev Tools: ${client.url}/app/dev_tools#/console`);
    console.log(`   Try this query: GET ${index}/_search`);
  } catch (error) {
    reportFailure(error); // and clean up all the same
  }

  // 4. Clean up
  console.log(`\nConnector '${name}' was created for this example.`);
  if (!(await ask("Delete the connector? (y/N): "))) return console.log(`Connector kept: ${id}`);
  try {
    await client.actions.delete({ id });
    console.log("✓ Connector deleted");
  } catch (error) {
    await checkDeletion(client, id, error);
  }
}

function showSettings({ kibana: { auth }, credentialsFrom, warnings }: Config, url: string) {
  const kind = auth && ("apiKey" in auth ? "API key" : "Basic authentication");
  console.log(`📊 Kibana Configuration:\n   URL: ${url}\n   Auth: ${kind ?? "none"}`);
  if (credentialsFrom) console.log(`   🔐 Credentials detected from ${credentialsFrom}`);
  for (const warning of warnings) console.log(`   ⚠ ${warning}`);
}

async function verifyDocument({ elasticsearch }: Config, at: { index: string; id: string }) {
  if (!elasticsearch) return console.log("- Document not read back: ELASTICSEARCH_URL is not set.");
  const { _source } = await new Client({ ...elasticsearch, maxRetries: 0 }).get(at).catch((e) => {
    throw new Error(`Written, but not readable at ELASTICSEARCH_URL ${elasticsearch.node}: ${e}`);
  });
  assert.deepEqual(_source, { ...Object(_source), ...logEntry });
  console.log(`✓ Document verified: ${at.index}/_doc/${at.id}`);
}

async function ask(question: string): Promise<boolean> {
  process.stdout.write(question);
  const { value = "" } = await process.stdin.setEncoding("utf8")[Symbol.asyncIterator]().next();
  process.stdin.destroy();
  if (!process.stdin.isTTY || value === "") console.log(value.trim()); // ends the question's line
  return /^\s*y(es)?\s*$/i.test(value); // the end of the input counts as no
}

async function checkDeletion(client: KibanaClient, id: string, failure: unknown) {
  try {
    await client.actions.get({ id });
  } catch (error) {
    if (error instanceof NotFoundError) return console.log("✓ Connector deleted (confirmed)");
  }
  console.log(`Connector kept, as far as is known: ${id}`);
  throw failure;
}

function reportFailure(error: unknown) {
  process.exitCode = 1;
  console.error(`\n✗ ${error instanceof Error ? error.message : error}`);
  if (error instanceof KibanaError && error.hint) console.error(`  ${error.hint}`);
}
main().catch(reportFailure);
