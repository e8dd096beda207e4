// The hints: what each fault advises, with the words that real servers, Node and OpenSSL have for it.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { KibanaClient, type KibanaClientOptions, KibanaError } from "kbn-connectors";
import { Agent } from "undici";
import { hints } from "../src/hints.ts";
import { sendJson, serve } from "./server.ts";

type Call = (client: KibanaClient) => Promise<unknown>;
const create: Call = ({ actions }) =>
  actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } });
const createWithId: Call = ({ actions }) =>
  actions.create({ id: "my_id", name: "n", connector_type_id: ".server-log" });
const get: Call = ({ actions }) => actions.get({ id: "c" });
const getAll: Call = ({ actions }) => actions.getAll();
const update: Call = ({ actions }) => actions.update({ id: "c", name: "n" });
const remove: Call = ({ actions }) => actions.delete({ id: "c" });
const execute: Call = ({ actions }) => actions.execute({ id: "c", params: { documents: [{ n: 1 }] } });

interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

interface Case {
  name: string;
  call?: Call;
  options?: Partial<KibanaClientOptions>;
  /** What the server says; nothing, if this and `connection` are missing. */
  answer?: Answer;
  /** What Node says instead: code and message. */
  connection?: [code: string, message: string];
  hint: RegExp | undefined;
}

const kibana = (status: number, message: string, headers?: Record<string, string>): { answer: Answer } => ({
  answer: { status, body: { statusCode: status, error: "E", message }, ...(headers && { headers }) },
});
const run = (service_message: string, message = "error indexing documents") => ({
  call: execute,
  answer: { status: 200, body: { connector_id: "c", status: "error", message, service_message } },
});
const page = { "content-type": "text/html" };
const apiKey: Partial<KibanaClientOptions> = { auth: { apiKey: "id:key" } };
const rejected =
  "[security_exception\n\tRoot causes:\n\t\tsecurity_exception: unable to authenticate user [x] for REST request [/_security/_authenticate]]: unable to authenticate user [x] for REST request [/_security/_authenticate]";
const coreError = "An internal server error occurred. Check Kibana server logs for details.";

const cases: Case[] = [
  // Connections and servers
  {
    name: "Elasticsearch's address: 404 of version 8 and 9",
    answer: {
      status: 404,
      headers: { "x-elastic-product": "Elasticsearch" },
      body: { error: "no such route", status: 404 },
    },
    hint: /^http:\/\/kibana\.test:5601 is Elasticsearch\. Kibana has an address of its own: usually port 5601, or \.kb\./,
  },
  {
    name: "Elasticsearch's address: no handler, before the header",
    answer: {
      status: 400,
      body: { error: "no handler found for uri [/api/actions/connectors?pretty] and method [GET]" },
    },
    hint: /is Elasticsearch/,
  },
  {
    name: "Elasticsearch's address: no credentials",
    answer: {
      status: 401,
      body: {
        error: {
          root_cause: [{ type: "security_exception", reason: "missing authentication credentials for REST request" }],
          type: "security_exception",
          reason: "missing authentication credentials for REST request [/api/actions/connectors]",
        },
        status: 401,
      },
    },
    hint: /is Elasticsearch/,
  },
  {
    name: "nothing listens",
    connection: ["ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:5601"],
    hint: /^Nothing listens at http:\/\/kibana\.test:5601\. .*5601 by default/,
  },
  {
    name: "a name that does not resolve",
    connection: ["ENOTFOUND", "getaddrinfo ENOTFOUND kibana.test"],
    hint: /^The host name in http:\/\/kibana\.test:5601 cannot be resolved/,
  },
  {
    name: "no name server",
    connection: ["EAI_AGAIN", "getaddrinfo EAI_AGAIN kibana.test"],
    hint: /cannot be resolved/,
  },
  {
    name: "https to an http port",
    connection: [
      "ERR_SSL_WRONG_VERSION_NUMBER",
      "write EPROTO 40A7:error:0A00010B:SSL routines:ssl3_get_record:wrong version number",
    ],
    hint: /^That port does not speak TLS\..*http:\/\/ instead of https/,
  },
  {
    name: "https to an http port, in the words of other versions",
    connection: ["ERR_SSL_PACKET_LENGTH_TOO_LONG", "packet length too long"],
    hint: /^That port does not speak TLS/,
  },
  {
    name: "http to an https port",
    connection: ["ECONNRESET", "read ECONNRESET"],
    hint: /^The connection broke .*https:\/\/ instead of http/,
  },
  {
    name: "a reset over https",
    options: { node: "https://kibana.test" },
    connection: ["ECONNRESET", "read ECONNRESET"],
    hint: /^The connection broke .*client certificate\. Nothing was sent\.$/,
  },
  {
    name: "a host that cannot be reached",
    connection: ["EHOSTUNREACH", "connect EHOSTUNREACH 10.1.2.3:5601"],
    hint: /^http:\/\/kibana\.test:5601 cannot be reached from here.*VPN/,
  },
  { name: "a network that cannot be reached", connection: ["ENETUNREACH", "connect"], hint: /cannot be reached/ },
  {
    name: "a connection that times out in the system",
    connection: ["ETIMEDOUT", "connect ETIMEDOUT"],
    hint: /cannot be reached/,
  },
  { name: "too many open files", connection: ["EMFILE", "connect EMFILE"], hint: /ulimit -n.*one client/ },
  {
    name: "a connection that is not accepted in time",
    connection: ["UND_ERR_CONNECT_TIMEOUT", "Connect Timeout Error"],
    hint: /did not accept a connection/,
  },
  {
    name: "an answer that does not come in time",
    options: { requestTimeout: 100 },
    hint: /^Kibana may still carry out the request\. Look before you repeat a write\. requestTimeout/,
  },
  {
    name: "a certificate of tomorrow",
    connection: ["CERT_NOT_YET_VALID", "certificate is not yet valid"],
    hint: /clock/,
  },
  {
    name: "a code that nobody knows",
    connection: ["EUNKNOWN", "something else"],
    hint: undefined,
  },
  {
    name: "a self-signed certificate",
    connection: ["DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate"],
    hint: /^Trust its certificate authority: .*NODE_EXTRA_CA_CERTS=ca\.crt, or pass tls: \{ ca \}/,
  },
  {
    name: "a self-signed authority",
    connection: ["SELF_SIGNED_CERT_IN_CHAIN", "self-signed certificate in certificate chain"],
    hint: /NODE_EXTRA_CA_CERTS/,
  },
  {
    name: "an unknown authority",
    connection: ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate"],
    hint: /NODE_EXTRA_CA_CERTS/,
  },
  {
    name: "an authority that is not there",
    connection: ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "unable to get local issuer certificate"],
    hint: /NODE_EXTRA_CA_CERTS/,
  },
  {
    name: "a certificate for another host",
    connection: ["ERR_TLS_CERT_ALTNAME_INVALID", "Hostname/IP does not match certificate's altnames"],
    hint: /^The certificate is for another host name/,
  },
  {
    name: "a certificate for another host, through a proxy",
    connection: ["UND_ERR_PRX_TLS", "Secure Proxy Connection failed"],
    hint: /another host name/,
  },
  { name: "an expired certificate", connection: ["CERT_HAS_EXPIRED", "certificate has expired"], hint: /expired/ },
  {
    name: "a client certificate that is missing",
    connection: ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "tlsv13 alert certificate required"],
    hint: /^The server wants a client certificate.*tls: \{ cert, key \}/,
  },
  {
    name: "Kibana starting",
    answer: { status: 503, body: "Kibana server is not ready yet", headers: { ...page, "retry-after": "30" } },
    hint: /^Kibana is starting.* try again in 30 seconds\.$/,
  },
  {
    name: "Kibana starting, without retry-after",
    answer: { status: 503, body: "Kibana server is not ready yet" },
    hint: /again in a few seconds\.$/,
  },
  {
    name: "a login page, or a GET in a space while Kibana starts",
    answer: { status: 200, body: "<!DOCTYPE html><html>Elastic</html>", headers: page },
    hint: /^A web page instead of Kibana's API: Kibana is still starting, or this is a login page.*server\.basePath/,
  },
  {
    name: "a login page for a delete",
    call: remove,
    answer: { status: 200, body: "\n<html>", headers: page },
    hint: /login page/,
  },
  { name: "a proxy's page", answer: { status: 502, body: "<html>bad gateway</html>", headers: page }, hint: /proxy/ },
  {
    name: "a redirect",
    answer: { status: 302, body: "", headers: { location: "/kbn/spaces/enter" } },
    hint: /^Redirects are not followed/,
  },
  {
    name: "the end of a start",
    ...kibana(503, "License is not available.", { "retry-after": "30" }),
    hint: /^Kibana is starting.*Nothing was done: try again in 30 seconds/,
  },
  {
    name: "the end of a start, in newer words",
    ...kibana(503, "Authentication sub-system is not fully initialized yet."),
    hint: /^Kibana is starting/,
  },
  {
    name: "a full disk",
    call: create,
    ...kibana(
      429,
      "index [.kibana_alerting_cases_8.12.2_001] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block]",
    ),
    hint: /^The disk of Elasticsearch is full/,
  },
  {
    name: "a blocked index under Kibana",
    call: update,
    ...kibana(
      403,
      "index [.kibana_alerting_cases_8.12.2_001] blocked by: [FORBIDDEN/8/index write (api)];: cluster_block_exception",
    ),
    hint: /^Elasticsearch blocks writes.*not a missing privilege/,
  },
  {
    name: "a blocked index of one's own",
    ...run("index [s-write] blocked by: [FORBIDDEN/8/index write (api)];"),
    hint: /^Elasticsearch blocks writes/,
  },
  { name: "too many requests", ...kibana(429, "Server is overloaded"), hint: /^The server is overloaded\..*wait/ },
  // Credentials and privileges
  {
    name: "no credentials",
    ...kibana(401, "Unauthorized"),
    options: {},
    hint: /^No credentials were sent\. Pass auth.*start-local's are used only if/,
  },
  {
    name: "a key that is not accepted",
    ...kibana(401, rejected),
    options: apiKey,
    hint: /^The key has the right form but is not accepted/,
  },
  ...[
    "https://x.kb.eu-west-1.aws.elastic.cloud",
    "https://x.kb.us-east-1.aws.elastic-cloud.com:9243",
    "https://x.eu-west-1.aws.found.io",
  ].map((node) => ({
    name: `a key for the organisation, at ${node}`,
    ...kibana(401, rejected),
    options: { ...apiKey, node: node.replace("https", "http") },
    hint: /^Is it a key of the Elastic Cloud organisation\?/,
  })),
  {
    name: "a key at a host that only looks like the Cloud",
    ...kibana(401, rejected),
    options: { ...apiKey, node: "http://elastic.cloud.example" },
    hint: /^The key/,
  },
  {
    name: "kibana_system",
    ...kibana(401, rejected),
    options: { auth: { username: "kibana_system", password: "p:ass" } },
    hint: /^kibana_system is Kibana's own service user/,
  },
  ...["kibana_system2", "my_kibana_system"].map((username) => ({
    name: `a user named ${username}`,
    ...kibana(401, rejected),
    options: { auth: { username, password: "p" } },
    hint: /^The credentials are not accepted/,
  })),
  ...["Unauthorized: wrong", "not Unauthorized"].map((message) => ({
    name: `credentials of which Kibana says ${message}`,
    ...kibana(401, message),
    options: { auth: { username: "u", password: "p" } },
    hint: /^The credentials are not accepted/,
  })),
  ...["3 minutes", "in 3"].map((time) => ({
    name: `Kibana starting, with ${time} as retry-after`,
    ...kibana(503, "License is not available.", { "retry-after": time }),
    hint: /try again in a few seconds/,
  })),
  {
    name: "a 503 that only names a start",
    ...kibana(503, "x License is not available."),
    hint: /^Kibana, its Elastic/,
  },
  { name: "words about a page", ...kibana(400, "a name like an HTML page"), hint: undefined },
  { name: "a run at a wrong path", call: execute, ...kibana(404, "Not Found"), hint: /^No such path/ },
  {
    name: "kibana_system with its right password",
    ...kibana(403, "Unauthorized to get actions"),
    options: { auth: { username: "kibana_system", password: "p" } },
    hint: /^kibana_system is Kibana's own service user/,
  },
  {
    name: "right credentials while Kibana cannot ask its Elasticsearch",
    ...kibana(401, "Unauthorized"),
    options: { auth: { username: "u", password: "p" } },
    hint: /^Kibana could not check the credentials\. Check that Elasticsearch is up/,
  },
  {
    name: "a wrong password",
    ...kibana(401, rejected),
    options: { auth: { username: "u", password: "p" } },
    hint: /^The credentials are not accepted/,
  },
  {
    name: "a wrong token",
    ...kibana(401, rejected),
    options: { auth: { bearer: "t" } },
    hint: /^The credentials are not accepted/,
  },
  {
    name: "no privilege to create",
    call: create,
    ...kibana(403, 'Unauthorized to create a ".index" action'),
    hint: /"Actions and Connectors: All" in the space "ops"/,
  },
  {
    name: "no privilege to update",
    call: update,
    ...kibana(403, "Unauthorized to update actions"),
    hint: /Connectors: All"/,
  },
  {
    name: "no privilege to delete",
    call: remove,
    ...kibana(403, "Unauthorized to delete actions"),
    hint: /Connectors: All"/,
  },
  {
    name: "no privilege to read",
    call: get,
    ...kibana(403, "Unauthorized to get actions"),
    hint: /Connectors: Read" in the space "ops"/,
  },
  {
    name: "no privilege to run",
    call: execute,
    ...kibana(403, 'Unauthorized to execute a ".index" action'),
    hint: /Connectors: Read"/,
  },
  {
    name: "a type that is switched off",
    call: create,
    ...kibana(403, 'action type ".x" is not enabled in the Kibana config xpack.actions.enabledActionTypes'),
    hint: /enabledActionTypes/,
  },
  {
    name: "a type above the licence",
    call: create,
    ...kibana(
      403,
      "Action type .slack is disabled because your basic license does not support it. Please upgrade your license.",
    ),
    hint: /listTypes\(\) tells which connector types this licence allows/,
  },
  {
    name: "Kibana without its Elasticsearch",
    call: get,
    ...kibana(403, "Actions is unavailable - license information is not available at this time."),
    hint: /^Not your privileges: Kibana has lost its Elasticsearch/,
  },
  {
    name: "Kibana without its Elasticsearch",
    call: execute,
    ...kibana(503, "socket hang up - Local: 127.0.0.1:59744, Remote: 127.0.0.1:9211"),
    hint: /^Kibana, its Elasticsearch or the proxy/,
  },
  // Connectors
  {
    name: "an id that is taken",
    call: createWithId,
    ...kibana(409, "Saved object [action/my_id] conflict"),
    hint: /^The id is taken, here or in another space/,
  },
  {
    name: "an update at the same moment",
    call: update,
    ...kibana(
      409,
      "[action:c]: version conflict, required seqNo [7], primary term [1]. current document has seqNo [8] and primary term [1]",
    ),
    hint: /^The connector was changed at the same moment/,
  },
  {
    name: "an id that is no UUID, before 9.4",
    call: createWithId,
    ...kibana(
      400,
      "Predefined IDs are not allowed for saved objects with encrypted attributes unless the ID is a UUID.: Bad Request",
    ),
    hint: /^As an id, Kibana 8\.8 to 9\.3 takes only a UUID \(version 1 to 5; not 6 or 7\)/,
  },
  {
    name: "an id with other characters, from 9.4 on",
    call: createWithId,
    ...kibana(400, "[request params.id]: Connector ID must contain only lowercase letters, numbers, and hyphens."),
    hint: /^As an id, Kibana 8\.8 to 9\.3/,
  },
  {
    name: "an id of one's own before 8.8",
    call: createWithId,
    ...kibana(404, "Not Found"),
    hint: /^An id of your own needs Kibana 8\.8/,
  },
  {
    name: "a preconfigured id",
    call: createWithId,
    ...kibana(400, "This my_id already exists in a preconfigured action."),
    hint: /kibana\.yml \(is_preconfigured: true\)/,
  },
  {
    name: "a preconfigured connector",
    call: update,
    ...kibana(400, "Preconfigured action pre-index is not allowed to update."),
    hint: /is_preconfigured/,
  },
  {
    name: "a preconfigured connector, in newer words",
    call: update,
    ...kibana(400, "Preconfigured action pre-index can not be updated."),
    hint: /is_preconfigured/,
  },
  {
    name: "a preconfigured connector",
    call: remove,
    ...kibana(400, "Preconfigured action pre-index is not allowed to delete."),
    hint: /is_preconfigured/,
  },
  {
    name: "an update without its config",
    call: update,
    ...kibana(400, "error validating action type config: [index]: expected value of type [string] but got [undefined]"),
    hint: /^An update replaces everything/,
  },
  {
    name: "a type that is not there",
    call: create,
    ...kibana(400, 'Action type "X" is not registered.'),
    hint: /listTypes\(\) tells which connector types this Kibana has/,
  },
  {
    name: "no encryption key",
    call: create,
    ...kibana(500, coreError),
    hint: /encryptionKey \(32 characters or more\): bin\/kibana-encryption-keys generate/,
  },
  {
    name: "no encryption key, in 7.17",
    call: getAll,
    ...kibana(500, "An internal server error occurred."),
    hint: /bin\/kibana-encryption-keys/,
  },
  {
    name: "an encryption key that was changed",
    call: execute,
    ...kibana(500, coreError),
    hint: /encryptionKey was changed or is missing, set it and update the connector/,
  },
  {
    name: "a connector in another space",
    call: get,
    ...kibana(404, "Saved object [action/c] not found"),
    hint: /^Searched in the space "ops"\..*client\.space\(id\)/,
  },
  {
    name: "a connector in another space than the default",
    call: get,
    ...kibana(404, "Saved object [action/c] not found"),
    options: { space: undefined },
    hint: /space "default"/,
  },
  {
    name: "a system connector",
    call: get,
    ...kibana(404, "Connector c not found"),
    hint: /^Searched/,
  },
  {
    name: "a base path that is missing",
    ...kibana(404, "Not Found"),
    hint: /^No such path\. .*server\.basePath/,
  },
  // Runs
  {
    name: "no right to write, in a run",
    ...run("security_exception: [security_exception] Reason: action [indices:data/write/bulk] is unauthorized"),
    hint: /create_doc or index on the index, and auto_configure or create_index/,
  },
  {
    name: "no right to write, as an item",
    ...run("action [indices:data/write/bulk[s]] is unauthorized for user [x]"),
    hint: /create_doc/,
  },
  {
    name: "a value that does not fit",
    ...run(
      "failed to parse field [n] of type [long] in document with id 'FcZfDqIB0IIPpQbKGFyF'. Preview of field's value: 'not a number'",
    ),
    hint: /^A value does not fit the index's mapping.*those that fit have been written/,
  },
  {
    name: "a strict mapping",
    ...run("mapping set to strict, dynamic introduction of [foo] within [_doc] is not allowed"),
    hint: /mapping/,
  },
  {
    name: "an object where a value was",
    ...run("can't merge a non object mapping [o.p] with an object mapping"),
    hint: /mapping/,
  },
  {
    name: "a data stream before 8.4",
    ...run("only write ops with an op_type of create are allowed in data streams"),
    hint: /^That is a data stream/,
  },
  {
    name: "no documents (8.12)",
    ...run("parse_exception\n\tRoot causes:\n\t\tparse_exception: request body is required"),
    hint: /^documents is empty/,
  },
  {
    name: "an index name that is none",
    ...run("Invalid index name [Logs], must be lowercase"),
    hint: /^config\.index is not a valid name/,
  },
  {
    name: "wrong credentials in a run",
    ...run(
      "security_exception\n\tRoot causes:\n\t\tsecurity_exception: unable to authenticate user [elastic] for REST request [/i/_bulk]",
    ),
    hint: /^Elasticsearch does not accept the credentials/,
  },
  {
    name: "a system connector to run",
    call: execute,
    ...kibana(400, "Execution of system action is not allowed"),
    hint: /^System connectors belong to Kibana/,
  },
  {
    name: "a system connector to create",
    call: create,
    ...kibana(400, "System action creation is forbidden. Action type: .cases."),
    hint: /^System connectors/,
  },
  {
    name: "a system connector to change",
    call: update,
    ...kibana(400, "System action system-connector-.cases can not be updated."),
    hint: /^System connectors/,
  },
  {
    name: "too large for Kibana",
    call: execute,
    ...kibana(413, "Payload content length greater than maximum allowed: 1048576"),
    hint: /^34 bytes were sent; Kibana takes 1 MiB \(server\.maxPayload\)/,
  },
  {
    name: "too large for a proxy",
    call: execute,
    answer: { status: 413, body: "<html>413 Request Entity Too Large</html>", headers: page },
    hint: /^34 bytes were sent/,
  },
];

const seen = new Set<string>();

for (const { name, call = getAll, options, answer, connection, hint } of cases)
  it(`${hint ? `there is advice for ${name}` : `there is no advice for ${name}`}`, async (t) => {
    const dispatcher = await dispatcherFor(t, answer, connection);
    const client = new KibanaClient({ node: "http://kibana.test:5601", space: "ops", ...options, dispatcher });
    const error = await call(client).then(
      () => assert.fail("did not reject"),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof KibanaError, inspect(error));
    if (hint) assert.match(error.hint ?? "", hint, inspect(error));
    else assert.equal(error.hint, undefined);
    assert.doesNotMatch(error.hint ?? "", /\{\w+\}/);
    if (error.hint) seen.add(error.hint);
  });

it("no advice switches verification off", () => {
  for (const hint of seen) assert.doesNotMatch(hint, /rejectUnauthorized|NODE_TLS_REJECT_UNAUTHORIZED|insecure/i);
});

after(() => {
  for (const { hint: row } of hints) {
    const parts = row
      .split(/\{(?:origin|space|requestBytes|resend|retryAfter)\}/)
      .map((part) => RegExp(part.replace(/[^\w ]/g, "\\$&")));
    assert.ok(
      [...seen].some((hint) => parts.every((part) => part.test(hint))),
      `No case reaches "${row}"`,
    );
  }
});

/** Leads to a server that gives the answer, or to nothing but an error, whatever host the client asks for. */
async function dispatcherFor(t: TestContext, answer?: Answer, connection?: Case["connection"]): Promise<Agent> {
  const { url } = await serve(t, (_request, response) => {
    if (!answer) return;
    const { status, body, headers } = answer;
    if (typeof body !== "string")
      for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value);
    if (typeof body === "string") response.writeHead(status, headers).end(body);
    else sendJson(response, status, body);
  });
  const agent = new Agent({
    connect: (_options, callback) => {
      if (connection) callback(Object.assign(new Error(connection[1]), { code: connection[0] }), null);
      else {
        const socket = connect(Number(new URL(url).port), "127.0.0.1", () => callback(null, socket));
      }
    },
  });
  t.after(() => agent.destroy());
  return agent;
}
