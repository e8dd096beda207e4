// What happened -> which error, with which message and outcome. Decides on what was said; hides credentials in what is shown.
import * as errors from "./errors.ts";
import type { Broken, RawAnswer, Request } from "./exchange.ts";
import { hintFor, starting } from "./hints.ts";
import { isRecord } from "./options.ts";
import { Redactor, words } from "./shown.ts";

const errorByStatus: Readonly<Record<number, typeof errors.ResponseError>> = {
  400: errors.BadRequestError,
  401: errors.AuthenticationError,
  403: errors.AuthorizationError,
  409: errors.ConflictError,
  413: errors.PayloadTooLargeError,
  429: errors.TooManyRequestsError,
  503: errors.NotReadyError,
};

/** A longer body is not kept in an error. */
const longestBody = 1024 * 1024;

/** For an answer that is not 2xx, or not what the API answers. */
export function answerError(request: Request, raw: RawAnswer, body: unknown): errors.KibanaError {
  const redactor = new Redactor(request.headers, request.body);
  const { statusCode } = raw;
  const said = saidBy(raw, body);
  const details = { ...shownAnswer(redactor, raw, body), hint: hintFor({ request, said, answer: { ...raw, body } }) };
  const status = `${title(request)} ${`${statusCode} ${redactor.line(raw.reason)}`.trim()}`;
  if (statusCode < 300) {
    const message = `${status}, but the body is not what Kibana answers: ${redactor.line(said)}`;
    return new errors.DeserializationError(message, { ...details, outcome: "unknown" });
  }
  const id = decodeURIComponent(/\/api\/actions\/connector\/([^/]*)/.exec(request.path)?.[1] ?? "");
  const isMissing =
    isRecord(body) && [`Saved object [action/${id}] not found`, `Connector ${id} not found`].includes(said);
  const ErrorClass = statusCode === 404 && isMissing ? errors.NotFoundError : errorByStatus[statusCode];
  // A refusal proves that nothing happened. A 5xx, a redirect or a time-out of something in between does not.
  const isRefusal = statusCode >= 400 && statusCode < 500 && ![408, 460, 499].includes(statusCode);
  const refused = isRefusal || (statusCode === 503 && starting.test(said));
  const message = `${status}${said && `: ${redactor.line(said)}`}`;
  return new (ErrorClass ?? errors.ResponseError)(message, {
    ...details,
    outcome: refused ? "not-applied" : "unknown",
  });
}

/** For a run that failed although the status is 2xx. `problem` says why. */
export function runError(request: Request, raw: RawAnswer, run: Run, problem: string): errors.ConnectorExecutionError {
  const redactor = new Redactor(request.headers, request.body);
  const { connector_id, message, service_message, retry, errorSource } = run;
  return new errors.ConnectorExecutionError(`${title(request)} the run failed: ${redactor.line(problem)}`, {
    ...shownAnswer(redactor, raw, run),
    hint: hintFor({ request, said: problem }),
    // Kibana checks the params before it runs anything.
    outcome: words(message).startsWith("error validating action params") ? "not-applied" : "unknown",
    run: {
      connectorId: String(connector_id),
      ...(typeof service_message === "string" && { serviceMessage: redactor.text(service_message) }),
      ...((typeof retry === "boolean" || retry === null) && { retry }),
      ...(typeof retry === "string" && { retry: redactor.text(retry) }),
      ...((errorSource === "user" || errorSource === "framework") && { errorSource }),
    },
  });
}

type Run = Readonly<Record<string, unknown>>;

/** For an exchange without an answer. `timeout` is its deadline in milliseconds. */
export function brokenError(request: Request, { error, sent }: Broken, timeout: number): errors.KibanaError {
  if (error instanceof errors.KibanaError) return error;
  const { statusCode, headers, body = "", code } = Object(error) as Record<string, unknown>;
  // undici's interceptors retry and responseError throw an error in place of an answer.
  if (typeof statusCode === "number" && statusCode >= 300 && isRecord(headers)) {
    const raw = { statusCode, headers: headers as RawAnswer["headers"], reason: "", text: words(body) };
    return answerError(request, raw, body);
  }
  const redactor = new Redactor(request.headers, request.body);
  const deadline = `${sent ? "no complete answer" : "no connection"} within ${timeout} ms`;
  const said = error === undefined ? deadline : saidByConnection(error);
  const known = error === undefined ? "TIMEOUT" : typeof code === "string" ? code : undefined;
  const message = `${title(request)} ${redactor.line(said)}`;
  const details = {
    // A cause that shows a credential is dropped.
    cause: redactor.isIn(error) ? undefined : error,
    hint: hintFor({ request, said, code: known, sent }),
    outcome: sent ? "unknown" : "not-applied",
  } as const;
  if (known === "UND_ERR_INVALID_ARG") {
    const isOld = /invalid on\w+ method/.test(said);
    return new errors.ConfigurationError(isOld ? "dispatcher: must be of undici 7 or 8." : message, details);
  }
  if (known?.endsWith("TIMEOUT")) return new errors.TimeoutError(message, details);
  return new errors.ConnectionError(message, { ...details, code: known });
}

function title({ method, path }: Request): string {
  return `${method} ${path} ->`;
}

function shownAnswer(redactor: Redactor, raw: RawAnswer, body: unknown): errors.Answer {
  const headers = redactor.value(raw.headers) as RawAnswer["headers"];
  return { statusCode: raw.statusCode, headers, body: isTooLong(raw) ? undefined : redactor.value(body) };
}

function isTooLong({ text }: RawAnswer): boolean {
  return text === undefined || Buffer.byteLength(text) > longestBody;
}

/** Kibana's `message`, Elasticsearch's `error.reason`, or what else there is to say of an answer. */
function saidBy(raw: RawAnswer, body: unknown): string {
  const encoding = raw.headers["content-encoding"];
  if (encoding && encoding !== "identity") return "compressed, although the client did not ask for that";
  if (isTooLong(raw)) return "too long to show";
  if (body === "" || body === undefined) return raw.statusCode < 300 ? "empty" : "";
  if (typeof body === "string") return /^\s*</.test(body) ? "an HTML page" : body;
  if (!isRecord(body)) return words(body);
  const { message, error } = body;
  return words(message ?? (isRecord(error) ? error.reason : error) ?? body);
}

function saidByConnection(error: unknown): string {
  if (!(error instanceof Error)) return words(error);
  // If both ::1 and 127.0.0.1 refused, only the inner errors have messages.
  const text =
    error instanceof AggregateError && error.message === "" ? error.errors.map(String).join("; ") : error.message;
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || text.includes(code) ? text : `${code}: ${text}`;
}
