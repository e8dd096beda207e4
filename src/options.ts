// The options of the client and of a call, checked where a wrong one would be dangerous or baffling.
import type { ConnectionOptions } from "node:tls";
import { ConfigurationError } from "./errors.ts";
import type { DispatcherLike } from "./exchange.ts";
import { isRecord, toRecord, toText, tryParseJson } from "./json.ts";

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

/** Credentials: one of these three, as in @elastic/elasticsearch. */
export type Auth =
  | { username: string; password: string }
  /**
   * In any form in which Elasticsearch or Kibana shows a key: encoded, `id:api_key`, `{ id, api_key }`, or the JSON of
   * Elasticsearch's response. A leading `ApiKey ` and white space are dropped.
   */
  | { apiKey: string | { id: string; api_key: string } }
  /** An access token of Elasticsearch, or a service account's token. */
  | { bearer: string };

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

/** The options of a client, checked. `pathPrefix` is base path and space. */
export type ParsedOptions = ReturnType<typeof parseOptions>;

export function parseOptions(options: KibanaClientOptions) {
  checkObject(options, 'options: missing. Pass { node }, such as { node: "http://localhost:5601" }.');
  const { auth, space, tls, dispatcher } = options;
  const node = parseNode(options.node);
  const nodeWithoutSpace = node.replace(/\/s\/[^/]+$/, "");
  const { origin } = new URL(node);
  const { headers = {}, requestTimeout = 120_000 } = parseRequestOptions(options);
  if (auth !== undefined && headers.authorization)
    refuse("auth: there is also a header authorization. Pass one of them.");
  if (dispatcher && typeof dispatcher.dispatch !== "function") refuse("dispatcher: must be of undici 7 or 8.");
  if (dispatcher && tls) refuse("tls: your dispatcher opens the connections. Pass tls to it instead.");
  if (space !== undefined && node !== nodeWithoutSpace)
    refuse("space: node ends with a space already. Pass one of them.");
  return {
    nodeWithoutSpace,
    origin,
    pathPrefix: node.slice(origin.length) + (space === undefined ? "" : `/s/${checkSpace(space)}`),
    headers: { "kbn-xsrf": "true", ...headers, ...(auth !== undefined && { authorization: encodeAuth(auth) }) },
    requestTimeout,
    tls: checkTls(tls),
    dispatcher,
  };
}

/** Returns the address without a slash at its end. No message repeats the address: it may hold a password. */
export function parseNode(node: string | URL, label = "node"): string {
  const text = String(node).trim();
  if (/[@?#]/.test(text))
    refuse(`${label}: contains @, ? or #. Pass the part before /app, and credentials separately.`);
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text))
    refuse(`${label}: must be an address that begins with http:// or https://, such as http://localhost:5601.`);
  return new URL(text).href.replace(/\/+$/, "");
}

export function checkSpace(space: string, label = "space"): string {
  if (typeof space === "string" && /^[a-z0-9_-]+$/.test(space)) return space;
  refuse(`${label}: ${toText(space)} is not a space's id (a-z, 0-9, _, -): see /s/<id> in Kibana's address.`);
}

/** The value of the header `Authorization`. */
function encodeAuth(auth: Auth): string {
  const keys = Object.keys(toRecord(auth)).sort().join();
  if (!/^(apiKey|bearer|password,username)$/.test(keys))
    refuse("auth: must be one of { username, password }, { apiKey } and { bearer }.");
  for (const [name, value] of Object.entries(auth))
    if (!value || toText(value).trim() === "")
      refuse(`auth.${name}: is empty or undefined. Is an environment variable not set?`);
  if ("apiKey" in auth) return `ApiKey ${encodeApiKey(auth.apiKey)}`;
  if ("bearer" in auth)
    return `Bearer ${toText(auth.bearer).replace(/^\s*(Bearer\s+)?|\s+$/gi, "") || refuse("auth.bearer: is empty.")}`;
  if (toText(auth.username).includes(":")) refuse("auth.username: contains a colon, which HTTP Basic cannot send.");
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString("base64")}`;
}

/** The API key in the form that the header needs: base64 of `id:api_key`. `label` is for the message. */
export function encodeApiKey(apiKey: string | { id: string; api_key: string }, label = "auth.apiKey"): string {
  const { id, api_key } = toRecord(tryParseJson(apiKey));
  const text = id && api_key ? `${id}:${api_key}` : toText(apiKey).replace(/^\s*ApiKey\s|\s+/gi, "");
  if (/^[^:{]+:[^:]+$/.test(text)) return Buffer.from(text).toString("base64");
  const isEncoded = /^[\w+/-]+=*$/.test(text) && /^[^:]+:[^:]+$/.test(Buffer.from(text, "base64").toString());
  const isCloudKey = /^essu_./.test(text);
  if (isEncoded || isCloudKey) return text;
  refuse(`${label}: is not an API key. Pass its encoded form, id:api_key or { id, api_key }.`);
}

/** In milliseconds. A timer with a longer delay would fire at once. */
const maxTimeout = 2 ** 31 - 1;

/** Checks the options that a client and a call share. */
export function parseRequestOptions(options: RequestOptions) {
  checkObject(options, "options: must be an object, such as { requestTimeout: 5_000 }.");
  const { headers, requestTimeout, signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse("signal: must be an AbortSignal.");
  const isValidTimeout = typeof requestTimeout === "number" && requestTimeout > 0 && requestTimeout <= maxTimeout;
  if (requestTimeout !== undefined && !isValidTimeout)
    refuse(`requestTimeout: ${toText(requestTimeout)} must be milliseconds, above 0 and at most ${maxTimeout}.`);
  return { headers: headers === undefined ? undefined : parseHeaders(headers), requestTimeout, signal };
}

/** Names in lower case. undici checks their characters. A `Headers` object would look empty, so it is refused. */
function parseHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const isHeaderRecord = isRecord(headers) && !(Symbol.iterator in headers);
  if (!isHeaderRecord || Object.values(headers).some((value) => typeof value !== "string"))
    refuse('headers: must be a plain object of strings, such as { "x-name": "value" }.');
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function checkTls(tls: TlsOptions | undefined): TlsOptions | undefined {
  if (tls !== undefined) checkObject(tls, "tls: must be an object, such as { ca }.");
  for (const name of ["ca", "cert", "key"] as const)
    for (const value of [tls?.[name]].flat())
      if (typeof value === "string" && !value.includes("-----BEGIN"))
        refuse(`tls.${name}: is not PEM text. Pass the contents of the file, not its name.`);
  return tls;
}

export function checkObject<Value extends object>(
  value: Value,
  message = "The first argument must be an object.",
): Value {
  if (!isRecord(value)) refuse(message);
  return value;
}

/** Reports an option or an argument that is wrong. */
export function refuse(message: string): never {
  throw new ConfigurationError(message);
}
