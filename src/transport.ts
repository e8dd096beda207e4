// Turns a call into a request, and its answer into a body or an error.
import type { Connections } from "./connections.ts";
import type { Answer } from "./errors.ts";
import { exchange, type Request } from "./exchange.ts";
import { answerError, brokenError, runError } from "./failures.ts";
import { checkHeaders, checkSignal, checkTimeout, type RequestOptions, type Settings } from "./options.ts";

/** What every call answers. */
export interface KibanaResponse<Body> extends Answer {
  body: Body;
}

/** A call of the API, and what has to come back. */
export interface Call<Body> {
  method: Request["method"];
  /** Below `/api/actions`, encoded. */
  path: string;
  /** JSON. */
  body?: string;
  /** Whether this is the body that the API answers. It is undefined if the status is 204. */
  accepts: (body: unknown) => body is Body;
  /** Why a run failed, if it did. */
  problemOf?: (run: Body) => string | undefined;
}

export class Transport {
  readonly #settings: Settings;
  readonly #connections: Connections;
  /** What every request of a method carries. */
  readonly #headers: Readonly<Record<Request["method"], Record<string, string>>>;

  constructor(settings: Settings, connections: Connections) {
    const read = settings.headers;
    const write = { ...read, "kbn-xsrf": "true" };
    const send = { ...write, "content-type": "application/json" };
    this.#headers = { GET: read, DELETE: write, POST: send, PUT: send };
    this.#settings = settings;
    this.#connections = connections;
  }

  async request<Body>(call: Call<Body>, options?: RequestOptions): Promise<KibanaResponse<Body>> {
    const { origin, prefix } = this.#settings;
    const timeout = checkTimeout(options?.requestTimeout, this.#settings.timeout);
    const signal = checkSignal(options?.signal);
    const { method, body = null } = call;
    const request: Request = {
      origin,
      path: `${prefix}/api/actions${call.path}`,
      method,
      headers: { ...this.#headers[method], ...(options?.headers && checkHeaders(options.headers)) },
      body,
    };
    signal?.throwIfAborted();
    const ending = await exchange(this.#connections, request, timeout, signal);
    if ("error" in ending) throw brokenError(request, ending, timeout);
    const { statusCode, text } = ending;
    // An empty body is valid only with 204; an empty 200 did not come from Kibana.
    const content = statusCode === 204 ? undefined : parse(text);
    const isComplete = statusCode >= 200 && statusCode < 300 && text !== undefined;
    if (!isComplete || !call.accepts(content)) throw answerError(request, ending, content);
    const problem = call.problemOf?.(content);
    if (problem !== undefined) throw runError(request, ending, Object(content), problem);
    return { body: content, statusCode, headers: ending.headers };
  }
}

/** The value of JSON, or the text itself if it is not JSON. */
function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return text;
  }
}
