// Descriptions of what requests may hold, and how Kibana's two validators, config-schema and zod, word a refusal.
import { Failure, isPlainObject, NotSimulated } from "./http.ts";

type Path = (string | number)[];

/** A field is required unless it is optional or has a default. */
export type Schema = { optional?: boolean; default?: unknown } & (
  | { is: "any" | "string" | "url" | "refused"; isNotBlank?: boolean; isNotEmpty?: boolean; prefix?: string }
  | { is: "boolean" }
  | { is: "enum"; options: string[] }
  | { is: "nullable" | "array" | "record"; of: Schema }
  | { is: "object"; fields: Record<string, Schema> }
);

/** config-schema stops at the first fault, zod reports all of them. Newer versions of config-schema word an unknown key differently. */
export type Validator = "config-schema" | "newer config-schema" | "zod";

export class Invalid extends Failure {}

/** A blank string at any depth is refused, but the path in the message ends at the field. */
function isBlank(value: unknown): boolean {
  return typeof value === "string" ? value.trim() === "" : Object.values(value ?? {}).some(isBlank);
}

/** Returns the value with its defaults. `namespace` is where the value is, such as "request body". */
export function validate(schema: Schema, value: unknown, validator: Validator, namespace: Path = []): unknown {
  const isZod = validator === "zod";
  const faults: { depth: number; text: string }[] = [];
  const result = walk(schema, value, namespace);
  if (faults.length === 0) return result;
  faults.sort((a, b) => a.depth - b.depth);
  throw new Invalid(400, faults.map(({ text }) => text).join("\n"));

  function walk(inner: Schema, given: unknown, path: Path): unknown {
    if (given === undefined && ("default" in inner || inner.optional)) return inner.default;
    switch (inner.is) {
      case "refused":
        throw new NotSimulated(`connectors with "${path.at(-1)}"`);
      case "any":
      case "string":
      case "url": {
        if (inner.is !== "any" && typeof given !== "string") return mismatch("string", given, path);
        if (inner.is === "url" && !URL.canParse(String(given))) throw new NotSimulated("the refusal of a wrong URL");
        if (inner.isNotBlank && isBlank(given)) return fail("value '' is not valid", path);
        if (inner.isNotEmpty && given === "") throw new NotSimulated("the refusal of an empty text");
        const isFine = inner.prefix === undefined || String(given).startsWith(inner.prefix);
        return isFine ? given : fail(`index must start with "${inner.prefix}"`, path);
      }
      case "boolean":
        if (typeof given === "boolean") return given;
        if (isZod || typeof given !== "string" || !/^(true|false)$/i.test(given))
          return mismatch("boolean", given, path);
        return given.toLowerCase() === "true";
      case "enum": {
        if (inner.options.some((option) => option === given)) return given;
        const options = inner.options.map((option) => `"${option}"`).join("|");
        if (isZod) return fail(`Invalid option: expected one of ${options}`, path);
        const faults = inner.options.map((option, index) => notEqual(option, [...path, index]));
        return failUnion(faults, path);
      }
      case "nullable":
        if (given === null) return null;
        if (isZod) return walk(inner.of, given, path);
        try {
          return walk(inner.of, given, [...path, 0]);
        } catch (error) {
          if (!(error instanceof Invalid)) throw error;
          return failUnion([error.message, notEqual("null", [...path, 1])], path);
        }
      case "array": {
        const list = fromJson(given, "array", path);
        if (!Array.isArray(list)) return mismatch("array", list, path);
        return list.map((item, index) => walk(inner.of, item, [...path, index]));
      }
      case "record": {
        const record = fromJson(given, "record", path);
        if (!isPlainObject(record)) return mismatch("record", record, path);
        const entries = Object.entries(record).map(([key, item]) => [key, walk(inner.of, item, [...path, key])]);
        return Object.fromEntries(entries);
      }
      case "object":
        return walkObject(inner.fields, fromJson(given, "object", path), path);
    }
  }

  function walkObject(fields: Record<string, Schema>, object: unknown, path: Path): unknown {
    if (!isPlainObject(object)) return mismatch("object", object, path);
    const walked = (key: string, field: Schema) => [key, walk(field, object[key], [...path, key])] as const;
    const entries = Object.entries(fields).map(([key, field]) => walked(key, field));
    const unknown = Object.keys(object).filter((key) => !Object.hasOwn(fields, key));
    const [first] = unknown;
    // First what was given, in its order, then the defaults.
    if (first === undefined) return { ...object, ...Object.fromEntries(entries) };
    const keys = unknown.map((key) => `"${key}"`).join(", ");
    if (isZod) return fail(`Unrecognized key${unknown.length > 1 ? "s" : ""}: ${keys}`, path);
    const newer = `Additional properties are not allowed ('${first}' was unexpected)`;
    return fail(validator === "config-schema" ? "definition for this key is missing" : newer, [...path, first]);
  }

  function fail(message: string, path: Path): undefined {
    if (!isZod) throw new Invalid(400, path.length === 0 ? message : `[${path.join(".")}]: ${message}`);
    const place = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
    faults.push({ depth: path.length, text: `✖ ${message}${place && `\n  → at ${place.slice(1)}`}` });
  }

  function failUnion(messages: string[], path: Path): undefined {
    return fail(`types that failed validation:${messages.map((message) => `\n- ${message}`).join("")}`, path);
  }

  function notEqual(expected: string, path: Path): string {
    return `[${path.join(".")}]: expected value to equal [${expected}]`;
  }

  function mismatch(type: string, given: unknown, path: Path): undefined {
    const kind = given === null ? "null" : typeof given;
    const found = kind === "object" ? (Array.isArray(given) ? "Array" : "Object") : kind;
    if (isZod) return fail(`Invalid input: expected ${type}, received ${found.toLowerCase()}`, path);
    if (type === "object") return fail(`expected a plain object value, but found [${found}] instead.`, path);
    return fail(`expected value of type [${type === "record" ? "object" : type}] but got [${found}]`, path);
  }

  /** config-schema reads a string as JSON where it wants a structure. */
  function fromJson(given: unknown, kind: string, path: Path): unknown {
    if (typeof given !== "string" || isZod) return given;
    try {
      return JSON.parse(given);
    } catch {
      return fail(`could not parse ${kind} value from json input`, path);
    }
  }
}
