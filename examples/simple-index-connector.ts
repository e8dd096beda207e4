// Creates an .index connector, writes a document through it, verifies both, and asks whether to
// delete the connector; the document stays. Exit code 1 means a failure. To run it:
//   npm install kbn-connectors tsx @elastic/elasticsearch@9  # @8 for Elasticsearch 8
//   npx tsx simple-index-connector.ts
// It reads the environment variables KIBANA_URL, KIBANA_API_KEY (or KIBANA_USERNAME and
// KIBANA_PASSWORD) and, to verify the document, ELASTICSEARCH_URL (same credentials). If none is
// set, it looks for start-local (Elastic's Docker setup). Unattended: echo y | npx tsx ...
import assert from "node:assert/strict";
import { Client as ElasticsearchClient } from "@elastic/elasticsearch"; // only to verify
import { KibanaClient, KibanaError, NotFoundError, writtenDocuments } from "kbn-connectors";
import { type Config, loadConfig } from "kbn-connectors/config";

const index = "miconnectedindex"; // Elasticsearch creates it with the first document
const logEntry = { message: "Hello from Kibana connector!", level: "INFO", service: "example-app" };

async function main() {
  const settings = loadConfig();
  // In your script: new KibanaClient({ node: "http://localhost:5601", auth: { apiKey: "..." } })
  const client = new KibanaClient(settings.kibana);
  showSettings(settings, client.url);

  // 1. Create a connector ("action" in the API): a saved link to an index. In your script, do it
  // once and keep the id. If create() times out, look in Stack Management > Connectors first.
  console.log("\nCreating index connector...");
  const name = "My Connected Index Connector";
  // refresh: searchable at once. executionTimeField: where Kibana puts the time of the run.
  const config = { index, refresh: true, executionTimeField: "@timestamp" };
  // Every call resolves to { body, statusCode, headers }.
  const { id } = (await client.actions.create({ name, connector_type_id: ".index", config })).body;
  console.log(`✓ Created connector: ${id}`);

  try {
    // 2. Write a document. If Elasticsearch refuses it, Kibana still answers 200, but execute()
    // throws a KibanaError. execute() never retries: after a timeout, search the index first.
    console.log("\nWriting document to index...");
    const run = (await client.actions.execute({ id, params: { documents: [logEntry] } })).body;
    console.log(`✓ Document written successfully\n  Status: ${run.status}`);

    // 3. Verify both. The server may add fields, so the expected value starts from the answer.
    const connector = (await client.actions.get({ id })).body;
    assert.deepEqual([connector.name, connector.connector_type_id], [name, ".index"]);
    assert.deepEqual(connector.config, { ...connector.config, ...config });
    console.log(`✓ Connector verified: ${connector.name}`);
    for (const ref of writtenDocuments(run)) await verifyDocument(settings, ref); // one here
    console.log(`\n🎉 Success! Check your '${index}' index in Elasticsearch.`);
    console.log(`   Connector ID: ${id}`);
    console.log(`   Kibana Dev Tools: ${client.url}/app/dev_tools#/console`);
    console.log(`   Try this query: GET ${index}/_search`);
  } catch (error) {
    reportFailure(error); // step 4 follows all the same
  }

  // 4. Clean up
  console.log(`\nConnector '${name}' was created for this example.`);
  if (await ask("Delete the connector? (y/N): ")) await deleteConnector(client, id);
  else console.log(`\nConnector kept: ${id}`);
}

async function verifyDocument({ elasticsearch }: Config, ref: { index: string; id: string }) {
  if (!elasticsearch) return console.log("- Document not read back: ELASTICSEARCH_URL is not set.");
  const es = new ElasticsearchClient({ ...elasticsearch, maxRetries: 0, requestTimeout: 10_000 });
  const { _source } = await es.get<object>(ref).catch((error) => {
    throw new Error(`Written, but not read at ELASTICSEARCH_URL ${elasticsearch.node}: ${error}`);
  });
  assert.deepEqual(_source, { ..._source, ...logEntry }); // as in step 3
  console.log(`✓ Document verified: ${ref.index}/_doc/${ref.id}`);
}

async function deleteConnector({ actions }: KibanaClient, id: string) {
  try {
    await actions.delete({ id });
    console.log("\n✓ Connector deleted");
  } catch (error) {
    // Was only the response lost? Look for the connector: NotFoundError means that it is gone.
    const lookup = await actions.get({ id }).catch((e: unknown) => e);
    if (lookup instanceof NotFoundError) return console.log("\n✓ Connector deleted (confirmed)");
    console.log(`\nConnector kept, as far as is known: ${id}`);
    throw error; // main().catch() reports it
  }
}

function showSettings({ kibana: { auth }, credentialsFrom, warnings }: Config, url: string) {
  const kind = !auth ? "none" : "apiKey" in auth ? "API key" : "Basic authentication";
  console.log(`📊 Kibana Configuration:\n   URL: ${url}\n   Auth: ${kind}`);
  if (credentialsFrom) console.log(`   🔐 Credentials detected from ${credentialsFrom}`);
  for (const warning of warnings) console.log(`   ⚠ ${warning}`);
}

async function ask(question: string): Promise<boolean> {
  process.stdout.write(question); // takes one input: leaving the loop closes stdin
  for await (const input of process.stdin) return /^ *y(es)?(\s|$)/i.test(String(input));
  return false; // the input ended without an answer, as with Ctrl-D
}

function reportFailure(error: unknown) {
  process.exitCode = 1;
  console.error(`\n✗ ${error instanceof Error ? error.message : error}`);
  if (error instanceof KibanaError && error.hint) console.error(`  ${error.hint}`);
}
main().catch(reportFailure);
