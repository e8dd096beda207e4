// Which documents a query finds. Texts are compared as a whole, so a query that finds one word of a text is refused.
import { isPlainObject, NotSimulated } from "./http.ts";
import type { Mapping } from "./mapping.ts";

type Filter = (source: unknown, id: string) => boolean;

export function filterOf(mapping: Mapping, query: unknown = { match_all: {} }): Filter {
  const [kind, body] = onlyEntry(query);
  const [path = "", given] = onlyEntry(body);
  if (kind === "match_all" && path === "") return () => true;
  if (kind === "ids" && path === "values" && Array.isArray(given)) return (_, id) => given.includes(id);
  const option = kind === "match" ? "query" : "value";
  const [key = option, wanted = given] = onlyEntry(given);
  if ((kind !== "term" && kind !== "match") || key !== option || isPlainObject(wanted) || path === "")
    throw new NotSimulated(`the query ${JSON.stringify(query)}`);
  const [, text = ""] = /^(.*)\.keyword$/.exec(path) ?? [];
  const isKeyword = mapping.get(text) === "text";
  const name = isKeyword ? text : path;
  return (source) => valuesAt(source, name).some((value) => isEqual(value, isKeyword ? "keyword" : mapping.get(name)));

  function isEqual(value: unknown, type: string | undefined): boolean {
    switch (type) {
      case "keyword":
        return String(value) === String(wanted) && String(value).length <= 256;
      case "boolean":
        return String(value) === String(wanted);
      case "long":
      case "float": {
        if (String(wanted).trim() === "" || Number.isNaN(Number(wanted))) break;
        const kept = type === "long" ? Math.trunc(Number(value)) : Math.fround(Number(value));
        return value !== "" && kept === (type === "long" ? Number(wanted) : Math.fround(Number(wanted)));
      }
      case "text":
        if (kind === "match" && String(value) === String(wanted)) return true;
        if (kind === "match" && !wordsOf(wanted).some((word) => wordsOf(value).includes(word))) return false;
    }
    throw new NotSimulated(`such a search in a field of type ${type}`);
  }
}

function onlyEntry(value: unknown): [key?: string, value?: unknown] {
  const [entry = [], another] = Object.entries(isPlainObject(value) ? value : {});
  if (another !== undefined) throw new NotSimulated(`the query ${JSON.stringify(value)}`);
  return entry;
}

function wordsOf(text: unknown): string[] {
  return /[\p{L}\p{N}]/u.test(String(text))
    ? String(text)
        .toLowerCase()
        .split(/[^\p{L}\p{N}]+/u)
    : [];
}

/** `{"a.b": 1}` and `{"a": [{"b": 1}]}` both have a 1 at "a.b". */
function valuesAt(value: unknown, path: string): unknown[] {
  if (Array.isArray(value)) return value.flatMap((item) => valuesAt(item, path));
  if (path === "") return value === null ? [] : [value];
  const entries = Object.entries(isPlainObject(value) ? value : {});
  return entries.flatMap(([key, item]) =>
    `${path}.`.startsWith(`${key}.`) ? valuesAt(item, path.slice(key.length + 1)) : [],
  );
}
