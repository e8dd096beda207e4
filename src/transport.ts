// One call: headers out; the body, or an error, back.
import { createExchangeError, createResponseError, createRunError } from "./create-error.ts";
import { exchange, type HttpRequest, type HttpResponse } from "./exchange.ts";
import { tryParseJson } from "./json.ts";
import type { LazyDispatcher } from "./lazy-dispatcher.ts";
import { type ParsedOptions, parseRequestOptions, type RequestOptions } from "./options.ts";
import type { RunFailure } from "./runs.ts";

/** What every method resolves to. */
export interface KibanaResponse<Body> extends Pick<HttpResponse, "statusCode" | "headers"> {
  body: Body;
}

/** One call of the API. */
interface Call {
  method: HttpRequest["method"];
  /** Below `/api/actions`, encoded. */
  path: string;
  /** JSON. */
  body?: string;
}

/** Returns what is wrong with the body of a 2xx, or why its run failed. The body of a 204 is undefined. */
type FindProblem = (body: unknown) => string | RunFailure | undefined;

/** The options of a client that a call needs. */
type CallDefaults = Pick<ParsedOptions, "origin" | "pathPrefix" | "headers" | "requestTimeout">;

export class Transport {
  readonly #defaults: CallDefaults;
  readonly #dispatcher: LazyDispatcher;
  /** Built once per client, because merging headers for each call is slow. */
  readonly #jsonHeaders: Record<string, string>;

  constructor(defaults: CallDefaults, dispatcher: LazyDispatcher) {
    this.#defaults = defaults;
    this.#dispatcher = dispatcher;
    this.#jsonHeaders = { "content-type": "application/json", ...defaults.headers };
  }

  async send<Body>(call: Call, findProblem: FindProblem, options: RequestOptions = {}): Promise<KibanaResponse<Body>> {
    const { origin, pathPrefix, headers: clientHeaders, requestTimeout: clientTimeout } = this.#defaults;
    const { headers: callHeaders, requestTimeout = clientTimeout, signal } = parseRequestOptions(options);
    const path = `${pathPrefix}/api/actions${call.path}`;
    const { method, body: requestBody } = call;
    const baseHeaders = requestBody === undefined ? clientHeaders : this.#jsonHeaders;
    const headers = callHeaders ? { ...baseHeaders, ...callHeaders } : baseHeaders;
    const request: HttpRequest = { origin, path, method, headers, body: requestBody };
    const result = await exchange(this.#dispatcher, request, requestTimeout, signal);
    if ("error" in result) throw createExchangeError(request, result);
    const { statusCode, text } = result;
    // An empty body is valid only with 204. An empty 200 stays a text, which no operation accepts.
    const body = statusCode === 204 ? undefined : tryParseJson(text);
    if (statusCode < 200 || statusCode > 299) throw createResponseError(request, result, body);
    const problem = text === undefined ? "more than 64 MiB" : findProblem(body);
    if (problem === undefined) return { body: body as Body, statusCode, headers: result.headers };
    if (typeof problem === "string") throw createResponseError(request, result, body, problem);
    throw createRunError(request, result, body, problem);
  }
}
