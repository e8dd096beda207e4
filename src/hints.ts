// What to do about a failure: one table and its look-up.
import type { RawAnswer, Request } from "./exchange.ts";

/** What is known of a request that failed. */
export interface Failure {
  request: Request;
  /** What the server or the connection said, as it was said. */
  said: string;
  answer?: Omit<RawAnswer, "text"> & { body: unknown };
  /** Of a connection: the code of Node, OpenSSL or undici; `TIMEOUT` for our own deadline. */
  code?: string | undefined;
  /** Whether the request can have reached the server. */
  sent?: boolean;
}

type Facts = ReturnType<typeof factsOf>;

/** A row matches if all its patterns match. `{origin}` and the like in a hint stand for facts. */
type Hint = { hint: string } & { [fact in keyof Facts]?: RegExp };

/** What Kibana says with a 503 while it starts: nothing was done. */
export const starting =
  /^(Kibana server is not ready yet|License is not available\.|License information could not be obtained|Authentication sub-system is not fully)/;
const elasticsearch = "Check that Elasticsearch is up, and see Kibana's log";

/** The first row that matches gives the hint, so special rows stand above general ones. */
// biome-ignore format: a table reads best with one row per line
export const hints: readonly Hint[] = [
  // The connection
  { code: /ECONNREFUSED/, hint: "Nothing listens at {origin}. Is Kibana running, and is this its port (5601 by default)? start-local is started by elastic-start-local/start.sh." },
  { code: /ENOTFOUND|EAI_AGAIN/, hint: "The host name in {origin} cannot be resolved. Check its spelling, DNS and VPN." },
  { code: /EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/, hint: "{origin} cannot be reached from here. Check the address, the network, the firewall and the VPN." },
  { code: /EMFILE/, hint: "This process has too many files and connections open (ulimit -n). Use one client, and fewer calls at once." },
  { code: /EPROTO|ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)/, hint: "That port does not speak TLS. If it is Kibana's, use http:// instead of https://." },
  { code: /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/, hint: "Trust its certificate authority: start node with NODE_EXTRA_CA_CERTS=ca.crt, or pass tls: { ca }. Leave verification on." },
  { code: /ERR_TLS_CERT_ALTNAME_INVALID|UND_ERR_PRX_TLS/, hint: "The certificate is for another host name. Use the name that it was made for." },
  { code: /_ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA)/, hint: "The server wants a client certificate that it trusts: pass tls: { cert, key }." },
  { code: /CERT_HAS_EXPIRED/, hint: "The server's certificate has expired and has to be renewed there." },
  { code: /CERT_NOT_YET_VALID/, hint: "The server's certificate is not valid yet. Check the clock of this machine and of the server." },
  { code: /ECONNRESET|UND_ERR_SOCKET|HPE_/, origin: /http:/, hint: "The connection broke before the whole answer had arrived. {resend} If the port speaks TLS, use https:// instead of http://." },
  { code: /ECONNRESET|UND_ERR_SOCKET|EPIPE/, hint: "The connection broke before the whole answer had arrived: Kibana or a proxy restarted, or the server wants a client certificate. {resend}" },
  { code: /TIMEOUT/, sent: /true/, hint: "Kibana may still carry out the request. {resend} requestTimeout sets the deadline." },
  { code: /TIMEOUT/, hint: "{origin} did not accept a connection. Check the address, the firewall and the VPN." },
  // Another server
  { server: /Elasticsearch/, hint: "{origin} is Elasticsearch. Kibana has an address of its own: usually port 5601, or .kb. instead of .es. in the host name." },
  { status: /200/, said: /^an HTML page/, hint: "A web page instead of Kibana's API: Kibana is still starting, or this is a login page or a proxy. Try again in a minute, then check the address and the base path (server.basePath)." },
  { said: /^an HTML page/, status: /^(?!413|503)/, hint: "A web page instead of Kibana's API: a login page or a proxy. Check the address and the base path (server.basePath)." },
  { status: /^3/, hint: "Redirects are not followed, because they would take the credentials along. If headers.location is Kibana, use that address." },
  // Not ready, or blocked
  { status: /503/, said: starting, hint: "Kibana is starting, or cannot reach its Elasticsearch. Nothing was done: try again in {retryAfter} seconds." },
  { said: /Actions is unavailable/, hint: `Not your privileges: Kibana has lost its Elasticsearch and does not know its licence. ${elasticsearch}.` },
  { status: /503/, hint: "Kibana, its Elasticsearch or the proxy in front of it is not available. Check them, and try again later." },
  { said: /blocked by: \[TOO_MANY_REQUESTS/, hint: "The disk of Elasticsearch is full, so it blocks writes. Free some space or add a disk; trying again does not help." },
  { said: /blocked by: \[/, hint: "Elasticsearch blocks writes to this index or to the whole cluster. This is a setting (index.blocks.*, cluster.blocks.*), not a missing privilege." },
  { status: /429/, hint: "The server is overloaded. Send less at once, and wait before you try again." },
  // Credentials and privileges
  { status: /401/, authorization: /^$/, hint: "No credentials were sent. Pass auth: { apiKey } or { username, password }. From the environment: start-local's are used only if neither an address nor credentials are set." },
  { status: /40[13]/, username: /^kibana_system$/, hint: "kibana_system is Kibana's own service user and may do nothing here. With start-local, use elastic and ES_LOCAL_PASSWORD." },
  { status: /401/, said: /^Unauthorized$/, hint: `Kibana could not check the credentials. ${elasticsearch}, before you doubt the password.` },
  { status: /401/, authorization: /ApiKey /, origin: /\.(elastic\.cloud|elastic-cloud\.com|found\.io)(:|$)/, hint: "Is it a key of the Elastic Cloud organisation? Use one that was made in this deployment: Stack Management > API keys." },
  { status: /401/, authorization: /ApiKey /, hint: "The key has the right form but is not accepted: it is another cluster's, expired or invalidated. Stack Management > API keys makes one." },
  { status: /401/, hint: "The credentials are not accepted. Check them; with start-local they are elastic and ES_LOCAL_PASSWORD." },
  { status: /403/, said: /Unauthorized to (get|execute)/, hint: 'The user or key lacks the Kibana privilege "Actions and Connectors: Read" in the space "{space}".' },
  { status: /403/, said: /Unauthorized to /, hint: 'The user or key lacks the Kibana privilege "Actions and Connectors: All" in the space "{space}".' },
  { status: /403/, said: /enabledActionTypes/, hint: "This connector type is switched off in kibana.yml: xpack.actions.enabledActionTypes." },
  { status: /403/, said: /license/, hint: "actions.listTypes() tells which connector types this licence allows; .index needs only the basic one." },
  // The request
  { status: /413/, hint: "{requestBytes} bytes were sent; Kibana takes 1 MiB (server.maxPayload), proxies often less. Send fewer documents per run, or use helpers.bulk of @elastic/elasticsearch." },
  { said: /Predefined IDs are not allowed|\[request params\.id\]/, hint: "As an id, Kibana 8.8 to 9.3 takes only a UUID (version 1 to 5; not 6 or 7), and 9.4 and later at most 36 of a-z and 0-9, with - between them. A lower-case crypto.randomUUID() fits both." },
  { said: /in a preconfigured action|Preconfigured action/, hint: "That connector is defined in kibana.yml (is_preconfigured: true): it can be run, but not created, changed or deleted." },
  { said: /\bsystem action/i, hint: "System connectors belong to Kibana: they cannot be created, changed, deleted or run through this API." },
  { request: /PUT /, status: /400/, said: /error validating/, hint: "An update replaces everything: send name, config and secrets completely." },
  { status: /400/, said: /Action type ".+" is not registered/, hint: "actions.listTypes() tells which connector types this Kibana has." },
  { status: /404/, said: /(Saved object|Connector ).* not found/s, hint: 'Searched in the space "{space}". A connector is in one space only: client.space(id) searches another.' },
  { status: /404/, request: /POST .*\/connector\/[^/]+$/, hint: "An id of your own needs Kibana 8.8 or later: leave id out. If it is newer, does node lack Kibana's base path (server.basePath)?" },
  { status: /404/, hint: "No such path. Does node lack Kibana's base path (server.basePath)? Is Kibana older than 7.13?" },
  { status: /409/, request: /PUT /, hint: "The connector was changed at the same moment. Read it again, then repeat the update." },
  { status: /409/, request: /POST /, hint: "The id is taken, here or in another space: use actions.update(), or another id. Names need not be unique." },
  { status: /500/, said: /An internal server error/, request: /\/_execute/, hint: "Kibana's log has the reason. If xpack.encryptedSavedObjects.encryptionKey was changed or is missing, set it and update the connector, which encrypts it again." },
  { status: /500/, said: /An internal server error/, hint: "Kibana's log has the reason. Most often kibana.yml lacks xpack.encryptedSavedObjects.encryptionKey (32 characters or more): bin/kibana-encryption-keys generate makes one." },
  // The run
  { said: /unable to authenticate/, hint: "Elasticsearch does not accept the credentials of this run. Check them; if they are right, Elasticsearch is just starting." },
  { said: /security_exception|is unauthorized for/, hint: "A run writes with your own privileges: the user or key needs create_doc or index on the index, and auto_configure or create_index if it does not exist. Kibana's own roles include neither." },
  { said: /request body is required/, hint: "documents is empty: a run needs at least one document." },
  { said: /Invalid index name \[/i, hint: "config.index is not a valid name: lower case, without spaces and \\ / * ? \" < > | , # :, not beginning with _ - +. Change it with actions.update()." },
  { said: /only write ops with an op_type of create/, hint: "That is a data stream: .index connectors write into one from Kibana 8.4 on." },
  { said: /mapper_parsing|document_parsing|failed to parse|error indexing.*mapping/s, hint: "A value does not fit the index's mapping (GET <index>/_mapping). Of several documents, those that fit have been written." },
];

export function hintFor(failure: Failure): string | undefined {
  const facts = factsOf(failure);
  const names = Object.keys(facts) as (keyof Facts)[];
  const row = hints.find((hint) => names.every((name) => hint[name]?.test(facts[name]) ?? true));
  return row?.hint.replace(/\{(\w+)\}/g, (placeholder, name: keyof Facts) => facts[name] ?? placeholder);
}

function factsOf({ request, answer, said, code = "", sent }: Failure) {
  const { authorization = "" } = request.headers;
  const { statusCode = "", headers = {}, body } = answer ?? {};
  // Elasticsearch answers { error: { root_cause, ... }, status }; Kibana's `error` is always a string.
  const isNested = body instanceof Object && "error" in body && body.error instanceof Object;
  const isElasticsearch = isNested || said.startsWith("no handler found for uri");
  return {
    code,
    sent: String(sent),
    resend: sent ? "Look before you repeat a write." : "Nothing was sent.",
    status: String(statusCode),
    said,
    server: isElasticsearch ? "Elasticsearch" : String(headers["x-elastic-product"]),
    request: `${request.method} ${request.path}`,
    requestBytes: String(Buffer.byteLength(request.body ?? "")),
    origin: request.origin,
    space: /\/s\/([^/]+)\/api\/actions\//.exec(request.path)?.[1] ?? "default",
    authorization,
    username: Buffer.from(authorization.replace("Basic ", ""), "base64").toString().split(":")[0] ?? "",
    retryAfter: /^\d+$/.exec(String(headers["retry-after"]))?.[0] ?? "a few",
  };
}
