// The credentials of a call: named for a hint, and masked in what a server repeats.
import type { HttpRequest } from "./exchange.ts";
import { toRecord, tryParseJson } from "./json.ts";

/** How a call signs in: `none`, `ApiKey`, `Bearer`, or `Basic elastic:` with the user's name. */
export function describeAuth({ headers: { authorization = "none" } }: HttpRequest): string {
  const [scheme = "", token = ""] = authorization.split(" ");
  return scheme === "Basic" ? `Basic ${toSingleLine(decodeBase64(token)).split(":")[0]}:` : scheme;
}

/** Returns a text without the credentials of a call. */
export type Mask = (text: string) => string;

/** In characters. A shorter secret may be an ordinary word: masking it would garble messages. */
const minSecretLength = 8;

/**
 * Replaces the credentials of a call in a text: the token of its authorization header, the password in it, and the
 * strings and numbers in a connector's `secrets`. It also replaces each of them written on one line, escaped once, or
 * escaped twice: a response may contain JSON inside JSON.
 */
export function createMask({ headers, body }: HttpRequest): Mask {
  const token = headers.authorization?.trim().replace(/^\S+\s+/, "") ?? "";
  const password = decodeBase64(token).replace(/^[^:]*:/, "");
  const secrets = [token, password, ...collectSecrets(toRecord(tryParseJson(body)).secrets)];
  const escapeJson = (text: string) => JSON.stringify(text).slice(1, -1);
  const spellings = secrets
    .flatMap((secret) => [secret, toSingleLine(secret), escapeJson(secret), escapeJson(escapeJson(secret))])
    .filter(({ length }) => length >= minSecretLength)
    .sort((a, b) => b.length - a.length);
  const redact = (text: string) => spellings.reduce((rest, spelling) => rest.replaceAll(spelling, "[redacted]"), text);
  return (text) => {
    const redacted = redact(text);
    const plain = undoNeedlessEscapes(redacted);
    return redact(plain) === plain ? redacted : redact(plain);
  };
}

/** Escapes that `JSON.stringify` does not write, but other languages do, such as `\/` and `\u003c`. */
function undoNeedlessEscapes(text: string): string {
  const needlessEscape = /\\{1,9}(?:\/|u([\da-f]{4}))/gi;
  return text.replace(needlessEscape, (_, hex = "2f") => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** The strings and numbers in a connector's `secrets`. */
function collectSecrets(value: unknown): string[] {
  const values = [value];
  // The loop also visits what it adds.
  for (const item of values) if (item instanceof Object) for (const inner of Object.values(item)) values.push(inner);
  return values.filter((item) => typeof item === "string" || typeof item === "number").map(String);
}

function decodeBase64(base64: string): string {
  return Buffer.from(base64, "base64").toString();
}

/** Any text on one line, without characters that control a terminal. */
export function toSingleLine(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ");
}
