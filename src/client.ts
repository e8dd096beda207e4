// The client: options in, `actions` out.
import { Actions } from "./actions.ts";
import { Connections } from "./connections.ts";
import { checkOptions, checkSpace, type KibanaClientOptions } from "./options.ts";
import { Transport } from "./transport.ts";

/**
 * A client for Kibana's connectors.
 *
 * ```ts
 * const client = new KibanaClient({
 *   node: "http://localhost:5601",
 *   auth: { username: "elastic", password: "changeme" },
 * });
 * const { body: connectors } = await client.actions.getAll();
 * ```
 *
 * Connections stay open between calls. An idle connection does not keep the process alive. One that is being opened does, for
 * at most 10 seconds.
 */
export class KibanaClient {
  /** The connectors API. */
  readonly actions: Actions;
  /** Kibana's address with base path and space: what a link begins with. No slash at the end. */
  readonly url: string;
  /** What a client for another space shares. */
  readonly #shared: KibanaClientOptions & { dispatcher: Connections };

  /** @throws {ConfigurationError} an option is wrong; the message names it */
  constructor(options: KibanaClientOptions) {
    const settings = checkOptions(options);
    const { headers, timeout: requestTimeout } = settings;
    this.#shared = { node: String(options.node), headers, requestTimeout, dispatcher: new Connections(settings) };
    this.actions = new Actions(new Transport(settings, this.#shared.dispatcher));
    this.url = settings.origin + settings.prefix;
  }

  /**
   * A client for another space. It shares this client's connections and credentials.
   *
   * @throws {ConfigurationError} not a space's id
   */
  space(id: string): KibanaClient {
    return new KibanaClient({ ...this.#shared, space: checkSpace(id) });
  }

  /**
   * Waits for the calls under way, then closes the connections. A call ends within its `requestTimeout`; a connection that is
   * still being opened, within 10 seconds. Later calls reject with a `ConfigurationError`, also those of {@link space} clients.
   * May be called twice.
   *
   * Connections that are not this client's own stay open, and it does not wait for them: those of your `dispatcher` and, in a
   * {@link space} client, those of its parent.
   */
  close(): Promise<void> {
    return this.#shared.dispatcher.close();
  }

  /** Does what {@link close} does, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
