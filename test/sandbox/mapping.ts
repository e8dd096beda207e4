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

/** Why something was refused. */
export interface Cause {
  type: string;
  reason: string;
  caused_by?: Cause;
  index?: string;
  index_uuid?: string;
}

export class Refused extends Error {
  readonly error: Cause;
  constructor(type: string, reason: string, cause?: Cause) {
    super(reason);
    this.error = { type, reason, ...(cause && { caused_by: cause }) };
  }
}

/** The way to a value in the document, and the path of its field: `{"a.b": [1]}` has the steps "a.b", 0 and the path "a", "b". */
interface Place {
  steps: (string | number)[];
  path: string[];
}

const dateFormat = "strict_date_optional_time||epoch_millis";
const slashFormat = "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis";
const metadata = ["_id", "_index", "_source", "_routing", "_seq_no", "_field_names", "_version", "_ignored"];

/** Checks `document` against `root` and adds the fields that are new; a refused document adds none. */
export function mapDocument(root: Field, document: Record<string, unknown>, id: string, behaviour: Behaviour): void {
  const { elasticsearch7: old, documentPositions } = behaviour;
  const parsing = documentPositions ? "document_parsing_exception" : "mapper_parsing_exception";
  /** New fields as they appear; one name may come twice, with types that conflict. */
  const found: { name: string; field: Field }[] = [];
  visitObject(root, document, { steps: [], path: [] });
  const grown = structuredClone(root);
  merge(grown, found, old);
  Object.assign(root, grown);

  function visitObject(object: Field | undefined, value: object, { steps, path }: Place): void {
    for (const [key, item] of Object.entries(value)) {
      const place = { steps: [...steps, key], path };
      checkName(key, place);
      if (path.length === 0 && isMetadata(key)) refuseMetadata(key, item, place);
      visitName(object, key.split(".").filter(Boolean), item, place);
    }
  }

  /** `{"a.b": 1}` is `{"a": {"b": 1}}`. */
  function visitName(
    parent: Field | undefined,
    [name = "", ...rest]: string[],
    item: unknown,
    { steps, path }: Place,
  ): void {
    const place = { steps, path: [...path, name] };
    const field = fieldOf(parent, name);
    if (rest.length === 0) {
      visitValue(field, item, place, old ? String(steps.at(-1)) : name);
    } else if (isScalar(field)) {
      const whole = [...place.path, ...rest].join(".");
      const reason = `Could not dynamically add mapping for field [${whole}]. Existing mapping for [${place.path.join(".")}] must be of type object but found [${field.type}].`;
      if (old) throw new Refused(parsing, reason);
      refuseValue(
        field,
        rest.reduceRight((inner, part) => ({ [part]: inner }), item),
        place,
      );
    } else if (field !== undefined || introduce({ properties: {} }, place)) {
      visitName(field, rest, item, place);
    }
  }

  function visitValue(field: Field | undefined, item: unknown, { steps, path }: Place, told: string): void {
    const place = { steps, path };
    if (field === undefined && dynamicAt(path) === "strict") introduce({}, place);
    if (item === null) return;
    if (Array.isArray(item)) {
      // Inside an array Elasticsearch has lost the field's name: it says [null].
      for (const [index, element] of item.entries())
        visitValue(field, element, { steps: [...steps, index], path }, "null");
    } else if (field === undefined) {
      const guess = typeof item === "object" ? { properties: {} } : guessField(item, old);
      if (!introduce(guess, place)) return;
      if (typeof item === "object") visitObject(undefined, item, place);
      else checkScalar(guess, item, place);
    } else if (!isScalar(field)) {
      if (typeof item === "object") {
        visitObject(field, item, place);
        return;
      }
      const reason = `object mapping for [${path.join(".")}] tried to parse field [${told}] as object, but found a concrete value`;
      throw new Refused(parsing, at(place) + reason);
    } else if (typeof item === "object") refuseValue(field, item, place);
    else checkScalar(field, item, place);
  }

  /** Whether the new field is taken up; with `dynamic: false` it is passed over. */
  function introduce(field: Field, place: Place): boolean {
    const dynamic = dynamicAt(place.path);
    if (dynamic === "strict") {
      const within = place.path.slice(0, -1).join(".") || "_doc";
      const reason = `mapping set to strict, dynamic introduction of [${place.path.at(-1)}] within [${within}] is not allowed`;
      throw new Refused("strict_dynamic_mapping_exception", at(place) + reason);
    }
    if (dynamic === "false") return false;
    found.push({ name: place.path.join("."), field });
    if (field.properties !== undefined && place.path.length >= 20) {
      const reason = `Limit of mapping depth [20] has been exceeded due to object field [${place.path.join(".")}]`;
      throw new Refused(parsing, `${at(place)}failed to parse: ${reason}`, {
        type: "illegal_argument_exception",
        reason,
      });
    }
    return true;
  }

  function dynamicAt(path: string[]): string {
    let field: Field | undefined = root;
    let dynamic = root.dynamic;
    for (const name of path.slice(0, -1)) {
      field = fieldOf(field, name);
      dynamic = field?.dynamic ?? dynamic;
    }
    return String(dynamic ?? true);
  }

  function checkScalar(field: Field, item: unknown, place: Place): void {
    if (scalarFault(field, item, 0) !== undefined) refuseValue(field, item, place);
  }

  function refuseValue(field: Field, item: unknown, place: Place): never {
    const isObject = typeof item === "object";
    const column = columnOf(place);
    const text = JSON.stringify(item);
    const cause = isObject ? objectFault(field, column) : scalarFault(field, item, column + Buffer.byteLength(text));
    const shown = !old && field.type === "float" && typeof item === "number" ? Math.fround(item) : item;
    throw new Refused(parsing, failure(place.path.join("."), field.type, shown, place), cause);
  }

  function failure(name: string, type: string | undefined, item: unknown, place: Place): string {
    const preview = `Preview of field's value: '${asJava(item)}'`;
    return `${at(place, typeof item === "object")}failed to parse field [${name}] of type [${type}] in document with id '${id}'. ${preview}`;
  }

  function objectFault({ type }: Field, column: number): Cause {
    if (type === "boolean") return parserFault("Current token (START_OBJECT) not of boolean type", column + 1);
    if (type !== "long" && type !== "float") {
      if (old) return { type: "illegal_state_exception", reason: `Can't get text on a START_OBJECT at 1:${column}` };
      return { type: "illegal_argument_exception", reason: `Expected text at 1:${column} but found START_OBJECT` };
    }
    if (!old) return { type: "illegal_argument_exception", reason: "Cannot parse object as number" };
    return parserFault("Current token (START_OBJECT) not numeric, can not use numeric value accessors", column + 1);
  }

  /** What is wrong with a value that is neither object nor array; `end` is the column behind it. */
  function scalarFault({ type, format = dateFormat }: Field, item: unknown, end: number): Cause | undefined {
    const text = String(item);
    const illegal = (reason: string, kind = "illegal_argument_exception"): Cause => ({ type: kind, reason });
    if ((type === "long" || type === "float") && typeof item === "boolean") {
      return parserFault(
        `Current token (VALUE_${text.toUpperCase()}) not numeric, can not use numeric value accessors`,
        end,
      );
    }
    if (item === "" && type !== "date") return undefined;
    if (type === "long") {
      if (typeof item === "string" && !isDecimal(text)) return illegal(`For input string: "${text}"`);
      if (typeof item === "string" && isInLongRange(text)) return undefined;
      if (typeof item === "number" && Math.abs(item) < 2 ** 63) return undefined;
      if (typeof item === "string") return illegal(`Value [${text}] is out of range for a long`);
      return parserFault(
        `Numeric value (${text}) out of range of long (-9223372036854775808 - 9223372036854775807)`,
        end,
        "input_coercion_exception",
      );
    }
    if (type === "float") {
      const number = text.trim().replace(/(?<=\d)[fd]$/i, "");
      if (number === "") return illegal("empty String", "number_format_exception");
      if (!isDecimal(number) && !/^[+-]?(Infinity|NaN)$/.test(number))
        return illegal(`For input string: "${text}"`, "number_format_exception");
      const value = Math.fround(Number(number));
      return Number.isFinite(value) ? undefined : illegal(`[float] supports only finite values, but got [${value}]`);
    }
    if (type === "boolean" && typeof item !== "boolean" && text !== "true" && text !== "false") {
      if (typeof item === "string")
        return illegal(`Failed to parse value [${text}] as only [true] or [false] are allowed.`);
      return parserFault(
        `Current token (VALUE_NUMBER_${/[.e]/.test(text) ? "FLOAT" : "INT"}) not of boolean type`,
        end,
      );
    }
    if (type !== "date" || isDate(text, format, old)) return undefined;
    if (text === "") return illegal(old ? "cannot parse empty date" : "cannot parse empty datetime");
    const cause = illegal("Failed to parse with all enclosed parsers", "date_time_parse_exception");
    return { ...illegal(`failed to parse date field [${text}] with format [${format}]`), caused_by: cause };
  }

  /** A fault that the JSON parser found: newer versions wrap it and show the source. */
  function parserFault(reason: string, column: number, type = "json_parse_exception"): Cause {
    const source = old ? "(ByteArrayInputStream)" : `(byte[])"${JSON.stringify(document)}"`;
    const full = `${reason}\n at [Source: ${source}; line: 1, column: ${column}]`;
    if (old) return { type, reason: full };
    return { type: "x_content_parse_exception", reason: `[1:${column}] ${full}`, caused_by: { type, reason: full } };
  }

  function checkName(key: string, place: Place): void {
    const fault = nameFault(key, old);
    if (fault === undefined) return;
    const where = documentPositions ? `[1:${columnOf(place, true)}] ` : "";
    if (fault.startsWith("Field name")) throw new Refused(parsing, where + fault);
    throw new Refused(parsing, `${where}failed to parse${old ? "" : `: ${fault}`}`, {
      type: "illegal_argument_exception",
      reason: fault,
    });
  }

  function isMetadata(key: string): boolean {
    return metadata.includes(key) || (old ? key === "_type" : key === "_nested_path" || key === "_tier");
  }

  function refuseMetadata(key: string, item: unknown, { steps, path }: Place): never {
    const isList = !old && Array.isArray(item) && item.length > 0;
    const place = isList ? { steps: [...steps, 0], path } : { steps, path };
    const rule = `Field [${key}] is a metadata field and cannot be added inside a document. Use the index API request parameters.`;
    throw new Refused(parsing, failure(key, key, isList ? item[0] : item, place), {
      type: parsing,
      reason: at(place) + rule,
    });
  }

  /** Newer versions begin with the position: where the value starts; of an object that was read, where it ends. */
  function at(place: Place, end = false): string {
    if (!documentPositions) return "";
    const value = place.steps.reduce<unknown>((inner, step) => (inner as Record<string, unknown>)[step], document);
    return `[1:${columnOf(place) + (end && typeof value === "object" ? Buffer.byteLength(JSON.stringify(value)) - 1 : 0)}] `;
  }

  /** Where a value (or its name) stands in the document as it came: compact JSON on one line, counted in bytes from 1. */
  function columnOf({ steps }: Place, ofName = false): number {
    let column = 1;
    let value: unknown = document;
    for (const [depth, step] of steps.entries()) {
      const named = !Array.isArray(value);
      const nameLength = (key: string) => (named ? Buffer.byteLength(JSON.stringify(key)) + 1 : 0);
      column += 1;
      for (const [key, item] of Object.entries(value as object)) {
        value = item;
        if (key === String(step)) break;
        column += nameLength(key) + Buffer.byteLength(JSON.stringify(item)) + 1;
      }
      if (!ofName || depth < steps.length - 1) column += nameLength(String(step));
    }
    return column;
  }
}

/** Not `constructor` of JavaScript. */
function fieldOf(object: Field | undefined, name: string): Field | undefined {
  return object?.properties && Object.hasOwn(object.properties, name) ? object.properties[name] : undefined;
}

function isScalar(field: Field | undefined): field is Field {
  return field?.type !== undefined && field.type !== "object";
}

/** Adds new fields to a mapping. Which of several conflicts is told follows from how each version goes through them. */
function merge(root: Field, found: { name: string; field: Field }[], old: boolean): void {
  const ordered = found.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  let previous: { name: string; field: Field } | undefined;
  for (const [index, entry] of ordered.entries()) {
    // 7.x holds a field that comes again against the one before it, the other way round; but not the first.
    if (old && previous?.name === entry.name) {
      checkMerge(entry.field, previous.field, entry.name, isScalar(entry.field), old);
      continue;
    }
    if (index > 0) previous = entry;
    addField(root, entry.name, entry.field, old);
  }
}

function addField(root: Field, name: string, field: Field, old: boolean): void {
  const path = name.split(".");
  let object = root;
  for (const [depth, part] of path.entries()) {
    const here = path.slice(0, depth + 1).join(".");
    const added = depth === path.length - 1 ? field : { properties: {} };
    object.properties ??= {};
    const existing = fieldOf(object, part);
    if (existing !== undefined) checkMerge(existing, added, here, !old && depth === 0, old);
    object = object.properties[part] = existing ?? structuredClone(added);
  }
}

function checkMerge(into: Field, added: Field, name: string, tellsTypes: boolean, old: boolean): void {
  const illegal = (reason: string) => new Refused("illegal_argument_exception", reason);
  if (isScalar(into) !== isScalar(added) && !(tellsTypes && isScalar(into))) {
    throw illegal(`can't merge a non object mapping [${name}] with an object mapping`);
  }
  if (isScalar(into) && into.type !== added.type) {
    throw illegal(`mapper [${name}] cannot be changed from type [${into.type}] to [${added.type ?? "ObjectMapper"}]`);
  }
  if (into.format === added.format) return;
  const change = (what: string, from: string, to: string) =>
    `\n\tCannot update parameter [${what}] from [${from}] to [${to}]`;
  const locale = old ? "" : change("locale", into.locale ?? "en", added.locale ?? "en");
  throw illegal(
    `Mapper for [${name}] conflicts with existing mapper:${change("format", into.format ?? dateFormat, added.format ?? dateFormat)}${locale}`,
  );
}

function guessField(item: unknown, old: boolean): Field {
  if (typeof item === "boolean") return { type: "boolean" };
  if (typeof item === "number") return { type: /[.e]/.test(String(item)) ? "float" : "long" };
  const text = String(item);
  if (/\D/.test(text) && isDate(text, "strict_date_optional_time", old)) return { type: "date" };
  if (isDate(text, "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd", old))
    return { type: "date", format: slashFormat, ...(!old && { locale: "" }) };
  return { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } };
}

const datePatterns: Record<string, RegExp> = {
  strict_date_optional_time:
    /^(-?\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?)?(?:Z|[+-](?:0\d|1[0-8])(?::?[0-5]\d)?|[A-Z][\w/]+)?)?)?$/,
  "yyyy/MM/dd": /^(\d{4})\/(\d\d)\/(\d\d)$/,
  "yyyy/MM/dd HH:mm:ss": /^(\d{4})\/(\d\d)\/(\d\d) (\d\d):(\d\d):(\d\d)$/,
};

function isDate(text: string, formats: string, old: boolean): boolean {
  return formats.split("||").some((format) => {
    if (format === "epoch_millis") return (old ? /^\d+(\.\d*)?$/ : /^-?\d+(\.\d*)?$/).test(text) && isInLongRange(text);
    const match = datePatterns[format]?.exec(text);
    if (!match) return false;
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = match
      .slice(1)
      .map((part) => (part === undefined ? part : Number(part)));
    const days = new Date(Date.UTC(2000 + (((year % 400) + 400) % 400), month, 0)).getUTCDate();
    return month >= 1 && month <= 12 && day >= 1 && day <= days && hour <= 23 && minute <= 59 && second <= 59;
  });
}

function nameFault(key: string, old: boolean): string | undefined {
  if (key === "") return "field name cannot be an empty string";
  if (/^\.+$/.test(key)) return "field name cannot contain only dots";
  const ambiguous = `field ${old ? "" : "name "}starting or ending with a [.] makes object resolution ambiguous: [${key}]`;
  const blank = `field ${old ? "" : "name "}cannot contain only whitespace: ['${key}']`;
  const parts = key.replace(/\.+$/, "").split(".");
  if (parts.includes("")) return old ? `object ${ambiguous}` : blank;
  if (parts.every((part) => part.trim() !== "")) return undefined;
  if (parts.length === 1) return old ? undefined : `Field name cannot contain only whitespace: [${key}]`;
  return old ? `object ${blank}` : ambiguous;
}

function isInLongRange(text: string): boolean {
  const whole = /^-?\d+/.exec(text)?.[0];
  if (whole === undefined || /e/i.test(text)) return Math.abs(Number(text)) < 2 ** 63;
  return BigInt.asIntN(64, BigInt(whole)) === BigInt(whole);
}

function isDecimal(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text);
}

/** A value as Java prints it. */
function asJava(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(asJava).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => `${key}=${asJava(item)}`);
    return `{${entries.join(", ")}}`;
  }
  return typeof value === "number"
    ? String(value).replace(/^(-?\d)(\.\d+)?e\+?/, (_, digit, rest = ".0") => `${digit}${rest}E`)
    : String(value);
}
