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
  readonly #options: Omit<KibanaClientOptions, "space">;
  readonly #connections: Connections;

  /** @throws {ConfigurationError} an option is wrong; the message names it */
  constructor(options: KibanaClientOptions) {
    const settings = checkOptions(options);
    const { headers, timeout: requestTimeout } = settings;
    this.#connections = new Connections(settings);
    this.#options = { node: options.node, headers, requestTimeout, dispatcher: this.#connections };
    this.actions = new Actions(new Transport(settings, this.#connections));
    this.url = settings.origin + settings.prefix;
  }

  /**
   * A client for another space. It shares this client's connections and credentials.
   *
   * @throws {ConfigurationError} not a space's id
   */
  space(id: string): KibanaClient {
    return new KibanaClient({ ...this.#options, space: checkSpace(id) });
  }

  /**
   * Waits for the calls under way, then closes the connections. A call ends within its `requestTimeout`; a connection that is
   * still being opened, within 10 seconds. Later calls reject with a `ConfigurationError`, also those of {@link space} clients.
   * May be called twice.
   *
   * The connections of a `dispatcher` that you passed, and those that a {@link space} client shares, stay open. In these cases
   * it does not wait.
   */
  close(): Promise<void> {
    return this.#connections.close();
  }

  /** Does what {@link close} does, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
