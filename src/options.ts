// What a client is configured with, checked once and turned into what a request needs.
import { setMaxListeners } from "node:events";
import { validateHeaderName, validateHeaderValue } from "node:http";
import type { ConnectionOptions } from "node:tls";
import type { Dispatcher } from "undici";
import { ConfigurationError, type Failure } from "./errors.ts";

/** Credentials, in the words of @elastic/elasticsearch: one kind at a time. */
export type Auth =
  | { username: string; password: string }
  /**
   * Any shape in which a key is shown: encoded, `id:api_key`, the JSON of Elasticsearch's answer, `{ id, api_key }`;
   * a leading `ApiKey ` and white space do no harm.
   */
  | { apiKey: string | { id: string; api_key: string } }
  /** An access token of Elasticsearch, or a service account's token. */
  | { bearer: string };

/** What node:tls connects with, the address and the timeout apart. */
export type TlsOptions = Omit<ConnectionOptions, "host" | "port" | "path" | "socket" | "timeout">;

/** Options of {@link KibanaClient}. They have the names and meanings of @elastic/elasticsearch. */
export interface KibanaClientOptions {
  /** Where Kibana is, base path included: `http://localhost:5601`, `https://proxy.example/kbn`. No credentials inside. */
  node: string | URL;
  /** Default: none, for a Kibana without security. */
  auth?: Auth | undefined;
  /** The id of the space to work in. Default: the default space. */
  space?: string | undefined;
  /** Milliseconds from the first byte out to the last byte in, connecting included. Default: 30 000. */
  requestTimeout?: number | undefined;
  /** As in node:tls: `ca`, `cert`, `key`, `rejectUnauthorized`, ... */
  tls?: TlsOptions | undefined;
  /** Sent with every request. Never printed. */
  headers?: Readonly<Record<string, string>> | undefined;
  /**
   * An undici Dispatcher of your own (MockAgent, ProxyAgent, an Agent with interceptors). You close it.
   * Default: an Agent that minds HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
   */
  dispatcher?: Dispatcher | undefined;
}

/** Options of a single call; they win over the client's. */
export interface RequestOptions {
  /** Aborts the call, which then rejects with the signal's own reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds, as in {@link KibanaClientOptions}. */
  requestTimeout?: number | undefined;
  /** Sent with this request, over the client's headers of the same name. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** The API key in the form that goes into the header `Authorization: ApiKey ...`: base64 of `id:api_key`. */
export function encodeApiKey(apiKey: string | { id: string; api_key: string }, name = "auth.apiKey"): string {
  let key: unknown = apiKey;
  if (typeof key === "string") {
    key = key.replace(/^\s*ApiKey\s/i, "").replace(/\s+/g, "");
    try {
      if (String(key).startsWith("{")) key = JSON.parse(String(key));
    } catch {} // not JSON either: refused below
  }
  const { id, api_key } = Object(key) as Record<string, unknown>;
  if (typeof id === "string" && typeof api_key === "string") key = `${id}:${api_key}`;
  // A key of Elastic Cloud (essu_...) goes out as it is.
  if (typeof key === "string" && /^essu_[\w+/=-]+$/.test(key)) return key;
  if (typeof key === "string" && /^[^:]+:[^:]+$/.test(key)) return Buffer.from(key).toString("base64");
  if (typeof key === "string" && /^[^:]+:[^:]+$/.test(decodeBase64(key))) return key;
  throw new ConfigurationError(
    `${name}: of no known shape. Pass its encoded form, id:api_key or { id, api_key }, as Elasticsearch answered it.`,
  );
}

function decodeBase64(text: string): string {
  const decoded = Buffer.from(text, "base64");
  // Buffer skips what is not base64, so only what encodes to the same again was base64.
  const isBase64 = decoded.toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "");
  return isBase64 ? decoded.toString() : "";
}

/** What is kept of `auth`: the header, the words for a hint, and what must never be printed. */
export interface Credentials {
  authorization?: string;
  authentication: Failure["authentication"];
  username?: string;
  secrets: string[];
}

export function parseAuth(auth: Auth | undefined): Credentials {
  if (auth === undefined) return { authentication: "none", secrets: [] };
  if (typeof auth !== "object" || auth === null)
    throw new ConfigurationError("auth: must be { username, password }, { apiKey } or { bearer }.");
  const { username, password, apiKey, bearer } = auth as Partial<Record<string, unknown>>;
  const kinds = [apiKey, bearer, username ?? password].filter((kind) => kind !== undefined);
  if (kinds.length !== 1)
    throw new ConfigurationError(
      `auth: ${kinds.length ? "two kinds at once" : "empty"}. Pass one of { username, password }, { apiKey } and { bearer }.`,
    );
  if (apiKey !== undefined) {
    const encoded = encodeApiKey(apiKey as string);
    const [, secret = encoded] = decodeBase64(encoded).split(":");
    return { authentication: "API key", authorization: `ApiKey ${encoded}`, secrets: [encoded, secret] };
  }
  if (bearer !== undefined) {
    const token = typeof bearer === "string" ? bearer.trim().replace(/^Bearer\s+/i, "") : "";
    if (!/^[\x21-\x7e]+$/.test(token))
      throw new ConfigurationError("auth.bearer: must be a token, one word of printable ASCII characters.");
    return { authentication: "bearer token", authorization: `Bearer ${token}`, secrets: [token] };
  }
  if (typeof username !== "string" || username === "" || username.includes(":"))
    throw new ConfigurationError("auth.username: must be a user's name, not empty and without a colon.");
  if (typeof password !== "string" || password === "")
    throw new ConfigurationError("auth.password: missing. A user name needs its password.");
  const encoded = Buffer.from(`${username}:${password}`).toString("base64");
  return { authentication: "basic", authorization: `Basic ${encoded}`, username, secrets: [encoded, password] };
}

/** The origin and the base path (no slash at its end). No message repeats what was passed if it holds credentials. */
export function parseNode(node: string | URL, name = "node"): { origin: string; basePath: string } {
  const text = typeof node === "string" || node instanceof URL ? String(node).trim() : "";
  if (text === "") throw new ConfigurationError(`${name}: missing. Pass a URL, such as http://localhost:5601.`);
  const quoted = text.includes("@") ? "" : ` "${text}"`;
  if (!/^https?:\/\/[^/]/i.test(text))
    throw new ConfigurationError(
      `${name}${quoted}: must start with http:// or https://${quoted && !/^\w+:\/\//.test(text) ? `. Did you mean http://${text.replace(/^\/+/, "")}?` : "."}`,
    );
  if (!URL.canParse(text)) throw new ConfigurationError(`${name}${quoted}: not a valid URL.`);
  const url = new URL(text);
  if (url.username || url.password)
    throw new ConfigurationError(
      `${name}: must not carry credentials. Take them out of the URL and pass them as auth.`,
    );
  if (url.search || url.hash || /\/app(\/|$)/.test(url.pathname))
    throw new ConfigurationError(
      `${name}: an address of a page. Pass only the part before /app, ? and #, such as ${url.origin}.`,
    );
  return { origin: url.origin, basePath: url.pathname.replace(/\/+$/, "") };
}

export function parseSpace(space: string | undefined, name = "space"): string {
  if (space === undefined) return "default";
  if (typeof space !== "string" || !/^[a-z0-9_-]+$/.test(space))
    throw new ConfigurationError(
      `${name} ${shown(space)}: must be a space's id, of a-z, 0-9, _ and - (Stack Management > Spaces shows it in the URL).`,
    );
  return space;
}

/** For a message: what it is that was passed. */
export function shown(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : typeof value;
}

export function parseSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal && typeof signal.throwIfAborted !== "function")
    throw new ConfigurationError("signal: must be an AbortSignal, such as that of an AbortController.");
  try {
    // Many calls may share one signal, and from the eleventh on Node would warn of a leak.
    if (signal) setMaxListeners(0, signal);
  } catch {} // a signal that is not Node's own has no such limit
  return signal || undefined;
}

/** The longest delay of a timer: a longer one would fire at once. */
const longestTimeout = 2 ** 31 - 1;

export function parseTimeout(timeout: number | undefined, fallback: number): number {
  if (timeout === undefined) return fallback;
  if (typeof timeout !== "number" || !(timeout > 0 && timeout <= longestTimeout))
    throw new ConfigurationError(
      `requestTimeout ${String(timeout)}: must be a positive number of milliseconds, at most ${longestTimeout}.`,
    );
  return timeout;
}

/** HTTP's own and Kibana's own headers, which a request sets for itself. */
const reserved =
  /^(connection|content-length|content-type|expect|host|kbn-xsrf|keep-alive|te|trailer|transfer-encoding|upgrade)$/;

/** The headers in lower case. A message names a header, never its value. */
export function parseHeaders(headers: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const parsed: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers ?? {})) {
    const lowerCase = name.toLowerCase();
    if (reserved.test(lowerCase)) throw new ConfigurationError(`headers: ${lowerCase} is set by the client itself.`);
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw new ConfigurationError(
        `headers: ${JSON.stringify(name)} is no header name, or its value has a character that HTTP forbids, such as a line break.`,
      );
    }
    parsed[lowerCase] = String(value);
  }
  return parsed;
}
