// A small Elasticsearch: what writing documents and finding them again needs. It knows no relevance: every hit scores 1.
import { randomBytes } from "node:crypto";
import { type Answer, type Cause, type Exchange, type Handler, isPlainObject, NotSimulated } from "./http.ts";
import { type Mapping, mapDocument, Refused } from "./mapping.ts";
import type { Behaviour } from "./versions.ts";

interface Stored {
  source: Record<string, unknown>;
  version: number;
  seqNo: number;
  /** What searches find until the next refresh. */
  previous: Stored | undefined;
}

interface Index {
  name: string;
  uuid: string;
  created: number;
  mapping: Mapping;
  documents: Map<string, Stored>;
  writes: number;
  /** Searches find the writes before this one. */
  refreshed: number;
  /** When the first write that searches do not find was made. */
  unrefreshedSince: number;
}

export interface Credentials {
  username: string;
  password: string;
  /** Encoded. */
  apiKey: string;
}

interface Call {
  index: string;
  id: string;
  query: URLSearchParams;
  body: string;
}

interface Result {
  status?: number;
  body: object;
}

/** A document to write, and the item of a bulk response that says what became of it. */
type Write = Pick<Call, "index" | "id"> & { source: unknown; creates: boolean };
type Written = { status: number; error?: Cause } & Record<string, unknown>;

class Failure extends Error {
  readonly status: number;
  readonly error: Cause;
  constructor(status: number, error: Cause) {
    super(error.reason);
    this.status = status;
    this.error = error;
  }
}

/** What Elasticsearch says to credentials that it refuses; undefined if they are right. */
export function refusal(known: Credentials, authorization: string | undefined, path: string): Cause | undefined {
  const [, scheme = "", token = ""] = /^(\S+) +(.*)$/.exec(authorization ?? "") ?? [];
  const [name, secret] = Buffer.from(token, "base64").toString().split(":");
  const because = (reason: string, more = {}): Cause => ({ type: "security_exception", reason, ...more });
  const unable = (additional_unsuccessful_credentials: string) => {
    const reason = "provided credentials and anonymous access is not allowed for this request";
    return because(`unable to authenticate with ${reason}`, { additional_unsuccessful_credentials });
  };
  switch (scheme.toLowerCase()) {
    case "basic":
      if (name === known.username && secret === known.password) return undefined;
      if (secret === undefined) return because("invalid basic authentication header value");
      return because(`unable to authenticate user [${name}] for REST request [${path}]`);
    case "apikey":
      if (token === known.apiKey) return undefined;
      return unable(
        `API key: ${secret === undefined ? "invalid ApiKey value" : `unable to find apikey with id ${name}`}`,
      );
    case "bearer":
      return unable("oauth2 token: invalid token");
    default:
      return because(`missing authentication credentials for REST request [${path}]`);
  }
}

export function createElasticsearch(
  behaviour: Behaviour,
  credentials: Credentials | undefined,
): Handler & { documents(index: string): { _id: string; _source: unknown }[] } {
  const indices = new Map<string, Index>();
  const routes: [pattern: RegExp, parameters: string, run: (call: Call) => Result][] = [
    [/^GET \/$/, "", information],
    [/^GET \/_security\/_authenticate$/, "", authenticate],
    [/^(?:POST|PUT) \/(?:([^/]+)\/)?_bulk$/, "refresh", bulk],
    [/^PUT \/([^_/][^/]*)$/, "", createIndex],
    [/^GET \/([^_/][^/]*)$/, "", getIndex],
    [/^DELETE \/([^_/][^/]*)$/, "", deleteIndex],
    [/^(?:GET|POST) \/([^_/][^/]*)\/_refresh$/, "", refreshIndex],
    [/^(?:GET|POST) \/([^_/][^/]*)\/_search$/, "size from ignore_unavailable", search],
    [/^(?:GET|POST) \/([^_/][^/]*)\/_count$/, "ignore_unavailable", count],
    [/^GET \/([^_/][^/]*)\/_doc\/([^/]+)$/, "", getDocument],
    [/^POST \/([^_/][^/]*)\/_doc$/, "refresh op_type", indexDocument],
    [/^(?:POST|PUT) \/([^_/][^/]*)\/_doc\/([^/]+)$/, "refresh op_type", indexDocument],
    [/^(?:POST|PUT) \/([^_/][^/]*)\/_create\/([^/]+)$/, "refresh", (call) => indexDocument(call, "create")],
  ];
  return {
    documents: (name) =>
      [...(indices.get(name)?.documents ?? [])].map(([_id, { source }]) => ({ _id, _source: source })),
    refuse: (status, reason) => failed(status, { type: "sandbox_exception", reason }),
    async handle(exchange) {
      const [, wanted] =
        /^(application\/vnd\.elasticsearch\+json; ?compatible-with=\d+)/.exec(exchange.headers.accept ?? "") ?? [];
      const type = { "content-type": wanted?.replace(" ", "") ?? "application/json" };
      try {
        const { status = 200, body } = route(exchange);
        return { status, headers: { "x-elastic-product": "Elasticsearch", ...type }, body: JSON.stringify(body) };
      } catch (error) {
        if (error instanceof Failure) return failed(error.status, error.error);
        throw error;
      }
    },
  };

  function failed(status: number, error: Cause): Answer {
    const challenge = { "www-authenticate": 'Basic realm="security", charset="UTF-8", ApiKey' };
    const headers = status === 401 ? challenge : { "x-elastic-product": "Elasticsearch" };
    const body = JSON.stringify({ error: { root_cause: [error], ...error }, status });
    return { status, headers: { "content-type": "application/json", ...headers }, body };
  }

  function route({ method, path, headers, body }: Exchange): Result {
    // Not as a URL, which would resolve an index called "..".
    const [pathname = "", search] = path.split("?", 2);
    const cause = credentials && refusal(credentials, headers.authorization, pathname);
    if (cause !== undefined) throw new Failure(401, cause);
    checkMediaType("Accept", headers.accept);
    if (body !== "") checkMediaType("Content-Type", headers["content-type"]);
    const query = new URLSearchParams(search);
    for (const [pattern, parameters, run] of routes) {
      const match = pattern.exec(`${method.replace("HEAD", "GET")} ${pathname}`);
      if (match === null) continue;
      const other = [...query.keys()].find((name) => !parameters.split(" ").includes(name));
      if (other !== undefined) throw new NotSimulated(`"${other}" in ${method} ${path}`);
      const [, index = "", id = ""] = match.map((part: string | undefined) => part && decodeURIComponent(part));
      checkIsOneIndex(index);
      return run({ index, id, query, body });
    }
    throw new NotSimulated(`${method} ${path}`);
  }

  /** A client of a newer major version is refused, but only where the header is one media type, not a list. */
  function checkMediaType(header: string, value = ""): void {
    if (header === "Content-Type" && !/^application\/([\w.]+\+)?(x-nd)?json\b/.test(value))
      throw new NotSimulated(`bodies of type "${value}"`);
    const wanted = Number(/^[^,]*compatible-with=(\d+)$/.exec(value)?.[1]);
    const major = Number.parseInt(behaviour.version, 10);
    if (Number.isNaN(wanted) || wanted === major || wanted === major - 1) return;
    const versions = `either version ${major} or ${major - 1}, but found ${wanted}`;
    const cause = { type: "status_exception", reason: `${header} version must be ${versions}. ${header}=${value}` };
    const reason = "Invalid media-type value on headers [Content-Type, Accept]";
    throw new Failure(400, { type: "media_type_header_exception", reason, caused_by: cause });
  }

  function information(): Result {
    const version = { number: behaviour.version, build_flavor: "default", build_snapshot: false };
    return { body: { name: "sandbox", cluster_name: "sandbox", version, tagline: "You Know, for Search" } };
  }

  function authenticate(): Result {
    if (credentials === undefined) throw new NotSimulated("users without security");
    return { body: { username: credentials.username, roles: ["superuser"], metadata: {}, enabled: true } };
  }

  function createIndex({ index: name, body }: Call): Result {
    const [other] = Object.keys(parse(body));
    if (other !== undefined) throw new NotSimulated(`"${other}" of a new index`);
    const fault = nameFault(name);
    if (fault !== undefined) throw new Failure(400, fault);
    const there = indices.get(name);
    if (there === undefined) addIndex(name);
    else {
      const reason = `index [${name}/${there.uuid}] already exists`;
      throw new Failure(400, {
        type: "resource_already_exists_exception",
        reason,
        index_uuid: there.uuid,
        index: name,
      });
    }
    return { body: { acknowledged: true, shards_acknowledged: true, index: name } };
  }

  function addIndex(name: string): Index {
    const state = { mapping: new Map(), documents: new Map(), writes: 0, refreshed: 0, unrefreshedSince: 0 };
    const index = { name, uuid: randomId(), created: Date.now(), ...state };
    indices.set(name, index);
    return index;
  }

  function getIndex(call: Call): Result {
    const { name, uuid, created, mapping } = existing(call);
    const shards = { number_of_shards: "1", number_of_replicas: "1" };
    const settings = { index: { creation_date: String(created), ...shards, uuid, provided_name: name } };
    return { body: { [name]: { aliases: {}, mappings: describe(mapping), settings } } };
  }

  function deleteIndex(call: Call): Result {
    indices.delete(existing(call).name);
    return { body: { acknowledged: true } };
  }

  function existing({ index: name }: Call): Index {
    const index = indices.get(name);
    if (index !== undefined) return index;
    const resource = { "resource.type": "index_or_alias", "resource.id": name };
    const error = { type: "index_not_found_exception", reason: `no such index [${name}]`, ...resource };
    throw new Failure(404, { ...error, index_uuid: "_na_", index: name });
  }

  function getDocument(call: Call): Result {
    const { index: _index, id: _id } = call;
    const stored = existing(call).documents.get(_id);
    if (stored === undefined) return { status: 404, body: { _index, _id, found: false } };
    const { version: _version, seqNo: _seq_no, source: _source } = stored;
    return { body: { _index, _id, _version, _seq_no, _primary_term: 1, found: true, _source } };
  }

  function refreshIndex(call: Call): Result {
    refresh(existing(call));
    return { body: { _shards: { total: 2, successful: 1, failed: 0 } } };
  }

  function refresh(index: Index): void {
    index.refreshed = index.writes;
  }

  function search(call: Call): Result {
    const { from = Number(call.query.get("from") ?? 0), size = Number(call.query.get("size") ?? 10) } = parse(
      call.body,
    );
    if (!isCount(from) || !isCount(size) || from + size > 10_000)
      throw new NotSimulated("searches for more than 10,000 documents");
    const { hits, _shards } = find(call, ["query", "from", "size"]);
    const total = { value: Math.min(hits.length, 10_000), relation: hits.length > 10_000 ? "gte" : "eq" };
    const max_score = hits.length > 0 && size > 0 ? 1 : null;
    const found = { total, max_score, hits: hits.slice(from, from + size) };
    return { body: { took: 1, timed_out: false, _shards, hits: found } };
  }

  function count(call: Call): Result {
    const { hits, _shards } = find(call, ["query"]);
    return { body: { count: hits.length, _shards } };
  }

  function find(call: Call, known: string[]) {
    const request = parse(call.body);
    const other = Object.keys(request).find((key) => !known.includes(key));
    if (other !== undefined) throw new NotSimulated(`"${other}" in a search`);
    const index = call.query.get("ignore_unavailable") === "true" ? indices.get(call.index) : existing(call);
    const shards = index === undefined ? 0 : 1;
    const _shards = { total: shards, successful: shards, skipped: 0, failed: 0 };
    if (index === undefined) return { hits: [], _shards };
    if (Date.now() - index.unrefreshedSince >= 1000) refresh(index);
    const fits = filterOf(request.query, index.mapping);
    const visible = [...index.documents].flatMap(([_id, stored]) => {
      const seen = stored.seqNo < index.refreshed ? stored : stored.previous;
      return seen === undefined ? [] : [{ _index: index.name, _id, _score: 1, _source: seen.source }];
    });
    return { hits: visible.filter(({ _id, _source }) => fits(_source, _id)), _shards };
  }

  function bulk({ index: name, query, body }: Call): Result {
    if (body === "") throw illegal("request body is required", "parse_exception");
    if (!body.endsWith("\n")) throw illegal("The bulk request must be terminated by a newline [\\n]");
    const lines = body.split("\n").slice(0, -1);
    // Everything is read before anything is written.
    const writes = lines.flatMap((line, number) => {
      if (number % 2 === 1) return [];
      const [[action = "", value] = []] = Object.entries(parse(line));
      if (action !== "create" && action !== "index") throw new NotSimulated(`the bulk action "${action}"`);
      const { _index = name, _id, op_type = action, ...rest } = isPlainObject(value) ? value : {};
      const [other] = Object.keys(rest);
      if (other !== undefined) throw new NotSimulated(`"${other}" in a bulk action`);
      checkIsOneIndex(String(_index));
      if (_index === "") throw illegal("Validation Failed: 1: index is missing;");
      const source = parseAny(lines[number + 1] ?? "");
      const item = { index: String(_index), id: String(_id ?? ""), source, creates: op_type === "create" };
      return [() => ({ [String(op_type)]: write(item, query.get("refresh")) })];
    });
    const items = writes.map((run) => run());
    const errors = items.some((item) => Object.values(item).some(({ error }) => error !== undefined));
    return { body: { errors, took: 1, items } };
  }

  function indexDocument({ index, id, query, body }: Call, action = query.get("op_type")): Result {
    const item = { index, id, source: parseAny(body), creates: action === "create" };
    const { status, error, ...result } = write(item, query.get("refresh"));
    if (error !== undefined) throw new Failure(status, error);
    return { status, body: result };
  }

  function write({ index: _index, id, source, creates }: Write, refreshes: string | null): Written {
    if (!/^(true|false|wait_for|)$/.test(refreshes ?? "")) throw new NotSimulated(`refresh=${refreshes}`);
    const fault = indices.has(_index) ? undefined : nameFault(_index);
    if (fault !== undefined) return { _index, _id: id || null, status: 400, error: fault };
    const where = { _index, _id: id || randomId() };
    const index = indices.get(_index) ?? addIndex(_index);
    const before = index.documents.get(where._id);
    try {
      if (!isPlainObject(source))
        throw new Refused("document_parsing_exception", "Malformed content, must start with an object");
      mapDocument(index.mapping, source, where._id);
      if (creates && before !== undefined) {
        const current = `document already exists (current version [${before.version}])`;
        const reason = `[${where._id}]: version conflict, ${current}`;
        const shard = { index_uuid: index.uuid, shard: "0", index: _index };
        return { ...where, status: 409, error: { type: "version_conflict_engine_exception", reason, ...shard } };
      }
      const previous = before && before.seqNo >= index.refreshed ? before.previous : before;
      const stored = { source, version: (before?.version ?? 0) + 1, seqNo: index.writes++, previous };
      index.documents.set(where._id, stored);
      if (index.refreshed === stored.seqNo) index.unrefreshedSince = Date.now();
      const isForced = refreshes === "true" || refreshes === "";
      if (isForced || refreshes === "wait_for") refresh(index);
      return {
        ...where,
        _version: stored.version,
        result: before === undefined ? "created" : "updated",
        ...(isForced && { forced_refresh: true }),
        _shards: { total: 2, successful: 1, failed: 0 },
        _seq_no: stored.seqNo,
        _primary_term: 1,
        status: before === undefined ? 201 : 200,
      };
    } catch (error) {
      if (error instanceof Refused) return { ...where, status: 400, error: error.cause };
      throw error;
    }
  }
}

/** Which documents a query finds. Texts are compared as a whole, so a query that finds one word of a text is refused. */
function filterOf(query: unknown = { match_all: {} }, mapping: Mapping): (source: unknown, id: string) => boolean {
  const [[kind, body] = [], second] = Object.entries(isPlainObject(query) ? query : {});
  const [[path = "", given] = [], third] = Object.entries(isPlainObject(body) ? body : {});
  if (second === undefined && third === undefined) {
    if (kind === "match_all" && path === "") return () => true;
    if (kind === "ids" && path === "values" && Array.isArray(given)) return (_, id) => given.includes(id);
    const [[key, inner] = [kind === "match" ? "query" : "value", given], more] = Object.entries(
      isPlainObject(given) ? given : {},
    );
    if (more === undefined && ((kind === "match" && key === "query") || (kind === "term" && key === "value"))) {
      const [, name = path] = /^(.*)\.keyword$/.exec(mapping.has(path) ? "" : path) ?? [];
      const fits = comparison(mapping.get(name), name !== path, kind === "term", inner);
      return (source) => valuesAt(source, name).some(fits);
    }
  }
  throw new NotSimulated(`the query ${JSON.stringify(query)}`);
}

/** A text has two fields: the words, and the whole as `.keyword` if it is short enough. */
function comparison(type: string | undefined, isKeyword: boolean, isTerm: boolean, wanted: unknown) {
  const text = String(wanted);
  const words = isTerm ? [text] : wordsOf(text);
  return (value: unknown): boolean => {
    if (type === "text" && isKeyword) return String(value) === text && text.length <= 256;
    if (type === "text") {
      const found = wordsOf(String(value));
      if (!found.some((word) => words.includes(word))) return false;
      if (found.join(" ") === words.join(" ")) return true;
      throw new NotSimulated("searches for some words of a text");
    }
    if (isKeyword || value === "") return false;
    if (type === "boolean") return String(value) === text;
    if (type === "long") return Math.trunc(Number(value)) === Number(wanted);
    if (type === "float") return Math.fround(Number(value)) === Math.fround(Number(wanted));
    throw new NotSimulated(`searches in fields of type ${type}`);
  };
}

function wordsOf(text: string): string[] {
  const segments = new Intl.Segmenter("en", { granularity: "word" }).segment(text);
  return [...segments].flatMap(({ isWordLike, segment }) => (isWordLike ? segment.toLowerCase() : []));
}

function valuesAt(value: unknown, path: string): unknown[] {
  if (Array.isArray(value)) return value.flatMap((item) => valuesAt(item, path));
  if (path === "") return value === null || isPlainObject(value) ? [] : [value];
  return Object.entries(isPlainObject(value) ? value : {}).flatMap(([key, item]) =>
    key === path ? valuesAt(item, "") : path.startsWith(`${key}.`) ? valuesAt(item, path.slice(key.length + 1)) : [],
  );
}

/** A mapping as Elasticsearch shows it. */
function describe(mapping: Mapping, prefix = ""): object {
  const names = [...mapping.keys()].filter((path) => path.startsWith(prefix) && !path.includes(".", prefix.length));
  if (names.length === 0) return prefix === "" ? {} : { type: "object" };
  const fields = { keyword: { type: "keyword", ignore_above: 256 } };
  const properties = names.map((path) => {
    const type = mapping.get(path);
    if (type === "object") return [path.slice(prefix.length), describe(mapping, `${path}.`)] as const;
    return [path.slice(prefix.length), { type, ...(type === "text" && { fields }) }] as const;
  });
  return { properties: Object.fromEntries(properties) };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0;
}

function illegal(reason: string, type = "illegal_argument_exception"): Failure {
  return new Failure(400, { type, reason });
}

function parse(text: string): Record<string, unknown> {
  const value = text === "" ? {} : parseAny(text);
  if (isPlainObject(value)) return value;
  throw new NotSimulated("bodies that are no JSON objects");
}

function parseAny(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new NotSimulated("bodies that are not JSON");
  }
}

/** Ids look like Elasticsearch's: 20 characters that need no escaping in a URL. */
function randomId(): string {
  return randomBytes(15).toString("base64url");
}

function checkIsOneIndex(name: string): void {
  if (/[*,<]|^_all$/.test(name)) throw new NotSimulated(`several indices or dates in a name, as in "${name}"`);
}

function nameFault(name: string): Cause | undefined {
  const characters = "[' ','\"','*',',','/','<','>','?','\\','|']";
  const bytes = Buffer.byteLength(name);
  const rules: [boolean, string][] = [
    [/[ "\\|>/?]/.test(name), `must not contain the following characters ${characters}`],
    [name.includes("#"), "must not contain '#'"],
    [name.includes(":"), "must not contain ':'"],
    [/^[-_+]/.test(name), "must not start with '_', '-', or '+'"],
    [bytes > 255, `index name is too long, (${bytes} > 255)`],
    [name === "." || name === "..", "must not be '.' or '..'"],
    [name.toLowerCase() !== name, "must be lowercase"],
  ];
  const [, rule] = rules.find(([isBroken]) => isBroken) ?? [];
  const reason = `Invalid index name [${name}], ${rule}`;
  return rule === undefined
    ? undefined
    : { type: "invalid_index_name_exception", reason, index_uuid: "_na_", index: name };
}
