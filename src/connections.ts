// The connections to Kibana; the only file that loads undici.
import type { Agent } from "undici";
import { ConfigurationError } from "./errors.ts";
import type { Dispatching, Settings } from "./options.ts";

/** Kibana has to accept a connection within this time, in milliseconds. */
const connectTimeout = 10_000;

/** Dispatches to the caller's dispatcher, or to an Agent of its own. Loads undici on the first call. */
export class Connections implements Dispatching {
  readonly #tls: Settings["tls"];
  #dispatcher: Dispatching | undefined;
  #opening: Promise<Agent> | undefined;
  #closing: Promise<void> | undefined;

  constructor({ tls, dispatcher }: Settings) {
    this.#tls = tls;
    this.#dispatcher = dispatcher;
  }

  dispatch(options: object, handler: { onResponseError(controller: null, error: unknown): void }): boolean {
    if (this.#closing) throw new ConfigurationError("This client is closed. Create a new one.");
    if (this.#dispatcher) return this.#dispatcher.dispatch(options, handler);
    this.#opening ??= this.#open();
    this.#opening
      .then((agent: Dispatching) => agent.dispatch(options, handler))
      .catch((error: unknown) => handler.onResponseError(null, error));
    return true;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #open(): Promise<Agent> {
    const agent = new (await loadAgent())({ connect: { ...this.#tls, timeout: connectTimeout } });
    this.#dispatcher = agent;
    return agent;
  }

  /** Closes only the Agent that we created. */
  async #close(): Promise<void> {
    const agent = await this.#opening?.catch(() => undefined);
    await agent?.close();
  }
}

/** Loads the Agent alone: on Node 20, all of undici would replace the dispatcher of the program's own `fetch`. */
async function loadAgent(): Promise<typeof Agent> {
  try {
    // @ts-expect-error undici declares types for its index only
    return (await import("undici/lib/dispatcher/agent.js")).default;
  } catch {} // all of undici, then
  try {
    return (await import("undici")).Agent;
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND";
    const fix = isMissing
      ? "Install kbn-connectors again, with its dependencies."
      : 'If this program is bundled, keep undici out of the bundle: external: ["undici"].';
    throw new ConfigurationError(`undici cannot be loaded: ${(cause as Error).message} ${fix}`, { cause });
  }
}
