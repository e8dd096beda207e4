// One call: headers out; the body, or an error, back.
import { type DispatcherLike, exchange, type HttpRequest } from "./exchange.ts";
import { connectionError, responseError, runError } from "./failures.ts";
import { checkSignal, checkTimeout, lowerCase, type RequestOptions, type Settings } from "./options.ts";
import type { RunFailure } from "./runs.ts";
import { parseJson } from "./serialize.ts";

/** What every method resolves to. */
export interface KibanaResponse<Body> {
  body: Body;
  statusCode: number;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
}

/** A call of the API, and which response is valid. */
export interface Call {
  method: HttpRequest["method"];
  /** Below `/api/actions`, encoded. */
  path: string;
  /** JSON. */
  body?: string;
  /** What is wrong with a body; undefined if it is what the API returns. The body of a 204 is undefined. */
  fault: (body: unknown) => string | undefined;
  /** Why a run failed, if it did. */
  runFailure?: (run: Readonly<Record<string, unknown>>) => RunFailure | undefined;
}

export class Transport {
  readonly #settings: Settings;
  readonly #dispatcher: DispatcherLike;
  /** Built once per client, because merging headers for each call is slow. */
  readonly #headers: Readonly<Record<HttpRequest["method"], Record<string, string>>>;

  constructor(settings: Settings, dispatcher: DispatcherLike) {
    const read = settings.headers;
    const write = { ...read, "kbn-xsrf": "true" };
    const send = { ...write, "content-type": "application/json" };
    this.#headers = { GET: read, DELETE: write, POST: send, PUT: send };
    this.#settings = settings;
    this.#dispatcher = dispatcher;
  }

  async request<Body>(call: Call, options: RequestOptions = {}): Promise<KibanaResponse<Body>> {
    const { origin, prefix } = this.#settings;
    const { method, body = null } = call;
    const timeout = checkTimeout(options.requestTimeout ?? this.#settings.timeout);
    const signal = options.signal && checkSignal(options.signal);
    const headers = options.headers
      ? { ...this.#headers[method], ...lowerCase(options.headers) }
      : this.#headers[method];
    const request = { origin, path: `${prefix}/api/actions${call.path}`, method, headers, body };
    signal?.throwIfAborted();
    const response = await exchange(this.#dispatcher, request, timeout, signal);
    if ("error" in response) throw connectionError(request, response, timeout);
    const { statusCode, text } = response;
    // An empty body is valid only with 204; an empty 200 did not come from Kibana.
    const content = statusCode === 204 ? undefined : parseJson(text);
    if (statusCode < 200 || statusCode > 299) throw responseError(request, response, content);
    const fault = text === undefined ? "the body is longer than 64 MiB" : call.fault(content);
    if (fault !== undefined) throw responseError(request, response, content, fault);
    const failure = call.runFailure?.(Object(content));
    if (failure !== undefined) throw runError(request, response, content, failure);
    return { body: content as Body, statusCode, headers: response.headers };
  }
}
