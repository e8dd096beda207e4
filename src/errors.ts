// The error classes.

/**
 * What is known about the request after it failed.
 *
 * - `"not-applied"`: the server did nothing. Correct the cause and send the request again.
 * - `"unknown"`: the server may have carried out the request. Check before you repeat a write.
 */
export type Outcome = "not-applied" | "unknown";

interface ErrorDetails {
  cause?: unknown;
  hint?: string | undefined;
  outcome?: Outcome;
}

/** The base class of every error that this package creates. */
export abstract class KibanaError extends Error {
  abstract override readonly name: string;
  /** Whether the server may have carried out the request. */
  readonly outcome: Outcome;
  /** What to do about it, in a few short sentences. */
  declare readonly hint?: string; // `declare`: absent, and not printed, if there is none

  constructor(message: string, { cause, hint, outcome = "unknown" }: ErrorDetails = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.outcome = outcome;
    if (hint !== undefined) this.hint = hint;
  }
}

/** An option, an id or an argument is wrong, the client is closed, or undici cannot be loaded. Nothing was sent. */
export class ConfigurationError extends KibanaError {
  override readonly name = "ConfigurationError";
  override readonly outcome = "not-applied";
}

/** JSON would lose a part of the request. Nothing was sent. The message has the path, such as `params.documents[2].value`. */
export class SerializationError extends KibanaError {
  override readonly name = "SerializationError";
  override readonly outcome = "not-applied";
}

/** No complete response: connection refused, reset or closed early, a DNS or TLS failure, or not HTTP. */
export class ConnectionError extends KibanaError {
  override readonly name = "ConnectionError";
  /** The code of Node, OpenSSL or undici, such as `ECONNREFUSED`, `DEPTH_ZERO_SELF_SIGNED_CERT` or `UND_ERR_SOCKET`. */
  declare readonly code?: string;

  constructor(message: string, { code, ...details }: ErrorDetails & { code?: string | undefined }) {
    super(message, details);
    if (code !== undefined) this.code = code;
  }
}

/** `requestTimeout` expired, or no connection was accepted within 10 seconds. */
export class TimeoutError extends KibanaError {
  override readonly name = "TimeoutError";
}

interface ResponseDetails extends ErrorDetails {
  statusCode: number;
  headers: Record<string, string | string[] | undefined>;
  body: unknown;
}

/** The base class of every error that has a response. */
export abstract class ErrorWithResponse extends KibanaError {
  readonly statusCode: number;
  /** The response's body: parsed if it is JSON, otherwise text. Undefined for a 204, or if longer than 1 MiB. */
  readonly body: unknown;
  /** The response's headers, names in lower case. Not enumerable, so not printed: they may hold a session cookie. */
  declare readonly headers: ResponseDetails["headers"];

  constructor(message: string, { statusCode, headers, body, ...details }: ResponseDetails) {
    super(message, details);
    this.statusCode = statusCode;
    this.body = body;
    Object.defineProperty(this, "headers", { value: headers });
  }
}

/** A 2xx whose body is not what the API returns: HTML, truncated JSON, another connector, or more than 64 MiB. */
export class DeserializationError extends ErrorWithResponse {
  override readonly name = "DeserializationError";
}

/** A status that is not 2xx, from Kibana or something in front of it. Common statuses have their own classes. */
export class ResponseError extends ErrorWithResponse {
  override readonly name: string = "ResponseError";
}

/** 400: the request does not fit Kibana's schema or rules. */
export class BadRequestError extends ResponseError {
  override readonly name = "BadRequestError";
}

/** 401: no credentials, wrong ones, or Kibana could not ask Elasticsearch about them. */
export class AuthenticationError extends ResponseError {
  override readonly name = "AuthenticationError";
}

/** 403: a privilege or the licence is missing, or Kibana cannot reach Elasticsearch. */
export class AuthorizationError extends ResponseError {
  override readonly name = "AuthorizationError";
}

/** 404: Kibana says that it has no such connector in this space. Any other 404 is a plain {@link ResponseError}. */
export class NotFoundError extends ResponseError {
  override readonly name = "NotFoundError";
}

/** 409: the id is taken, or another update came first. */
export class ConflictError extends ResponseError {
  override readonly name = "ConflictError";
}

/** 413: the request is larger than Kibana's `server.maxPayload` (1 MiB by default) or a proxy's limit. */
export class PayloadTooLargeError extends ResponseError {
  override readonly name = "PayloadTooLargeError";
}

/** 429: too many requests at the moment, or a full disk. */
export class TooManyRequestsError extends ResponseError {
  override readonly name = "TooManyRequestsError";
}

/** 503: Kibana is starting, is stopping or cannot reach Elasticsearch. */
export class NotReadyError extends ResponseError {
  override readonly name = "NotReadyError";
}

interface RunDetails extends ResponseDetails {
  connectorId: string;
  serviceMessage?: unknown;
  retry?: unknown;
  errorSource?: unknown;
}

/**
 * The connector's run failed, although Kibana answered HTTP 200. `outcome` is `"unknown"`, because some of several
 * documents may have been written; it is `"not-applied"` if Kibana refused params, config or secrets before the run.
 */
export class ConnectorExecutionError extends ErrorWithResponse {
  override readonly name = "ConnectorExecutionError";
  readonly connectorId: string;
  /** What the other system said: for `.index`, Elasticsearch's reason. */
  declare readonly serviceMessage?: string;
  /** Kibana's advice: whether to run it again, or the ISO time from which to do so. */
  declare readonly retry?: boolean | string | null;
  /** Who has to act. Kibana 8.13 and later. Later values are only in `body`. */
  declare readonly errorSource?: "user" | "framework";

  constructor(message: string, { connectorId, serviceMessage, retry, errorSource, ...details }: RunDetails) {
    super(message, details);
    this.connectorId = connectorId;
    if (typeof serviceMessage === "string") this.serviceMessage = serviceMessage;
    if (typeof retry === "boolean" || typeof retry === "string" || retry === null) this.retry = retry;
    if (errorSource === "user" || errorSource === "framework") this.errorSource = errorSource;
  }
}
