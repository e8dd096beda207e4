// One HTTP exchange: one request, one deadline, one promise.
import { setMaxListeners } from "node:events";
import type { Dispatcher } from "undici";

/** A Dispatcher of undici 7 or 8, such as an Agent, a ProxyAgent or a MockAgent. */
export interface DispatcherLike {
  dispatch(options: object, handler: object): unknown;
}

export interface HttpRequest {
  origin: string;
  path: string;
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  body: string | undefined;
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

/** Why no complete response arrived. */
export interface ExchangeFailure {
  /** What undici reported. If the deadline passed, `{ code: "TIMEOUT", message }`. */
  error: unknown;
  /** Whether the request may have reached the server. */
  maybeSent: boolean;
}

/** The limit for the body of a 2xx as it is received, in bytes. */
const maxBodySize = 64 * 1024 * 1024;
/** The limit for any other body, and for any text that an error shows. */
export const maxShownSize = 1024 * 1024;
/** Memory that a chunk takes besides its bytes. Counted, so that many tiny chunks cannot exceed the limit. */
const chunkOverhead = 100;

/** Rejects only with the reason of `signal`. `timeout` is in milliseconds. */
export function exchange(
  dispatcher: { dispatch(options: object, handler: object): Promise<unknown> },
  request: HttpRequest,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<HttpResponse | ExchangeFailure> {
  // undici, the deadline and the signal report here. The first of them decides, because a promise settles once.
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    // Many calls may share one signal. Without this, Node 20 warns of a leak at the eleventh.
    if (signal) setMaxListeners(0, signal);
    const chunks: Buffer[] = [];
    let size = 0;
    let isSettled = false;
    let controller: Dispatcher.DispatchController | undefined;
    let response: HttpResponse = { statusCode: 0, statusText: "", headers: {}, text: undefined };

    const cleanUp = () => {
      isSettled = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const cancel = () => {
      cleanUp();
      controller?.abort(new Error("The call is over."));
    };
    const fail = (error: unknown) => {
      if (isSettled) return;
      resolve({ error, maybeSent: controller !== undefined });
      cancel();
    };
    const onAbort = () => {
      reject(signal?.reason);
      cancel();
    };
    const onTimeout = () => fail({ code: "TIMEOUT", message: `no complete response within ${timeout} ms` });
    const timer = setTimeout(onTimeout, timeout);
    signal?.addEventListener("abort", onAbort);

    const handler: Dispatcher.DispatchHandler = {
      onRequestStart(requestController) {
        controller = requestController;
        if (isSettled) cancel();
      },
      onResponseStart(_, statusCode, headers, statusText = "") {
        response = { statusCode, statusText, headers, text: undefined };
      },
      onResponseData(_, chunk) {
        if (isSettled) return; // some dispatchers continue after abort()
        size += chunk.length + chunkOverhead;
        chunks.push(chunk);
        if (size <= (response.statusCode < 300 ? maxBodySize : maxShownSize)) return;
        resolve(response);
        cancel();
      },
      onResponseEnd() {
        if (isSettled) return;
        response.text = Buffer.concat(chunks).toString();
        resolve(response);
        cleanUp();
      },
      onResponseError: (_, error) => fail(error ?? new Error("The dispatcher gave no reason.")),
    };
    const { origin, path, method, headers, body } = request;
    // Our deadline covers the whole exchange, so undici's own timeouts are off.
    const options = { origin, path, method, headers, body, headersTimeout: 0, bodyTimeout: 0 };
    dispatcher.dispatch(options, handler).catch(fail);
  });
}
