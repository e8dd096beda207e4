// Everything that can go wrong, and the hint that goes with it.
import { STATUS_CODES } from "node:http";

/**
 * What is known about the request after it failed.
 *
 * - `"not-applied"`: the server certainly did nothing. Mend the cause and send it again.
 * - `"unknown"`: the server may have carried it out. Look before you repeat a write.
 */
export type Outcome = "not-applied" | "unknown";

interface ErrorDetails {
  cause?: unknown;
  hint?: string | undefined;
  outcome?: Outcome;
}

/** The base of every error that this package makes. */
export abstract class KibanaError extends Error {
  override get name(): string {
    return "KibanaError";
  }
  /** Whether the server can have carried the request out. */
  readonly outcome: Outcome;
  /** What to do about it, in one or two lines. */
  declare readonly hint?: string;

  constructor(message: string, { cause, hint, outcome = "not-applied" }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.outcome = outcome;
    if (hint) this.hint = hint;
  }
}

/** An option, an id or an argument is wrong, the client is closed, or undici is missing; nothing was sent. */
export class ConfigurationError extends KibanaError {
  override get name() {
    return "ConfigurationError" as const;
  }
}

/** A document or another part of the request would not survive JSON; nothing was sent. The message names the path. */
export class SerializationError extends KibanaError {
  override get name() {
    return "SerializationError" as const;
  }
}

/** No answer, or only a part of one: refused, DNS, TLS, reset, closed early, not HTTP. */
export class ConnectionError extends KibanaError {
  override get name() {
    return "ConnectionError" as const;
  }
  /** Node's, OpenSSL's or undici's code, such as `ECONNREFUSED`, `DEPTH_ZERO_SELF_SIGNED_CERT` or `UND_ERR_SOCKET`. */
  declare readonly code?: string;

  constructor(message: string, { code, ...details }: ErrorDetails & { code?: string | undefined }) {
    super(message, details);
    if (code) this.code = code;
  }
}

/** `requestTimeout` passed before the last byte of the answer had arrived. */
export class TimeoutError extends KibanaError {
  override get name() {
    return "TimeoutError" as const;
  }
}

/** A complete answer. */
export interface Answer {
  statusCode: number;
  /** Lower-case names. */
  headers: Record<string, string | string[] | undefined>;
  /** Parsed, where it is JSON. */
  body: unknown;
}

abstract class AnswerError extends KibanaError {
  readonly statusCode: number;
  /** The answer: Kibana's `{ statusCode, error, message }`, or the text where it is not JSON. */
  readonly body: unknown;
  /** The answer's headers, lower case. Not enumerable: they may hold a session cookie, so they are not printed. */
  declare readonly headers: Answer["headers"];

  constructor(message: string, { statusCode, body, headers, ...details }: ErrorDetails & Answer) {
    super(message, details);
    this.statusCode = statusCode;
    this.body = body;
    Object.defineProperty(this, "headers", { value: headers });
  }
}

/** A 2xx whose body is not what the API answers: HTML, truncated JSON, another type, or more than 64 MiB. */
export class DeserializationError extends AnswerError {
  override get name() {
    return "DeserializationError" as const;
  }
}

/** Kibana, or something in front of it, said no. The leaves below name the usual status codes. */
export class ResponseError extends AnswerError {
  override get name(): string {
    return "ResponseError";
  }
}

/** 400: the request does not fit Kibana's schema or rules. */
export class BadRequestError extends ResponseError {
  override get name() {
    return "BadRequestError" as const;
  }
}

/** 401: no credentials, or not accepted ones. */
export class AuthenticationError extends ResponseError {
  override get name() {
    return "AuthenticationError" as const;
  }
}

/** 403: a privilege or the licence is missing, or Kibana has lost its Elasticsearch. */
export class AuthorizationError extends ResponseError {
  override get name() {
    return "AuthorizationError" as const;
  }
}

/** 404: no such connector in this space, or no such path. */
export class NotFoundError extends ResponseError {
  override get name() {
    return "NotFoundError" as const;
  }
}

/** 409: the id is taken, or another update came first. */
export class ConflictError extends ResponseError {
  override get name() {
    return "ConflictError" as const;
  }
}

/** 413: the request is larger than Kibana's `server.maxPayload` (1 MiB by default) or a proxy's limit. */
export class PayloadTooLargeError extends ResponseError {
  override get name() {
    return "PayloadTooLargeError" as const;
  }
}

/** 429: too many requests at the moment. */
export class TooManyRequestsError extends ResponseError {
  override get name() {
    return "TooManyRequestsError" as const;
  }
}

/** 503: Kibana is starting, stopping or without its Elasticsearch. */
export class NotReadyError extends ResponseError {
  override get name() {
    return "NotReadyError" as const;
  }
}

/**
 * The connector's run failed, although Kibana answered HTTP 200. `outcome` is always `"unknown"`: of several documents,
 * some may have been written.
 */
export class ConnectorExecutionError extends AnswerError {
  override get name() {
    return "ConnectorExecutionError" as const;
  }
  /** The run's whole answer. */
  declare readonly body: Readonly<Record<string, unknown>>;
  readonly connectorId: string;
  /** What the other system said: for `.index`, Elasticsearch's reason. */
  declare readonly serviceMessage?: string;
  /** Kibana's advice: whether, or from which ISO time on, a new run makes sense. */
  declare readonly retry?: boolean | string | null;
  /** Who has to act. Kibana 8.13 and later. */
  declare readonly errorSource?: "user" | "framework";

  constructor(message: string, { connectorId, ...details }: ErrorDetails & Answer & { connectorId: string }) {
    super(message, { ...details, outcome: "unknown" });
    this.connectorId = connectorId;
    const { service_message, retry, errorSource } = this.body;
    if (typeof service_message === "string") this.serviceMessage = service_message;
    if (typeof retry === "boolean" || typeof retry === "string" || retry === null) this.retry = retry;
    if (errorSource === "user" || errorSource === "framework") this.errorSource = errorSource;
  }
}

/** What is known of a request that failed: all that a message and a hint are made of. */
export interface Failure extends Partial<Answer> {
  method: string;
  /** Base path, space and all. */
  path: string;
  origin: string;
  space: string;
  authentication: "none" | "basic" | "API key" | "bearer token" | "header";
  username?: string | undefined;
  requestBytes: number;
  /** What the server, or the connection, said. */
  text: string;
  code?: string | undefined;
}

const errorByStatus: Readonly<Record<number, typeof ResponseError>> = {
  400: BadRequestError,
  401: AuthenticationError,
  403: AuthorizationError,
  404: NotFoundError,
  409: ConflictError,
  413: PayloadTooLargeError,
  429: TooManyRequestsError,
  503: NotReadyError,
};

/** For an answer whose status is not 2xx. */
export function responseError(known: Failure, answer: Answer): ResponseError {
  const failure = { ...known, ...answer };
  const { statusCode, text } = failure;
  // A refusal proves that nothing happened; a 5xx, or a redirect that somebody in between made, does not.
  const refused = (statusCode >= 400 && statusCode < 500) || isStarting(failure);
  const outcome = refused ? "not-applied" : "unknown";
  const message = `${title(failure)} ${status(statusCode)}${text && `: ${text}`}`;
  return new (errorByStatus[statusCode] ?? ResponseError)(message, { ...answer, hint: hintFor(failure), outcome });
}

/** For an answer whose status is 2xx but whose body is not the API's. */
export function deserializationError(failure: Failure, answer: Answer): DeserializationError {
  return new DeserializationError(
    `${title(failure)} ${status(answer.statusCode)}, but the body is not what Kibana answers: ${failure.text}`,
    { ...answer, hint: hintFor({ ...failure, ...answer }), outcome: "unknown" },
  );
}

/** For a run that failed although the HTTP status is 2xx. */
export function executionError(failure: Failure, answer: Answer, connectorId: string): ConnectorExecutionError {
  const hint = hintFor({ ...failure, ...answer });
  return new ConnectorExecutionError(`${title(failure)} the run failed: ${failure.text}`, {
    ...answer,
    connectorId,
    hint,
  });
}

/** For a connection that failed: `started` tells whether a first byte of the request had left. */
export function connectionError(failure: Failure, cause: unknown, started: boolean): KibanaError {
  const { code } = failure;
  const message = `${title(failure)} ${failure.text}`;
  if (code === "UND_ERR_INVALID_ARG") return new ConfigurationError(message, { cause });
  return new ConnectionError(message, {
    cause,
    code,
    hint: hintFor(failure),
    outcome: started ? "unknown" : "not-applied",
  });
}

/** For a deadline that passed. */
export function timeoutError(failure: Failure, milliseconds: number, started: boolean, cause?: unknown): TimeoutError {
  return new TimeoutError(
    `${title(failure)} ${failure.text || `${started ? "no complete answer" : "no connection"} within ${milliseconds} ms`}`,
    {
      cause,
      hint: started
        ? "Kibana may still carry the request out: look before you repeat a write. requestTimeout sets the deadline."
        : `${failure.origin} did not accept a connection. Check the address, the firewall and the VPN.`,
      outcome: started ? "unknown" : "not-applied",
    },
  );
}

function title({ method, path }: Failure): string {
  return `${method} ${path} ->`;
}

function status(statusCode: number): string {
  return `${statusCode} ${STATUS_CODES[statusCode] ?? ""}`.trim();
}

function isStarting({ statusCode, text }: Failure): boolean {
  return statusCode === 503 && text === "Kibana server is not ready yet";
}

function isElasticsearch({ headers, body, text }: Failure): boolean {
  // Elasticsearch answers { error: { root_cause, ... }, status }; Kibana's `error` is always a string.
  const nested = body instanceof Object && "error" in body && body.error instanceof Object;
  return headers?.["x-elastic-product"] === "Elasticsearch" || nested || text.startsWith("no handler found for uri");
}

function isProxy({ code = "", text, origin }: Failure): boolean {
  const { hostname, port, protocol } = new URL(origin);
  const elsewhere =
    (code === "ECONNREFUSED" && !text.includes(`:${port || (protocol === "https:" ? 443 : 80)}`)) ||
    (/^(ENOTFOUND|EAI_AGAIN)$/.test(code) && !text.endsWith(hostname));
  return elsewhere || /Proxy response \(\d+\)|the proxy closed/.test(text);
}

/** A row fits if all that it names does. */
interface Hint {
  code?: RegExp;
  status?: number;
  method?: string;
  path?: RegExp;
  /** What the server said. */
  text?: RegExp;
  auth?: Failure["authentication"];
  when?: (failure: Failure) => boolean;
  /** `{origin}` and the like stand for what is known of the failure. */
  hint: string;
}

/** The first row that fits gives the hint: the more special one stands higher. */
// biome-ignore format: a table reads best with a row a line
const hints: readonly Hint[] = [
  // The connection
  { when: isProxy, hint: "The proxy of HTTPS_PROXY or HTTP_PROXY refused, or does not answer. Check its address and credentials, or list the host in NO_PROXY." },
  { code: /^ECONNREFUSED$/, hint: "Nothing listens at {origin}. Is Kibana running, and is this its port (5601 by default)?" },
  { code: /^(ENOTFOUND|EAI_AGAIN)$/, hint: "The host name in {origin} cannot be resolved. Check its spelling, DNS and VPN." },
  { code: /^(EPROTO|ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG))$/, hint: "That port does not speak TLS. If it is Kibana's, use http:// instead of https://." },
  { code: /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/, hint: "Trust its certificate authority: start node with NODE_EXTRA_CA_CERTS=ca.crt, or pass tls: { ca }. Leave verification on." },
  { code: /^(ERR_TLS_CERT_ALTNAME_INVALID|UND_ERR_PRX_TLS)$/, hint: "The certificate is for another host name. Use the name that it was made for." },
  { code: /_ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA)$/, hint: "The server wants a client certificate that it trusts: pass tls: { cert, key }." },
  { code: /^CERT_HAS_EXPIRED$/, hint: "The server's certificate has expired and has to be renewed there." },
  { text: /UND_ERR_SOCKET|ECONNRESET|the HTTP\/1\.1 protocol/, when: ({ origin, statusCode }) => origin.startsWith("http:") && !statusCode, hint: "The connection broke before a whole answer was there. If the port speaks TLS, use https:// instead of http://." },
  // Another server
  { when: isElasticsearch, hint: "{origin} is Elasticsearch. Kibana has an address of its own: usually port 5601, or .kb. instead of .es. in the host name." },
  { text: /^an HTML page/, when: ({ statusCode }) => statusCode !== 413 && statusCode !== 503, hint: "A web page, not Kibana's API: a login page or a proxy. Check the address and the base path (server.basePath)." },
  { when: ({ statusCode = 0 }) => statusCode >= 300 && statusCode < 400, hint: "Redirects are not followed, for they would take the credentials along. If headers.location is Kibana, use that address." },
  // Not ready
  { when: isStarting, hint: "Kibana is starting, or waits for its Elasticsearch. Nothing was done: try again in {retry-after} seconds." },
  { text: /^Actions is unavailable/, hint: "Not your privileges: Kibana has lost its Elasticsearch and so does not know its licence. Check that Elasticsearch is up." },
  { status: 503, hint: "Kibana, its Elasticsearch or the proxy before it is not available at the moment. Check them, and try again later." },
  { status: 429, hint: "The server is overloaded. Send less at once, and wait before you try again." },
  // Credentials and rights
  { status: 401, auth: "none", hint: "No credentials were sent. Pass auth: { apiKey } or { username, password }." },
  { status: 401, when: ({ username }) => username === "kibana_system", hint: "kibana_system is Kibana's own service user and cannot be used here. With start-local: elastic and ES_LOCAL_PASSWORD." },
  { status: 401, auth: "API key", when: ({ origin }) => /\.(elastic\.cloud|elastic-cloud\.com|found\.io)(:|$)/.test(origin), hint: "An Elastic Cloud key, made for the organisation? Use one that was made in this deployment: Stack Management > API keys." },
  { status: 401, auth: "API key", hint: "The key has the right shape but is not accepted: another cluster's, expired or invalidated. Stack Management > API keys makes one." },
  { status: 401, hint: "The credentials are not accepted. Check them; with start-local they are elastic and ES_LOCAL_PASSWORD." },
  { status: 403, text: /^Unauthorized to (get|execute)/, hint: 'The user or key lacks the Kibana privilege "Actions and Connectors: Read" in the space "{space}".' },
  { status: 403, text: /^Unauthorized to /, hint: 'The user or key lacks the Kibana privilege "Actions and Connectors: All" in the space "{space}".' },
  { status: 403, text: /enabledActionTypes/, hint: "This connector type is switched off in kibana.yml: xpack.actions.enabledActionTypes." },
  { status: 403, text: /license/, hint: "actions.listTypes() tells which connector types this licence allows; .index needs the basic one only." },
  // The request
  { status: 413, hint: "{requestBytes} bytes were sent; Kibana takes 1 MiB (server.maxPayload), proxies often less. Send fewer documents a run, or use helpers.bulk of @elastic/elasticsearch." },
  { text: /Predefined IDs are not allowed|^\[request params\.id\]/, hint: "Kibana 8.8 to 9.3 takes only a UUID as an id, 9.4 and later a-z, 0-9 and -, 36 characters at most. A lower-case UUID fits both." },
  { text: /in a preconfigured action|^Preconfigured action/, hint: "That connector is defined in kibana.yml (is_preconfigured: true): it can be run, but not created, changed or deleted." },
  { method: "PUT", status: 400, text: /^error validating/, hint: "An update replaces everything: send name, config and secrets completely." },
  { status: 400, text: /^Action type ".*" is not registered/, hint: "actions.listTypes() tells which connector types this Kibana has." },
  { status: 404, text: /^(Saved object|Connector ).* not found/, hint: 'Searched in the space "{space}". A connector lives in one space only: client.space(id) looks in another.' },
  { status: 404, method: "POST", path: /\/connector\/[^/]+$/, hint: "An id of your own needs Kibana 8.8 or later. Leave id out." },
  { status: 404, hint: "No such path. Does node lack Kibana's base path (server.basePath)? Is Kibana older than 7.13?" },
  { status: 409, method: "PUT", hint: "Somebody else changed the connector at the same moment. Read it again, then repeat the update." },
  { status: 409, method: "POST", hint: "The id is taken, here or in another space: use actions.update(), or another id. Names need not be unique." },
  { status: 500, text: /^An internal server error/, path: /\/_execute$/, hint: "Kibana's log has the reason. If xpack.encryptedSavedObjects.encryptionKey was changed or is missing, set it and update the connector, which encrypts it anew." },
  { status: 500, text: /^An internal server error/, hint: "Kibana's log has the reason. Most often kibana.yml lacks xpack.encryptedSavedObjects.encryptionKey (32 characters or more): bin/kibana-encryption-keys generate makes one." },
  // The run
  { text: /security_exception|is unauthorized for/, hint: "A run writes with your own rights: the user or key needs create_doc or index on the index, and auto_configure or create_index if it does not exist." },
  { text: /only write ops with an op_type of create/, hint: "That is a data stream: .index connectors write into one from Kibana 8.4 on." },
  { text: /mapper_parsing|document_parsing|failed to parse|^error indexing.*mapping/s, hint: "A value does not fit the index's mapping (GET <index>/_mapping). Of several documents, those that fit have been written." },
];

function hintFor(failure: Failure): string | undefined {
  const { code = "", text, path } = failure;
  const row = hints.find(
    (hint) =>
      (!hint.code || hint.code.test(code)) &&
      (!hint.status || hint.status === failure.statusCode) &&
      (!hint.method || hint.method === failure.method) &&
      (!hint.path || hint.path.test(path)) &&
      (!hint.text || hint.text.test(text)) &&
      (!hint.auth || hint.auth === failure.authentication) &&
      (!hint.when || hint.when(failure)),
  );
  const known: Record<string, unknown> = {
    ...failure,
    "retry-after": /^\d+$/.exec(String(failure.headers?.["retry-after"])) ?? "a few",
  };
  return row?.hint.replace(/\{([\w-]+)\}/g, (placeholder, name) => String(known[name] ?? placeholder));
}
