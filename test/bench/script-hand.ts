// The same script by hand, with `fetch`.
const connectors = `${process.argv[2]}/api/actions/connector`;
const authorization = `Basic ${Buffer.from("elastic:changeme").toString("base64")}`;
const headers = { authorization, "content-type": "application/json", "kbn-xsrf": "true" };

async function call(method: "DELETE" | "GET" | "POST", url: string, content?: object) {
  const body = content ? JSON.stringify(content) : null;
  const response = await fetch(url, { method, headers, body, signal: AbortSignal.timeout(30_000) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

const { id } = await call("POST", connectors, { name: "n", connector_type_id: ".index", config: { index: "i" } });
const run = await call("POST", `${connectors}/${id}/_execute`, { params: { documents: [{ message: "Hello" }] } });
const found = await call("GET", `${connectors}/${id}`);
await call("DELETE", `${connectors}/${id}`);
console.log(found.id, run.status);

export {};
