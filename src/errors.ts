// The error classes.
import * as classes from "./errors.ts";

/**
 * What is known about the request after it failed.
 *
 * - `"not-applied"`: the server certainly did nothing. Fix the cause and send it again.
 * - `"unknown"`: the server may have carried it out. Look before you repeat a write.
 */
export type Outcome = "not-applied" | "unknown";

interface Details {
  cause?: unknown;
  hint?: string | undefined;
  outcome?: Outcome;
}

/** The base class of every error that this package creates. */
export abstract class KibanaError extends Error {
  /** Whether the server can have carried out the request. */
  readonly outcome: Outcome;
  /** What to do about it, in one or two sentences. */
  declare readonly hint?: string;

  constructor(message: string, { cause, hint, outcome = "not-applied" }: Details = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.outcome = outcome;
    if (hint) this.hint = hint;
  }
}

/** An option, an id or an argument is wrong, the client is closed, or undici cannot be loaded. Nothing was sent. */
export class ConfigurationError extends KibanaError {
  declare readonly name: "ConfigurationError";
}

/** JSON would change or refuse a part of the request. Nothing was sent. The message names the path. */
export class SerializationError extends KibanaError {
  declare readonly name: "SerializationError";
}

/** No answer, or only a part of one: refused, DNS, TLS, reset, closed early, not HTTP. */
export class ConnectionError extends KibanaError {
  declare readonly name: "ConnectionError";
  /** The code of Node, OpenSSL or undici, such as `ECONNREFUSED`, `DEPTH_ZERO_SELF_SIGNED_CERT` or `UND_ERR_SOCKET`. */
  declare readonly code?: string;

  constructor(message: string, { code, ...details }: Details & { code?: string | undefined }) {
    super(message, details);
    if (code) this.code = code;
  }
}

/** `requestTimeout` passed, or no connection was accepted within 10 seconds. */
export class TimeoutError extends KibanaError {
  declare readonly name: "TimeoutError";
}

/** An answer of the server. */
export interface Answer {
  statusCode: number;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  body: unknown;
}

abstract class AnswerError extends KibanaError {
  readonly statusCode: number;
  /** Kibana's `{ statusCode, error, message }`, or the text if it is not JSON; `undefined` if longer than 1 MiB. */
  readonly body: unknown;
  /** The answer's headers, names in lower case. Not enumerable, so not printed: they may hold a session cookie. */
  declare readonly headers: Answer["headers"];

  constructor(message: string, { statusCode, body, headers, ...details }: Details & Answer) {
    super(message, details);
    this.statusCode = statusCode;
    this.body = body;
    Object.defineProperty(this, "headers", { value: headers });
  }
}

/** A 2xx whose body is not what the API answers: HTML, truncated JSON, another connector, or more than 64 MiB. */
export class DeserializationError extends AnswerError {
  declare readonly name: "DeserializationError";
}

/** Kibana, or something in front of it, refused the request. The classes below stand for the usual status codes. */
export class ResponseError extends AnswerError {}

/** 400: the request does not fit Kibana's schema or rules. */
export class BadRequestError extends ResponseError {
  declare readonly name: "BadRequestError";
}

/** 401: no credentials, wrong ones, or Kibana could not ask Elasticsearch about them. */
export class AuthenticationError extends ResponseError {
  declare readonly name: "AuthenticationError";
}

/** 403: a privilege or the licence is missing, or Kibana has lost its Elasticsearch. */
export class AuthorizationError extends ResponseError {
  declare readonly name: "AuthorizationError";
}

/** 404: Kibana says that it has no such connector in this space. Any other 404 is a plain {@link ResponseError}. */
export class NotFoundError extends ResponseError {
  declare readonly name: "NotFoundError";
}

/** 409: the id is taken, or another update came first. */
export class ConflictError extends ResponseError {
  declare readonly name: "ConflictError";
}

/** 413: the request is larger than Kibana's `server.maxPayload` (1 MiB by default) or a proxy's limit. */
export class PayloadTooLargeError extends ResponseError {
  declare readonly name: "PayloadTooLargeError";
}

/** 429: too many requests at the moment, or a full disk. */
export class TooManyRequestsError extends ResponseError {
  declare readonly name: "TooManyRequestsError";
}

/** 503: Kibana is starting, stopping or without its Elasticsearch. */
export class NotReadyError extends ResponseError {
  declare readonly name: "NotReadyError";
}

/**
 * The connector's run failed, whatever the HTTP status. `outcome` is `"unknown"`, because some of several documents may
 * have been written; it is `"not-applied"` only if Kibana refused the params before the run.
 */
export class ConnectorExecutionError extends AnswerError {
  declare readonly name: "ConnectorExecutionError";
  declare readonly connectorId: string;
  /** What the other system said: for `.index`, Elasticsearch's reason. */
  declare readonly serviceMessage?: string;
  /** Kibana's advice: whether, or from which ISO time on, a new run makes sense. */
  declare readonly retry?: boolean | string | null;
  /** Who has to act. Kibana 8.13 and later. */
  declare readonly errorSource?: "user" | "framework";

  constructor(message: string, { run, ...details }: RunDetails) {
    super(message, details);
    Object.assign(this, run);
  }
}

interface RunDetails extends Details, Answer {
  run: Pick<ConnectorExecutionError, "connectorId" | "serviceMessage" | "retry" | "errorSource">;
}

// A minifier renames classes, but not exports.
for (const [name, { prototype }] of Object.entries(classes))
  Object.defineProperty(prototype, "name", { value: name, writable: true });
