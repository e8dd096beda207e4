// Turns a request into JSON, and refuses what JSON would change.
import * as types from "node:util/types"; // node:util would also load workers and streams
import { SerializationError } from "./errors.ts";
import { isPlain } from "./options.ts";
import { words } from "./shown.ts";

/**
 * JSON in which every value is stored as what it is.
 *
 * @throws {SerializationError} JSON would change or refuse a value; the message names its path
 */
export function serialize(request: object): string {
  // The objects around the current value, each with the key under which it stands in the one before.
  const holders: object[] = [];
  const keys: string[] = [];

  function check(this: object, key: string, value: unknown): unknown {
    while (holders.length > 0 && holders.at(-1) !== this) {
      holders.pop();
      keys.pop();
    }
    if (typeof value === "string" && key !== "__proto__") return value;
    const loss = holders.includes(value as object) ? "contains itself." : lossOf(value, key, this);
    if (loss) throw new SerializationError(`${pathOf([...keys, key])}: ${loss}`);
    if (typeof value === "object" && value !== null) {
      holders.push(value);
      keys.push(key);
    }
    return value;
  }

  function pathOf(steps: readonly string[]): string {
    const path = steps.map((step, depth) => {
      if (Array.isArray(holders[depth - 1])) return `[${step}]`;
      return /^[\w@$]+$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
    });
    // The first step is the request itself.
    return path
      .slice(1)
      .join("")
      .replace(/^\.(params\.)?/, "");
  }

  try {
    return JSON.stringify(request, isData(request) ? undefined : check);
  } catch (cause) {
    if (cause instanceof SerializationError) throw cause;
    const said = words(cause instanceof Error ? String(cause) : cause); // of a toJSON or a getter, perhaps
    throw new SerializationError(`The request: ${/call stack/.test(said) ? "is nested too deep." : said}`, { cause });
  }
}

/** Whether a value needs no closer look, which would take ten times as long. */
function isData(value: unknown, depth = 0): boolean {
  if (typeof value === "string" || typeof value === "boolean" || value === null) return true;
  if (typeof value !== "object") return Number.isFinite(value);
  if (depth > 100 || "toJSON" in value) return false;
  if (Array.isArray(value)) {
    // By index, as JSON does: an array may have holes, or an iterator of its own.
    for (let index = 0; index < value.length; index++) if (!isData(value[index], depth + 1)) return false;
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  for (const key in value)
    if (key === "__proto__" || !isData((value as Record<string, unknown>)[key], depth + 1)) return false;
  return true;
}

/** Why JSON would not store the value as what it is. `value` is what its `toJSON` gave, if it has one. */
function lossOf(value: unknown, key: string, holder: object): string | undefined {
  if (key === "__proto__") return "Kibana refuses this key.";
  if (value === undefined) return Array.isArray(holder) ? "undefined would be stored as null." : undefined;
  if (value === null)
    return types.isDate(original(holder, key)) ? "an invalid date would be stored as null." : undefined;
  if (typeof value === "boolean" || types.isBooleanObject(value) || types.isStringObject(value)) return undefined;
  if (typeof value === "number" || types.isNumberObject(value))
    return Number.isFinite(Number(value)) ? undefined : `${value} would be stored as null.`;
  if (typeof value === "bigint" || types.isBigIntObject(value)) return "JSON has no BigInt. Pass a number or a string.";
  if (typeof value === "function" && key === "toJSON") return undefined; // it has done its work
  if (typeof value !== "object") return `a ${typeof value} would be left out.`;
  if ("then" in value && typeof value.then === "function")
    return "a Promise would be stored as {}. Is an await missing?";
  // A Buffer's toJSON gives { type: "Buffer", data: [...] }.
  if (isBinary(value) || ("type" in value && value.type === "Buffer" && isBinary(original(holder, key))))
    return "binary data would be stored as numbers. Pass a base64 string.";
  const losesItsState = types.isNativeError(value) || types.isMap(value) || types.isSet(value);
  if (Array.isArray(value) || (!losesItsState && (Object.keys(value).length > 0 || isPlain(value)))) return undefined;
  const { name } = Object(value.constructor) as { name?: unknown };
  return `an instance of ${name || "a class"} would lose its contents. Pass a plain object, an array or a string.`;
}

/** The value before its `toJSON`. */
function original(holder: object, key: string): unknown {
  return (holder as Record<string, unknown>)[key];
}

function isBinary(value: unknown): boolean {
  return ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value);
}
