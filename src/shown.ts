// What a server said, as it may be shown: as text, on one line, without credentials.
import { isRecord } from "./options.ts";

const longestText = 1000;
const deepest = 100;
const shortestSecret = 4;
/** Short words, such as `error`, are keys of Kibana's own. */
const shortestSecretInKeys = 8;
const hidden = "[redacted]";

/** Any value as text. */
export function words(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return String(JSON.stringify(value));
  } catch {
    return "a value that is nested too deep";
  }
}

/** Replaces, one for one, what would control a terminal or begin a new line. */
function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, " ");
}

/** Takes the credentials of one request out of what came back. */
export class Redactor {
  readonly #inValues: readonly string[];
  readonly #inKeys: readonly string[];

  constructor(headers: Readonly<Record<string, string>>, body: string | null) {
    const secrets = [...secretsOfHeader(headers.authorization ?? ""), ...secretsOfBody(body)];
    this.#inValues = formsOf(secrets.filter(({ length }) => length >= shortestSecret));
    this.#inKeys = formsOf(secrets.filter(({ length }) => length >= shortestSecretInKeys));
  }

  /** One line, at most 1000 characters. */
  line(text: string): string {
    return this.text(printable(text)).slice(0, longestText);
  }

  text(text: string): string {
    return hide(text, this.#inValues);
  }

  /** A copy of any JSON value. */
  value(value: unknown, depth = 0): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value === "number") return this.text(String(value)) === String(value) ? value : hidden;
    if (depth > deepest) return "[nested too deep]";
    if (Array.isArray(value)) return value.map((item) => this.value(item, depth + 1));
    if (!isRecord(value)) return value;
    const items = Object.entries(value).map(([key, item]) => [hide(key, this.#inKeys), this.value(item, depth + 1)]);
    return Object.fromEntries(items);
  }

  /** Whether a text anywhere in an error is, or would print, a credential. */
  isIn(error: unknown): boolean {
    try {
      const { inspect } = process.getBuiltinModule("node:util"); // an import would also load workers and streams
      const printed = inspect(error, { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null });
      return everythingIn([error, printed]).some((text) => typeof text === "string" && this.text(text) !== text);
    } catch {
      return true; // it cannot be examined: a getter threw, or this is Node 22.0 to 22.2
    }
  }
}

/** The credentials of `Basic ...`, `ApiKey ...`, `Bearer ...` or any other scheme, encoded and decoded. */
function secretsOfHeader(authorization: string): string[] {
  const rest = authorization.replace(/^\S+\s+/, "");
  const values = [...rest.matchAll(/="?([^\s",;]+)/g)].map(([, value = ""]) => value);
  return [rest, ...rest.split(/\s+/), ...values].flatMap((part) => {
    const decoded = Buffer.from(part, "base64").toString();
    return [part, decoded, decoded.slice(decoded.indexOf(":") + 1)];
  });
}

/** The strings and numbers of a connector's `secrets`, as they were sent. */
function secretsOfBody(body: string | null): string[] {
  const { secrets } = Object(JSON.parse(body ?? "null"));
  return everythingIn(secrets).flatMap((item) => (/string|number/.test(typeof item) ? String(item) : []));
}

/** A value and all that is in it, however deep. */
function everythingIn(value: unknown): unknown[] {
  const all = new Set([value]);
  for (const item of all) // which also visits what is added meanwhile
    if (typeof item === "object" && item !== null && !ArrayBuffer.isView(item))
      for (const key of Reflect.ownKeys(item)) all.add(Reflect.get(item, key));
  return [...all];
}

/** Each secret as it is, in JSON as different languages write it, in JSON within JSON, and as printed; the longest first. */
function formsOf(secrets: readonly string[]): string[] {
  const encode = (text: string) => JSON.stringify(text).slice(1, -1);
  const escaped = (text: string, characters: RegExp) =>
    text.replace(characters, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const forms = secrets.flatMap((secret) => {
    const json = encode(secret);
    return [secret, json, encode(json), escaped(json, /[<>&]/g), escaped(json, /[^ -~]/g)];
  });
  return [...new Set([...forms, ...forms.map(printable)])].sort((a, b) => b.length - a.length);
}

function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((parts, secret) => parts.flatMap((part) => part.split(secret)), [text]).join(hidden);
}
