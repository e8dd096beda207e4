// A small Elasticsearch: what writing documents and finding them again needs. It knows no relevance: every hit scores 1.
import { randomBytes } from "node:crypto";
import { type Answer, type Cause, type Exchange, Failure, type Handler, isPlainObject, NotSimulated } from "./http.ts";
import { describeMapping, type Mapping, mapDocument } from "./mapping.ts";
import { filterOf } from "./queries.ts";
import type { Behaviour } from "./versions.ts";

interface Stored {
  source: unknown;
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
  path: string;
  index: string;
  id: string;
  parameters: URLSearchParams;
  body: string;
}

interface Result {
  status?: number;
  body: object;
}

/** An item of a bulk response. */
type Item = { status: number; error?: Cause } & Record<string, unknown>;

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
      return unable(`API key: ${secret ? `unable to find apikey with id ${name}` : "invalid ApiKey value"}`);
    case "bearer":
      return unable("oauth2 token: invalid token");
    default:
      return because(`missing authentication credentials for REST request [${path}]`);
  }
}

const product = { "x-elastic-product": "Elasticsearch" };

export function createElasticsearch(behaviour: Behaviour, credentials: Credentials | undefined) {
  const indices = new Map<string, Index>();
  const routes: [pattern: RegExp, parameters: string, run: (call: Call) => Result][] = [
    [/^GET \/$/, "", () => ({ body: information() })],
    [/^GET \/_security\/_authenticate$/, "", () => ({ body: user() })],
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
  ];
  const handler: Handler = { handle, fail };
  return { ...handler, documents };

  function documents(name: string): { _id: string; _source: unknown }[] {
    return [...(indices.get(name)?.documents ?? [])].map(([_id, { source }]) => ({ _id, _source: source }));
  }

  function handle({ method, path, headers, body }: Exchange): Answer {
    // Not as a URL, which would resolve an index called "..".
    const [pathname = "", search] = path.split("?", 2);
    const cause = credentials && refusal(credentials, headers.authorization, pathname);
    if (cause !== undefined) throw refused(401, cause);
    checkMediaType("Accept", headers.accept);
    if (body !== "") checkMediaType("Content-Type", headers["content-type"]);
    const request = `${method.replace("HEAD", "GET")} ${pathname}`;
    const [pattern, known = "", run] = routes.find(([candidate]) => candidate.test(request)) ?? [];
    const parameters = new URLSearchParams(search);
    const other = [...parameters.keys()].find((name) => !known.split(" ").includes(name));
    if (run === undefined || other !== undefined) throw new NotSimulated(`${method} ${path}`);
    const [, index = "", id = ""] = (pattern?.exec(request) ?? []).map((part) => part && decodeURIComponent(part));
    checkIsOneIndex(index);
    const { status = 200, body: answer } = run({ index, id, parameters, body, path: pathname });
    const type = /^application\/vnd\.elasticsearch\+json; ?compatible-with=\d+/.exec(headers.accept ?? "")?.[0];
    return reply(status, answer, type?.replace(" ", ""));
  }

  function reply(
    status: number,
    body: object,
    type = "application/json",
    more: Record<string, string> = product,
  ): Answer {
    return { status, headers: { "content-type": type, ...more }, body: JSON.stringify(body) };
  }

  function fail({ status, message: reason, more }: Failure): Answer {
    const error = { type: "sandbox_exception", reason, ...more };
    const challenge = { "www-authenticate": 'Basic realm="security", charset="UTF-8", ApiKey' };
    return reply(
      status,
      { error: { root_cause: [error], ...error }, status },
      undefined,
      status === 401 ? challenge : product,
    );
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
    throw new Failure(400, reason, { type: "media_type_header_exception", caused_by: cause });
  }

  function information() {
    const version = { number: behaviour.version, build_flavor: "default", build_snapshot: false };
    return { name: "sandbox", cluster_name: "sandbox", version, tagline: "You Know, for Search" };
  }

  function user() {
    if (credentials === undefined) throw new NotSimulated("users without security");
    return { username: credentials.username, roles: ["superuser"], metadata: {}, enabled: true };
  }

  function createIndex({ index: name, body }: Call): Result {
    const [other] = Object.keys(parse(body));
    if (other !== undefined) throw new NotSimulated(`"${other}" of a new index`);
    const fault = nameFault(name);
    if (fault !== undefined) throw refused(400, fault);
    const index = indices.get(name);
    if (index !== undefined) {
      const more = { type: "resource_already_exists_exception", index_uuid: index.uuid, index: name };
      throw new Failure(400, `index [${name}/${index.uuid}] already exists`, more);
    }
    addIndex(name);
    return { body: { acknowledged: true, shards_acknowledged: true, index: name } };
  }

  function addIndex(name: string): Index {
    const state = { mapping: new Map(), documents: new Map(), writes: 0, refreshed: 0, unrefreshedSince: 0 };
    const index = { name, uuid: randomId(), created: Date.now(), ...state };
    indices.set(name, index);
    return index;
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
    const { parameters } = call;
    const { query, ...page } = parse(call.body);
    const { from = Number(parameters.get("from") ?? 0), size = Number(parameters.get("size") ?? 10), ...rest } = page;
    const counts = call.path.endsWith("_count");
    if (!isCount(from) || !isCount(size) || from + size > 10_000) throw new NotSimulated("a page of such a size");
    const [other] = Object.keys(counts ? page : rest);
    if (other !== undefined) throw new NotSimulated(`"${other}" in a search`);
    const index = parameters.get("ignore_unavailable") === "true" ? indices.get(call.index) : existing(call);
    const shards = index === undefined ? 0 : 1;
    const _shards = { total: shards, successful: shards, skipped: 0, failed: 0 };
    const found = index === undefined ? [] : find(index, query);
    if (counts) return { body: { count: found.length, _shards } };
    const total = { value: Math.min(found.length, 10_000), relation: found.length > 10_000 ? "gte" : "eq" };
    const hits = found.slice(from, from + size);
    const max_score = hits.length > 0 ? 1 : null;
    return { body: { took: 1, timed_out: false, _shards, hits: { total, max_score, hits } } };
  }

  function bulk({ index: name, parameters, body }: Call): Result {
    if (body === "") throw new Failure(400, "request body is required", { type: "parse_exception" });
    if (!body.endsWith("\n")) throw illegal("The bulk request must be terminated by a newline [\\n]");
    const lines = body.split("\n").slice(0, -1);
    // Everything is read before anything is written.
    const writes = lines.flatMap((line, number) => {
      if (number % 2 === 1) return [];
      const [[action = "", value] = []] = Object.entries(parse(line));
      const { _index = name, _id = "", op_type = action, ...rest } = isPlainObject(value) ? value : {};
      const [other] = Object.keys(rest);
      if (!/^(create|index)$/.test(action) || other !== undefined)
        throw new NotSimulated(`the bulk action ${line.slice(0, 100)}`);
      if (_index === "") throw illegal("Validation Failed: 1: index is missing;");
      checkIsOneIndex(String(_index));
      const source = parseAny(lines[number + 1] ?? "");
      const key = op_type === "create" ? "create" : "index";
      return [() => ({ [key]: write(String(_index), String(_id), source, key, parameters.get("refresh")) })];
    });
    const items: Record<string, Item>[] = writes.map((run) => run());
    const errors = items.some((item) => Object.values(item).some(({ error }) => error !== undefined));
    return { body: { errors, took: 1, items } };
  }

  function indexDocument({ path, index, id, parameters, body }: Call): Result {
    const action = path.includes("/_create/") ? "create" : parameters.get("op_type");
    const { status, error, ...result } = write(index, id, parseAny(body), action, parameters.get("refresh"));
    if (error !== undefined) throw refused(status, error);
    return { status, body: result };
  }

  function write(_index: string, id: string, source: unknown, action: string | null, refreshes: string | null): Item {
    if (!/^(true|false|wait_for|)$/.test(refreshes ?? "")) throw new NotSimulated(`refresh=${refreshes}`);
    const nameError = indices.has(_index) ? undefined : nameFault(_index);
    if (nameError !== undefined) return { _index, _id: id || null, status: 400, error: nameError };
    const where = { _index, _id: id || randomId() };
    const index = indices.get(_index) ?? addIndex(_index);
    const before = index.documents.get(where._id);
    const error = mapDocument(index.mapping, source, where._id);
    if (error !== undefined) return { ...where, status: 400, error };
    if (action === "create" && before !== undefined) {
      const reason = `[${id}]: version conflict, document already exists (current version [${before.version}])`;
      const shard = { index_uuid: index.uuid, shard: "0", index: _index };
      return { ...where, status: 409, error: { type: "version_conflict_engine_exception", reason, ...shard } };
    }
    if (index.refreshed === index.writes) index.unrefreshedSince = Date.now();
    const previous = before && before.seqNo >= index.refreshed ? before.previous : before;
    const stored = { source, version: (before?.version ?? 0) + 1, seqNo: index.writes++, previous };
    index.documents.set(where._id, stored);
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
  }
}

function find(index: Index, query: unknown) {
  if (Date.now() - index.unrefreshedSince >= 1000) refresh(index);
  const fits = filterOf(query, index.mapping);
  const visible = [...index.documents].flatMap(([_id, stored]) => {
    const seen = stored.seqNo < index.refreshed ? stored : stored.previous;
    return seen === undefined ? [] : [{ _index: index.name, _id, _score: 1, _source: seen.source }];
  });
  return visible.filter(({ _id, _source }) => fits(_source, _id));
}

function refresh(index: Index) {
  index.refreshed = index.writes;
  return { _shards: { total: 2, successful: 1, failed: 0 } };
}

function describeIndex({ name, uuid, created, mapping }: Index) {
  const shards = { number_of_shards: "1", number_of_replicas: "1" };
  const settings = { index: { creation_date: String(created), ...shards, uuid, provided_name: name } };
  return { aliases: {}, mappings: describeMapping(mapping), settings };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0;
}

function illegal(reason: string): Failure {
  return new Failure(400, reason, { type: "illegal_argument_exception" });
}

function refused(status: number, { reason, ...more }: Cause): Failure {
  return new Failure(status, reason, more);
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
  if (/[*,<#:]|^(_all|\.\.?)$/.test(name)) throw new NotSimulated(`index names such as "${name}"`);
}

function nameFault(name: string): Cause | undefined {
  const characters = "[' ','\"','*',',','/','<','>','?','\\','|']";
  const rules: [RegExp, string][] = [
    [/[ "\\|>/?]/, `must not contain the following characters ${characters}`],
    [/^[-_+]/, "must not start with '_', '-', or '+'"],
    [/\p{Lu}/u, "must be lowercase"],
  ];
  const [, rule] = rules.find(([pattern]) => pattern.test(name)) ?? [];
  const reason = `Invalid index name [${name}], ${rule}`;
  return rule === undefined
    ? undefined
    : { type: "invalid_index_name_exception", reason, index_uuid: "_na_", index: name };
}
