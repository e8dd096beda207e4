// The options, checked once.
import { setMaxListeners } from "node:events";
import type { ConnectionOptions } from "node:tls";
import { ConfigurationError } from "./errors.ts";

/** Credentials: one of these three, as in @elastic/elasticsearch. */
export type Auth =
  | { username: string; password: string }
  /**
   * In any form in which Elasticsearch or Kibana shows a key: encoded, `id:api_key`, `{ id, api_key }`, or the JSON of
   * Elasticsearch's answer. A leading `ApiKey ` and white space are dropped.
   */
  | { apiKey: string | { id: string; api_key: string } }
  /** An access token of Elasticsearch, or a service account's token. */
  | { bearer: string };

/** Options of node:tls, without the address and the timeout. */
export type TlsOptions = Omit<ConnectionOptions, "host" | "port" | "path" | "socket" | "timeout">;

/** A Dispatcher of undici 7 or 8, such as an Agent, a ProxyAgent or a MockAgent. */
export interface Dispatching {
  dispatch(options: object, handler: object): boolean;
}

/** Options of `KibanaClient`. */
export interface KibanaClientOptions {
  /**
   * Kibana's address, with its base path if it has one: `http://localhost:5601`, `https://proxy.example/kbn`. Credentials
   * and space are options of their own.
   */
  node: string | URL;
  /** Default: none, for a Kibana without security. */
  auth?: Auth | undefined;
  /** The id of the space to work in. Default: the default space. */
  space?: string | undefined;
  /**
   * Milliseconds for the whole call: connecting, sending, waiting, receiving. Default: 120 000, after which Kibana itself
   * hangs up. Without a `dispatcher` of yours, a connection that is not accepted within 10 seconds ends there.
   */
  requestTimeout?: number | undefined;
  /** As in node:tls: `ca`, `cert`, `key`, `rejectUnauthorized`, ... */
  tls?: TlsOptions | undefined;
  /** Sent with every request, such as headers that a proxy wants. Errors hide the value of `authorization` only. */
  headers?: Readonly<Record<string, string>> | undefined;
  /**
   * A Dispatcher of undici 7 or 8 to send the requests through: a ProxyAgent, a MockAgent, an Agent with interceptors.
   * You close it. If it repeats requests, the `outcome` of an error is that of the last attempt. Default: an Agent, which
   * reads no proxy from the environment.
   */
  dispatcher?: Dispatching | undefined;
}

/** Options of one call. They take precedence over the client's. */
export interface RequestOptions {
  /** Aborts the call, which then rejects with the signal's own reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for the whole call, as in {@link KibanaClientOptions}. */
  requestTimeout?: number | undefined;
  /** Sent with this request. Replaces a header of the client with the same name. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** The options, checked. */
export interface Settings {
  /** Such as `http://localhost:5601`, without a path. */
  origin: string;
  /** Base path and space. */
  prefix: string;
  headers: Record<string, string>;
  timeout: number;
  tls: TlsOptions | undefined;
  dispatcher: Dispatching | undefined;
}

export function checkOptions(options: KibanaClientOptions): Settings {
  if (!isRecord(options))
    refuse('options: missing. Pass an object with node, such as { node: "http://localhost:5601" }.');
  const { node, auth, space, requestTimeout, tls, headers, dispatcher } = options;
  const { origin, basePath } = checkNode(node);
  const prefix = space === undefined ? basePath : `${basePath}/s/${checkSpace(space)}`;
  const authorization = authorizationOf(auth);
  const own = checkHeaders(headers ?? {});
  if (authorization && own.authorization) refuse("auth: two kinds at once. Pass either auth or headers.authorization.");
  if (dispatcher && tls) refuse("tls: belongs to the dispatcher that you pass. Give it to that one instead.");
  if (dispatcher && typeof dispatcher.dispatch !== "function")
    refuse("dispatcher: must be a Dispatcher of undici, such as an Agent.");
  const timeout = checkTimeout(requestTimeout, 120_000);
  return { origin, prefix, headers: authorization ? { ...own, authorization } : own, timeout, tls, dispatcher };
}

export function refuse(message: string): never {
  throw new ConfigurationError(message);
}

/** An object, and no array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `{ ... }` of any realm, and no instance of a class. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (!isRecord(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Names in a message what was passed. */
export function quoted(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : typeof value;
}

/** The API key as it goes into the header `Authorization: ApiKey ...`: base64 of `id:api_key`. */
export function encodeApiKey(apiKey: string | { id: string; api_key: string }, name = "auth.apiKey"): string {
  let key: unknown = typeof apiKey === "string" ? apiKey.replace(/^\s*ApiKey\s/i, "").replace(/\s+/g, "") : apiKey;
  try {
    if (String(key).startsWith("{")) key = JSON.parse(String(key));
  } catch {} // refused below
  const { id, api_key } = Object(key) as Record<string, unknown>;
  if (typeof id === "string" && typeof api_key === "string") key = `${id}:${api_key}`;
  const text = typeof key === "string" ? key : "";
  if (/^[^:]+:[^:]+$/.test(text)) return Buffer.from(text).toString("base64");
  // A key of Elastic Cloud (essu_...) is sent as it is.
  if (/^essu_[\w+/=-]+$/.test(text) || /^[^:]+:[^:]+$/.test(decodeBase64(text))) return text;
  refuse(
    `${name}: of no known form. Pass its encoded form, id:api_key or { id, api_key }, as Elasticsearch answered it.`,
  );
}

/** The text, or "" if it is not base64. */
function decodeBase64(text: string): string {
  const decoded = Buffer.from(text, "base64");
  // Buffer ignores what is not base64, so only text that encodes to itself was base64.
  return decoded.toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "") ? decoded.toString() : "";
}

/** The header `Authorization`. */
function authorizationOf(auth: Auth | undefined): string | undefined {
  if (auth === undefined) return undefined;
  const { username, password, apiKey, bearer } = Object(auth) as Record<string, unknown>;
  const kinds = [apiKey, bearer, username ?? password].filter((kind) => kind !== undefined);
  if (kinds.length !== 1)
    refuse(`auth: has ${kinds.length} kinds. Pass one of { username, password }, { apiKey } and { bearer }.`);
  if (apiKey !== undefined) return `ApiKey ${encodeApiKey(apiKey as string)}`;
  if (bearer !== undefined) {
    const token = typeof bearer === "string" ? bearer.trim().replace(/^Bearer\s+/i, "") : "";
    if (/^[\x21-\x7e]+$/.test(token)) return `Bearer ${token}`;
    refuse("auth.bearer: must be a token, one word of printable ASCII characters.");
  }
  if (typeof username !== "string" || username === "" || username.includes(":"))
    refuse("auth.username: must be a user's name, not empty and without a colon.");
  if (typeof password !== "string" || password === "")
    refuse("auth.password: missing. A user name needs its password.");
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** The origin and the base path (no slash at its end). No message repeats an address that may hold credentials. */
export function checkNode(node: string | URL, name = "node"): { origin: string; basePath: string } {
  const text = typeof node === "string" || node instanceof URL ? String(node).trim() : "";
  if (text === "") refuse(`${name}: missing. Pass a URL, such as http://localhost:5601.`);
  const cloud = /^[^:/@]*:([\w+/=-]+)$/.exec(text)?.[1];
  const [host, , kibana] = cloud ? decodeBase64(cloud).split("$") : [];
  if (host && kibana)
    refuse(`${name}: a Cloud ID, not a URL. It stands for the Kibana at https://${kibana}.${host}: pass that.`);
  const shown = /@|%40|:(?!\/|\d*(\/|$))/.test(text) ? "" : ` "${text}"`;
  if (!/^https?:\/\/[^/]/i.test(text)) {
    const suggested = shown && !/^\w+:\/\//.test(text) ? `. Did you mean http://${text.replace(/^\/+/, "")}?` : ".";
    refuse(`${name}${shown}: must start with http:// or https://${suggested}`);
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (/^https?:\/\/[^/?#]*@/i.test(text) || url?.username || url?.password)
    refuse(`${name}: must not carry credentials. Remove them from the URL and pass them as auth.`);
  if (!url) refuse(`${name}${shown}: not a valid URL.`);
  const { origin, pathname, search, hash } = url;
  if (search || hash || /\/app(\/|$)/.test(pathname))
    refuse(`${name}: the address of a page. Pass only the part before /app, ? and #, such as ${origin}.`);
  const [, before, space] = /^(.*?)\/s\/([^/]+)/.exec(pathname) ?? [];
  if (space) refuse(`${name}: contains a space. Pass ${origin}${before}, and "${space}" as the space.`);
  return { origin, basePath: pathname.replace(/\/+$/, "") };
}

export function checkSpace(space: string, name = "space"): string {
  if (typeof space === "string" && /^[a-z0-9_-]+$/.test(space)) return space;
  refuse(
    `${name} ${quoted(space)}: must be a space's id, of a-z, 0-9, _ and - (Stack Management > Spaces shows it in the URL).`,
  );
}

export function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal && !["throwIfAborted", "addEventListener"].every((name) => name in Object(signal)))
    refuse("signal: must be an AbortSignal, such as that of an AbortController.");
  // Many calls may share one signal. Without this, Node warns of a leak at the eleventh.
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
  return signal || undefined;
}

/** The longest delay of a timer: a longer one would fire at once. */
const longestTimeout = 2 ** 31 - 1;

export function checkTimeout(timeout: number | undefined, fallback: number): number {
  if (timeout === undefined) return fallback;
  if (typeof timeout === "number" && timeout > 0 && timeout <= longestTimeout) return timeout;
  refuse(`requestTimeout ${String(timeout)}: must be a positive number of milliseconds, at most ${longestTimeout}.`);
}

/** Headers that the client or the connection decides on. */
const reserved =
  /^(accept-encoding|connection|content-length|content-type|expect|host|kbn-xsrf|keep-alive|te|trailer|transfer-encoding|upgrade)$/;

/** The headers, names in lower case. A message names a header, never its value. */
export function checkHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  if (!isPlain(headers))
    refuse('headers: must be a plain object, such as { "x-name": "value" }. For others: Object.fromEntries(headers).');
  const checked: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const lowerCase = name.toLowerCase();
    if (reserved.test(lowerCase)) refuse(`headers: ${lowerCase} cannot be set.`);
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) refuse(`headers: ${JSON.stringify(name)} is not a valid name.`);
    if (typeof value !== "string" || /[^\t\x20-\x7e\x80-\xff]/.test(value))
      refuse(`headers: the value of ${lowerCase} is not a string, or has a character that HTTP forbids.`);
    checked[lowerCase] = value;
  }
  return checked;
}
