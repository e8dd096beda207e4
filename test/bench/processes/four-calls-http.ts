// Create, run, get and delete a connector, with node:http.
import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true });
const connectors = `${process.argv[2]}/api/actions/connector`;
const headers = {
  authorization: `Basic ${Buffer.from("elastic:changeme").toString("base64")}`,
  "kbn-xsrf": "true",
  "content-type": "application/json",
};

async function call(method: "GET" | "POST" | "DELETE", url: string, content?: object) {
  const { statusCode, text } = await new Promise<{ statusCode: number; text: string }>((resolve, reject) => {
    const outgoing = request(url, { agent, method, headers, signal: AbortSignal.timeout(30_000) }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      incoming.on("error", reject).on("end", () => resolve({ statusCode: incoming.statusCode ?? 0, text }));
    });
    outgoing.on("error", reject).end(content && JSON.stringify(content));
  });
  if (statusCode >= 300) throw new Error(`${method} ${url} -> ${statusCode} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

const { id } = await call("POST", connectors, {
  name: "My Connected Index Connector",
  connector_type_id: ".index",
  config: { index: "miconnectedindex", refresh: true, executionTimeField: "@timestamp" },
});
const run = await call("POST", `${connectors}/${id}/_execute`, {
  params: { documents: [{ message: "Hello from Kibana connector!" }] },
});
const found = await call("GET", `${connectors}/${id}`);
await call("DELETE", `${connectors}/${id}`);
console.log(found.name, run.status);
