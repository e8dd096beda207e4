// One call: headers out; the body, or an error, back.
import { type DispatcherLike, exchange, type HttpRequest, type HttpResponse } from "./exchange.ts";
import { noResponseError, responseError, runError } from "./failures.ts";
import { checkSignal, checkTimeout, lowerCaseHeaders, type RequestOptions, type Settings } from "./options.ts";
import type { RunFailure } from "./runs.ts";
import { parseJson } from "./values.ts";

/** What every method resolves to. */
export interface KibanaResponse<Body> extends Pick<HttpResponse, "statusCode" | "headers"> {
  body: Body;
}

export class Transport {
  readonly #settings: Settings;
  readonly #dispatcher: DispatcherLike;
  /** Built once per client, because merging headers for each call is slow. */
  readonly #headers: Record<string, string>;
  readonly #jsonHeaders: Record<string, string>;

  constructor(settings: Settings, dispatcher: DispatcherLike) {
    this.#settings = settings;
    this.#dispatcher = dispatcher;
    this.#headers = { ...settings.headers, "kbn-xsrf": "true" };
    this.#jsonHeaders = { ...this.#headers, "content-type": "application/json" };
  }

  /**
   * @param path below `/api/actions`, encoded
   * @param check returns what is wrong with the body, or why the run failed; undefined if neither. For a 204, it gets undefined
   * @param body JSON
   */
  async request<Body>(
    method: HttpRequest["method"],
    path: string,
    check: (body: unknown) => string | RunFailure | undefined,
    options: RequestOptions | undefined,
    body: string | null = null,
  ): Promise<KibanaResponse<Body>> {
    const { origin, prefix } = this.#settings;
    const timeout = checkTimeout(options?.requestTimeout ?? this.#settings.timeout);
    const signal = checkSignal(options?.signal);
    const usual = body === null ? this.#headers : this.#jsonHeaders;
    const headers = options?.headers === undefined ? usual : { ...usual, ...lowerCaseHeaders(options.headers) };
    const request = { origin, path: `${prefix}/api/actions${path}`, method, headers, body };
    signal?.throwIfAborted();
    const response = await exchange(this.#dispatcher, request, timeout, signal);
    if ("error" in response) throw noResponseError(request, response, timeout);
    const { statusCode, text } = response;
    // An empty body is valid only with 204; an empty 200 did not come from Kibana.
    const content = statusCode === 204 ? undefined : parseJson(text);
    if (statusCode < 200 || statusCode > 299) throw responseError(request, response, content);
    const fault = text === undefined ? "the body is longer than 64 MiB" : check(content);
    if (typeof fault === "string") throw responseError(request, response, content, fault);
    if (fault !== undefined) throw runError(request, response, content, fault);
    return { body: content as Body, statusCode, headers: response.headers };
  }
}
