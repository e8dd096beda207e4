// What to do about a failure: three tables and their look-up.

/**
 * The facts about a failure are two lines: the situation, then what the other side said. The first row whose pattern
 * matches their beginning gives the hint, so special rows stand above general ones. An id or a value inside a message
 * cannot choose a hint. `.` stops at the line break, except in patterns with the flag s.
 */
type HintTable = ReadonlyArray<readonly [pattern: RegExp, hint: string]>;

type HintValues = Partial<Record<"origin" | "peer" | "space" | "bytes" | "retryAfter", string | number>>;

/** Situation: `<code> <maybe-sent or unsent> <origin>`. */
export const exchangeHints: HintTable = [
  [/ECONNREFUSED/, "Nothing listens at {peer}. Start Kibana (elastic-start-local/start.sh), or check your proxy."],
  [/.*\nProxy (response|Auth)/, "The proxy of your dispatcher refused the request. 407: it needs credentials."],
  [/ENOTFOUND|EAI_AGAIN/, "The host name in {origin} cannot be resolved. Check its spelling, DNS and VPN."],
  [/TIMEOUT unsent/, "No connection to {origin} within requestTimeout. Raise it, or check network and VPN."],
  [/(E(HOST|NET)UNREACH|\w*TIMED?OUT) unsent/, "{origin} does not accept connections. Check network and VPN."],
  [/\w*TIMEOUT/, "Kibana may still carry out the request: check before you repeat it. requestTimeout sets the limit."],
  [/EPROTO|ERR_SSL_(WRONG|PACKET)/, "That port does not use TLS. If it is Kibana's, use http://."],
  [/.*(SELF_SIGNED|UNABLE_TO_)/, "Trust the server's CA: NODE_EXTRA_CA_CERTS=ca.crt, or tls: { ca: <contents> }."],
  [/ERR_TLS_CERT|CERT_|UND_ERR_PRX_TLS/, "The certificate is for another host, or not valid now (check the clock)."],
  [/.*_ALERT_/, "The server requires a client certificate that it trusts: pass tls: { cert, key }."],
  [/.* http:.*\nResponse does not match/, "That is not an HTTP server. If the port uses TLS, use https://."],
  [/.* maybe-sent http:/, "The connection broke: check before you repeat a write. If the port uses TLS, use https://."],
  [/.* maybe-sent https:/, "The connection broke: check before you repeat a write. Is a client certificate required?"],
  [/(ECONNRESET|UND_ERR_SOCKET|EPIPE) unsent/, "{origin} disconnected. Does it require https or a certificate?"],
  [/UND_ERR_INVALID_ARG.*\ninvalid on/, "dispatcher: must be of undici 7 or 8."],
];

/** Situation: `<status> <method> <kind of response> <sign-in>`, such as `401 GET rejected Basic elastic:`. */
export const responseHints: HintTable = [
  [/... \w+ elasticsearch /, "{origin} is Elasticsearch. Kibana has port 5601, or .kb. (not .es.) in its name."],
  [/... \w+ (page|other) .*\n.*HTTP.* to (an )?(HTTPS|SSL)/, "That port uses TLS: use https://."],
  [/3.. /, "Redirects are not followed: they would send the credentials elsewhere. Use Kibana's own address."],
  [/407 /, "The proxy of your dispatcher needs credentials."],
  [/413 /, "{bytes} bytes were sent; Kibana's default limit is 1 MiB (server.maxPayload). Send fewer documents."],
  [/50[24] /, "A proxy got no response from Kibana, which may have acted: check before you repeat it."],
  [/503 \w+ starting /, "Kibana is starting. Nothing was done: try again in {retryAfter} seconds."],
  [/503 /, "Kibana, its Elasticsearch or the proxy in front of it is not available. Check them, and try again later."],
  [/... \w+ page /, "A web page, not Kibana's API: a login, a proxy, or a starting Kibana. Check the address."],
  [/4.. .*\n(index \S+ )?blocked by: /, "The disk of Elasticsearch is full, or one of its settings forbids writes."],
  [/429 /, "The server is overloaded. Send less at once, and wait before you try again."],
  [/401 \w+ \S+ none/, "Pass auth, or set KIBANA_API_KEY in the environment or in .env of the working directory."],
  [/40[13] \w+ \S+ Basic kibana_system:/, "That user is Kibana's own. Use another, such as elastic."],
  [/401 .*\nUnauthorized$/, "Kibana could not check the credentials. Is Elasticsearch up? Look there first."],
  [/401 \w+ \S+ (ApiKey|Bearer)/, "The key or token is expired, invalidated or of another cluster. Create a new one."],
  [/401 /, "Wrong user or password (start-local: elastic and ES_LOCAL_PASSWORD), or Elasticsearch is starting."],
  [/403 .*\nActions is unavailable/, "Kibana cannot reach Elasticsearch to read the licence. Check Elasticsearch."],
  [/403 .*\nUnauthorized to (get|execute)/, 'Missing privilege: "Actions and Connectors: Read" in space "{space}".'],
  [/403 .*\nUnauthorized to /, 'Missing privilege: "Actions and Connectors: All" in space "{space}".'],
  [/40[03] .*\n[Aa]ction type /, "This Kibana, its licence or kibana.yml excludes it. See actions.listTypes()."],
  [/400 .*\n(Predefined IDs|\[request params\.id)/, "crypto.randomUUID() makes an id that every version accepts."],
  [/400 .*\n(This .* in a )?[Pp]reconfigured/, "kibana.yml defines it: you can run it, but not change it."],
  [/400 .*\n(Execution of )?[Ss]ystem action/, "It belongs to Kibana: this API can neither change nor run it."],
  [/400 .*\n(\[[\d:]+\] )?failed to parse field \[action\.name/, "The name is too long for Kibana."],
  [/400 PUT/, "An update accepts only name, config and secrets, and replaces them: pass all that you want to keep."],
  [/404 \w+ no-connector /, 'Not in space "{space}". For another space: client.space(id).'],
  [/404 .*\nNot Found$/, "No such path. node must end before /app. Your own ids need Kibana 8.8, the rest 7.13."],
  [/409 PUT/, "The connector was changed at the same moment. Read it again, then repeat the update."],
  [/409 /, "The id is taken: use actions.update(), or another id if the connector is in another space."],
  [/500 /, "See Kibana's log. Is Elasticsearch down? Is xpack.encryptedSavedObjects.encryptionKey set and unchanged?"],
];

const mappingHint = "A document does not fit the mapping: GET <index>/_mapping. The others of a batch were written.";
const unavailableHint = "Elasticsearch is unreachable or overloaded, or the request was too large for it.";

/** Only one line: what Elasticsearch or Kibana said of the run, with or without its position in the JSON. */
const runHints: HintTable = [
  [/error validating action params/, "params: an .index connector takes { documents: [{ ... }] } and indexOverride."],
  [/error validating (action|connector) type/, "Its config or secrets are invalid: send them with actions.update()."],
  [/failure_store/, "Correct the document or the mapping. GET <data stream>::failures/_search shows what failed."],
  [/noop/, "An ingest pipeline (index.default_pipeline or index.final_pipeline) drops documents like this one."],
  [/(security_exception\W.*)?unable to authenticate/s, "Elasticsearch is starting, or the credentials have expired."],
  [/security_exception|action \[/, "You need create_doc on the index, and auto_configure if the index is new."],
  [/(\[?parse_exception\W.*)?request body is required/s, "documents is empty: a run needs at least one document."],
  [/Invalid index name|the action indices:admin/, "config.index is not valid: correct it with actions.update()."],
  [/closed(;|$)/, "The index is closed: open it with POST <index>/_open."],
  [/no such index/, "Elasticsearch is not allowed to create this index: create it first."],
  [/(cluster_block_exception\W.*|index \S+ )?blocked by/s, "The disk is full, or a setting forbids writes."],
  [/\[.*\]: version conflict/s, "A document with this _id exists already. An ingest pipeline chose the _id."],
  [/no write index|pipeline with id|routing is|only write/, "An index or alias setting forbids this: correct it."],
  [/data stream timestamp/, 'A data stream needs @timestamp: send it, or set executionTimeField: "@timestamp".'],
  [/\w+_parsing_exception|failed to parse|field name|object mapping|mapp|can't merge/, mappingHint],
  [/Limit of|[Cc]annot (set|write)|The (\[|number of nested)|Field (name|\[)/, mappingHint],
  [/error indexing documents$|connect [A-Z]|socket hang up|Request timed out|Bad Gateway/, unavailableHint],
  [/\w*(unavailable|rejected|circuit_breaking)/, unavailableHint],
];

/** `values` replace `{name}` in the hint. */
export function findHint(table: HintTable, facts: string, values: HintValues = {}): string | undefined {
  const beginning = facts.slice(0, 2000); // so that a long message cannot keep a pattern busy
  // Sticky (y), because search() would look for a match everywhere.
  const hint = table.find(([pattern]) => new RegExp(pattern, `${pattern.flags}y`).test(beginning))?.[1];
  return hint?.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name as keyof HintValues]));
}

/** Looks first without the prefix of a reason such as `mapper_parsing_exception: [1:5] failed to parse: ...`. */
export function findRunHint(reason: string): string | undefined {
  // The prefix of a fail_processor_exception stays, because the user's own text follows it.
  const bareReason = reason.replace(/^((?!fail_)\w+_exception: )?(\[\d+:\d+\] )?(failed to parse: )?/, "");
  return findHint(runHints, bareReason) ?? findHint(runHints, reason);
}
