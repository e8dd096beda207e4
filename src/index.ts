// The client, and the other public names.
/// <reference types="node" preserve="true" />
import { Actions } from "./actions.ts";
import { LazyDispatcher } from "./lazy-dispatcher.ts";
import { checkSpace, type KibanaClientOptions, parseOptions } from "./options.ts";
import { Transport } from "./transport.ts";

export type { Actions } from "./actions.ts";
export type * from "./connector-types.ts";
export * from "./errors.ts";
export type { DispatcherLike } from "./exchange.ts";
export type { Auth, KibanaClientOptions, RequestOptions, TlsOptions } from "./options.ts";
export { type WrittenDocument, writtenDocuments } from "./runs.ts";
export type { KibanaResponse } from "./transport.ts";

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
  readonly #dispatcher: LazyDispatcher;
  /** For clients of `space()`. The headers have the credentials. */
  readonly #spaceOptions: KibanaClientOptions;

  /** @throws {ConfigurationError} an option is wrong; the message names it */
  constructor(options: KibanaClientOptions) {
    const parsedOptions = parseOptions(options);
    const { nodeWithoutSpace: node, origin, pathPrefix, headers, requestTimeout } = parsedOptions;
    this.#dispatcher = new LazyDispatcher(parsedOptions);
    // A client does not close a dispatcher that it was given, so a space's client leaves the connections open.
    this.#spaceOptions = { node, headers, requestTimeout, dispatcher: this.#dispatcher };
    this.actions = new Actions(new Transport(parsedOptions, this.#dispatcher));
    this.url = origin + pathPrefix;
  }

  /**
   * A client for another space, instead of the one in `space` or in `node`. It shares connections and credentials.
   *
   * @throws {ConfigurationError} not a space's id
   */
  space(id: string): KibanaClient {
    // Checked here, because an undefined space would mean the default one.
    return new KibanaClient({ ...this.#spaceOptions, space: checkSpace(id) });
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
    return this.#dispatcher.close();
  }

  /** Does what {@link close} does, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
