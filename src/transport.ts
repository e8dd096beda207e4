// One HTTP exchange with Kibana, through undici's lowest level.
import type { Dispatcher } from "undici";
import { Connections } from "./connections.ts";
import {
  type Answer,
  ConfigurationError,
  connectionError,
  deserializationError,
  executionError,
  type Failure,
  responseError,
  timeoutError,
} from "./errors.ts";
import {
  type KibanaClientOptions,
  parseAuth,
  parseHeaders,
  parseNode,
  parseSignal,
  parseSpace,
  parseTimeout,
  type RequestOptions,
} from "./options.ts";

const defaultTimeout = 30_000;
const largestBody = 64 * 1024 * 1024;
const largestErrorBody = 1024 * 1024;

/** What every call answers: the body, and undici's own words for the rest. */
export interface KibanaResponse<Body> extends Answer {
  body: Body;
}

/** A call of the API, and what its answer has to be. */
export interface Call<Body> {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Below `/api/actions`, encoded. */
  path: string;
  /** JSON. */
  body?: string;
  /** What an error must not repeat, should the server echo it. */
  secrets?: unknown;
  accepts: (body: unknown) => body is Body;
  /** Why an answer is a failure, although its status is 2xx. */
  problem?: (body: Body) => string | undefined;
  connectorId?: string;
}

export class Transport {
  readonly connections: Connections;
  readonly #prefix: string;
  readonly #headers: ReturnType<typeof headersByMethod>;
  readonly #timeout: number;
  readonly #secrets: string[];
  readonly #known: Known;

  constructor(options: KibanaClientOptions, connections?: Connections) {
    if (typeof options !== "object" || options === null)
      throw new ConfigurationError(
        'options: missing. Pass an object with node, such as { node: "http://localhost:5601" }.',
      );
    const { origin, basePath } = parseNode(options.node);
    const space = parseSpace(options.space);
    const { authorization, authentication, username, secrets } = parseAuth(options.auth);
    const headers = parseHeaders(options.headers);
    if (authorization && headers.authorization)
      throw new ConfigurationError("auth: two kinds at once. Pass either auth or headers.authorization.");
    this.#timeout = parseTimeout(options.requestTimeout, defaultTimeout);
    this.#prefix = `${basePath}${options.space === undefined ? "" : `/s/${space}`}/api/actions`;
    this.#headers = headersByMethod(authorization ? { ...headers, authorization } : headers);
    this.#secrets = secrets;
    this.#known = { origin, space, authentication: headers.authorization ? "header" : authentication, username };
    this.connections = connections ?? new Connections(options, this.#timeout);
  }

  async request<Body>(call: Call<Body>, options?: RequestOptions): Promise<KibanaResponse<Body>> {
    const signal = parseSignal(options?.signal);
    const timeout = parseTimeout(options?.requestTimeout, this.#timeout);
    const ready = options?.headers
      ? headersByMethod({ ...this.#headers.GET, ...parseHeaders(options.headers) })
      : this.#headers;
    const headers = { ...ready[call.method] };
    const path = this.#prefix + call.path;
    signal?.throwIfAborted();
    if (this.connections.closed) throw new ConfigurationError("This client is closed. Create a new one.");
    let { dispatcher } = this.connections;
    if (!dispatcher) {
      dispatcher = await this.connections.open();
      signal?.throwIfAborted();
    }

    const { origin } = this.#known;
    const { method, body = null } = call;
    return await new Promise((resolve, reject) => {
      const secrets = [this.#secrets, ready.GET, call.secrets];
      const exchange = new Exchange({ call, path, known: this.#known, secrets, timeout, signal, resolve, reject });
      try {
        // The exchange's one deadline takes the place of undici's two.
        dispatcher.dispatch({ origin, path, method, headers, body, headersTimeout: 0, bodyTimeout: 0 }, exchange);
      } catch (error) {
        exchange.onResponseError(undefined, error);
      }
    });
  }
}

/** What every failure tells. */
type Known = Pick<Failure, "origin" | "space" | "authentication" | "username">;

interface Task<Body> {
  call: Call<Body>;
  path: string;
  known: Known;
  secrets: unknown;
  timeout: number;
  signal: AbortSignal | undefined;
  resolve: (response: KibanaResponse<Body>) => void;
  reject: (reason: unknown) => void;
}

/** A call under way. undici, the deadline and the signal tell it what happens; whatever ends it first counts. */
class Exchange<Body> implements Dispatcher.DispatchHandler {
  readonly #task: Task<Body>;
  readonly #timer: NodeJS.Timeout;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #controller: Dispatcher.DispatchController | undefined;
  #answer: Omit<Answer, "body"> | undefined;
  #settled = false;

  constructor(task: Task<Body>) {
    this.#task = task;
    const { timeout, signal } = task;
    this.#timer = setTimeout(() => this.#fail(timeoutError(this.#failure(""), timeout, this.#started)), timeout);
    signal?.addEventListener("abort", this);
  }

  get #started(): boolean {
    return this.#controller !== undefined;
  }

  /** Of the signal. */
  handleEvent(): void {
    this.#fail(this.#task.signal?.reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(ended);
  }

  onResponseStart(_controller: unknown, statusCode: number, headers: Answer["headers"]): void {
    if (statusCode >= 200) this.#answer = { statusCode, headers };
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size > (this.#answer && this.#answer.statusCode < 300 ? largestBody : largestErrorBody))
      this.#finish(false);
  }

  onResponseEnd(): void {
    this.#finish(true);
  }

  onResponseError(_controller: unknown, error: unknown): void {
    const { code, text } = readBroken(error);
    const failure = this.#failure(text);
    this.#fail(
      code?.endsWith("_TIMEOUT")
        ? timeoutError(failure, this.#task.timeout, this.#started, error)
        : connectionError({ ...failure, code }, error, this.#started),
    );
  }

  #finish(complete: boolean): void {
    const answer = this.#answer;
    if (this.#settled || !answer) return;
    const { statusCode } = answer;
    const { call, resolve } = this.#task;
    const text = complete ? Buffer.concat(this.#chunks).toString() : "";
    // Only 204 says that nothing is the answer: an empty 200 is somebody else's.
    const body: unknown = statusCode === 204 ? undefined : (parse(text) ?? null);
    if (statusCode < 300 && complete && call.accepts(body)) {
      const problem = call.problem?.(body);
      if (problem) {
        const told = { ...answer, body: this.#hide(body) as Record<string, unknown> };
        const failure = this.#failure(printable(this.#hide(problem)));
        this.#fail(executionError(failure, told, call.connectorId ?? ""));
      } else {
        this.#settle();
        resolve({ body, statusCode, headers: answer.headers });
      }
      return;
    }
    const read = readError(complete ? this.#hide(body ?? text) : undefined, answer);
    const refuse = statusCode < 300 ? deserializationError : responseError;
    this.#fail(refuse(this.#failure(read.text), { ...answer, body: read.body }));
  }

  #fail(error: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#task.reject(error);
    this.#controller?.abort(ended);
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#task.signal?.removeEventListener("abort", this);
  }

  #failure(text: string): Failure {
    const { known, call, path } = this.#task;
    return { ...known, method: call.method, path, requestBytes: Buffer.byteLength(call.body ?? ""), text };
  }

  #hide<Said>(said: Said): Said {
    return redact(said, strings(this.#task.secrets));
  }
}

const ended = new Error("The call has ended.");

/** Made once a client, for adding them to each call's would be a twentieth of its cost. */
function headersByMethod(own: Record<string, string>): Record<Call<unknown>["method"], Record<string, string>> {
  const changing = { ...own, "kbn-xsrf": "true" };
  const writing = { ...changing, "content-type": "application/json" };
  return { GET: own, DELETE: changing, POST: writing, PUT: writing };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What to keep and what to say of an answer that is an error, or not the API's; `said` is undefined if it had no end. */
function readError(said: unknown, { statusCode, headers }: Omit<Answer, "body">): { body: unknown; text: string } {
  const encoding = headers["content-encoding"];
  if (encoding && encoding !== "identity")
    return { body: undefined, text: "compressed, although nobody asked for that" };
  if (said === undefined) return { body: undefined, text: "too long" };
  if (said === "") return { body: undefined, text: statusCode < 300 ? "empty" : "" };
  if (typeof said === "string" && /^\s*</.test(said)) return { body: said, text: "an HTML page" };
  return { body: said, text: printable(messageOf(said) ?? (typeof said === "string" ? said : JSON.stringify(said))) };
}

/** Kibana's `message`, or Elasticsearch's `error.reason`. */
function messageOf(body: unknown): string | undefined {
  if (!(body instanceof Object)) return undefined;
  if ("message" in body && typeof body.message === "string") return body.message;
  if (!("error" in body)) return undefined;
  if (typeof body.error === "string") return body.error;
  return body.error instanceof Object && "reason" in body.error ? String(body.error.reason) : undefined;
}

/** A server's text goes to terminals: at most 1000 characters, and none that control them. */
function printable(text: string): string {
  return text.replace(/[^\P{C}\n\t]/gu, "").slice(0, 1000);
}

function readBroken(error: unknown): { code: string | undefined; text: string } {
  if (!(error instanceof Error)) return { code: undefined, text: String(error) };
  // A parse error carries the raw bytes, in which a server may have echoed the request.
  Reflect.deleteProperty(error, "data");
  const { code } = error as NodeJS.ErrnoException;
  // Where both ::1 and 127.0.0.1 refused, the message stands in the inner errors only.
  const inner = error instanceof AggregateError && error.message === "" ? error.errors.map(String).join("; ") : "";
  const text = printable(inner || error.message);
  return { code, text: code === undefined || text.includes(code) ? text : `${code}: ${text}` };
}

/** Takes every secret out of what a server said, should it have echoed it; and no answer of Kibana's is deeper. */
function redact<Said>(said: Said, secrets: readonly string[], depth?: number): Said;
function redact(said: unknown, secrets: readonly string[], depth = 0): unknown {
  if (typeof said === "string") {
    let redacted = said;
    for (const secret of secrets)
      for (const form of [secret, JSON.stringify(secret).slice(1, -1)])
        if (form.length > 3) redacted = redacted.replaceAll(form, "[redacted]");
    return redacted;
  }
  if (!(said instanceof Object)) return said;
  if (depth > 100) return "[too deep]";
  if (Array.isArray(said)) return said.map((inner) => redact(inner, secrets, depth + 1));
  return Object.fromEntries(Object.entries(said).map((entry) => redact(entry, secrets, depth + 1)));
}

/** Every string inside, a header's scheme and its credentials apart; the longest first. */
function strings(value: unknown): string[] {
  if (typeof value === "string") return [value, ...value.split(" ").slice(1)];
  if (!(value instanceof Object)) return [];
  return Object.values(value)
    .flatMap(strings)
    .sort((a, b) => b.length - a.length);
}
