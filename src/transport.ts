// One call: headers out; the body, or an error, back.
import { createExchangeError, createResponseError } from "./create-error.ts";
import { type DispatcherLike, exchange, type HttpRequest, type HttpResponse } from "./exchange.ts";
import { serialize, tryParseJson } from "./json.ts";
import { type ParsedOptions, parseRequestOptions, type RequestOptions } from "./options.ts";
import type { Problem } from "./runs.ts";

/** What every method resolves to. */
export interface KibanaResponse<Body> extends Pick<HttpResponse, "statusCode" | "headers"> {
  body: Body;
}

/** One call of the API. */
export interface Call {
  method: HttpRequest["method"];
  /** Below `/api/actions`, encoded. */
  path: string;
  body?: object;
  /** Looks at the body of a 2xx, which is undefined with a 204. */
  findProblem(body: unknown): Problem | undefined;
}

export class Transport {
  readonly #options: ParsedOptions;
  readonly #dispatcher: DispatcherLike;
  /** Built once per client, because merging headers for each call is slow. */
  readonly #jsonHeaders: Record<string, string>;

  constructor(options: ParsedOptions, dispatcher: DispatcherLike) {
    this.#options = options;
    this.#dispatcher = dispatcher;
    this.#jsonHeaders = { ...options.headers, "content-type": "application/json" };
  }

  async send<Body>(call: Call, callOptions: RequestOptions = {}): Promise<KibanaResponse<Body>> {
    const { origin, pathPrefix, headers: clientHeaders, requestTimeout: clientTimeout } = this.#options;
    const { headers: callHeaders, requestTimeout = clientTimeout, signal } = parseRequestOptions(callOptions);
    const path = `${pathPrefix}/api/actions${call.path}`;
    const json = call.body ? serialize(call.body) : null;
    const baseHeaders = json === null ? clientHeaders : this.#jsonHeaders;
    const headers = callHeaders ? { ...baseHeaders, ...callHeaders } : baseHeaders;
    const request: HttpRequest = { origin, path, method: call.method, headers, body: json };
    const response = await exchange(this.#dispatcher, request, requestTimeout, signal);
    if ("error" in response) throw createExchangeError(request, response);
    const { statusCode, text } = response;
    // An empty body is valid only with 204. An empty 200 stays a text, which no operation accepts.
    const body = statusCode === 204 ? undefined : tryParseJson(text);
    if (statusCode < 200 || statusCode > 299) throw createResponseError(request, response, body);
    const problem = text === undefined ? "more than 64 MiB" : call.findProblem(body);
    if (problem !== undefined) throw createResponseError(request, response, body, problem);
    return { body: body as Body, statusCode, headers: response.headers };
  }
}
