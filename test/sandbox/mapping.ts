// What Elasticsearch makes of a document's fields: dynamic mapping, and the words with which it refuses what conflicts.
import type { Behaviour } from "./versions.ts";

/** A field as `GET /<index>/_mapping` shows it; an object has `properties`. */
export interface Field {
  type?: string;
  properties?: Record<string, Field>;
  fields?: unknown;
  format?: string;
  locale?: string;
  dynamic?: string | boolean;
}

/** Why a document was refused, as a bulk item's `error`. */
export interface Cause {
  type: string;
  reason: string;
  caused_by?: Cause;
}

export class Refused extends Error {
  readonly error: Cause;
  constructor(error: Cause) {
    super(error.reason);
    this.error = error;
  }
}

type Step = string | number;

const metadata = ["_id", "_index", "_source", "_routing", "_seq_no", "_field_names", "_version", "_ignored"];
const dateFormats = "strict_date_optional_time||epoch_millis";
const slashDateFormats = "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis";

/** Checks `document` against `root` and adds the fields that are new; a refused document adds none. */
export function mapDocument(root: Field, document: Record<string, unknown>, id: string, behaviour: Behaviour): void {
  const old = behaviour.elasticsearch7;
  /** New fields in the order of their appearance; the same name may come twice, with types that conflict. */
  const found: { path: string[]; field: Field }[] = [];

  walkObject(root, document, [], []);
  const merged = structuredClone(root);
  for (const { path, field } of found) addField(merged, path, field);
  Object.assign(root, merged);

  function walkObject(object: Field | undefined, value: Record<string, unknown>, path: string[], steps: Step[]): void {
    for (const [key, item] of Object.entries(value)) {
      checkName(key, steps);
      if (path.length === 0 && isMetadata(key)) refuseMetadata(key, item, [key]);
      const parts = key.split(".").filter((part) => part !== "");
      walkName(object, parts, item, path, [...steps, key]);
    }
  }

  /** `{"a.b": 1}` is `{"a": {"b": 1}}`. */
  function walkName(parent: Field | undefined, parts: string[], item: unknown, path: string[], steps: Step[]): void {
    const [name = "", ...rest] = parts;
    const here = [...path, name];
    const field = parent?.properties?.[name];
    if (rest.length === 0) return walkValue(parent, field, item, here, steps, String(steps.at(-1)));
    if (field !== undefined && field.type !== undefined && field.type !== "object") {
      const shown = rest.reduceRight((inner, part) => ({ [part]: inner }), item);
      if (old) {
        fail(
          `Could not dynamically add mapping for field [${[...here, ...rest].join(".")}]. Existing mapping for [${here.join(".")}] must be of type object but found [${field.type}].`,
          steps,
        );
      }
      return refuseValue(field, shown, here, steps);
    }
    if (field === undefined) introduce(parent, { properties: {} }, here, steps);
    walkName(field, rest, item, here, steps);
  }

  function walkValue(
    parent: Field | undefined,
    field: Field | undefined,
    item: unknown,
    path: string[],
    steps: Step[],
    told: string,
  ): void {
    if (item === null) return;
    if (Array.isArray(item)) {
      // Elasticsearch has lost the name inside an array: it says [null].
      for (const [index, element] of item.entries()) walkValue(parent, field, element, path, [...steps, index], "null");
      return;
    }
    const isObject = typeof item === "object";
    if (field === undefined) {
      const guess = isObject ? { properties: {} } : guessField(item, old);
      introduce(parent, guess, path, steps);
      if (isObject) return walkObject(undefined, item as Record<string, unknown>, path, steps);
      return checkScalar(guess, item, path, steps);
    }
    if (field.type === undefined || field.type === "object") {
      if (isObject) return walkObject(field, item as Record<string, unknown>, path, steps);
      const name = path.join(".");
      const shown = told === "null" ? "null" : old ? told : path.at(-1);
      return fail(
        `object mapping for [${name}] tried to parse field [${shown}] as object, but found a concrete value`,
        steps,
      );
    }
    if (isObject) return refuseValue(field, item, path, steps);
    checkScalar(field, item, path, steps);
  }

  function introduce(parent: Field | undefined, field: Field, path: string[], steps: Step[]): void {
    const within = path.slice(0, -1).join(".") || "_doc";
    if (dynamicOf(path) === "strict") {
      throw new Refused({
        type: "strict_dynamic_mapping_exception",
        reason: `${at(steps)}mapping set to strict, dynamic introduction of [${path.at(-1)}] within [${within}] is not allowed`,
      });
    }
    if (dynamicOf(path) !== "false") found.push({ path, field });
    void parent;
  }

  function dynamicOf(path: string[]): string {
    let dynamic = root.dynamic;
    let field: Field | undefined = root;
    for (const name of path.slice(0, -1)) {
      field = field?.properties?.[name];
      dynamic = field?.dynamic ?? dynamic;
    }
    return String(dynamic ?? "true");
  }

  function checkScalar(field: Field, item: unknown, path: string[], steps: Step[]): void {
    if (faultOf(field, item) !== undefined) refuseValue(field, item, path, steps);
  }

  function refuseValue(field: Field, item: unknown, path: string[], steps: Step[]): never {
    const isObject = typeof item === "object" && item !== null;
    throw new Refused({
      type: old || !behaviour.documentPositions ? "mapper_parsing_exception" : "document_parsing_exception",
      reason: `${at(steps, isObject)}failed to parse field [${path.join(".")}] of type [${field.type}] in document with id '${id}'. Preview of field's value: '${preview(item)}'`,
      caused_by: isObject
        ? objectFault(field, steps)
        : (faultOf(field, item, steps) ?? { type: "illegal_argument_exception", reason: "" }),
    });
  }

  function objectFault(field: Field, steps: Step[]): Cause {
    const column = columnOf(document, steps);
    if (field.type === "boolean")
      return parserFault("json_parse_exception", "Current token (START_OBJECT) not of boolean type", column + 1);
    if (field.type === "text" || field.type === "date" || field.type === "keyword") {
      return old
        ? { type: "illegal_state_exception", reason: `Can't get text on a START_OBJECT at 1:${column}` }
        : { type: "illegal_argument_exception", reason: `Expected text at 1:${column} but found START_OBJECT` };
    }
    if (!old) return { type: "illegal_argument_exception", reason: "Cannot parse object as number" };
    return parserFault(
      "json_parse_exception",
      "Current token (START_OBJECT) not numeric, can not use numeric value accessors",
      column + 1,
    );
  }

  /** What is wrong with a value that is neither object nor array; without `steps` only whether something is. */
  function faultOf(field: Field, item: unknown, steps?: Step[]): Cause | undefined {
    const text = String(item);
    const end = steps === undefined ? 0 : columnOf(document, steps) + byteLength(JSON.stringify(item));
    const illegal = (reason: string, type = "illegal_argument_exception"): Cause => ({ type, reason });
    switch (field.type) {
      case "long":
      case "integer":
      case "short":
      case "byte": {
        if (typeof item === "boolean") return notNumeric(text, end);
        if (item === "") return undefined;
        if (typeof item === "string") return isDecimal(text) ? undefined : illegal(`For input string: "${text}"`);
        if (Math.abs(Number(item)) < 2 ** 63) return undefined;
        return parserFault(
          "input_coercion_exception",
          `Numeric value (${text}) out of range of long (-9223372036854775808 - 9223372036854775807)`,
          end,
        );
      }
      case "float":
      case "double": {
        if (typeof item === "boolean") return notNumeric(text, end);
        if (item === "") return undefined;
        if (typeof item === "string" && !isDecimal(text.trim())) {
          return illegal(
            text.trim() === "" ? "empty String" : `For input string: "${text}"`,
            "number_format_exception",
          );
        }
        const limit = field.type === "float" ? 3.4028235677973366e38 : Number.MAX_VALUE;
        return Math.abs(Number(item)) < limit
          ? undefined
          : illegal(`[${field.type}] supports only finite values, but got [${Number(item) < 0 ? "-" : ""}Infinity]`);
      }
      case "boolean": {
        if (typeof item === "boolean" || item === "" || item === "true" || item === "false") return undefined;
        if (typeof item === "string")
          return illegal(`Failed to parse value [${text}] as only [true] or [false] are allowed.`);
        const token = /[.e]/.test(text) ? "VALUE_NUMBER_FLOAT" : "VALUE_NUMBER_INT";
        return parserFault("json_parse_exception", `Current token (${token}) not of boolean type`, end);
      }
      case "date": {
        if (item === "") return illegal(old ? "cannot parse empty date" : "cannot parse empty datetime");
        if (isDate(text, field.format ?? dateFormats, old)) return undefined;
        return {
          ...illegal(`failed to parse date field [${text}] with format [${field.format ?? dateFormats}]`),
          caused_by: { type: "date_time_parse_exception", reason: "Failed to parse with all enclosed parsers" },
        };
      }
      default:
        return undefined;
    }
  }

  function notNumeric(text: string, end: number): Cause {
    return parserFault(
      "json_parse_exception",
      `Current token (VALUE_${text.toUpperCase()}) not numeric, can not use numeric value accessors`,
      end,
    );
  }

  /** A fault that the JSON parser found: newer versions wrap it and show the source. */
  function parserFault(type: string, reason: string, column: number): Cause {
    const source = old ? "(ByteArrayInputStream)" : `(byte[])"${JSON.stringify(document)}"`;
    const full = `${reason}\n at [Source: ${source}; line: 1, column: ${column}]`;
    if (old) return { type, reason: full };
    return { type: "x_content_parse_exception", reason: `[1:${column}] ${full}`, caused_by: { type, reason: full } };
  }

  function checkName(key: string, steps: Step[]): void {
    const fault = nameFault(key, old);
    if (fault === undefined) return;
    const where = behaviour.documentPositions ? `[1:${columnOf(document, [...steps, key], true)}] ` : "";
    const type = behaviour.documentPositions ? "document_parsing_exception" : "mapper_parsing_exception";
    if (fault.startsWith("Field name")) throw new Refused({ type, reason: `${where}${fault}` });
    throw new Refused({
      type,
      reason: `${where}failed to parse${old ? "" : `: ${fault}`}`,
      caused_by: { type: "illegal_argument_exception", reason: fault },
    });
  }

  function isMetadata(key: string): boolean {
    return metadata.includes(key) || (old ? key === "_type" : key === "_nested_path" || key === "_tier");
  }

  function refuseMetadata(key: string, item: unknown, steps: Step[]): never {
    const isObject = typeof item === "object" && item !== null;
    const type = behaviour.documentPositions ? "document_parsing_exception" : "mapper_parsing_exception";
    throw new Refused({
      type,
      reason: `${at(steps, isObject)}failed to parse field [${key}] of type [${key}] in document with id '${id}'. Preview of field's value: '${preview(item)}'`,
      caused_by: {
        type,
        reason: `${at(steps)}Field [${key}] is a metadata field and cannot be added inside a document. Use the index API request parameters.`,
      },
    });
  }

  function fail(reason: string, steps: Step[]): never {
    const type = behaviour.documentPositions ? "document_parsing_exception" : "mapper_parsing_exception";
    throw new Refused({ type, reason: `${at(steps)}${reason}` });
  }

  /** The position that newer versions begin with: where the value starts, or of an object that was read to its end, where it ends. */
  function at(steps: Step[], end = false): string {
    if (!behaviour.documentPositions) return "";
    const column = columnOf(document, steps);
    return `[1:${end ? column + byteLength(JSON.stringify(valueAt(document, steps))) - 1 : column}] `;
  }
}

function addField(root: Field, path: string[], field: Field): void {
  let object = root;
  for (const name of path.slice(0, -1)) {
    const next = object.properties?.[name];
    if (next?.properties === undefined) mergeFault(path.slice(0, path.indexOf(name) + 1));
    object = next;
  }
  const name = path.at(-1) ?? "";
  object.properties ??= {};
  const existing = object.properties[name];
  if (existing === undefined) object.properties[name] = structuredClone(field);
  else if ((existing.properties === undefined) !== (field.properties === undefined)) mergeFault(path);
  else if (existing.type !== field.type) {
    throw new Refused({
      type: "illegal_argument_exception",
      reason: `mapper [${path.join(".")}] cannot be changed from type [${existing.type}] to [${field.type}]`,
    });
  }
}

function mergeFault(path: string[]): never {
  throw new Refused({
    type: "illegal_argument_exception",
    reason: `can't merge a non object mapping [${path.join(".")}] with an object mapping`,
  });
}

function guessField(item: unknown, old: boolean): Field {
  if (typeof item === "boolean") return { type: "boolean" };
  if (typeof item === "number") return { type: Number.isInteger(item) && !/e/.test(String(item)) ? "long" : "float" };
  const text = String(item);
  if (/\D/.test(text) && isDate(text, "strict_date_optional_time", old)) return { type: "date" };
  if (isDate(text, "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd", old)) {
    return old ? { type: "date", format: slashDateFormats } : { type: "date", format: slashDateFormats, locale: "" };
  }
  return { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } };
}

function isDate(text: string, formats: string, old: boolean): boolean {
  return formats.split("||").some((format) => {
    if (format === "epoch_millis") return (old ? /^\d+(\.\d*)?$/ : /^-?\d+(\.\d*)?$/).test(text);
    const pattern =
      format === "yyyy/MM/dd"
        ? /^(\d{4})\/(\d\d)\/(\d\d)$/
        : format === "yyyy/MM/dd HH:mm:ss"
          ? /^(\d{4})\/(\d\d)\/(\d\d) (\d\d):(\d\d):(\d\d)$/
          : /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?)?)?)?$/;
    const match = pattern.exec(text);
    if (match === null) return false;
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = match
      .slice(1)
      .map((part) => (part === undefined ? undefined : Number(part)));
    return (
      month >= 1 &&
      month <= 12 &&
      day >= 1 &&
      day <= new Date(Date.UTC(year, month, 0)).getUTCDate() &&
      hour <= 23 &&
      minute <= 59 &&
      second <= 59
    );
  });
}

function nameFault(key: string, old: boolean): string | undefined {
  if (key === "") return "field name cannot be an empty string";
  if (/^\.+$/.test(key)) return "field name cannot contain only dots";
  const parts = key.replace(/\.+$/, "").split(".");
  if (parts.includes("")) {
    return old
      ? `object field starting or ending with a [.] makes object resolution ambiguous: [${key}]`
      : `field name cannot contain only whitespace: ['${key}']`;
  }
  if (!parts.some((part) => part.trim() === "")) return undefined;
  if (parts.length === 1) return old ? undefined : `Field name cannot contain only whitespace: [${key}]`;
  return old
    ? `object field cannot contain only whitespace: ['${key}']`
    : `field name starting or ending with a [.] makes object resolution ambiguous: [${key}]`;
}

function isDecimal(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text);
}

/** A value as Java prints it. */
function preview(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(preview).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}=${preview(item)}`)
      .join(", ")}}`;
  }
  if (typeof value !== "number" || Number.isInteger(value) === !/e/.test(String(value))) return String(value);
  return String(value).replace(/^(-?\d)(\.\d+)?e\+?/, (_, digit: string, rest = ".0") => `${digit}${rest}E`);
}

function valueAt(document: unknown, steps: Step[]): unknown {
  return steps.reduce<unknown>((value, step) => (value as Record<Step, unknown>)[step], document);
}

/** Where a value (or its name) stands in the document as it came: compact JSON on one line, counted in bytes from 1. */
function columnOf(document: unknown, steps: Step[], ofName = false): number {
  let column = 1;
  let value = document;
  for (const [depth, step] of steps.entries()) {
    column += 1;
    const entries = Object.entries(value as Record<string, unknown>);
    for (const [key, item] of entries) {
      const isName = !Array.isArray(value);
      if (key === String(step)) {
        if (isName && !(ofName && depth === steps.length - 1)) column += byteLength(JSON.stringify(key)) + 1;
        value = item;
        break;
      }
      column += (isName ? byteLength(JSON.stringify(key)) + 1 : 0) + byteLength(JSON.stringify(item)) + 1;
    }
  }
  return column;
}

function byteLength(text: string): number {
  return Buffer.byteLength(text);
}
