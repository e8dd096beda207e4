// A small Elasticsearch: what writing documents and finding them again needs. It knows no relevance: every hit scores 1.
import { randomBytes } from "node:crypto";
import data from "./data.json" with { type: "json" };
import { type Answer, type Cause, type Exchange, Failure, isPlainObject, NotSimulated } from "./http.ts";
import { describeMapping, type Mapping, mapDocument } from "./mapping.ts";
import { filterOf } from "./queries.ts";
import type { Behaviour } from "./versions.ts";

/** Searches find the previous version until the next refresh. */
type Stored = { source: unknown; version: number; seqNo: number; previous: Stored | undefined };
type Index = ReturnType<typeof newIndex>;
type Call = { method: string; path: string; index: string; id: string; parameters: URLSearchParams; body: string };
type Result = { status?: number; body: object };
/** The API key is encoded. */
export type Credentials = { username: string; password: string; apiKey: string };

const challenge = ['Basic realm="security", charset="UTF-8"', "ApiKey"];

/** What Elasticsearch says to credentials that it refuses; undefined if they are right. */
export function refusal(known: Credentials, authorization: string | undefined, path: string): Cause | undefined {
  const [, scheme = "", token = ""] = /^(\S+) +(.*)$/.exec(authorization ?? "") ?? [];
  const decoded = Buffer.from(token, "base64").toString();
  const [name] = decoded.split(":");
  const unable =
    "unable to authenticate with provided credentials and anonymous access is not allowed for this request";
  const header = { "WWW-Authenticate": challenge };
  const because = (reason: string): Cause => ({ type: "security_exception", reason, header });
  switch (scheme.toLowerCase()) {
    case "basic":
      if (decoded === `${known.username}:${known.password}`) return undefined;
      if (decoded === name) return because("invalid basic authentication header value");
      return because(`unable to authenticate user [${name}] for REST request [${path}]`);
    case "apikey":
      return token === known.apiKey ? undefined : because(unable);
    case "bearer":
      return because(unable);
    default:
      return because(`missing authentication credentials for REST request [${path}]`);
  }
}

const versioned = /^application\/vnd\.elasticsearch\+(?:x-nd)?json; ?compatible-with=(\d+)$/;
const product = { "x-elastic-product": "Elasticsearch" };

export function createElasticsearch(behaviour: Behaviour, credentials: Credentials | undefined) {
  const indices = new Map<string, Index>();
  const version = { ...data.information.version, number: behaviour.version };
  const routes: [pattern: RegExp, parameters: string, run: (call: Call) => Result][] = [
    [/^GET \/$/, "", () => ({ body: { ...data.information, version } })],
    [/^GET \/_security\/_authenticate$/, "", () => ({ body: { ...data.user, username: credentials?.username } })],
    [/^(?:POST|PUT) \/(?:([^/]+)\/)?_bulk$/, "refresh", bulk],
    [/^PUT \/([^_/][^/]*)$/, "", createIndex],
    [/^GET \/([^_/][^/]*)$/, "", (call) => ({ body: { [call.index]: describeIndex(existing(call)) } })],
    [/^DELETE \/([^_/][^/]*)$/, "", (call) => ({ body: { acknowledged: indices.delete(existing(call).name) } })],
    [/^(?:GET|POST) \/([^_/][^/]*)\/_refresh$/, "", (call) => ({ body: refresh(existing(call)) })],
    [/^(?:GET|POST) \/([^_/][^/]*)\/_search$/, "size from ignore_unavailable", search],
    [/^(?:GET|POST) \/([^_/][^/]*)\/_count$/, "ignore_unavailable", search],
    [/^GET \/([^_/][^/]*)\/_doc\/([^/]+)$/, "", getDocument],
    [/^POST \/([^_/][^/]*)\/_doc$/, "refresh op_type", indexDocument],
    [/^(?:POST|PUT) \/([^_/][^/]*)\/_(?:doc|create)\/([^/]+)$/, "refresh op_type", indexDocument],
    [/^\w+ \/[^_/][^/]*\/[^_/][^/]*\/[^_]/, "", noHandler],
  ];
  const documents = (name: string) =>
    [...(indices.get(name)?.documents ?? [])].map(([_id, { source }]) => ({ _id, _source: source }));
  return { server: "elasticsearch" as const, handle, fail, documents };

  function handle({ method, path, headers, body }: Exchange): Answer {
    const [pathname = "", search] = path.split("?", 2);
    const cause = credentials && refusal(credentials, headers.authorization, pathname);
    if (cause !== undefined) throw new Failure(401, cause.reason, cause);
    checkMediaType("Accept", headers.accept);
    if (body !== "") checkMediaType("Content-Type", headers["content-type"]);
    if (body !== "" && versioned.test(headers["content-type"] ?? "") && !versioned.test(headers.accept ?? ""))
      throw new NotSimulated("a versioned Content-Type beside another Accept");
    const request = `${method.replace("HEAD", "GET")} ${pathname}`;
    const [pattern, known = "", run] = routes.find(([candidate]) => candidate.test(request)) ?? [];
    const parameters = new URLSearchParams(search);
    if (run === undefined) throw new NotSimulated(`${method} ${path}`);
    checkKeys([...parameters.keys()], `pretty ${known}`, pathname);
    const [, index = "", id = ""] = (pattern?.exec(request) ?? []).map((part) => part && decodeURIComponent(part));
    checkIsOneIndex(index);
    const { status = 200, body: answer } = run({ method, path: pathname, index, id, parameters, body });
    const type = versioned.test(headers.accept ?? "") ? String(headers.accept).replace(" ", "") : "application/json";
    const text = JSON.stringify(answer, null, parameters.has("pretty") ? 2 : 0).replace(/^( +"[^"]+"):/gm, "$1 :");
    return { status, headers: { "content-type": type, ...product }, body: text };
  }

  function fail({ status, message: reason, more }: Failure): Answer {
    const { caused_by, ...outer }: Cause = { type: "sandbox_exception", reason, ...more };
    const root_cause = [caused_by?.type === outer.type ? caused_by : outer];
    const body = JSON.stringify({ error: { root_cause, ...outer, ...(caused_by && { caused_by }) }, status });
    const headers = status === 401 ? { "www-authenticate": challenge.join(", ") } : product;
    return { status, headers: { "content-type": "application/json", ...headers }, body };
  }

  /** A client of a newer major version is refused, but only where the header is one media type, not a list. */
  function checkMediaType(header: string, value = ""): void {
    if (header === "Content-Type" && !/^application\/([\w.]+\+)?(x-nd)?json\b/.test(value))
      throw new NotSimulated(`bodies of type "${value}"`);
    const wanted = Number(versioned.exec(value)?.[1]);
    const major = Number.parseInt(behaviour.version, 10);
    if (wanted === 7 && major === 8) throw new NotSimulated("what clients of version 7 expect");
    if (Number.isNaN(wanted) || wanted === major || wanted === major - 1) return;
    const versions = `either version ${major} or ${major - 1}, but found ${wanted}`;
    const cause = { type: "status_exception", reason: `${header} version must be ${versions}. ${header}=${value}` };
    const reason = "Invalid media-type value on headers [Content-Type, Accept]";
    throw new Failure(400, reason, { type: "media_type_header_exception", caused_by: cause });
  }

  /** What a real one says to all that begins like the address of a Kibana. */
  function noHandler({ method, path }: Call): Result {
    return { status: 400, body: { error: `no handler found for uri [${path}] and method [${method}]` } };
  }

  function createIndex({ index: name, body }: Call): Result {
    checkKeys(Object.keys(parse(body)), "", "a new index");
    const index = indices.get(name);
    if (index !== undefined) {
      const more = { type: "resource_already_exists_exception", index_uuid: index.uuid, index: name };
      throw new Failure(400, `index [${name}/${index.uuid}] already exists`, more);
    }
    indices.set(name, newIndex(name));
    return { body: { acknowledged: true, shards_acknowledged: true, index: name } };
  }

  function existing({ index: name }: Call): Index {
    const index = indices.get(name);
    if (index !== undefined) return index;
    const resource = { "resource.type": "index_or_alias", "resource.id": name, index_uuid: "_na_", index: name };
    throw new Failure(404, `no such index [${name}]`, { type: "index_not_found_exception", ...resource });
  }

  function getDocument(call: Call): Result {
    const { index: _index, id: _id } = call;
    const stored = existing(call).documents.get(_id);
    if (stored === undefined) return { status: 404, body: { _index, _id, found: false } };
    const { version: _version, seqNo: _seq_no, source: _source } = stored;
    return { body: { _index, _id, _version, _seq_no, _primary_term: 1, found: true, _source } };
  }

  function search(call: Call): Result {
    const counts = call.path.endsWith("_count");
    const { query, ...page } = parse(call.body);
    checkKeys(Object.keys(page), counts ? "" : "from size", "a search");
    const from = Number(page.from ?? call.parameters.get("from") ?? 0);
    const size = Number(page.size ?? call.parameters.get("size") ?? 10);
    if (!(from >= 0 && size >= 0 && from + size <= 10_000)) throw new NotSimulated("pages of such a size");
    const index = call.parameters.get("ignore_unavailable") === "true" ? indices.get(call.index) : existing(call);
    const shards = index === undefined ? 0 : 1;
    const _shards = { total: shards, successful: shards, skipped: 0, failed: 0 };
    const found = index === undefined ? [] : find(index, query);
    if (counts) return { body: { count: found.length, _shards } };
    const total = { value: Math.min(found.length, 10_000), relation: found.length > 10_000 ? "gte" : "eq" };
    const hits = found.slice(from, from + size);
    const max_score = index === undefined ? 0 : hits.length > 0 ? 1 : null;
    return {
      body: { took: 1, timed_out: false, _shards, hits: { total, max_score, hits } },
    };
  }

  function bulk({ index: name, parameters, body }: Call): Result {
    if (body === "") throw new Failure(400, "request body is required", { type: "parse_exception" });
    const end = "The bulk request must be terminated by a newline [\\n]";
    if (!body.endsWith("\n")) throw new Failure(400, end, { type: "illegal_argument_exception" });
    const lines = body.split("\n").slice(0, -1);
    // Everything is read before anything is written.
    const writes = lines.flatMap((line, number) => {
      if (number % 2 === 1) return [];
      const [[action = "", value] = []] = Object.entries(parse(line));
      if (!/^(create|index)$/.test(action)) throw new NotSimulated(`the bulk action "${action}"`);
      const { _index = name, _id = "", op_type = action, ...rest } = isPlainObject(value) ? value : {};
      checkKeys(Object.keys(rest), "", "a bulk action");
      const type = "action_request_validation_exception";
      if (_index === "") throw new Failure(400, "Validation Failed: 1: index is missing;", { type });
      checkIsOneIndex(String(_index));
      const source = parseAny(lines[number + 1] ?? "");
      return [{ key: op_type === "create" ? "create" : "index", name: String(_index), given: String(_id), source }];
    });
    let errors = false;
    const items = writes.map(({ key, name: _index, given, source }) => {
      const id = given || randomId();
      try {
        return { [key]: write(_index, id, source, key === "create", parameters.get("refresh")) };
      } catch (error) {
        if (!(error instanceof Failure) || error instanceof NotSimulated) throw error;
        errors = true;
        const { status, message: reason, more } = error;
        const _id = indices.has(_index) ? id : given || null;
        return { [key]: { _index, _id, status, error: { reason, ...more } } };
      }
    });
    return { body: { errors, took: 1, items } };
  }

  function indexDocument({ path, index, id, parameters, body }: Call): Result {
    const creates = path.includes("/_create/") || parameters.get("op_type") === "create";
    const written = write(index, id || randomId(), parseAny(body), creates, parameters.get("refresh"));
    return { status: written.status, body: { ...written, status: undefined } };
  }

  function write(_index: string, _id: string, source: unknown, creates: boolean, refreshes: string | null) {
    if (!/^(true|false|wait_for|)$/.test(refreshes ?? "")) throw new NotSimulated(`refresh=${refreshes}`);
    const index = indices.get(_index) ?? newIndex(_index);
    indices.set(_index, index);
    const before = index.documents.get(_id);
    mapDocument(index.mapping, source, _id);
    if (creates && before !== undefined) {
      const shard = { index_uuid: index.uuid, shard: "0", index: _index };
      const reason = `[${_id}]: version conflict, document already exists (current version [${before.version}])`;
      throw new Failure(409, reason, { type: "version_conflict_engine_exception", ...shard });
    }
    if (index.refreshed === index.writes) index.unrefreshedSince = Date.now();
    const previous = before && before.seqNo >= index.refreshed ? before.previous : before;
    const stored = { source, version: (before?.version ?? 0) + 1, seqNo: index.writes++, previous };
    index.documents.set(_id, stored);
    const isForced = refreshes === "true" || refreshes === "";
    if (isForced || refreshes === "wait_for") refresh(index);
    const [result, status] = before === undefined ? (["created", 201] as const) : (["updated", 200] as const);
    const shards = { ...(isForced && { forced_refresh: true }), _shards: { total: 2, successful: 1, failed: 0 } };
    return {
      _index,
      _id,
      _version: stored.version,
      result,
      ...shards,
      _seq_no: stored.seqNo,
      _primary_term: 1,
      status,
    };
  }
}

/** Searches find the writes before `refreshed`. The first one after them was made at `unrefreshedSince`. */
function newIndex(name: string) {
  const fault = { type: "invalid_index_name_exception", index_uuid: "_na_", index: name };
  if (/\p{Lu}/u.test(name)) throw new Failure(400, `Invalid index name [${name}], must be lowercase`, fault);
  const state = { created: Date.now(), writes: 0, refreshed: 0, unrefreshedSince: 0 };
  return { name, uuid: randomId(), mapping: new Map() as Mapping, documents: new Map<string, Stored>(), ...state };
}

function find(index: Index, query: unknown) {
  if (Date.now() - index.unrefreshedSince >= 1000) refresh(index);
  const fits = filterOf(index.mapping, query);
  return [...index.documents].flatMap(([_id, stored]) => {
    const seen = stored.seqNo < index.refreshed ? stored : stored.previous;
    const isHit = seen !== undefined && fits(seen.source, _id);
    return isHit ? [{ _index: index.name, _id, _score: 1, _source: seen.source }] : [];
  });
}

function refresh(index: Index) {
  index.refreshed = index.writes;
  return { _shards: { total: 2, successful: 1, failed: 0 } };
}

function describeIndex({ name, uuid, created, mapping }: Index) {
  const settings = { index: { ...data.indexSettings, creation_date: String(created), uuid, provided_name: name } };
  return { aliases: {}, mappings: describeMapping(mapping), settings };
}

function checkKeys(keys: string[], known: string, where: string): void {
  const other = keys.find((key) => !known.split(" ").includes(key));
  if (other !== undefined) throw new NotSimulated(`"${other}" in ${where}`);
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
  const isPlain = !/[\s"*\\<|,>/?#:]|^[-_+]|^\.\.?$/.test(name) && Buffer.byteLength(name) <= 255;
  if (!isPlain) throw new NotSimulated(`index names such as "${name}"`);
}
