// One HTTP exchange: one request, one deadline, one promise.
import type { Dispatcher } from "undici";
import type { Dispatching } from "./options.ts";

/** A request, ready to be sent. */
export interface Request {
  origin: string;
  path: string;
  method: "GET" | "POST" | "PUT" | "DELETE";
  headers: Record<string, string>;
  body: string | null;
}

/** An answer as it came. */
export interface RawAnswer {
  statusCode: number;
  /** The reason phrase, such as `Not Found`. */
  reason: string;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  /** The whole body, or undefined if it was longer than the limit. */
  text: string | undefined;
}

/** What ended an exchange without an answer. */
export interface Broken {
  /** Undefined if the deadline passed. */
  error: unknown;
  /** Whether the request can have reached the server. */
  sent: boolean;
}

const largestBody = 64 * 1024 * 1024;
const largestErrorBody = 1024 * 1024;
/** Small chunks are joined in groups, because each chunk costs about 100 bytes of memory. */
const chunksInGroup = 1000;

/** Rejects only with the reason of `signal`. */
export function exchange(
  dispatcher: Dispatching,
  request: Request,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<RawAnswer | Broken> {
  return new Promise((resolve, reject) => {
    const handler = new Handler({ resolve, reject, signal }, timeout);
    const { origin, path, method, headers, body } = request;
    try {
      // Our deadline covers the whole exchange, so undici's own timeouts are off.
      dispatcher.dispatch({ origin, path, method, headers, body, headersTimeout: 0, bodyTimeout: 0 }, handler);
    } catch (error) {
      handler.onResponseError(null, error);
    }
  });
}

interface Caller {
  resolve(ending: RawAnswer | Broken): void;
  reject(reason: unknown): void;
  signal: AbortSignal | undefined;
}

/** undici, the deadline and the signal report here. The first decides, because a promise is settled once. */
class Handler implements Dispatcher.DispatchHandler {
  readonly #caller: Caller;
  readonly #timer: NodeJS.Timeout;
  readonly #groups: Buffer[] = [];
  #chunks: Buffer[] = [];
  #size = 0;
  #controller: Dispatcher.DispatchController | undefined;
  #answer: RawAnswer | undefined;
  #ended = false;

  constructor(caller: Caller, timeout: number) {
    this.#caller = caller;
    this.#timer = setTimeout(() => this.onResponseError(null, undefined), timeout);
    caller.signal?.addEventListener("abort", this);
  }

  /** The signal calls this when it aborts. */
  handleEvent(): void {
    this.#end();
    this.#caller.reject(this.#caller.signal?.reason);
    this.#abort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) this.#abort();
  }

  onResponseStart(_: unknown, statusCode: number, headers: RawAnswer["headers"], reason = ""): void {
    this.#answer = { statusCode, reason, headers, text: undefined };
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > (this.#answer && this.#answer.statusCode < 300 ? largestBody : largestErrorBody)) {
      this.#answered(undefined);
      this.#abort();
    } else if (this.#chunks.push(chunk) === chunksInGroup) {
      this.#groups.push(Buffer.concat(this.#chunks));
      this.#chunks = [];
    }
  }

  onResponseEnd(): void {
    this.#answered(Buffer.concat([...this.#groups, ...this.#chunks]).toString());
  }

  onResponseError(_: unknown, error: unknown): void {
    this.#end();
    this.#caller.resolve({ error, sent: this.#controller !== undefined });
    this.#abort();
  }

  #answered(text: string | undefined): void {
    if (!this.#answer || this.#ended) return; // without an answer, the deadline ends the call
    this.#end();
    this.#caller.resolve(Object.assign(this.#answer, { text }));
  }

  #end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#caller.signal?.removeEventListener("abort", this);
  }

  #abort(): void {
    this.#controller?.abort(callEnded);
  }
}

const callEnded = new Error("The call has ended.");
