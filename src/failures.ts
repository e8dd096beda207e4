// What happened: which error, with which message, hint and outcome. Decides on the raw response; masks what it shows.
import { inspect } from "node:util";
import { type Mask, maskFor, signInOf } from "./credentials.ts";
import * as errors from "./errors.ts";
import { errorBodyLimit, type HttpRequest, type HttpResponse, type NoResponse } from "./exchange.ts";
import { connectionHints, findHint, responseHints, runHints } from "./hints.ts";
import type { RunFailure } from "./runs.ts";
import { fieldsIn, isRecord, parseJson, toLine, toText } from "./values.ts";

const errorByStatus: Readonly<Record<number, typeof errors.ResponseError>> = {
  400: errors.BadRequestError,
  401: errors.AuthenticationError,
  403: errors.AuthorizationError,
  409: errors.ConflictError,
  413: errors.PayloadTooLargeError,
  429: errors.TooManyRequestsError,
  503: errors.NotReadyError,
};

/** A request, and the id of its connector. */
type ApiRequest = HttpRequest & { connectorId?: string | undefined };

interface ParsedResponse extends HttpResponse {
  /** Parsed, or text if it is not JSON. */
  body: unknown;
}

/** What Kibana says with a 503 while it starts. In this case, it did nothing. */
const startingMessage =
  /^(Kibana server is not ready yet|License is not available|License information could not|Authentication sub-system)/;

/** For a response that is not valid. `problem` says what is wrong with the body of a 2xx. */
export function responseError(request: ApiRequest, response: ParsedResponse, problem?: string) {
  const { statusCode, statusText, headers } = response;
  const mask = maskFor(request);
  const said = serverMessage(response);
  const kind = kindOf(response, said, request);
  const isRefused = (kind === "Kibana" || kind === "no-connector") && statusCode >= 400 && statusCode < 500;
  const details = {
    ...maskedResponse(mask, response),
    hint: findHint(responseHints, `${statusCode} ${request.method} ${kind} ${signInOf(request)}\n${said}`, {
      origin: request.origin,
      // The space may also be a part of the node's path.
      space: /\/s\/([^/]+)\/api\/actions\//.exec(request.path)?.[1] ?? "default",
      bytes: Buffer.byteLength(request.body ?? ""),
      retryAfter: /^\d+$/.exec(String(headers["retry-after"]))?.[0] ?? "a few",
    }),
    outcome: isRefused || kind === "starting" ? "not-applied" : "unknown",
  } as const;
  const text = [`${statusCode} ${statusText}`.trim(), problem, said].filter(Boolean).join(": ");
  const message = messageOf(request, mask, text);
  if (problem !== undefined) return new errors.DeserializationError(message, details);
  const ErrorClass = kind === "no-connector" ? errors.NotFoundError : errorByStatus[statusCode];
  return new (ErrorClass ?? errors.ResponseError)(message, details);
}

/** For a run that failed although the status is 2xx. */
export function runError(request: ApiRequest, response: ParsedResponse, failure: RunFailure) {
  const mask = maskFor(request);
  // Drops a prefix such as `mapper_parsing_exception: [1:5] failed to parse: `. That of a fail_processor_exception
  // stays, because the user's own text follows. Rows that name an exception need it, hence the second look-up.
  const reason = failure.said.replace(/^((?!fail_)\w+_exception: )?(\[\d+:\d+\] )?(failed to parse: )?/, "");
  const details = {
    ...maskedResponse(mask, response),
    hint: findHint(runHints, reason) ?? findHint(runHints, failure.said),
    outcome: failure.outcome,
  } as const;
  const text = messageOf(request, mask, `the run failed: ${failure.message}`);
  const run = { ...fieldsIn(details.body), connector_id: request.connectorId };
  return new errors.ConnectorExecutionError(text, details, run);
}

/** For an exchange without a response. */
export function noResponseError(request: HttpRequest, { error, sent }: NoResponse) {
  if (error instanceof errors.KibanaError) return error;
  const { origin, protocol, port } = new URL(request.origin);
  const kibanaPort = Number(port || (protocol === "https:" ? 443 : 80));
  // If both ::1 and 127.0.0.1 refused, only the inner errors have a message.
  const inner = fieldsIn(error instanceof AggregateError ? error.errors[0] : error);
  const { code, message, address, port: actualPort } = inner;
  const said = toText(message ?? error);
  const peerKind = (actualPort ?? kibanaPort) === kibanaPort ? "Kibana" : "proxy";
  const mask = maskFor(request);
  const printed = inspect(error);
  const details = {
    // Dropped if it prints a credential, or has the server's raw bytes in data, as an error of undici's parser.
    cause: error instanceof Error && !("data" in error) && mask(printed) === printed ? error : undefined,
    hint: findHint(connectionHints, `${code} ${sent ? "sent" : "unsent"} ${protocol} ${peerKind}\n${said}`, {
      origin,
      peer: `${address}:${actualPort}`,
    }),
    outcome: sent ? "unknown" : "not-applied",
  } as const;
  const text = messageOf(request, mask, said);
  if (code === "UND_ERR_INVALID_ARG" && !sent) return new errors.ConfigurationError(text, details);
  if (/^(UND_ERR_\w+_)?TIMEOUT$/.test(String(code))) return new errors.TimeoutError(text, details);
  return new errors.ConnectionError(text, { ...details, code: typeof code === "string" ? code : undefined });
}

/** What kind of response it is. */
function kindOf({ statusCode, headers, text, body }: ParsedResponse, said: string, { connectorId: id }: ApiRequest) {
  if (statusCode === 503 && startingMessage.test(said)) return "starting";
  if (isRecord(body) && body.statusCode === statusCode) {
    const isMissing = [`Saved object [action/${id}] not found`, `Connector ${id} not found`].includes(said);
    return statusCode === 404 && isMissing ? "no-connector" : "Kibana";
  }
  const { error, status } = fieldsIn(body);
  if ((isRecord(error) && status === statusCode) || headers["x-elastic-product"] || /^no handler found/.test(said))
    return "Elasticsearch";
  return isPage(text) ? "page" : "other";
}

/** Kibana's `message`, Elasticsearch's `error.reason`, or another description of the response. */
function serverMessage({ headers, text, body }: ParsedResponse): string {
  if (text === undefined || body === undefined) return "";
  if (text.length > errorBodyLimit) return "a long body";
  if (/gzip|br|deflate|zstd/.test(String(headers["content-encoding"]))) return "a compressed body";
  if (isRecord(body)) {
    const { message, error } = body;
    return toText(message ?? fieldsIn(error).reason ?? error ?? body);
  }
  const title = /<title>([^<]*)/i.exec(text)?.[1] ?? "";
  return isPage(text) ? `an HTML page ${title}`.trim() : toText(body);
}

const isPage = (text = "") => /^\s*</.test(text);

/** One line. Masked twice, because joining the lines may complete a credential that was broken over two. */
function messageOf({ method, path }: HttpRequest, mask: Mask, text: string): string {
  const shown = text.length > errorBodyLimit ? "a long message" : text; // masking a longer one could take seconds
  return `${method} ${path} -> ${mask(toLine(mask(shown))).slice(0, 1000)}`;
}

/** What an error shows of a response, without the credentials of the call. */
function maskedResponse(mask: Mask, { statusCode, headers, text = "", body }: ParsedResponse) {
  const shownHeaders = maskedCopy(mask, headers) as HttpResponse["headers"];
  // Copying a longer body could take seconds.
  return { statusCode, headers: shownHeaders, body: text.length > errorBodyLimit ? undefined : maskedCopy(mask, body) };
}

function maskedCopy(mask: Mask, value: unknown): unknown {
  if (value === undefined) return undefined;
  return typeof value === "string" ? mask(value) : parseJson(mask(toText(value)));
}
