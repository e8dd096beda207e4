// What Elasticsearch makes of a document's fields: dynamic mapping, and its words for a value that does not fit.
import { type Cause, Failure, isPlainObject, NotSimulated } from "./http.ts";

type FieldType = "object" | "long" | "float" | "boolean" | "date" | "text";
/** Types by path: "a" is an object if there is "a.b". */
export type Mapping = Map<string, FieldType>;

/** Why a value does not fit: an illegal_argument_exception, if it does not say otherwise. */
type Fault = Partial<Cause> & { reason: string };

/** How Elasticsearch refuses a document. It lacks the place in the JSON, `[1:6] `. */
function refusal(reason: string, fault?: Fault, type = parsing): Failure {
  const cause = fault && { caused_by: { type: "illegal_argument_exception", ...fault } };
  return new Failure(400, reason, { type, ...cause });
}

const parsing = "document_parsing_exception";
const metadata = /^_(id|index|source|routing|seq_no|field_names|version|ignored|nested_path|tier)$/;

/** Checks a document and adds the fields that are new. */
export function mapDocument(mapping: Mapping, document: unknown, id: string): void {
  const added: Mapping = new Map();
  if (!isPlainObject(document)) throw refusal("Malformed content, must start with an object");
  visitObject(document, "");
  if (mapping.size + added.size > 500 || [...added.keys()].some((path) => path.split(".").length > 20))
    throw new NotSimulated("mappings of more than 500 fields or 20 levels");
  for (const [path, type] of added) mapping.set(path, type);

  function visitObject(object: Record<string, unknown>, prefix: string): void {
    for (const [key, item] of Object.entries(object)) {
      const reason = "field name cannot be an empty string";
      if (key === "") throw refusal(`failed to parse: ${reason}`, { reason });
      if (prefix === "" && metadata.test(key)) {
        const rule = "is a metadata field and cannot be added inside a document. Use the index API request parameters.";
        refuse(key, key, item, { type: parsing, reason: `Field [${key}] ${rule}` });
      }
      // `{"a.b": 1}` is `{"a": {"b": 1}}`.
      const [name = "", ...rest] = key.split(".");
      if (name.trim() === "" || rest.includes("")) throw new NotSimulated(`field names such as "${key}"`);
      visit(prefix + name, rest.length === 0 ? item : { [rest.join(".")]: item }, name);
    }
  }

  function visit(path: string, item: unknown, name: string): void {
    if (item === null) return;
    if (Array.isArray(item)) {
      // Inside an array, Elasticsearch's messages call the field [null].
      for (const element of item) visit(path, element, "null");
      return;
    }
    const type = mapping.get(path) ?? guessType(item);
    checkMerge(path, added.get(path) ?? type, type);
    if (!mapping.has(path)) added.set(path, type);
    if (type !== "object") {
      const fault = faultOf(type, item);
      if (fault !== undefined) refuse(path, type, item, fault);
    } else if (isPlainObject(item)) {
      visitObject(item, `${path}.`);
    } else {
      const fault = `tried to parse field [${name}] as object, but found a concrete value`;
      throw refusal(`object mapping for [${path}] ${fault}`);
    }
  }

  function refuse(path: string, type: string, item: unknown, fault: Fault): never {
    const where = `[${path}] of type [${type}] in document with id '${id}'`;
    const preview = typeof item === "object" ? JSON.stringify(item) : item;
    throw refusal(`failed to parse field ${where}. Preview of field's value: '${preview}'`, fault);
  }
}

/** One document introduces a field twice. */
function checkMerge(path: string, known: FieldType, type: FieldType): void {
  if (known === type) return;
  const isClash = known === "object" || (type === "object" && path.includes("."));
  const reason = isClash
    ? `can't merge a non object mapping [${path}] with an object mapping`
    : `mapper [${path}] cannot be changed from type [${known}] to [${type === "object" ? "ObjectMapper" : type}]`;
  throw refusal(reason, undefined, "illegal_argument_exception");
}

function guessType(item: unknown): FieldType {
  if (isPlainObject(item)) return "object";
  if (typeof item === "boolean") return "boolean";
  if (typeof item === "number") return /[.e]/.test(String(item)) ? "float" : "long";
  const text = String(item);
  if (/^\d{4}\/\d\d\/\d\d/.test(text)) throw new NotSimulated(`dates such as ${text}`);
  return isDate(text) && /\D/.test(text) ? "date" : "text";
}

/** Why a value does not fit. Elasticsearch takes numbers and booleans from texts, and everything as text. */
function faultOf(type: FieldType, item: unknown): Fault | undefined {
  const text = String(item);
  const isObject = isPlainObject(item);
  const number = /[.e]/.test(text) ? "NUMBER_FLOAT" : "NUMBER_INT";
  const token = isObject ? "START_OBJECT" : `VALUE_${typeof item === "number" ? number : text.toUpperCase()}`;
  if (type === "date" || type === "text") {
    if (isObject) return { reason: "Expected text but found START_OBJECT" };
    if (type === "text" || isDate(text) || /^-?\d{1,18}(\.\d*)?$/.test(text)) return undefined;
    if (text === "") return { reason: "cannot parse empty datetime" };
    const cause = { type: "date_time_parse_exception", reason: "Failed to parse with all enclosed parsers" };
    const format = "strict_date_optional_time||epoch_millis";
    return { reason: `failed to parse date field [${text}] with format [${format}]`, caused_by: cause };
  }
  if (text === "") return undefined;
  if (type === "boolean") {
    if (text === "true" || text === "false") return undefined;
    if (typeof item !== "string") return parserFault(`Current token (${token}) not of boolean type`);
    return { reason: `Failed to parse value [${text}] as only [true] or [false] are allowed.` };
  }
  if (isObject) return { reason: "Cannot parse object as number" };
  if (typeof item === "boolean")
    return parserFault(`Current token (${token}) not numeric, can not use numeric value accessors`);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text))
    return { ...(type === "float" && { type: "number_format_exception" }), reason: `For input string: "${text}"` };
  if (Math.abs(Number(text)) < (type === "long" ? 2 ** 63 : 2 ** 128)) return undefined;
  throw new NotSimulated(`numbers such as ${text}`);
}

function parserFault(reason: string): Fault {
  return { type: "x_content_parse_exception", reason, caused_by: { type: "json_parse_exception", reason } };
}

const isoDate =
  /^(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?)?(?:Z|[+-](?:0\d|1[0-8])(?::?[0-5]\d)?)?)?)?$/;

/** What `strict_date_optional_time` accepts. */
function isDate(text: string): boolean {
  const [y, m = "01", d = "01", hour = "00", min = "00", s = "00"] = isoDate.exec(text)?.slice(1) ?? [];
  const date = new Date(`${y}-${m}-${d}T${hour}:${min}:${s}Z`);
  // JavaScript takes February 30 for March 1.
  if (y !== undefined && (hour === "24" || date.getUTCDate() !== Number(d)))
    throw new NotSimulated(`dates such as ${text}`);
  return y !== undefined;
}

export function describeMapping(mapping: Mapping, prefix = ""): object {
  const paths = [...mapping.keys()].filter((path) => path.startsWith(prefix) && !path.includes(".", prefix.length));
  if (paths.length === 0) return prefix === "" ? {} : { type: "object" };
  const text = { type: "text", fields: { keyword: { type: "keyword", ignore_above: 256 } } };
  const properties = paths.map((path) => {
    const type = mapping.get(path);
    const field = type === "object" ? describeMapping(mapping, `${path}.`) : type === "text" ? text : { type };
    return [path.slice(prefix.length), field];
  });
  return { properties: Object.fromEntries(properties) };
}
