// The connections to Kibana; the only file that loads undici.
import type { Agent, Dispatcher } from "undici";
import { ConfigurationError } from "./errors.ts";
import type { KibanaClientOptions } from "./options.ts";

/** What the clients of several spaces share. */
export class Connections {
  /** The caller's, or our own once `open` has loaded it. */
  dispatcher: Dispatcher | undefined;
  readonly #create: () => Promise<Dispatcher>;
  #opening: Promise<Dispatcher> | undefined;
  #closed: Promise<void> | undefined;

  constructor({ tls, dispatcher }: KibanaClientOptions, timeout: number) {
    if (dispatcher && tls)
      throw new ConfigurationError("tls: belongs to the dispatcher that you pass. Give it to that one instead.");
    if (dispatcher && typeof dispatcher.dispatch !== "function")
      throw new ConfigurationError("dispatcher: must be a Dispatcher of undici, such as an Agent.");
    this.dispatcher = dispatcher;
    this.#create = dispatcher ? async () => dispatcher : agentCreator({ ...tls, timeout });
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** With the first call, for whoever makes none need not wait for undici. */
  open(): Promise<Dispatcher> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  async #open(): Promise<Dispatcher> {
    this.dispatcher = await this.#create();
    return this.dispatcher;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** What was not opened here is not closed here. */
  async #close(): Promise<void> {
    const opened = await this.#opening?.catch(() => undefined);
    await opened?.close();
  }
}

/** Takes the proxies that the environment names now. */
function agentCreator(connect: { timeout: number }): () => Promise<Dispatcher> {
  const httpProxy = proxyOf("http_proxy");
  const httpsProxy = proxyOf("https_proxy");
  if (!httpProxy && !httpsProxy) return async () => new (await loadAgent())({ connect });
  return async () => {
    const { EnvHttpProxyAgent, Pool } = await loadAll();
    /** If a proxy closes the connection instead of answering CONNECT, undici by itself asks again for ever. */
    class ProxyPool extends Pool {
      override async connect(options: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> {
        return super.connect(options).catch((cause: NodeJS.ErrnoException) => {
          if (cause.code !== "UND_ERR_SOCKET") throw cause;
          throw Object.assign(new Error("the proxy closed the connection", { cause }), { code: "ECONNRESET" });
        });
      }
    }
    const clientFactory = (origin: URL, options: object) =>
      new ProxyPool(origin, { ...options, headersTimeout: connect.timeout });
    return new EnvHttpProxyAgent({ connect, requestTls: connect, clientFactory, httpProxy, httpsProxy });
  };
}

/** A proxy's URL, or "" for none; the name in small letters goes first, as in undici. */
function proxyOf(name: string): string {
  const proxy = process.env[name] ?? process.env[name.toUpperCase()] ?? "";
  if (proxy && !isProxy(proxy))
    throw new ConfigurationError("HTTP_PROXY or HTTPS_PROXY: not a valid URL, such as http://proxy.example:3128.");
  return proxy;
}

function isProxy(text: string): boolean {
  try {
    const { protocol, pathname, search, hash, username, password } = new URL(text);
    decodeURIComponent(username + password);
    return /^(https?|socks5?):$/.test(protocol) && pathname.length < 2 && !search && !hash;
  } catch {
    return false;
  }
}

/** Its file alone takes a third of all of undici's time to load, and leaves `fetch` as it is. All, should it ever move. */
async function loadAgent(): Promise<typeof Agent> {
  try {
    // @ts-expect-error undici declares the types of its index only
    return (await import("undici/lib/dispatcher/agent.js")).default;
  } catch {
    return (await loadAll()).Agent;
  }
}

async function loadAll(): Promise<typeof import("undici")> {
  return await import("undici").catch((cause: Error) => {
    throw new ConfigurationError(`undici cannot be loaded: ${cause.message}. Install kbn-connectors anew.`, { cause });
  });
}
