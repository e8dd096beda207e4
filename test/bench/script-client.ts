// A whole script with the client: creates a connector, runs it, gets it and deletes it.
import { KibanaClient } from "kbn-connectors";

const auth = { username: "elastic", password: "changeme" };
const { actions } = new KibanaClient({ node: process.argv[2] ?? "", auth });
const { body: connector } = await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } });
const { id } = connector;
const { body: run } = await actions.execute({ id, params: { documents: [{ message: "Hello" }] } });
const { body: found } = await actions.get({ id });
await actions.delete({ id });
console.log(found.id, run.status);
