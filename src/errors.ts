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

/** An option, an id or an argument is wrong; nothing was sent. */
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
export class ConnectorExecutionError extends KibanaError {
  override get name() {
    return "ConnectorExecutionError" as const;
  }
  /** 200, as a rule. */
  readonly statusCode: number;
  readonly connectorId: string;
  /** The whole answer of the run. */
  readonly body: Readonly<Record<string, unknown>>;
  /** What the other system said: for `.index`, Elasticsearch's reason. */
  declare readonly serviceMessage?: string | undefined;
  /** Kibana's advice: whether (or from which ISO time on) a new run makes sense. */
  declare readonly retry?: boolean | string | null | undefined;
  /** Kibana 8.13 and later: who has to act. */
  declare readonly errorSource?: "user" | "framework" | undefined;

  constructor(message: string, details: ErrorDetails & Omit<ConnectorExecutionError, keyof KibanaError>) {
    super(message, { ...details, outcome: "unknown" });
    const { statusCode, connectorId, body, serviceMessage, retry, errorSource } = details;
    this.statusCode = statusCode;
    this.connectorId = connectorId;
    this.body = body;
    if (serviceMessage !== undefined) this.serviceMessage = serviceMessage;
    if (retry !== undefined) this.retry = retry;
    if (errorSource !== undefined) this.errorSource = errorSource;
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
export function responseError(failure: Failure, { statusCode, headers, body }: Answer): ResponseError {
  // A refusal proves that nothing happened; a 5xx, or a redirect that somebody in between made, does not.
  const refused = (statusCode >= 400 && statusCode < 500) || isStarting({ ...failure, statusCode });
  const text = failure.text && `: ${failure.text}`;
  return new (errorByStatus[statusCode] ?? ResponseError)(`${title(failure)} ${status(statusCode)}${text}`, {
    statusCode,
    headers,
    body,
    hint: hintFor({ ...failure, statusCode, headers, body }),
    outcome: refused ? "not-applied" : "unknown",
  });
}

/** For an answer whose status is 2xx but whose body is not the API's. */
export function deserializationError(failure: Failure, answer: Answer, cause?: unknown): DeserializationError {
  return new DeserializationError(
    `${title(failure)} ${status(answer.statusCode)}, but the body is not what Kibana answers: ${failure.text}`,
    { ...answer, cause, hint: hintFor({ ...failure, ...answer }), outcome: "unknown" },
  );
}

/** For a run that failed although the HTTP status is 2xx. */
export function executionError(
  failure: Failure,
  answer: Answer & { body: Readonly<Record<string, unknown>> },
  connectorId: string,
): ConnectorExecutionError {
  const { service_message, retry, errorSource } = answer.body;
  return new ConnectorExecutionError(`${title(failure)} the run failed: ${failure.text}`, {
    statusCode: answer.statusCode,
    body: answer.body,
    connectorId,
    serviceMessage: typeof service_message === "string" ? service_message : undefined,
    retry: typeof retry === "boolean" || typeof retry === "string" || retry === null ? retry : undefined,
    errorSource: errorSource === "user" || errorSource === "framework" ? errorSource : undefined,
    hint: hintFor({ ...failure, ...answer }),
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
    `${title(failure)} ${started ? "no complete answer" : "no connection"} within ${milliseconds} ms`,
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

const certificateUnknown =
  "Trust its certificate authority: set NODE_EXTRA_CA_CERTS=ca.crt before starting node, or pass tls: { ca }. Do not switch verification off.";

/** The first row whose condition holds gives the hint: the more special a row, the higher it stands. */
const hints: readonly (readonly [
  when: (failure: Failure) => boolean,
  hint: string | ((failure: Failure) => string),
])[] = [
  // The connection
  [
    ({ code }) => code === "ECONNREFUSED",
    ({ origin }) => `Nothing listens at ${origin}. Is Kibana running, and is this its port (5601 by default)?`,
  ],
  [
    ({ code }) => code === "ENOTFOUND" || code === "EAI_AGAIN",
    ({ origin }) => `The host name in ${origin} cannot be resolved. Check its spelling and your DNS or VPN.`,
  ],
  [
    ({ code = "" }) => ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "EPROTO"].includes(code),
    ({ origin }) => `That port does not speak TLS. Try ${origin.replace("https:", "http:")}.`,
  ],
  [({ code = "" }) => /SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)/.test(code), certificateUnknown],
  [
    ({ code }) => code === "ERR_TLS_CERT_ALTNAME_INVALID",
    "The certificate is for another host name. Use the name that it was made for.",
  ],
  [({ code }) => code === "CERT_HAS_EXPIRED", "The server's certificate has expired. It has to be renewed there."],
  [
    ({ code = "", origin }) => /^(UND_ERR_SOCKET|ECONNRESET|HPE_)/.test(code) && origin.startsWith("http:"),
    ({ origin }) =>
      `The connection broke before a whole answer was there. If the port speaks TLS, use ${origin.replace("http:", "https:")}.`,
  ],
  // The wrong server
  [
    isElasticsearch,
    ({ origin }) =>
      `${origin} is Elasticsearch. Kibana has an address of its own: usually port 5601, or the host with .kb. instead of .es. in it.`,
  ],
  [
    ({ text, statusCode = 0 }) => text.startsWith("an HTML page") && statusCode !== 413 && statusCode !== 503,
    "That is a web page, not Kibana's API: a login page or a proxy. Check the address and the base path (server.basePath).",
  ],
  [
    ({ statusCode = 0 }) => statusCode >= 300 && statusCode < 400,
    "Redirects are not followed, because they would take the credentials along. Use the address that it points to (headers.location), if that is Kibana.",
  ],
  // Not ready
  [
    isStarting,
    ({ headers }) =>
      `Kibana is starting, or waits for its Elasticsearch. Try again${headers?.["retry-after"] ? ` in ${headers["retry-after"]} seconds` : ""}.`,
  ],
  [
    ({ text }) => text.startsWith("Actions is unavailable"),
    "This is not about your privileges: Kibana has lost its Elasticsearch, so it does not know its licence. Check that Elasticsearch is up.",
  ],
  [
    ({ statusCode }) => statusCode === 503,
    "Kibana, or its Elasticsearch, is not available at the moment. Check both, and try again later.",
  ],
  [
    ({ statusCode }) => statusCode === 429,
    ({ headers }) =>
      `The server is overloaded. Send less at once${headers?.["retry-after"] ? `, and wait ${headers["retry-after"]} seconds` : ""}.`,
  ],
  // Credentials and rights
  [
    ({ statusCode, authentication }) => statusCode === 401 && authentication === "none",
    "No credentials were sent. Pass auth: { apiKey } or { username, password }.",
  ],
  [
    ({ statusCode, username }) => statusCode === 401 && username === "kibana_system",
    "kibana_system is Kibana's own service user and cannot be used here. With start-local, use elastic and ES_LOCAL_PASSWORD.",
  ],
  [
    ({ statusCode, authentication, origin }) =>
      statusCode === 401 &&
      authentication === "API key" &&
      /\.(elastic\.cloud|elastic-cloud\.com|found\.io)(:|$)/.test(origin),
    "Is this an Elastic Cloud API key (of the organisation)? Hosted Kibana wants a key made in this deployment: Stack Management > API keys.",
  ],
  [
    ({ statusCode, authentication }) => statusCode === 401 && authentication === "API key",
    "The API key is well-formed but not accepted: wrong cluster, expired or invalidated. Make one in Kibana under Stack Management > API keys.",
  ],
  [
    ({ statusCode }) => statusCode === 401,
    "The credentials are not accepted. Check user and password; with start-local the user is elastic and the password ES_LOCAL_PASSWORD.",
  ],
  [
    ({ statusCode, text }) => statusCode === 403 && /^Unauthorized to (get|execute)/.test(text),
    'The user or key lacks the Kibana privilege "Actions and Connectors: Read" in this space.',
  ],
  [
    ({ statusCode, text }) => statusCode === 403 && text.startsWith("Unauthorized to "),
    'The user or key lacks the Kibana privilege "Actions and Connectors: All" in this space.',
  ],
  [
    ({ statusCode, text }) => statusCode === 403 && text.includes("enabledActionTypes"),
    "This connector type is switched off in kibana.yml: xpack.actions.enabledActionTypes.",
  ],
  [
    ({ statusCode, text }) => statusCode === 403 && /license/.test(text),
    "actions.listTypes() tells which connector types this licence allows. .index needs only the basic one.",
  ],
  // The request
  [
    ({ statusCode }) => statusCode === 413,
    ({ requestBytes }) =>
      `${requestBytes} bytes were sent; Kibana takes 1 MiB unless server.maxPayload says otherwise, and proxies often less. Send fewer documents at once, or use helpers.bulk of @elastic/elasticsearch.`,
  ],
  [
    ({ text }) => /Predefined IDs are not allowed|^\[request params\.id\]/.test(text),
    "Kibana 8.8 to 9.3 takes only a UUID as a connector's id; 9.4 and later a-z, 0-9 and hyphens, 36 characters at most. A lower-case UUID fits all of them.",
  ],
  [
    ({ text }) => /in a preconfigured action|^Preconfigured action/.test(text),
    "That connector is defined in kibana.yml (is_preconfigured: true): it cannot be created, changed or deleted here.",
  ],
  [
    ({ method, statusCode, text }) => method === "PUT" && statusCode === 400 && text.startsWith("error validating"),
    "An update replaces everything: send name, config and secrets completely.",
  ],
  [
    ({ statusCode, text }) => statusCode === 400 && /^Action type ".*" is not registered/.test(text),
    "actions.listTypes() tells which connector types this Kibana has.",
  ],
  [
    ({ statusCode, text }) => statusCode === 404 && text.startsWith("Saved object"),
    ({ space }) =>
      `Searched in space "${space}". A connector lives in one space only; client.space(id) looks in another.`,
  ],
  [
    ({ statusCode, method, path }) =>
      statusCode === 404 && method === "POST" && /\/api\/actions\/connector\/[^/]+$/.test(path),
    "An id of your own needs Kibana 8.8 or later. With an older one, leave id out.",
  ],
  [
    ({ statusCode }) => statusCode === 404,
    "This server has no such path. Does node lack Kibana's base path (server.basePath)? Connectors need Kibana 7.13 or later.",
  ],
  [
    ({ statusCode, method }) => statusCode === 409 && method === "PUT",
    "Somebody else changed the connector at the same moment. Read it again, then repeat the update.",
  ],
  [
    ({ statusCode }) => statusCode === 409,
    "The id is taken, perhaps in another space: ids are unique across spaces. Use actions.update(), or another id. Names need not be unique.",
  ],
  [
    ({ statusCode, text, path }) =>
      statusCode === 500 && text.startsWith("An internal server error occurred") && path.endsWith("/_execute"),
    "Kibana's log has the reason. If it cannot decrypt the connector, xpack.encryptedSavedObjects.encryptionKey was changed: update the connector, which encrypts it anew.",
  ],
  [
    ({ statusCode, text }) => statusCode === 500 && text.startsWith("An internal server error occurred"),
    "Kibana's log has the reason. Most often xpack.encryptedSavedObjects.encryptionKey (32 characters or more) is missing in kibana.yml: bin/kibana-encryption-keys generate makes one.",
  ],
  // The run
  [
    ({ text }) => /security_exception|is unauthorized for/.test(text),
    "The .index connector writes with your own rights: the user or key needs create_doc (or index) on the index, and auto_configure or create_index if it does not exist yet.",
  ],
  [
    ({ text }) => text.includes("only write ops with an op_type of create"),
    "The index is a data stream. Kibana's .index connector can write into one from 8.4 on.",
  ],
  [
    ({ text }) => /mapper_parsing|failed to parse|mapping|document_parsing/.test(text),
    "A field's value does not fit the index's mapping: GET <index>/_mapping shows it. Of several documents, those that fit have been written.",
  ],
];

function hintFor(failure: Failure): string | undefined {
  const hint = hints.find(([when]) => when(failure))?.[1];
  return typeof hint === "function" ? hint(failure) : hint;
}

function isElasticsearch({ headers, body, text }: Failure): boolean {
  // Elasticsearch answers { error: { root_cause, ... }, status }; Kibana's `error` is always a string.
  const nested = typeof body === "object" && body !== null && "error" in body && body.error instanceof Object;
  return headers?.["x-elastic-product"] === "Elasticsearch" || nested || text.startsWith("no handler found for uri");
}
