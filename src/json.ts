// JSON: requests, which must not lose a value, and responses, whose shape is not known. Text for messages.
import { SerializationError } from "./errors.ts";

/**
 * Like `JSON.stringify`, but rejects a value that JSON would lose.
 *
 * @throws {SerializationError} JSON would lose a value; the message names its path
 */
export function serialize(value: object): string {
  let loss: string | undefined;
  try {
    loss = findLoss(value);
    if (loss === undefined) return JSON.stringify(value);
  } catch (cause) {
    const reason = /call stack/.test(toText(cause)) ? "it contains itself, or is nested too deep" : toText(cause);
    throw new SerializationError(`The request cannot be turned into JSON: ${reason}.`, { cause });
  }
  throw new SerializationError(loss.replace(/^\./, ""));
}

/**
 * The first value that JSON would lose, as a path and a reason, such as `.total: NaN would be stored as null.` The path
 * is built only after a loss is found.
 */
function findLoss(value: unknown, isReplaced = false): string | undefined {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return undefined;
  if (typeof value === "number") return Number.isFinite(value) ? undefined : `: ${value} would be stored as null.`;
  if (typeof value === "bigint") return ": JSON has no BigInt. Pass a number or a string.";
  if (typeof value !== "object") return `: a value of type ${typeof value} would be lost.`;
  if (ArrayBuffer.isView(value)) return ": binary data would be stored as numbers. Pass a base64 string.";
  const replacement = isReplaced ? value : toJsonValue(value); // JSON calls toJSON once
  if (replacement === null) return ": its toJSON() returns null. Is it an invalid date?";
  if (replacement !== value) return findLoss(replacement, true);
  return Array.isArray(value) ? findLossInArray(value) : findLossInObject(value);
}

/** What JSON takes instead of a value: what its toJSON() returns, or the value itself. */
export function toJsonValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("toJSON" in value)) return value;
  return typeof value.toJSON === "function" ? value.toJSON("") : value;
}

function findLossInArray(array: readonly unknown[]): string | undefined {
  for (let index = 0; index < array.length; index++) {
    const loss = findLoss(array[index]);
    if (loss !== undefined) return `[${index}]${loss}`;
  }
  return undefined;
}

/** Classes that hide their contents from JSON, even if an instance also has properties. */
const hidingClasses = [Error, Map, Set, Promise, RegExp];

function findLossInObject(object: object): string | undefined {
  const keys = Object.keys(object);
  if (!isPlainObject(object) && (keys.length === 0 || hidingClasses.some((Class) => object instanceof Class)))
    return `: ${object.constructor?.name} would lose its contents. Pass a plain object, an array or a string.`;
  for (const key of keys) {
    const value = (object as Record<string, unknown>)[key];
    const loss = value === undefined ? undefined : findLoss(value); // undefined is left out on purpose, as JSON does
    if (loss !== undefined) return (/^[\w@$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`) + loss;
  }
  return undefined;
}

/** A plain object of any realm, not an instance of a class. */
function isPlainObject(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  // The first condition follows from the last one, but is faster.
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

export type UnknownRecord = Readonly<Record<string, unknown>>;

/** An object that is not an array. */
export function isRecord(value: unknown): value is UnknownRecord {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value itself, or `{}` if it is not a record. */
export function toRecord(value: unknown): UnknownRecord {
  return isRecord(value) ? value : {};
}

/** Parses JSON text. Returns any other value unchanged. */
export function tryParseJson(value: unknown): unknown {
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch {
    return value;
  }
}

/** Any value as text, for a message. */
export function toText(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return String(typeof value === "object" && !(value instanceof Error) ? JSON.stringify(value) : value);
  } catch {
    return "a value that JSON cannot represent";
  }
}

/** Any text on one line, without characters that control a terminal. */
export function toSingleLine(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ");
}
