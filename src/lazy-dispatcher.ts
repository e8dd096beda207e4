// The dispatcher of a client; the only file that loads undici.
import type { Agent } from "undici";
import { ConfigurationError } from "./errors.ts";
import type { DispatcherLike } from "./exchange.ts";
import { toText } from "./json.ts";
import type { KibanaClientOptions, TlsOptions } from "./options.ts";

/** Limits for connecting, in milliseconds: in total, and for each IP address of the host. */
const connectTimeouts = { timeout: 10_000, autoSelectFamilyAttemptTimeout: 2_500 };

/** Sends requests through the caller's dispatcher, or through its own Agent. The first call creates the Agent. */
export class LazyDispatcher implements DispatcherLike {
  readonly #tls: TlsOptions | undefined;
  readonly #givenDispatcher: DispatcherLike | undefined;
  #agent: Promise<Agent> | undefined;
  #closing: Promise<void> | undefined;

  constructor({ tls, dispatcher }: Pick<KibanaClientOptions, "tls" | "dispatcher">) {
    this.#tls = tls;
    this.#givenDispatcher = dispatcher;
  }

  async dispatch(options: { headers?: object }, handler: object): Promise<unknown> {
    if (this.#closing) throw new ConfigurationError("This client is closed. Create a new one.");
    // A copy of the headers, because a ProxyAgent adds a host to them.
    if (this.#givenDispatcher)
      return this.#givenDispatcher.dispatch({ ...options, headers: { ...options.headers } }, handler);
    this.#agent ??= loadAgentClass().then((Class) => new Class({ connect: { ...this.#tls, ...connectTimeouts } }));
    const agent: DispatcherLike = await this.#agent;
    return agent.dispatch(options, handler);
  }

  /** Closes only the Agent that we created. */
  close(): Promise<void> {
    this.#closing ??= Promise.resolve(this.#agent).then(
      (agent) => agent?.close(),
      () => {}, // undici could not be loaded
    );
    return this.#closing;
  }
}

/** Loads only the Agent. On Node 20, loading all of undici would replace the dispatcher of the program's `fetch`. */
async function loadAgentClass(): Promise<typeof Agent> {
  try {
    // @ts-expect-error undici declares types for its index only
    return (await import("undici/lib/dispatcher/agent.js")).default;
  } catch {} // the file has moved: load all of undici
  try {
    return (await import("undici")).Agent;
  } catch (cause) {
    const hint = 'Install kbn-connectors again. If you bundle, keep undici out: external: ["undici"].';
    throw new ConfigurationError(`undici cannot be loaded: ${toText(cause)}`, { cause, hint });
  }
}
