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
  readonly #inValues: RegExp | undefined;
  readonly #inKeys: RegExp | undefined;

  constructor(headers: Readonly<Record<string, string>>, body: string | null) {
    const secrets = [...secretsOfHeader(headers.authorization ?? ""), ...secretsOfBody(body)];
    this.#inValues = matching(secrets.filter(({ length }) => length >= shortestSecret));
    this.#inKeys = matching(secrets.filter(({ length }) => length >= shortestSecretInKeys));
  }

  /** One line, at most 1000 characters. */
  line(text: string): string {
    return this.text(printable(text)).slice(0, longestText);
  }

  text(text: string): string {
    return this.#inValues ? text.replace(this.#inValues, hidden) : text;
  }

  /** A copy of any JSON value. */
  value(value: unknown, depth = 0): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value === "number") return this.text(String(value)) === String(value) ? value : hidden;
    if (depth > deepest) return "[nested too deep]";
    if (Array.isArray(value)) return value.map((item) => this.value(item, depth + 1));
    if (!isRecord(value)) return value;
    const key = (name: string) => (this.#inKeys ? name.replace(this.#inKeys, hidden) : name);
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [key(name), this.value(item, depth + 1)]));
  }
}

/** The credentials of `Basic ...`, `ApiKey ...`, `Bearer ...` or any other scheme, encoded and decoded. */
function secretsOfHeader(authorization: string): string[] {
  const parts = authorization.split(" ");
  return (parts.length > 1 ? parts.slice(1) : parts).flatMap((part) => {
    const decoded = Buffer.from(part, "base64").toString();
    return [part, decoded, decoded.slice(decoded.indexOf(":") + 1)];
  });
}

/** The strings and numbers of a connector's `secrets`, as they were sent. */
function secretsOfBody(body: string | null): string[] {
  return leaves(Object(JSON.parse(body ?? "null")).secrets);
}

function leaves(value: unknown): string[] {
  if (typeof value === "string" || typeof value === "number") return [String(value)];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(leaves) : [];
}

/** Matches each secret as it is, as it stands in JSON, and as it is printed; the longest first. */
function matching(secrets: readonly string[]): RegExp | undefined {
  const forms = secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), printable(secret)]);
  const escaped = [...new Set(forms)]
    .sort((a, b) => b.length - a.length)
    .map((form) => form.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return escaped.length > 0 ? new RegExp(escaped.join("|"), "g") : undefined;
}
