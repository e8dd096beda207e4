// One HTTP exchange: one request, one deadline, one promise.
import { setMaxListeners } from "node:events";
import type { Dispatcher } from "undici";

/** A Dispatcher of undici 7 or 8, such as an Agent, a ProxyAgent or a MockAgent. */
export interface DispatcherLike {
  dispatch(options: object, handler: object): boolean;
}

export interface HttpRequest {
  origin: string;
  path: string;
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  body: string | null;
}

export interface HttpResponse {
  statusCode: number;
  /** Such as `Not Found`. */
  statusText: string;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  /** The whole body, or undefined if it exceeded the limit. */
  text: string | undefined;
}

/** Why no response arrived. */
export interface NoResponse {
  /** Undefined if the deadline passed. */
  error: unknown;
  /** Whether the request may have reached the server. */
  sent: boolean;
}

/** How much memory the body of a 2xx may take, in bytes. */
const bodyLimit = 64 * 1024 * 1024;
/** The same for any other status. */
export const errorBodyLimit = 1024 * 1024;
/** Memory that a chunk takes besides its bytes. Counted, so that many tiny chunks cannot exceed the limit. */
const chunkOverhead = 100;

/** Rejects only with the reason of `signal`. `timeout` is in milliseconds. */
export function exchange(
  dispatcher: DispatcherLike,
  request: HttpRequest,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<HttpResponse | NoResponse> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    // Many calls may share one signal. Without this, Node 20 warns of a leak at the eleventh.
    if (signal) setMaxListeners(0, signal);
    const handler = new Handler({ resolve, reject, signal }, timeout);
    try {
      // Our deadline covers the whole exchange, so undici's own timeouts are off.
      const { origin, path, method, headers, body } = request;
      dispatcher.dispatch({ origin, path, method, headers, body, headersTimeout: 0, bodyTimeout: 0 }, handler);
    } catch (error) {
      handler.onResponseError(null, error);
    }
  });
}

interface Caller {
  resolve(result: HttpResponse | NoResponse): void;
  reject(reason: unknown): void;
  signal: AbortSignal | undefined;
}

/** undici, the deadline and the signal report here. The first of them decides, because a promise settles once. */
class Handler implements Dispatcher.DispatchHandler {
  readonly #caller: Caller;
  readonly #timer: NodeJS.Timeout;
  readonly #chunks: Buffer[] = [];
  #size = 0;
  #controller: Dispatcher.DispatchController | undefined;
  #response: Omit<HttpResponse, "text"> = { statusCode: 0, statusText: "", headers: {} };
  #ended = false;

  constructor(caller: Caller, timeout: number) {
    this.#caller = caller;
    this.#timer = setTimeout(() => this.onResponseError(null, undefined), timeout);
    caller.signal?.addEventListener("abort", this);
  }

  /** The signal calls this when it aborts. */
  handleEvent(): void {
    this.#caller.reject(this.#caller.signal?.reason);
    this.#abort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) this.#abort();
  }

  onResponseStart(_: unknown, statusCode: number, headers: HttpResponse["headers"], statusText = ""): void {
    this.#response = { statusCode, statusText, headers };
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    this.#size += chunk.length + chunkOverhead;
    this.#chunks.push(chunk);
    if (this.#size <= (this.#response.statusCode < 300 ? bodyLimit : errorBodyLimit)) return;
    this.#caller.resolve({ ...this.#response, text: undefined });
    this.#abort();
  }

  onResponseEnd(): void {
    this.#caller.resolve({ ...this.#response, text: Buffer.concat(this.#chunks).toString() });
    this.#end();
  }

  onResponseError(_: unknown, error: unknown): void {
    this.#caller.resolve({ error, sent: this.#controller !== undefined });
    this.#abort();
  }

  #end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#caller.signal?.removeEventListener("abort", this);
  }

  #abort(): void {
    this.#end();
    this.#controller?.abort(new Error("The call has ended."));
  }
}
