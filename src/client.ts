// The client: options in, `actions` out.
import { Actions } from "./actions.ts";
import { Connections } from "./connections.ts";
import { checkSpace, type KibanaClientOptions, toSettings } from "./options.ts";
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
 * Connections stay open between calls. An idle connection does not keep the process alive. A connection that is being
 * opened keeps it alive for at most 10 seconds.
 */
export class KibanaClient {
  /** The connectors API. */
  readonly actions: Actions;
  /** Kibana's address with base path and space, without a slash at the end. Use it to build links. */
  readonly url: string;
  readonly #connections: Connections;
  /** The options for clients of `space()`. The headers have the credentials. */
  readonly #shared: KibanaClientOptions;

  /** @throws {ConfigurationError} an option is wrong; the message names it */
  constructor(options: KibanaClientOptions) {
    const settings = toSettings(options);
    const { headers, requestTimeout } = settings;
    this.#connections = new Connections(settings);
    // A space's client gets these connections as its dispatcher, so its close() leaves them open.
    this.#shared = { node: String(options.node), headers, requestTimeout, dispatcher: this.#connections };
    this.actions = new Actions(new Transport(settings, this.#connections));
    this.url = settings.origin + settings.prefix;
  }

  /**
   * A client for another space. It shares this client's connections and credentials.
   *
   * @throws {ConfigurationError} not a space's id
   */
  space(id: string): KibanaClient {
    // Checked here, because an undefined space would mean the default one.
    return new KibanaClient({ ...this.#shared, space: checkSpace(id) });
  }

  /**
   * Waits for the calls under way, then closes the connections. It waits at most as long as the calls'
   * `requestTimeout`, or 10 seconds for a connection that is being opened. Later calls reject with a
   * `ConfigurationError`, also those of {@link space} clients. May be called twice.
   *
   * It does not close, or wait for, the connections of your `dispatcher`. A {@link space} client does not close those
   * of its parent either.
   */
  close(): Promise<void> {
    return this.#connections.close();
  }

  /** Does what {@link close} does, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
