// Creates an .index connector, writes a document, verifies both, and asks whether to delete the
// connector; the document stays. Run: npx tsx simple-index-connector.ts, or: echo y | npx tsx ...
// It finds Elastic's start-local. Otherwise, set KIBANA_URL, KIBANA_API_KEY (or KIBANA_USERNAME and
// KIBANA_PASSWORD), and ELASTICSEARCH_URL to read the document back. Exit code 1 means a failure.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Client as ElasticsearchClient } from "@elastic/elasticsearch";
import { KibanaClient, KibanaError, NotFoundError, writtenDocuments } from "kbn-connectors";
import { loadConfig, type Config as Settings } from "kbn-connectors/config";

const index = "miconnectedindex"; // Elasticsearch creates it with the first document
const logEntry = { message: "Hello from Kibana connector!", level: "INFO", service: "example-app" };

async function main() {
  const settings = loadConfig();
  // In your script: new KibanaClient({ node: "http://localhost:5601", auth: { apiKey: "..." } })
  const client = new KibanaClient(settings.kibana);
  showSettings(settings, client.url);

  // 1. Create the connector (in Kibana's API, connectors are "actions")
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
    // rejects. execute() never retries, because a retry could write the document twice.
    console.log("\nWriting document to index...");
    const { body: run } = await client.actions.execute({ id, params: { documents: [logEntry] } });
    console.log(`✓ Document written successfully\n  Status: ${run.status}`);

    // 3. Verify both: { ...stored, ...sent } equals what is stored, even if it has more fields
    const { body: connector } = await client.actions.get({ id });
    assert.equal(connector.name, name);
    assert.deepEqual(connector.config, { ...connector.config, ...config });
    console.log(`✓ Connector verified: ${connector.name}`);
    for (const ref of writtenDocuments(run)) await verifyDocument(settings, ref); // { index, id }
    console.log(`\n🎉 Success! Check your '${index}' index in Elasticsearch.`);
    console.log(`   Connector ID: ${id}`);
    console.log(`   Kibana Dev Tools: ${client.url}/app/dev_tools#/console`);
    console.log(`   Try this query: GET ${index}/_search`);
  } catch (error) {
    reportFailure(error); // sets exit code 1; step 4 follows all the same
  }

  // 4. Clean up
  console.log(`\nConnector '${name}' was created for this example.`);
  if (!(await ask("Delete the connector? (y/N): "))) return console.log(`Connector kept: ${id}`);
  try {
    await client.actions.delete({ id });
    console.log("✓ Connector deleted");
  } catch (error) {
    // If only the response was lost, the connector is gone, and get() rejects with NotFoundError.
    const isGone = await client.actions.get({ id }).catch((e) => e instanceof NotFoundError);
    if (isGone === true) return console.log("✓ Connector deleted (confirmed)");
    console.log(`Connector kept, as far as is known: ${id}`);
    throw error; // main().catch() reports it
  }
}

async function verifyDocument({ elasticsearch }: Settings, ref: { index: string; id: string }) {
  if (!elasticsearch) return console.log("- Document not read back: ELASTICSEARCH_URL is not set.");
  const reader = new ElasticsearchClient({ ...elasticsearch, maxRetries: 0 });
  const { _source } = await reader.get<object>(ref).catch((e) => {
    throw new Error(`Written, but not readable at ELASTICSEARCH_URL ${elasticsearch.node}: ${e}`);
  });
  assert.deepEqual(_source, { ..._source, ...logEntry });
  console.log(`✓ Document verified: ${ref.index}/_doc/${ref.id}`);
}

function showSettings({ kibana: { auth }, credentialsFrom, warnings }: Settings, url: string) {
  const kind = auth && ("apiKey" in auth ? "API key" : "Basic authentication");
  console.log(`📊 Kibana Configuration:\n   URL: ${url}\n   Auth: ${kind ?? "none"}`);
  if (credentialsFrom) console.log(`   🔐 Credentials detected from ${credentialsFrom}`);
  for (const warning of warnings) console.log(`   ⚠ ${warning}`);
}

async function ask(question: string): Promise<boolean> {
  process.stdout.write(question);
  for await (const line of createInterface({ input: process.stdin })) {
    if (!process.stdin.isTTY) console.log(line.trim()); // a terminal has shown it already
    process.stdin.destroy(); // else an open pipe would keep Node running
    return /^y(es)?$/i.test(line.trim());
  }
  console.log(); // the end of the input counts as no
  return false;
}

function reportFailure(error: unknown) {
  process.exitCode = 1;
  console.error(`\n✗ ${error instanceof Error ? error.message : error}`);
  if (error instanceof KibanaError && error.hint) console.error(`  ${error.hint}`);
}
main().catch(reportFailure);
