// Descriptions of what requests may hold, and how Kibana's two validators, config-schema and zod, word a refusal.
import { isPlainObject } from "./http.ts";

type Check = (value: unknown) => string | undefined;
type Path = (string | number)[];

/** A field is required unless it has a default. */
export type Schema = { default?: unknown } & (
  | { is: "any" | "string"; check?: Check }
  | { is: "boolean" }
  | { is: "enum"; options: string[] }
  | { is: "nullable" | "array" | "record"; of: Schema }
  | { is: "object"; fields: Record<string, Schema> }
);

/** config-schema stops at the first fault, zod reports all of them. Newer versions of config-schema word an unknown key differently. */
export type Validator = "config-schema" | "newer config-schema" | "zod";

export class Invalid extends Error {}

/** Blank strings are refused at any depth, but the path in the message ends at the field. */
export function notBlank(value: unknown): string | undefined {
  if (typeof value === "string") return value.trim() === "" ? "value '' is not valid" : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  return Object.values(value).map(notBlank).find(Boolean);
}

/** Returns the value with its defaults. `namespace` is where the value is, such as "request body". */
export function validate(schema: Schema, value: unknown, validator: Validator, namespace: Path = []): unknown {
  const faults: { depth: number; text: string }[] = [];
  const result = walk(schema, value, namespace);
  if (faults.length === 0) return result;
  throw new Invalid(
    faults
      .sort((a, b) => a.depth - b.depth)
      .map(({ text }) => text)
      .join("\n"),
  );

  function walk(inner: Schema, item: unknown, path: Path): unknown {
    if (item === undefined && "default" in inner) return inner.default;
    switch (inner.is) {
      case "any":
      case "string": {
        if (inner.is === "string" && typeof item !== "string") return mismatch("string", item, path);
        const fault = inner.check?.(item);
        return fault === undefined ? item : fail(fault, path);
      }
      case "boolean": {
        const words: Record<string, boolean> = { true: true, false: false };
        const flag = validator !== "zod" && typeof item === "string" ? words[item.toLowerCase()] : item;
        return typeof flag === "boolean" ? flag : mismatch("boolean", item, path);
      }
      case "enum":
        if (inner.options.some((option) => option === item)) return item;
        if (validator === "zod")
          return fail(
            `Invalid option: expected one of ${inner.options.map((option) => `"${option}"`).join("|")}`,
            path,
          );
        return failUnion(
          inner.options.map((option, index) => notEqual(option, [...path, index])),
          path,
        );
      case "nullable":
        if (item === null) return null;
        if (validator === "zod") return walk(inner.of, item, path);
        try {
          return walk(inner.of, item, [...path, 0]);
        } catch (error) {
          if (!(error instanceof Invalid)) throw error;
          return failUnion([error.message, notEqual("null", [...path, 1])], path);
        }
      case "array": {
        const list = fromJson(item, "array", path);
        if (!Array.isArray(list)) return mismatch("array", list, path);
        return list.map((element, index) => walk(inner.of, element, [...path, index]));
      }
      case "record": {
        const record = fromJson(item, "record", path);
        if (!isPlainObject(record)) return mismatch("record", record, path);
        return Object.fromEntries(
          Object.entries(record).map(([key, entry]) => [key, walk(inner.of, entry, [...path, key])]),
        );
      }
      case "object":
        return walkObject(inner.fields, fromJson(item, "object", path), path);
    }
  }

  function walkObject(fields: Record<string, Schema>, object: unknown, path: Path): unknown {
    if (!isPlainObject(object)) return mismatch("object", object, path);
    const checked = new Map(
      Object.entries(fields).map(([key, field]) => [key, walk(field, object[key], [...path, key])]),
    );
    const unknown = Object.keys(object).filter((key) => !checked.has(key));
    const [first] = unknown;
    if (first === undefined) {
      // config-schema keeps the order of what was given, and adds the defaults; zod follows the schema.
      const keys = validator === "zod" ? checked.keys() : new Set([...Object.keys(object), ...checked.keys()]);
      return Object.fromEntries([...keys].map((key) => [key, checked.get(key)]));
    }
    const keys = unknown.map((key) => `"${key}"`).join(", ");
    if (validator === "zod") return fail(`Unrecognized key${unknown.length > 1 ? "s" : ""}: ${keys}`, path);
    const older = "definition for this key is missing";
    const newer = `Additional properties are not allowed ('${first}' was unexpected)`;
    return fail(validator === "config-schema" ? older : newer, [...path, first]);
  }

  function fail(message: string, path: Path): undefined {
    if (validator !== "zod") throw new Invalid(path.length === 0 ? message : `[${path.join(".")}]: ${message}`);
    const at = path
      .map((key, index) => (typeof key === "number" ? `[${key}]` : `${index > 0 ? "." : ""}${key}`))
      .join("");
    faults.push({ depth: path.length, text: `✖ ${message}${at === "" ? "" : `\n  → at ${at}`}` });
  }

  function failUnion(messages: string[], path: Path): undefined {
    return fail(`types that failed validation:${messages.map((message) => `\n- ${message}`).join("")}`, path);
  }

  function notEqual(expected: string, path: Path): string {
    return `[${path.join(".")}]: expected value to equal [${expected}]`;
  }

  function mismatch(type: string, item: unknown, path: Path): undefined {
    if (validator === "zod")
      return fail(`Invalid input: expected ${type}, received ${typeName(item).toLowerCase()}`, path);
    if (type === "object") return fail(`expected a plain object value, but found [${typeName(item)}] instead.`, path);
    return fail(`expected value of type [${type === "record" ? "object" : type}] but got [${typeName(item)}]`, path);
  }

  /** config-schema reads a string as JSON where it wants a structure. */
  function fromJson(item: unknown, kind: string, path: Path): unknown {
    if (typeof item !== "string" || validator === "zod") return item;
    try {
      return JSON.parse(item);
    } catch {
      return fail(`could not parse ${kind} value from json input`, path);
    }
  }
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return Array.isArray(value) ? "Array" : "Object";
}
