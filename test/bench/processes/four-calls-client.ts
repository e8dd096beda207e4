// Create, run, get and delete a connector, with the client.
import { KibanaClient } from "kbn-connectors";

const { actions } = new KibanaClient({
  node: process.argv[2] ?? "",
  auth: { username: "elastic", password: "changeme" },
});
const { body: connector } = await actions.create({
  name: "My Connected Index Connector",
  connector_type_id: ".index",
  config: { index: "miconnectedindex", refresh: true, executionTimeField: "@timestamp" },
});
const { id } = connector;
const { body: run } = await actions.execute({
  id,
  params: { documents: [{ message: "Hello from Kibana connector!" }] },
});
const { body: found } = await actions.get({ id });
await actions.delete({ id });
console.log(found.name, run.status);
