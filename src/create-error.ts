// The error for a failure: its class, message, hint and outcome. Decides on the raw response; masks what it shows.
import * as errors from "./errors.ts";
import { type ExchangeFailure, type HttpRequest, type HttpResponse, maxShownSize } from "./exchange.ts";
import { exchangeHints, findHint, findRunHint, responseHints } from "./hints.ts";
import { isRecord, toRecord, toSingleLine, toText } from "./json.ts";
import { createMask, type Mask, maskFields, maskValue } from "./mask.ts";
import type { RunFailure } from "./runs.ts";

const errorClassByStatus: Readonly<Record<number, typeof errors.ResponseError>> = {
  400: errors.BadRequestError,
  401: errors.AuthenticationError,
  403: errors.AuthorizationError,
  409: errors.ConflictError,
  413: errors.PayloadTooLargeError,
  429: errors.TooManyRequestsError,
  503: errors.NotReadyError,
};

/** What Kibana says with a 503 while it starts. In this case, it did nothing. */
const startingPattern =
  /^(Kibana server is not ready yet|License is not available|License information could not|Authentication sub-system)/;

/** For a response that is not a 2xx, or whose body has a `problem`. */
export function createResponseError(request: HttpRequest, response: HttpResponse, body: unknown, problem?: string) {
  const { statusCode, statusText, headers } = response;
  const mask = createMask(request);
  const { kind, reason } = classifyResponse(request.path, response, body);
  const details = {
    ...maskResponse(mask, response, body),
    hint: findHint(responseHints, `${statusCode} ${request.method} ${kind} ${describeAuth(request)}\n${reason}`, {
      origin: mask(request.origin),
      // The space may also be a part of the node's path.
      space: mask(/\/s\/([^/]+)\/api\/actions\//.exec(request.path)?.[1] ?? "default"),
      bytes: Buffer.byteLength(request.body ?? ""),
      retryAfter: mask(/^\d+$/.exec(String(headers["retry-after"]))?.[0] ?? "a few"),
    }),
    outcome: kind === "starting" || kind === "no-connector" || kind === "rejected" ? "not-applied" : "unknown",
  } as const;
  const description = [`${statusCode} ${statusText}`.trim(), problem, reason].filter(Boolean).join(": ");
  const message = formatMessage(request, mask, description);
  if (problem !== undefined) return new errors.DeserializationError(message, details);
  const ErrorClass = kind === "no-connector" ? errors.NotFoundError : errorClassByStatus[statusCode];
  return new (ErrorClass ?? errors.ResponseError)(message, details);
}

/** How a call signs in: `none`, `ApiKey`, `Bearer`, or `Basic elastic:` with the user's name. */
function describeAuth({ headers: { authorization = "none" } }: HttpRequest): string {
  const [scheme = "", token = ""] = authorization.trim().split(/\s+/);
  return /^basic$/i.test(scheme)
    ? `Basic ${toSingleLine(Buffer.from(token, "base64").toString()).split(":")[0]}:`
    : scheme;
}

/** For a 2xx whose run failed. */
export function createRunError(request: HttpRequest, response: HttpResponse, body: unknown, failure: RunFailure) {
  const mask = createMask(request);
  const { connector_id, service_message, retry, errorSource } = toRecord(body);
  return new errors.ConnectorExecutionError(formatMessage(request, mask, `the run failed: ${failure.message}`), {
    ...maskResponse(mask, response, body),
    connectorId: mask(String(connector_id)),
    serviceMessage: maskValue(mask, service_message),
    retry: maskValue(mask, retry),
    errorSource,
    hint: findRunHint(failure.reason),
    outcome: failure.outcome,
  });
}

/** If it is `starting`, `no-connector` or `rejected`, Kibana did nothing. */
type ResponseKind = "starting" | "no-connector" | "rejected" | "elasticsearch" | "page" | "other";

/** Returns the kind of a response, and what it says. */
function classifyResponse(path: string, response: HttpResponse, body: unknown): { kind: ResponseKind; reason: string } {
  const { statusCode, headers, text } = response;
  if (text === undefined || text.length > maxShownSize) return { kind: "other", reason: "a long body" };
  const { message, error, statusCode: repeatedCode, status } = toRecord(body);
  const reason = toText(message ?? toRecord(error).reason ?? error ?? body ?? "");
  if (statusCode === 503 && startingPattern.test(reason)) return { kind: "starting", reason };
  if (statusCode >= 400 && statusCode <= 499 && repeatedCode === statusCode) {
    const id = decodeURIComponent(/\/connector\/([^/]+)(?:\/_execute)?$/.exec(path)?.[1] ?? "");
    const isMissing = [`Saved object [action/${id}] not found`, `Connector ${id} not found`].includes(reason);
    return { kind: statusCode === 404 && isMissing ? "no-connector" : "rejected", reason };
  }
  if ((isRecord(error) && status === statusCode) || headers["x-elastic-product"] || /^no handler found/.test(reason))
    return { kind: "elasticsearch", reason };
  if (!/^\s*</.test(text)) return { kind: "other", reason };
  return { kind: "page", reason: `an HTML page ${/<title>([^<]*)/i.exec(text)?.[1] ?? ""}`.trim() };
}

/** Codes of undici for a request that it does not send, because a header or the dispatcher is wrong. */
const invalidRequestPattern = /^UND_ERR_(INVALID_ARG|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH)$/;

/** For a call without a complete response. */
export function createExchangeError(request: HttpRequest, { error, maybeSent }: ExchangeFailure) {
  if (error instanceof errors.KibanaError) return error;
  // If both ::1 and 127.0.0.1 refused, only the inner errors have a message.
  const errorFields = toRecord(error instanceof AggregateError ? error.errors.at(-1) : error);
  const { code, address, port } = errorFields;
  const { origin } = request;
  const reason = toText(errorFields.message ?? error);
  const mask = createMask(request);
  const message = formatMessage(request, mask, reason);
  const details = {
    hint: findHint(exchangeHints, `${code} ${maybeSent ? "maybe-sent" : "unsent"} ${origin}\n${reason}`, {
      origin: mask(origin),
      peer: mask(address ? `${address}:${port}` : origin),
    }),
    outcome: maybeSent ? "unknown" : "not-applied",
  } as const;
  if (!maybeSent && invalidRequestPattern.test(String(code))) return new errors.ConfigurationError(message, details);
  if (/^(UND_ERR_\w+_)?TIMEOUT$/.test(String(code))) return new errors.TimeoutError(message, details);
  return new errors.ConnectionError(message, { ...details, code: typeof code === "string" ? code : undefined });
}

/** One line. Masked twice, because joining the lines may complete a credential that was broken over two. */
function formatMessage({ method, path }: HttpRequest, mask: Mask, description: string): string {
  const shown = description.length > maxShownSize ? "a long message" : description;
  return `${mask(`${method} ${path}`)} -> ${mask(toSingleLine(mask(shown))).slice(0, 1000)}`;
}

/** What an error shows of a response, without the credentials of the call. */
function maskResponse(mask: Mask, response: HttpResponse, body: unknown) {
  const headers = maskFields(mask, response.headers) as HttpResponse["headers"];
  return { statusCode: response.statusCode, headers, body: maskValue(mask, body) };
}
