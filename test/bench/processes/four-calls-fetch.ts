// Create, run, get and delete a connector, with fetch.
const connectors = `${process.argv[2]}/api/actions/connector`;
const headers = {
  authorization: `Basic ${Buffer.from("elastic:changeme").toString("base64")}`,
  "kbn-xsrf": "true",
  "content-type": "application/json",
};

async function call(method: "GET" | "POST" | "DELETE", url: string, content?: object) {
  const response = await fetch(url, {
    method,
    headers,
    body: content === undefined ? null : JSON.stringify(content),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} -> ${response.status} ${text}`);
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

export {};
