// Descriptions of what requests may hold, and the two validators that Kibana words its refusals with: config-schema and zod.

type Check<T> = (value: T) => string | undefined;

/** A field is required unless it has a default. */
export type Schema = { default?: unknown } & (
  | { is: "any"; check?: Check<unknown> }
  | { is: "string"; check?: Check<string> }
  | { is: "boolean" }
  | { is: "enum"; options: string[] }
  | { is: "nullable"; of: Schema }
  | { is: "array"; of: Schema }
  | { is: "record"; of: Schema }
  | { is: "object"; fields: Record<string, Schema> }
);

export class Invalid extends Error {}

/** Blank strings are refused at any depth, but the path that is told ends at the field. */
export function notBlank(value: unknown): string | undefined {
  if (typeof value === "string") return value.trim() === "" ? "value '' is not valid" : undefined;
  if (typeof value !== "object" || value === null) return undefined;
  return Object.values(value).map(notBlank).find(Boolean);
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** The value with its defaults, as config-schema sees it. It stops at the first fault; `path` begins with a namespace such as "request body", if any. */
export function byConfigSchema(schema: Schema, value: unknown, path: string[], newWording = false): unknown {
  const fail = (message: string): never => {
    throw new Invalid(path.length === 0 ? message : `[${path.join(".")}]: ${message}`);
  };
  const descend = (inner: Schema, item: unknown, key: string) =>
    byConfigSchema(inner, item, [...path, key], newWording);
  if (value === undefined && "default" in schema) return schema.default;
  switch (schema.is) {
    case "any": {
      const fault = schema.check?.(value);
      return fault === undefined ? value : fail(fault);
    }
    case "string": {
      if (typeof value !== "string") return fail(`expected value of type [string] but got [${typeName(value)}]`);
      const fault = schema.check?.(value);
      return fault === undefined ? value : fail(fault);
    }
    case "boolean": {
      const word = typeof value === "string" ? value.toLowerCase() : value;
      if (word === true || word === "true") return true;
      if (word === false || word === "false") return false;
      return fail(`expected value of type [boolean] but got [${typeName(value)}]`);
    }
    case "enum":
    case "nullable": {
      const faults: string[] = [];
      const attempts =
        schema.is === "enum"
          ? schema.options.map((option, index) => () => literal(option, index))
          : [() => descend(schema.of, value, "0"), () => literal(null, 1)];
      for (const attempt of attempts) {
        try {
          return attempt();
        } catch (error) {
          if (!(error instanceof Invalid)) throw error;
          faults.push(`\n- ${error.message}`);
        }
      }
      return fail(`types that failed validation:${faults.join("")}`);
    }
    case "array": {
      const items = fromJson(value, "array", Array.isArray);
      if (!Array.isArray(items)) return fail(`expected value of type [array] but got [${typeName(items)}]`);
      return items.map((item, index) => descend(schema.of, item, String(index)));
    }
    case "record": {
      const record = fromJson(value, "record", isPlainObject);
      if (!isPlainObject(record)) return fail(`expected value of type [object] but got [${typeName(record)}]`);
      return Object.fromEntries(Object.entries(record).map(([key, item]) => [key, descend(schema.of, item, key)]));
    }
    case "object": {
      const object = fromJson(value, "object", isPlainObject);
      if (!isPlainObject(object))
        return fail(`expected a plain object value, but found [${typeName(object)}] instead.`);
      const known = Object.entries(schema.fields).map(
        ([key, field]) => [key, descend(field, object[key], key)] as const,
      );
      const unknown = Object.keys(object).find((key) => !Object.hasOwn(schema.fields, key));
      if (unknown !== undefined) {
        path = [...path, unknown];
        fail(
          newWording
            ? `Additional properties are not allowed ('${unknown}' was unexpected)`
            : "definition for this key is missing",
        );
      }
      // What was given comes first, in its own order, then the defaults: that is how Kibana answers.
      const checked = new Map(known);
      return Object.fromEntries([...Object.keys(object), ...checked.keys()].map((key) => [key, checked.get(key)]));
    }
  }

  function literal(expected: string | null, index: number): string | null {
    if (value === expected) return expected;
    throw new Invalid(`[${[...path, String(index)].join(".")}]: expected value to equal [${expected}]`);
  }

  /** config-schema reads a string where it wants a structure as JSON. */
  function fromJson(given: unknown, kind: string, fits: (parsed: unknown) => boolean): unknown {
    if (typeof given !== "string" || fits(given)) return given;
    try {
      return JSON.parse(given);
    } catch {
      return fail(`could not parse ${kind} value from json input`);
    }
  }
}

/** The value with its defaults, as zod sees it: every fault is told, the shallow ones first. */
export function byZod(schema: Schema, value: unknown): unknown {
  const faults: { depth: number; text: string }[] = [];
  const result = walk(schema, value, []);
  if (faults.length === 0) return result;
  throw new Invalid(
    faults
      .sort((a, b) => a.depth - b.depth)
      .map(({ text }) => text)
      .join("\n"),
  );

  function walk(inner: Schema, item: unknown, path: (string | number)[]): unknown {
    const fail = (message: string) => {
      const at = path
        .map((key, index) => (typeof key === "number" ? `[${key}]` : `${index ? "." : ""}${key}`))
        .join("");
      faults.push({ depth: path.length, text: `✖ ${message}${at === "" ? "" : `\n  → at ${at}`}` });
      return undefined;
    };
    const expected = (type: string) => fail(`Invalid input: expected ${type}, received ${zodTypeName(item)}`);
    if (item === undefined && "default" in inner) return inner.default;
    switch (inner.is) {
      case "any":
        return item;
      case "string": {
        if (typeof item !== "string") return expected("string");
        const fault = inner.check?.(item);
        return fault === undefined ? item : fail(fault);
      }
      case "boolean":
        return typeof item === "boolean" ? item : expected("boolean");
      case "enum":
        if (inner.options.some((option) => option === item)) return item;
        return fail(`Invalid option: expected one of ${inner.options.map((option) => `"${option}"`).join("|")}`);
      case "nullable":
        return item === null ? null : walk(inner.of, item, path);
      case "array":
        if (!Array.isArray(item)) return expected("array");
        return item.map((element, index) => walk(inner.of, element, [...path, index]));
      case "record":
        if (!isPlainObject(item)) return expected("record");
        return Object.fromEntries(
          Object.entries(item).map(([key, entry]) => [key, walk(inner.of, entry, [...path, key])]),
        );
      case "object": {
        if (!isPlainObject(item)) return expected("object");
        const checked = Object.entries(inner.fields).map(([key, field]) => [
          key,
          walk(field, item[key], [...path, key]),
        ]);
        const unknown = Object.keys(item).filter((key) => !Object.hasOwn(inner.fields, key));
        if (unknown.length > 0) {
          fail(`Unrecognized key${unknown.length > 1 ? "s" : ""}: ${unknown.map((key) => `"${key}"`).join(", ")}`);
        }
        return Object.fromEntries(checked);
      }
    }
  }
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  if (Array.isArray(value)) return "Array";
  return value instanceof Uint8Array ? "Uint8Array" : "Object";
}

function zodTypeName(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}
