// The options of the client and of a call, checked where a wrong one would be dangerous or baffling.
import type { ConnectionOptions } from "node:tls";
import { type Auth, encodeAuth } from "./credentials.ts";
import type { DispatcherLike } from "./exchange.ts";
import { isRecord, refuse, toText } from "./values.ts";

/** Options of node:tls, without the address and the timeout. */
export type TlsOptions = Omit<ConnectionOptions, "host" | "port" | "path" | "socket" | "timeout">;

/** Options of one call. They take precedence over the client's. */
export interface RequestOptions {
  /** Aborts the call, which then rejects with the signal's own reason. */
  signal?: AbortSignal | undefined;
  /**
   * Milliseconds for the whole call: connecting, sending, waiting, receiving. Default: 120 000. Kibana itself closes
   * the connection after this time. Connecting times out after 10 seconds, unless you pass a `dispatcher`.
   */
  requestTimeout?: number | undefined;
  /**
   * Headers to send, such as those that a proxy needs. Headers of a call replace the client's headers of the same name.
   * Errors mask `authorization`, and no other header's value.
   */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** Options of `KibanaClient`. */
export interface KibanaClientOptions extends Omit<RequestOptions, "signal"> {
  /**
   * Kibana's address, with its base path if it has one: `http://localhost:5601`, `https://proxy.example/kbn`. Pass
   * credentials and space as separate options.
   */
  node: string | URL;
  /** Default: none, for a Kibana without security. */
  auth?: Auth | undefined;
  /** The id of the space to work in. Default: the default space. */
  space?: string | undefined;
  /** As in node:tls: `ca`, `cert`, `key`, `rejectUnauthorized`, ... The contents of files, not their names. */
  tls?: TlsOptions | undefined;
  /**
   * A Dispatcher of undici 7 or 8 to send the requests through: a ProxyAgent, a MockAgent, an Agent with interceptors.
   * You close it. If it repeats requests, an error's `outcome` describes only the last attempt. Default: an Agent,
   * which reads no proxy from the environment.
   */
  dispatcher?: DispatcherLike | undefined;
}

/** The options of a client, checked. `prefix` is base path and space. */
export type Settings = ReturnType<typeof toSettings>;

export function toSettings(options: KibanaClientOptions) {
  if (!isRecord(options)) refuse('options: missing. Pass { node }, such as { node: "http://localhost:5601" }.');
  const { node, auth, space, tls, dispatcher } = options;
  const { origin, basePath } = parseNode(node);
  const { headers = {}, requestTimeout = 120_000 } = checkRequestOptions(options);
  if (auth !== undefined && headers.authorization)
    refuse("auth: there is also a header authorization. Pass one of them.");
  if (dispatcher && typeof dispatcher.dispatch !== "function") refuse("dispatcher: must be of undici 7 or 8.");
  if (dispatcher && tls) refuse("tls: your dispatcher opens the connections. Pass tls to it instead.");
  return {
    origin,
    prefix: space === undefined ? basePath : `${basePath}/s/${checkSpace(space)}`,
    headers: { ...headers, ...(auth !== undefined && { authorization: encodeAuth(auth) }), "kbn-xsrf": "true" },
    requestTimeout,
    tls: checkTls(tls),
    dispatcher,
  };
}

/** The origin and the base path, without a slash at its end. No message repeats an address: it may hold a password. */
export function parseNode(node: string | URL, name = "node"): { origin: string; basePath: string } {
  const text = String(node).trim();
  if (/[@?#]/.test(text)) refuse(`${name}: contains @, ? or #. Pass the part before /app, and credentials separately.`);
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text))
    refuse(`${name}: must be an address that begins with http:// or https://, such as http://localhost:5601.`);
  const { origin, pathname } = new URL(text);
  return { origin, basePath: pathname.replace(/\/+$/, "") };
}

export function isLoopback(address: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(address).hostname);
}

export function checkSpace(space: string, name = "space"): string {
  if (typeof space === "string" && /^[a-z0-9_-]+$/.test(space)) return space;
  refuse(`${name}: ${toText(space)} is not a space's id (a-z, 0-9, _, -): see /s/<id> in Kibana's address.`);
}

/** The longest delay of a timer: a longer one would fire at once. */
const longestTimeout = 2 ** 31 - 1;

/** The options that a client and a call share. */
export function checkRequestOptions({ headers, requestTimeout, signal }: RequestOptions) {
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse("signal: must be an AbortSignal.");
  const isTimeout = typeof requestTimeout === "number" && requestTimeout > 0 && requestTimeout <= longestTimeout;
  if (requestTimeout !== undefined && !isTimeout)
    refuse(`requestTimeout: ${toText(requestTimeout)} must be milliseconds, above 0 and at most ${longestTimeout}.`);
  return { headers: headers === undefined ? undefined : checkHeaders(headers), requestTimeout, signal };
}

/** Names in lower case. undici checks their characters. A `Headers` object would look empty, so it is refused. */
function checkHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const isPlain = isRecord(headers) && !(Symbol.iterator in headers);
  if (!isPlain || Object.values(headers).some((value) => typeof value !== "string"))
    refuse('headers: must be a plain object of strings, such as { "x-name": "value" }.');
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function checkTls(tls: TlsOptions | undefined): TlsOptions | undefined {
  if (tls !== undefined && !isRecord(tls)) refuse("tls: must be an object, such as { ca }.");
  for (const name of ["ca", "cert", "key"] as const)
    for (const value of [tls?.[name]].flat())
      if (typeof value === "string" && !value.includes("-----BEGIN"))
        refuse(`tls.${name}: is not PEM text. Pass the contents of the file, not its name.`);
  return tls;
}
