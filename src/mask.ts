// Masks the credentials of a call in what an error shows.
import { type HttpRequest, maxShownSize } from "./exchange.ts";
import { toRecord, toSingleLine, toText, tryParseJson, type UnknownRecord } from "./json.ts";

/** Returns a text without the credentials of a call. */
export type Mask = (text: string) => string;

/** In characters. A shorter secret may be an ordinary word: masking it would garble messages. */
const minSecretLength = 8;

/**
 * Replaces the credentials of a call in a text: the token of its authorization header, the password in it, and the
 * strings and numbers in a connector's `secrets`. It also finds them on one line, and escaped in JSON. If they are
 * escaped more than twice, or not as `JSON.stringify` does it, the returned text has no escapes.
 */
export function createMask({ headers, body }: HttpRequest): Mask {
  const token = headers.authorization?.trim().replace(/^\S+\s+/, "") ?? "";
  const decoded = Buffer.from(token, "base64").toString();
  const { secrets: connectorSecrets } = toRecord(tryParseJson(body));
  const escapeJson = (text: string) => JSON.stringify(text).slice(1, -1);
  // An escaped form may contain another one, so it comes first.
  const forms = [token, decoded.replace(/^[^:]*:/, ""), ...collectSecrets(connectorSecrets)]
    .flatMap((secret) => [secret, toSingleLine(secret)])
    .filter(({ length }) => length >= minSecretLength)
    .sort((a, b) => b.length - a.length)
    .flatMap((secret) => [escapeJson(escapeJson(secret)), escapeJson(secret), secret]);
  const unescapedForms = forms.map(undoEscapes);
  return (text) => {
    const redacted = redact(text, forms);
    const withoutEscapes = undoEscapes(redacted);
    const redactedAgain = redact(withoutEscapes, unescapedForms);
    return redactedAgain === withoutEscapes ? redacted : redactedAgain;
  };
}

/** Masks each field separately: if one becomes text, the others stay as they are. */
export function maskFields(mask: Mask, fields: UnknownRecord): UnknownRecord {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, maskValue(mask, value)]));
}

/** A long value is not shown, because masking it could take seconds. */
export function maskValue(mask: Mask, value: unknown): unknown {
  const text = toText(value);
  if (value === undefined || text.length > maxShownSize) return undefined;
  return typeof value === "string" ? mask(text) : tryParseJson(mask(text));
}

function redact(text: string, secrets: readonly string[]): string {
  return [...new Set(secrets)].reduce((rest, secret) => (secret ? rest.replaceAll(secret, "[redacted]") : rest), text);
}

/** Drops the escapes of JSON, also those that `JSON.stringify` does not write, such as `\/` and `\u003c`. */
function undoEscapes(text: string): string {
  const toCharacter = (_: string, hex = "") => hex && String.fromCharCode(Number.parseInt(hex, 16));
  return text.replace(/\\+(?:u([\da-f]{4}))?/gi, toCharacter);
}

/** The strings and numbers in a connector's `secrets`. */
function collectSecrets(value: unknown): string[] {
  const values = [value];
  // The loop also visits what it adds.
  for (const item of values) if (item instanceof Object) for (const inner of Object.values(item)) values.push(inner);
  return values.filter((item) => typeof item === "string" || typeof item === "number").map(String);
}
