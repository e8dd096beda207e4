// One call: headers out; the body, or an error, back.
import { type DispatcherLike, exchange, type HttpRequest, type HttpResponse } from "./exchange.ts";
import { noResponseError, responseError, runError } from "./failures.ts";
import { checkRequestOptions, type RequestOptions, type Settings } from "./options.ts";
import type { RunFailure } from "./runs.ts";
import { parseJson } from "./values.ts";

/** What every method resolves to. */
export interface KibanaResponse<Body> extends Pick<HttpResponse, "statusCode" | "headers"> {
  body: Body;
}

/** One call of the API. */
export interface Call {
  method: HttpRequest["method"];
  /** Below `/api/actions`, encoded. */
  path: string;
  /** If the path has one. */
  connectorId?: string | undefined;
  /** JSON. */
  body?: string;
  /** Returns what is wrong with the body of a 2xx, or why its run failed. The body of a 204 is undefined. */
  problemIn(body: unknown): string | RunFailure | undefined;
}

export class Transport {
  readonly #settings: Settings;
  readonly #connections: DispatcherLike;
  /** Built once per client, because merging headers for each call is slow. */
  readonly #jsonHeaders: Record<string, string>;

  constructor(settings: Settings, connections: DispatcherLike) {
    this.#settings = settings;
    this.#connections = connections;
    this.#jsonHeaders = { ...settings.headers, "content-type": "application/json" };
  }

  async send<Body>(call: Call, options: RequestOptions | undefined): Promise<KibanaResponse<Body>> {
    const { origin, prefix } = this.#settings;
    const { method, path, connectorId, body: json = null } = call;
    const { headers: callHeaders, requestTimeout, signal } = checkRequestOptions(options ?? {});
    const clientHeaders = json === null ? this.#settings.headers : this.#jsonHeaders;
    const headers = callHeaders ? { ...clientHeaders, ...callHeaders } : clientHeaders;
    const timeout = requestTimeout ?? this.#settings.requestTimeout;
    const request = { origin, path: `${prefix}/api/actions${path}`, method, headers, body: json, connectorId };
    const response = await exchange(this.#connections, request, timeout, signal);
    if ("error" in response) throw noResponseError(request, response);
    const { statusCode, text } = response;
    // An empty body is valid only with 204. An empty 200 stays a text, which no operation accepts.
    const body = statusCode === 204 ? undefined : parseJson(text);
    const isSuccess = statusCode >= 200 && statusCode <= 299;
    const tooLong = text === undefined ? "the body is longer than 64 MiB" : undefined;
    const problem = isSuccess ? (tooLong ?? call.problemIn(body)) : undefined;
    if (isSuccess && problem === undefined) return { body: body as Body, statusCode, headers: response.headers };
    const parsed = { ...response, body };
    throw typeof problem === "object" ? runError(request, parsed, problem) : responseError(request, parsed, problem);
  }
}
