// What happened: which error, with which message, hint and outcome. Decides on the raw response, and masks what it shows.
import { decodeBase64, type Mask, maskFor } from "./credentials.ts";
import * as errors from "./errors.ts";
import type { HttpRequest, HttpResponse, NoResponse } from "./exchange.ts";
import { connectionHints, findHint, responseHints, runHints } from "./hints.ts";
import type { RunFailure } from "./runs.ts";
import { isRecord, parseJson, toLine, toText } from "./values.ts";

const errorByStatus: Readonly<Record<number, typeof errors.ResponseError>> = {
  400: errors.BadRequestError,
  401: errors.AuthenticationError,
  403: errors.AuthorizationError,
  409: errors.ConflictError,
  413: errors.PayloadTooLargeError,
  429: errors.TooManyRequestsError,
  503: errors.NotReadyError,
};

/** An error does not show a longer body: copying it could take seconds. */
const longestBody = 1024 * 1024;

/** What Kibana says with a 503 while it starts. In this case, it did nothing. */
const startingMessage =
  /^(Kibana server is not ready yet|License is not available|License information could not be|Authentication sub-system)/;

/** What Kibana says if it refuses params, config or secrets before it runs anything. */
const validationMessage = /^error validating (action params|(action|connector) type )/;

/** For a response that is not valid. `content` is its body, parsed; `fault` says what is wrong with the body of a 2xx. */
export function responseError(request: HttpRequest, response: HttpResponse, content: unknown, fault?: string) {
  const { statusCode, statusText } = response;
  const mask = maskFor(request);
  const credentials = request.headers.authorization?.replace(/\S+$/, decodeBase64) ?? "none";
  const said = serverMessage(response, content);
  const sender = senderOf(request, response, content, said);
  const isRejected = sender.startsWith("Kibana") && statusCode >= 400 && statusCode < 500;
  const details = {
    ...maskedResponse(mask, response, content),
    hint: findHint(responseHints, `${statusCode} ${request.method} ${sender} ${credentials}\n${said}`, {
      origin: request.origin,
      space: /\/s\/([^/]+)\/api\/actions\//.exec(request.path)?.[1] ?? "default",
      bytes: Buffer.byteLength(request.body ?? ""),
      retryAfter: /^\d+$/.exec(String(response.headers["retry-after"]))?.[0] ?? "a few",
    }),
    outcome: isRejected || sender === "starting" ? "not-applied" : "unknown",
  } as const;
  const parts = [`${statusCode} ${statusText}`.trim(), fault, said].filter(Boolean);
  const message = messageOf(request, mask, parts.join(": "));
  if (fault !== undefined) return new errors.DeserializationError(message, details);
  const ErrorClass = sender === "Kibana-no-connector" ? errors.NotFoundError : errorByStatus[statusCode];
  return new (ErrorClass ?? errors.ResponseError)(message, details);
}

/** For a run that failed although the status is 2xx. */
export function runError(request: HttpRequest, response: HttpResponse, content: unknown, failure: RunFailure) {
  const mask = maskFor(request);
  const reason = failure.said.replace(/^((?!fail_)\w+_exception: )?(\[\d+:\d+\] )?(failed to parse: )?/, "");
  const details = {
    ...maskedResponse(mask, response, content),
    hint: findHint(runHints, reason) ?? findHint(runHints, failure.said),
    outcome: validationMessage.test(toText(Object(content).message)) ? "not-applied" : "unknown",
  } as const;
  const text = messageOf(request, mask, `the run failed: ${failure.message}`);
  return new errors.ConnectorExecutionError(text, details, Object(details.body));
}

/** For an exchange without a response. `timeout` is its deadline in milliseconds. */
export function noResponseError(request: HttpRequest, { error, sent }: NoResponse, timeout: number) {
  if (error instanceof errors.KibanaError) return error;
  const deadline = { code: "TIMEOUT", message: `no ${sent ? "complete response" : "connection"} within ${timeout} ms` };
  const cause = Object(error === undefined ? deadline : error);
  // If both ::1 and 127.0.0.1 refused, only the inner errors have a message.
  const { code, message = cause, address, port } = Object(cause.errors?.[0] ?? cause);
  const { origin } = request;
  const { protocol, port: ownPort } = new URL(origin);
  const isKibana = port === undefined || new URL(`${protocol}//kibana:${port}`).port === ownPort;
  const situation = `${code} ${sent ? "sent" : "unsent"} ${protocol} ${isKibana ? "Kibana" : "proxy"}`;
  const mask = maskFor(request);
  const said = toText(message);
  const printed = `${said} ${toText({ ...cause })}`;
  const details = {
    // Dropped if it shows a credential, or data of the server, which may show a part of one.
    cause: "data" in cause || mask(printed) !== printed ? undefined : error,
    hint: findHint(connectionHints, `${situation}\n${said}`, { origin, peer: `${address}:${port}` }),
    outcome: sent ? "unknown" : "not-applied",
  } as const;
  const text = messageOf(request, mask, said);
  if (code === "UND_ERR_INVALID_ARG" && !sent) return new errors.ConfigurationError(text, details);
  if (/^(UND_ERR_\w+_)?TIMEOUT$/.test(code)) return new errors.TimeoutError(text, details);
  return new errors.ConnectionError(text, { ...details, code: typeof code === "string" ? code : undefined });
}

/** Who sent a response. */
function senderOf({ path }: HttpRequest, { statusCode, headers }: HttpResponse, content: unknown, said: string) {
  if (statusCode === 503 && startingMessage.test(said)) return "starting";
  if (isRecord(content) && content.statusCode === statusCode) {
    const id = decodeURIComponent(/\/connector\/([^/]+)(\/_execute)?$/.exec(path)?.[1] ?? "");
    const isMissing = [`Saved object [action/${id}] not found`, `Connector ${id} not found`].includes(said);
    return statusCode === 404 && isMissing ? "Kibana-no-connector" : "Kibana";
  }
  const { error, status } = Object(content);
  if ((isRecord(error) && status === statusCode) || headers["x-elastic-product"] || /^no handler found/.test(said))
    return "Elasticsearch";
  return said.startsWith("an HTML page") ? "page" : "other";
}

/** Kibana's `message`, Elasticsearch's `error.reason`, or another description of the response. */
function serverMessage({ headers, text }: HttpResponse, content: unknown): string {
  if (text === undefined || content === undefined) return "";
  if (text.length > longestBody) return "a long body";
  if (/gzip|br|deflate|zstd/.test(String(headers["content-encoding"]))) return "a compressed body";
  if (isRecord(content)) {
    const { message, error } = content;
    return toText(message ?? Object(error).reason ?? error ?? content);
  }
  const [isPage, title = ""] = /^\s*<(?:.*?<title>(.*?)<\/title>)?/is.exec(text) ?? [];
  return isPage ? `an HTML page ${title}`.trim() : toText(content);
}

/** One line. Masked before and after the lines are joined: the mask would miss a credential with another line break. */
function messageOf({ method, path }: HttpRequest, mask: Mask, text: string): string {
  return `${method} ${path} -> ${mask(toLine(mask(text))).slice(0, 1000)}`;
}

/** What an error shows of a response, without the credentials of the call. */
function maskedResponse(mask: Mask, { statusCode, headers, text = "" }: HttpResponse, content: unknown) {
  const copy = (value: unknown) => parseJson(mask(toText(value)));
  const body = content === undefined || text.length > longestBody ? undefined : copy(content);
  return { statusCode, headers: copy(headers) as HttpResponse["headers"], body };
}
