// Values: as JSON that loses nothing, as text for a message, and refused.
import { ConfigurationError, SerializationError } from "./errors.ts";

/**
 * The JSON of a request.
 *
 * @throws {SerializationError} JSON would lose a value; the message names its path
 */
export function serialize(request: object): string {
  let loss: string | undefined;
  try {
    loss = lossIn(request);
    if (loss === undefined) return JSON.stringify(request);
  } catch (cause) {
    const reason = /call stack/.test(toText(cause)) ? "it contains itself, or is nested too deep" : toText(cause);
    throw new SerializationError(`The request cannot be turned into JSON: ${reason}.`, { cause });
  }
  throw new SerializationError(loss.replace(/^\.(params\.)?/, ""));
}

/**
 * The first value that JSON would lose, as a path and a reason, such as `.total: NaN would be stored as null.` The path
 * is built only after a loss is found.
 */
function lossIn(value: unknown, isFromToJson = false): string | undefined {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return undefined;
  if (typeof value === "number") return Number.isFinite(value) ? undefined : `: ${value} would be stored as null.`;
  if (typeof value === "bigint") return ": JSON has no BigInt. Pass a number or a string.";
  if (typeof value !== "object") return `: a value of type ${typeof value} would be lost.`;
  if (ArrayBuffer.isView(value)) return ": binary data would be stored as numbers. Pass a base64 string.";
  if (!isFromToJson && "toJSON" in value) {
    const replacement = toJsonValue(value);
    if (replacement === null) return ": its toJSON() returns null. Is it an invalid date?";
    if (replacement !== value) return lossIn(replacement, true); // JSON calls toJSON once
  }
  return Array.isArray(value) ? lossInArray(value) : lossInObject(value);
}

/** What JSON takes instead of a value: what its toJSON() returns, or the value itself. */
export function toJsonValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("toJSON" in value)) return value;
  return typeof value.toJSON === "function" ? value.toJSON("") : value;
}

function lossInArray(array: readonly unknown[]): string | undefined {
  for (let index = 0; index < array.length; index++) {
    const loss = lossIn(array[index]);
    if (loss !== undefined) return `[${index}]${loss}`;
  }
  return undefined;
}

/** JSON would lose what they contain, even if an instance also has properties. */
const classesWithHiddenContents = [Error, Map, Set, Promise, RegExp];

function lossInObject(object: object): string | undefined {
  const keys = Object.keys(object);
  if (!isPlain(object) && (keys.length === 0 || classesWithHiddenContents.some((Class) => object instanceof Class)))
    return `: ${object.constructor?.name} would lose its contents. Pass a plain object, an array or a string.`;
  for (const key of keys) {
    const value = (object as Record<string, unknown>)[key];
    const loss = value === undefined ? undefined : lossIn(value); // undefined is left out on purpose, as JSON does
    if (loss !== undefined) return (/^[\w@$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`) + loss;
  }
  return undefined;
}

/** A plain object of any realm, not an instance of a class. */
function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** An object that is not an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of an object. Any other value has none. */
export function fieldsIn(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}

/** Parses JSON text. Anything else is returned unchanged. */
export function parseJson(value: unknown): unknown {
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch {
    return value;
  }
}

/** Any value as text for a message. */
export function toText(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return String(typeof value === "object" && !(value instanceof Error) ? JSON.stringify(value) : value);
  } catch {
    return "a value that JSON cannot represent";
  }
}

/** Reports an option or an argument that is wrong. */
export function refuse(message: string): never {
  throw new ConfigurationError(message);
}

/** Any text on one line, without characters that control a terminal. */
export function toLine(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ");
}
