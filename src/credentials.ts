// Credentials: checked and encoded on the way out, masked on the way back.
import type { HttpRequest } from "./exchange.ts";
import { fieldsIn, parseJson, refuse, toLine, toText } from "./values.ts";

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

/** The value of the header `Authorization`. */
export function encodeAuth(auth: Auth): string {
  const fields = Object.keys(fieldsIn(auth)).sort().join();
  if (!/^(apiKey|bearer|password,username)$/.test(fields))
    refuse("auth: must be one of { username, password }, { apiKey } and { bearer }.");
  for (const [name, value] of Object.entries(auth))
    if (!value || toText(value).trim() === "")
      refuse(`auth.${name}: is empty or undefined. Is an environment variable not set?`);
  if ("apiKey" in auth) return `ApiKey ${encodeApiKey(auth.apiKey)}`;
  if ("bearer" in auth) return `Bearer ${toText(auth.bearer).replace(/^\s*(Bearer\s+)?|\s+$/gi, "")}`;
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString("base64")}`;
}

/** The API key in the form that the header needs: base64 of `id:api_key`. `name` is for the message. */
export function encodeApiKey(apiKey: string | { id: string; api_key: string }, name = "auth.apiKey"): string {
  const { id, api_key } = fieldsIn(parseJson(apiKey));
  const text = id && api_key ? `${id}:${api_key}` : toText(apiKey).replace(/^\s*ApiKey\s|\s+/gi, "");
  if (/^[^:{]+:[^:]+$/.test(text)) return Buffer.from(text).toString("base64");
  // A key of Elastic Cloud (essu_...) is sent as it is.
  if (/^essu_./.test(text) || (/^[\w+/-]+=*$/.test(text) && /^[^:]+:[^:]+$/.test(decodeBase64(text)))) return text;
  refuse(`${name}: is no API key. Pass its encoded form, id:api_key or { id, api_key }.`);
}

/** How a call signs in: `none`, `ApiKey`, `Bearer`, or `Basic elastic:` with the user's name. */
export function signInOf({ headers: { authorization = "none" } }: HttpRequest): string {
  const [scheme = "", token = ""] = authorization.split(" ");
  return scheme === "Basic" ? `Basic ${toLine(decodeBase64(token)).split(":")[0]}:` : scheme;
}

/** Returns a text without the credentials of a call. */
export type Mask = (text: string) => string;

/** A shorter secret may be an ordinary word: masking it would garble messages. */
const shortestSecret = 8;

/**
 * Replaces the credentials of a call in a text: the value of its authorization header, the decoded password, and the
 * strings in a connector's `secrets`. It also replaces each of them written on one line, escaped once, or escaped
 * twice: a response may contain JSON inside JSON.
 */
export function maskFor({ headers, body }: HttpRequest): Mask {
  const authorization = headers.authorization?.trim() ?? "";
  const token = authorization.replace(/^\S+\s+/, "");
  const password = decodeBase64(token).replace(/^[^:]*:/, "");
  const { secrets: connectorSecrets } = fieldsIn(parseJson(body));
  const secrets = [authorization, token, decodeBase64(token), password, ...stringsIn(connectorSecrets)];
  const inJson = (text: string) => JSON.stringify(text).slice(1, -1);
  const forms = secrets
    .flatMap((secret) => [secret, toLine(secret), inJson(secret), inJson(inJson(secret))])
    .filter(({ length }) => length >= shortestSecret)
    .sort((a, b) => b.length - a.length);
  return (text) => forms.reduce((masked, form) => masked.replaceAll(form, "[redacted]"), text);
}

function stringsIn(value: unknown): string[] {
  const values = [value];
  // The loop also visits what it adds.
  for (const item of values) if (item instanceof Object) for (const inner of Object.values(item)) values.push(inner);
  return values.filter((item) => typeof item === "string");
}

function decodeBase64(base64: string): string {
  return Buffer.from(base64, "base64").toString();
}
