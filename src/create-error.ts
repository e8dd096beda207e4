// The error for a failure: its class, message, hint and outcome. Decides on the raw response; masks what it shows.
import { inspect } from "node:util";
import * as errors from "./errors.ts";
import { type HttpRequest, type HttpResponse, maxErrorBodySize, type NoResponse } from "./exchange.ts";
import { connectionHints, findHint, findRunHint, responseHints } from "./hints.ts";
import { isRecord, toRecord, toText, tryParseJson } from "./json.ts";
import { createMask, describeAuth, type Mask, toSingleLine } from "./mask.ts";
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

/** A request, and the id of its connector, if the path has one. */
export type ApiRequest = HttpRequest & { connectorId: string | undefined };

interface ParsedResponse extends HttpResponse {
  /** Parsed, or text if it is not JSON. */
  body: unknown;
}

/** What Kibana says with a 503 while it starts. In this case, it did nothing. */
const startingPattern =
  /^(Kibana server is not ready yet|License is not available|License information could not|Authentication sub-system)/;

/** For a response that is not valid. `problem` says what is wrong with the body of a 2xx. */
export function createResponseError(request: ApiRequest, response: ParsedResponse, problem?: string) {
  const { statusCode, statusText, headers } = response;
  const mask = createMask(request);
  const reason = getReason(response);
  const kind = classifyResponse(response, reason, request.connectorId);
  const details = {
    ...maskResponse(mask, response),
    hint: findHint(responseHints, `${statusCode} ${request.method} ${kind} ${describeAuth(request)}\n${reason}`, {
      origin: request.origin,
      // The space may also be a part of the node's path.
      space: /\/s\/([^/]+)\/api\/actions\//.exec(request.path)?.[1] ?? "default",
      bytes: Buffer.byteLength(request.body ?? ""),
      retryAfter: /^\d+$/.exec(String(headers["retry-after"]))?.[0] ?? "a few",
    }),
    outcome: ["starting", "no-connector", "rejected"].includes(kind) ? "not-applied" : "unknown",
  } as const;
  const description = [`${statusCode} ${statusText}`.trim(), problem, reason].filter(Boolean).join(": ");
  const message = formatMessage(request, mask, description);
  if (problem !== undefined) return new errors.DeserializationError(message, details);
  const ErrorClass = kind === "no-connector" ? errors.NotFoundError : errorClassByStatus[statusCode];
  return new (ErrorClass ?? errors.ResponseError)(message, details);
}

/** For a run that failed although the status is 2xx. */
export function createRunError(request: ApiRequest, response: ParsedResponse, failure: RunFailure) {
  const mask = createMask(request);
  return new errors.ConnectorExecutionError(formatMessage(request, mask, `the run failed: ${failure.message}`), {
    ...maskResponse(mask, response),
    hint: findRunHint(failure.reason),
    outcome: failure.outcome,
    connectorId: String(request.connectorId),
  });
}

/** For an exchange without a response. */
export function createNoResponseError(request: HttpRequest, { error, maybeSent }: NoResponse) {
  if (error instanceof errors.KibanaError) return error;
  // If both ::1 and 127.0.0.1 refused, only the inner errors have a message.
  const innerError = toRecord(error instanceof AggregateError ? error.errors[0] : error);
  const { code, message: reason = error, address, port } = innerError;
  const { origin } = request;
  // Another port than Kibana's is that of a proxy. A URL does not change if the port is undefined.
  const peer = Object.assign(new URL(origin), { port }).origin === origin ? "Kibana" : "proxy";
  const mask = createMask(request);
  const message = formatMessage(request, mask, toText(reason));
  const facts = `${code} ${maybeSent ? "sent" : "unsent"} ${origin} ${peer}\n${toText(reason)}`;
  const printed = inspect(error);
  const details = {
    // Dropped if it prints a credential, or has the server's raw bytes in data, as an error of undici's parser.
    cause: error instanceof Error && !("data" in error) && mask(printed) === printed ? error : undefined,
    hint: findHint(connectionHints, facts, { origin, proxy: `${address}:${port}` }),
    outcome: maybeSent ? "unknown" : "not-applied",
  } as const;
  if (code === "UND_ERR_INVALID_ARG" && !maybeSent) return new errors.ConfigurationError(message, details);
  if (/^(UND_ERR_\w+_)?TIMEOUT$/.test(String(code))) return new errors.TimeoutError(message, details);
  return new errors.ConnectionError(message, { ...details, code: typeof code === "string" ? code : undefined });
}

/** What kind of response it is. Kibana did nothing if it is `starting`, or if it `rejected` the request (a 4xx). */
function classifyResponse({ statusCode, headers, text, body }: ParsedResponse, reason: string, id?: string) {
  if (statusCode === 503 && startingPattern.test(reason)) return "starting";
  if (isRecord(body) && body.statusCode === statusCode && statusCode >= 400 && statusCode <= 499) {
    const isMissing = [`Saved object [action/${id}] not found`, `Connector ${id} not found`].includes(reason);
    return statusCode === 404 && isMissing ? "no-connector" : "rejected";
  }
  const { error, status } = toRecord(body);
  if ((isRecord(error) && status === statusCode) || headers["x-elastic-product"] || /^no handler found/.test(reason))
    return "Elasticsearch";
  return isHtml(text) ? "page" : "other";
}

/** Kibana's `message`, Elasticsearch's `error.reason`, or another description of the body. */
function getReason(response: ParsedResponse): string {
  const { headers, text = "", body } = response;
  if (isLong(response)) return "a long body";
  if (/gzip|br|deflate|zstd/.test(String(headers["content-encoding"]))) return "a compressed body";
  if (isHtml(text)) return `an HTML page ${/<title>([^<]*)/i.exec(text)?.[1] ?? ""}`.trim();
  const { message, error } = toRecord(body);
  return toText(message ?? toRecord(error).reason ?? error ?? body ?? "");
}

function isHtml(text = ""): boolean {
  return /^\s*</.test(text);
}

/** Masking or copying a long body could take seconds, so an error does not show it. */
function isLong({ text }: HttpResponse): boolean {
  return text === undefined || text.length > maxErrorBodySize;
}

/** One line. Masked twice, because joining the lines may complete a credential that was broken over two. */
function formatMessage({ method, path }: HttpRequest, mask: Mask, description: string): string {
  const shown = description.length > maxErrorBodySize ? "a long message" : description;
  return `${method} ${path} -> ${mask(toSingleLine(mask(shown))).slice(0, 1000)}`;
}

/** What an error shows of a response, without the credentials of the call. */
function maskResponse(mask: Mask, response: ParsedResponse) {
  const headers = maskValue(mask, response.headers) as HttpResponse["headers"];
  const body = isLong(response) ? undefined : maskValue(mask, response.body);
  return { statusCode: response.statusCode, headers, body };
}

function maskValue(mask: Mask, value: unknown): unknown {
  if (value === undefined) return undefined;
  return typeof value === "string" ? mask(value) : tryParseJson(mask(toText(value)));
}
