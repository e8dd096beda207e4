// What a consumer's compiler has to accept, and the one line that it has to refuse.
import { type Connector, type IndexConfig, KibanaClient, writtenDocuments } from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";

export async function main() {
  await using client = new KibanaClient(loadConfig().kibana);
  const { body } = await client.actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } });
  body satisfies Connector<".index"> & { config?: IndexConfig };
  const { body: result } = await client.actions.execute({ id: body.id, params: { documents: [{ a: 1 }] } });
  writtenDocuments(result)[0] satisfies { index: string; id: string } | undefined;
  // @ts-expect-error no such field
  return body.nmae;
}
