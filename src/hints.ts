// What to do about a failure: three tables and their look-up.

/**
 * The first row whose key matches gives the hint, so special rows stand above general ones. A key has one or two patterns,
 * separated by " | ": the first for the situation, the second for the message. Each has to match from the beginning, so that
 * an id or a value inside a message cannot choose a hint. (No key may be a plain number: JavaScript would move it to the
 * front.)
 */
type Hints = Readonly<Record<string, string>>;

/** Situation: `<code> <sent or unsent> <http: or https:> <Kibana or proxy>`. */
export const connectionHints: Hints = {
  "ECONNREFUSED.* proxy": "Nothing listens at {peer}, where your dispatcher expects a proxy.",
  ECONNREFUSED: "Nothing listens at {origin}. Is Kibana running? For start-local, run elastic-start-local/start.sh.",
  ".* | Proxy (response|Auth)": "The proxy of your dispatcher refused the request. 407: it needs credentials.",
  "ENOTFOUND|EAI_AGAIN": "The host name in {origin} cannot be resolved. Check its spelling, DNS and VPN.",
  "(E(HOST|NET)UNREACH|ETIMEDOUT|\\w*TIMEOUT) unsent": "{origin} does not accept connections. Check network and VPN.",
  "\\w*TIMEOUT": "Kibana may still carry out the request: check before you repeat it. requestTimeout sets the limit.",
  "EPROTO|ERR_SSL_(WRONG|PACKET)": "That port does not use TLS. If it is Kibana's, use http:// instead of https://.",
  ".*(SELF_SIGNED|UNABLE_TO_)": "Trust the server's CA: NODE_EXTRA_CA_CERTS=ca.crt, or tls: { ca: <contents> }.",
  "ERR_TLS_CERT|CERT_|UND_ERR_PRX_TLS": "The certificate is for another host, or not valid now (check the clock).",
  ".*_ALERT_": "The server requires a client certificate that it trusts: pass tls: { cert, key }.",
  ".* http: .* | Response does not match": "That is no HTTP server. If the port uses TLS, use https://.",
  ".* sent http:": "The connection broke: check before you repeat a write. If the port uses TLS, use https://.",
  ".* sent https:": "The connection broke: check before you repeat a write. Is a client certificate required?",
  "(ECONNRESET|UND_ERR_SOCKET|EPIPE) unsent": "{origin} disconnected. Is TLS or a client certificate required?",
  "UND_ERR_INVALID_ARG.* | invalid on": "dispatcher: must be of undici 7 or 8.",
};

/** Situation: `<status> <method> <sender> <credentials, decoded>`, such as `401 GET Kibana Basic elastic:changeme`. */
export const responseHints: Hints = {
  "... \\w+ Elasticsearch ": "{origin} is Elasticsearch. Kibana has port 5601, or .kb. (not .es.) in its name.",
  "... \\w+ (page|other) .* | .{0,60}(HTTP request.{0,20} HTTPS |plain HTTP to an SSL)":
    "That port uses TLS: use https:// instead of http://.",
  "3.. ": "Redirects are not followed: they would send the credentials elsewhere. Use Kibana's own address.",
  "407 ": "The proxy of your dispatcher needs credentials.",
  "50[24] ": "A proxy got no response from Kibana, which may have carried out the request: check before you repeat it.",
  "200 \\w+ page ": "A web page, not Kibana's API. Is Kibana starting? If not, check the address.",
  "(?!413|503)... \\w+ page ": "A web page, not Kibana's API: a login page or a proxy. Check the address.",
  "503 \\w+ starting ": "Kibana is starting. Nothing was done: try again in {retryAfter} seconds.",
  "503 ": "Kibana, its Elasticsearch or the proxy in front of it is not available. Check them, and try again later.",
  "403 .* | Actions is unavailable": "Kibana cannot reach Elasticsearch to read the licence. Check Elasticsearch.",
  "4.. .* | (index \\S+ )?blocked by: \\[TOO_MANY": "The disk of Elasticsearch is full. Free some space or add a disk.",
  "4.. .* | (index \\S+ )?blocked by: ": "A setting of Elasticsearch, not a privilege, forbids writes.",
  "429 ": "The server is overloaded. Send less at once, and wait before you try again.",
  "401 \\w+ \\S+ none":
    "No credentials were sent. Pass auth, or set KIBANA_API_KEY (environment or .env of the working directory).",
  "40[13] \\w+ \\S+ Basic kibana_system:": "That user is Kibana's own. Use another, such as elastic.",
  "401 .* | Unauthorized$": "Kibana could not check the credentials. Is Elasticsearch up? Look there first.",
  "401 \\w+ \\S+ (ApiKey|Bearer)": "The key or token is expired, invalidated or of another cluster. Create a new one.",
  "401 ": "The user or password is wrong (start-local: elastic and ES_LOCAL_PASSWORD), or Elasticsearch is starting.",
  "403 .* | Unauthorized to (get|execute)": 'Missing privilege: "Actions and Connectors: Read" in the space "{space}".',
  "403 .* | Unauthorized to ": 'Missing privilege: "Actions and Connectors: All" in the space "{space}".',
  "403 .* | [Aa]ction type ": "The licence or kibana.yml excludes this type. See actions.listTypes().",
  "413 ": "{bytes} bytes were sent; Kibana's default limit is 1 MiB (server.maxPayload). Send fewer documents.",
  "400 .* | (Predefined IDs|\\[request params\\.id\\])":
    "Kibana 8.8 to 9.3: a UUID (version 1 to 5). Later: up to 36 of a-z, 0-9, -. crypto.randomUUID() is valid for all.",
  "400 .* | (This .* already exists in a p|P)reconfigured": "It is defined in kibana.yml. It can only be run.",
  "400 .* | (Execution of s|S)ystem action": "It belongs to Kibana: this API can neither change nor run it.",
  "400 PUT": "An update accepts only name, config and secrets, and replaces them: pass all that you want to keep.",
  "400 .* | (\\[[\\d:]+\\] )?failed to parse field \\[action\\.name": "The name is too long for Kibana.",
  "400 .* | Action type ": "actions.listTypes() lists the connector types of this Kibana.",
  "404 \\w+ Kibana-no-connector ": 'Not in the space "{space}". For another space: client.space(id).',
  "404 .* | Not Found$": "No such path. Set node to the part before /app. Your own ids need Kibana 8.8, the rest 7.13.",
  "409 PUT": "The connector was changed at the same moment. Read it again, then repeat the update.",
  "409 ": "The id is taken: use actions.update(), or another id if the connector is in another space.",
  "500 ": "See Kibana's log. Is Elasticsearch down, or xpack.encryptedSavedObjects.encryptionKey missing or changed?",
};

const mappingHint =
  "The document does not fit the mapping: GET <index>/_mapping. In a batch, those that fit have been written.";
const lostHint = "Elasticsearch is unreachable or overloaded, or the request was too large for it.";

/** Each key is one pattern, for the message of the run, with or without its position in the JSON. */
export const runHints: Hints = {
  "error validating action params":
    "params does not fit. An .index connector takes { documents: [{ ... }] } and indexOverride.",
  "error validating (action|connector) type": "Its config or secrets are not valid. Send them with actions.update().",
  failure_store: "Correct the document or the mapping. GET <data stream>::failures/_search shows what failed.",
  noop: "An ingest pipeline of the index (index.default_pipeline, index.final_pipeline) drops documents like this one.",
  "(security_exception\\W.*)?unable to authenticate": "Elasticsearch is starting, or the credentials have expired.",
  "security_exception|action \\[": "You need create_doc on the index, and auto_configure if the index is new.",
  "(\\[?parse_exception\\W+(Root causes:\\W+parse_exception: |Reason: )?)?request body is required":
    "documents is empty: a run needs at least one document.",
  "Invalid index name|the action indices:admin": "config.index is not a valid name: correct it with actions.update().",
  "closed(;|$)": "The index is closed: open it with POST <index>/_open.",
  "no such index": "Elasticsearch is not allowed to create this index: create it first.",
  "(cluster_block_exception\\W.*|index \\S+ )?blocked by": "The disk is full, or a setting forbids writes.",
  "\\[.*\\]: version conflict": "A document with this _id exists already. An ingest pipeline chose the _id.",
  "no write index|pipeline with id|routing is required|only write ops":
    "A setting of the index or alias forbids this write: correct what the message names.",
  "data stream timestamp": 'A data stream needs @timestamp: send it, or set executionTimeField: "@timestamp".',
  "\\w+_parsing_exception|failed to parse|field name|object mapping|mapp|can't merge|Limit of|cannot set": mappingHint,
  "Cannot write|The (\\[|number of nested)|Field (name|\\[)": mappingHint,
  "error indexing documents$|connect [A-Z]|socket hang up|Request timed out|Bad Gateway": lostHint,
  "\\w*(unavailable|rejected|circuit_breaking)": lostHint,
};

/** Each pattern of a key must match the fact at the same position. `values` replace `{name}` in the hint. */
export function findHint(hints: Hints, facts: readonly string[], values: Readonly<Record<string, unknown>> = {}) {
  const key = Object.keys(hints).find((key) =>
    key.split(" | ").every((pattern, index) => new RegExp(`^(${pattern})`, "s").test(facts[index] ?? "")),
  );
  return key && hints[key]?.replace(/\{(\w+)\}/g, (placeholder, name: string) => String(values[name] ?? placeholder));
}
