// The client: options in, `actions` out.
import { Actions } from "./actions.ts";
import type { Connections } from "./connections.ts";
import type { KibanaClientOptions } from "./options.ts";
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
 * Connections are kept alive between calls, and do not keep the process alive.
 */
export class KibanaClient {
  /** The connectors API. */
  readonly actions: Actions;
  readonly #options: KibanaClientOptions;
  readonly #transport: Transport;

  /**
   * @param connections another client's, for {@link space} to share
   * @throws {ConfigurationError} an option is wrong; the message names it
   */
  constructor(options: KibanaClientOptions, connections?: Connections) {
    this.#options = options;
    this.#transport = new Transport(options, connections);
    this.actions = new Actions(this.#transport);
  }

  /**
   * A client for another space, which shares this one's connections and credentials.
   *
   * @throws {ConfigurationError} not a space's id
   */
  space(id: string): KibanaClient {
    return new KibanaClient({ ...this.#options, space: id ?? "" }, this.#transport.connections);
  }

  /** Waits for the calls under way, then closes the connections, those of all its spaces. Later calls reject. */
  close(): Promise<void> {
    return this.#transport.connections.close();
  }
}
