// A small Elasticsearch: what writing documents and reading them back needs, in Elasticsearch's own words.
import { randomBytes } from "node:crypto";
import { type Cause, type Field, mapDocument, Refused } from "./mapping.ts";
import type { Answer, Exchange } from "./sandbox.ts";
import { isPlainObject } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

interface Stored {
  source: Record<string, unknown>;
  version: number;
  seqNo: number;
}

interface Index {
  uuid: string;
  mapping: Field;
  documents: Map<string, Stored>;
  /** What a search sees: it learns of a write only when the index is refreshed. */
  searchable: Map<string, Stored>;
  unrefreshed: Set<string>;
  writes: number;
}

export interface Credentials {
  username: string;
  password: string;
  apiKey: string;
}

export interface SmallElasticsearch {
  handle(exchange: Exchange): Answer;
  documents(index: string): { _id: string; _source: unknown }[];
}

class Failure extends Error {
  readonly status: number;
  readonly error: Record<string, unknown>;
  constructor(status: number, error: Cause & Record<string, unknown>) {
    super(error.reason);
    this.status = status;
    this.error = error;
  }
}

/** What Elasticsearch says to credentials it refuses; undefined if they are right. */
export function refusal(
  credentials: Credentials,
  authorization: string | undefined,
  path: string,
): (Cause & Record<string, unknown>) | undefined {
  const security = (reason: string, more?: string) => ({
    type: "security_exception",
    reason,
    ...(more === undefined ? {} : { additional_unsuccessful_credentials: more }),
  });
  const [, scheme = "", token = ""] = /^(\S+) (.*)$/.exec(authorization ?? "") ?? [];
  const anonymous =
    "unable to authenticate with provided credentials and anonymous access is not allowed for this request";
  switch (scheme.toLowerCase()) {
    case "basic": {
      const decoded = Buffer.from(token, "base64").toString();
      const illegal = /[^\w+/=]/.exec(token)?.[0];
      if (illegal !== undefined) {
        const reason = `Illegal base64 character ${illegal.charCodeAt(0).toString(16)}`;
        const cause = { type: "illegal_argument_exception", reason };
        return { ...security("invalid basic authentication header encoding"), caused_by: cause };
      }
      if (token !== "" && !decoded.includes(":")) return security("invalid basic authentication header value");
      if (decoded === `${credentials.username}:${credentials.password}`) return undefined;
      return security(`unable to authenticate user [${decoded.split(":")[0]}] for REST request [${path}]`);
    }
    case "apikey": {
      if (token === credentials.apiKey) return undefined;
      const [id, key] = Buffer.from(token, "base64").toString().split(":");
      return security(
        anonymous,
        key === undefined ? "API key: invalid ApiKey value" : `API key: unable to find apikey with id ${id}`,
      );
    }
    case "bearer":
      return security(anonymous, "oauth2 token: invalid token");
    default:
      return security(`missing authentication credentials for REST request [${path}]`);
  }
}

export function createElasticsearch(behaviour: Behaviour, credentials: Credentials | undefined): SmallElasticsearch {
  const indices = new Map<string, Index>();
  const typed = behaviour.elasticsearch7 ? { _type: "_doc" } : {};

  return {
    documents: (name) =>
      [...(indices.get(name)?.documents ?? [])].map(([_id, { source }]) => ({ _id, _source: source })),
    handle(exchange) {
      const accept = exchange.headers.accept ?? "";
      const type = behaviour.elasticsearch7
        ? "application/json; charset=UTF-8"
        : accept.includes("vnd.elasticsearch+json")
          ? accept.replace("; ", ";").replace(/,.*/, "")
          : "application/json";
      const headers = { "x-elastic-product": "Elasticsearch", "content-type": type };
      try {
        const { status = 200, body } = route(exchange);
        return { status, headers, body: JSON.stringify(body) };
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        const { status } = error;
        const challenge = behaviour.elasticsearch7
          ? 'Basic realm="security" charset="UTF-8", ApiKey'
          : 'Basic realm="security", charset="UTF-8", ApiKey';
        return {
          status,
          headers:
            status === 401
              ? { "content-type": type, "www-authenticate": challenge }
              : { ...headers, "content-type": "application/json" },
          body: JSON.stringify({ error: { root_cause: [error.error], ...error.error }, status }),
        };
      }
    },
  };

  function route({ method, path, headers, body }: Exchange): { status?: number; body: unknown } {
    // Not by URL, which would take an index called ".." for a step up.
    const [pathname = "", queryString] = path.split("?", 2);
    const parameters = new URLSearchParams(queryString);
    const refused = credentials && refusal(credentials, headers.authorization, pathname);
    if (refused !== undefined) throw new Failure(401, refused);
    checkMediaType("Accept", headers.accept);
    if (body !== "") checkMediaType("Content-Type", headers["content-type"]);
    const [first = "", second, third, ...rest] = pathname.slice(1).split("/").map(decodeURIComponent);
    const read = method === "GET" || method === "POST";
    if (first === "" && (method === "GET" || method === "HEAD")) return { body: info() };
    if (first === "_bulk" && second === undefined && method !== "GET") return bulk(undefined, parameters, body);
    if (first === "_security" && second === "_authenticate")
      return { body: { username: credentials?.username ?? "_anonymous", roles: ["superuser"], enabled: true } };
    if (first !== "" && !first.startsWith("_") && rest.length === 0) {
      if (second === undefined && method === "PUT") return createIndex(first, body);
      if (second === undefined && method === "DELETE") return deleteIndex(first);
      if (second === undefined && method === "HEAD") return { status: indices.has(first) ? 200 : 404, body: "" };
      if (second === "_bulk" && (method === "POST" || method === "PUT")) return bulk(first, parameters, body);
      if (second === "_doc" && third !== undefined && (method === "GET" || method === "HEAD"))
        return getDocument(first, third);
      if (second === "_search" && read) return search(first, parameters, body);
      if (second === "_refresh" && read) return refreshIndex(first);
    } else if (first !== "" && second === "_bulk") {
      return bulk(first, parameters, body);
    }
    return { status: 400, body: { error: `no handler found for uri [${path}] and method [${method}]` } };
  }

  /** A client of a newer major version is refused, but only where the header is one media type: a list goes unread. */
  function checkMediaType(header: string, value = ""): void {
    const wanted = Number(/^[^,]*compatible-with=(\d+)$/.exec(value)?.[1]);
    const major = Number(behaviour.version.split(".")[0]);
    if (behaviour.elasticsearch7 || Number.isNaN(wanted) || wanted === major || wanted === major - 1) return;
    const reason = `${header} version must be either version ${major} or ${major - 1}, but found ${wanted}. ${header}=${value}`;
    throw new Failure(400, {
      type: "media_type_header_exception",
      reason: "Invalid media-type value on headers [Content-Type, Accept]",
      caused_by: { type: "status_exception", reason },
    });
  }

  function info() {
    const version = { number: behaviour.version, build_flavor: "default" };
    return { name: "sandbox", cluster_name: "sandbox", version, tagline: "You Know, for Search" };
  }

  function createIndex(name: string, body: string): { body: unknown } {
    const fault = indexNameFault(name, behaviour);
    if (fault !== undefined) throw new Failure(400, { ...fault });
    addIndex(name, (parse(body) as { mappings?: Field }).mappings ?? {});
    return { body: { acknowledged: true, shards_acknowledged: true, index: name } };
  }

  function addIndex(name: string, mapping: Field): Index {
    const index: Index = {
      uuid: randomId(),
      mapping,
      documents: new Map(),
      searchable: new Map(),
      unrefreshed: new Set(),
      writes: 0,
    };
    indices.set(name, index);
    return index;
  }

  function deleteIndex(name: string): { body: unknown } {
    existing(name);
    indices.delete(name);
    return { body: { acknowledged: true } };
  }

  function existing(name: string): Index {
    const index = indices.get(name);
    if (index !== undefined) return index;
    throw new Failure(404, {
      type: "index_not_found_exception",
      reason: `no such index [${name}]`,
      "resource.type": "index_or_alias",
      "resource.id": name,
      index_uuid: "_na_",
      index: name,
    });
  }

  function getDocument(name: string, id: string): { status?: number; body: unknown } {
    const stored = existing(name).documents.get(id);
    if (stored === undefined) return { status: 404, body: { _index: name, ...typed, _id: id, found: false } };
    return {
      body: {
        _index: name,
        ...typed,
        _id: id,
        _version: stored.version,
        _seq_no: stored.seqNo,
        _primary_term: 1,
        found: true,
        _source: stored.source,
      },
    };
  }

  function refreshIndex(name: string): { body: unknown } {
    refresh(existing(name));
    return { body: { _shards: { total: 2, successful: 1, failed: 0 } } };
  }

  function refresh(index: Index): void {
    for (const id of index.unrefreshed) {
      const stored = index.documents.get(id);
      if (stored !== undefined) index.searchable.set(id, stored);
    }
    index.unrefreshed.clear();
  }

  function search(name: string, parameters: URLSearchParams, body: string): { body: unknown } {
    const request = parse(body) as { size?: number; from?: number; query?: { term?: object } };
    const [[field = "", value] = []] = Object.entries(request.query?.term ?? {});
    const index = parameters.get("ignore_unavailable") === "true" ? indices.get(name) : existing(name);
    const fits = ({ source }: Stored) => field === "" || source[field.replace(".keyword", "")] === value;
    const hits = [...(index?.searchable ?? [])].filter(([, stored]) => fits(stored));
    const from = request.from ?? Number(parameters.get("from") ?? 0);
    const size = request.size ?? Number(parameters.get("size") ?? 10);
    return {
      body: {
        took: 1,
        timed_out: false,
        _shards: shards(1),
        hits: {
          total: { value: hits.length, relation: "eq" },
          max_score: hits.length > 0 && size > 0 ? 1 : null,
          hits: hits
            .slice(from, from + size)
            .map(([_id, { source }]) => ({ _index: name, ...typed, _id, _score: 1, _source: source })),
        },
      },
    };
  }

  function bulk(name: string | undefined, parameters: URLSearchParams, body: string): { body: unknown } {
    const illegal = (reason: string, type = "illegal_argument_exception") => new Failure(400, { type, reason });
    if (body === "") throw illegal("request body is required", "parse_exception");
    if (!body.endsWith("\n")) throw illegal("The bulk request must be terminated by a newline [\\n]");
    const forced = parameters.get("refresh") === "true" || parameters.get("refresh") === "";
    const lines = body.split("\n").slice(0, -1);
    const touched = new Set<Index>();
    // Everything is read before anything is written.
    const writes = lines.flatMap((line, number) => {
      if (number % 2 === 1) return [];
      const [[action = "", meta = {}] = []] = Object.entries(parse(line) as Record<string, Record<string, string>>);
      const target = meta._index ?? name;
      const document = lines[number + 1] ?? "";
      if (target === undefined) throw illegal("Validation Failed: 1: index is missing;");
      const create = action === "create" || meta.op_type === "create";
      const key = create ? "create" : "index";
      return [() => ({ [key]: write(target, meta._id, create, document, forced, touched) })];
    });
    const items = writes.map((writeOne) => writeOne());
    if (forced) for (const index of touched) refresh(index);
    const errors = items.some((item) => Object.values(item).some(({ error }) => error !== undefined));
    return { body: { took: 1, errors, items } };
  }

  function write(
    name: string,
    givenId: string | undefined,
    create: boolean,
    line: string,
    forced: boolean,
    touched: Set<Index>,
  ): Record<string, unknown> {
    const id = givenId ?? randomId();
    const where = { _index: name, ...typed, _id: id };
    const resolved = resolveDateMath(name);
    const fault =
      "type" in resolved ? resolved : indices.has(resolved.name) ? undefined : indexNameFault(resolved.name, behaviour);
    if (fault !== undefined || "type" in resolved) return { ...where, _id: givenId ?? null, status: 400, error: fault };
    where._index = resolved.name;
    const index = indices.get(resolved.name) ?? addIndex(resolved.name, {});
    const previous = index.documents.get(id);
    try {
      const source: unknown = readDocument(line);
      mapDocument(index.mapping, source as Record<string, unknown>, id, behaviour);
      if (create && previous !== undefined) {
        const reason = `[${id}]: version conflict, document already exists (current version [${previous.version}])`;
        const error = { type: "version_conflict_engine_exception", reason, index_uuid: index.uuid, shard: "0" };
        return { ...where, status: 409, error: { ...error, index: resolved.name } };
      }
      const stored = {
        source: source as Record<string, unknown>,
        version: (previous?.version ?? 0) + 1,
        seqNo: index.writes++,
      };
      index.documents.set(id, stored);
      index.unrefreshed.add(id);
      touched.add(index);
      return {
        ...where,
        _version: stored.version,
        result: previous === undefined ? "created" : "updated",
        ...(forced ? { forced_refresh: true } : {}),
        _shards: { total: 2, successful: 1, failed: 0 },
        _seq_no: stored.seqNo,
        _primary_term: 1,
        status: previous === undefined ? 201 : 200,
      };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { ...where, status: 400, error: error.error };
    }
  }

  function readDocument(line: string): unknown {
    const type = behaviour.documentPositions ? "document_parsing_exception" : "mapper_parsing_exception";
    let source: unknown;
    try {
      source = JSON.parse(line);
    } catch (error) {
      throw new Refused(type, "failed to parse", { type: "json_parse_exception", reason: String(error) });
    }
    if (isPlainObject(source)) return source;
    if (!behaviour.elasticsearch7) throw new Refused(type, "Malformed content, must start with an object");
    const reason = "Compressor detection can only be called on some xcontent bytes or compressed xcontent bytes";
    throw new Refused(type, "failed to parse", { type: "not_x_content_exception", reason });
  }
}

function shards(successful: number) {
  return { total: 1, successful, skipped: 0, failed: 0 };
}

function parse(text: string): object {
  if (text === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isPlainObject(value)) return value;
  } catch {}
  throw new Failure(400, {
    type: "x_content_parse_exception",
    reason: "[1:1] Unrecognized token: was expecting a JSON object",
  });
}

/** Ids look like Elasticsearch's: 20 characters that need no escaping in a URL. */
function randomId(): string {
  return randomBytes(15).toString("base64url");
}

function indexNameFault(name: string, behaviour: Behaviour): Cause | undefined {
  const invalid = (rule: string): Cause => ({
    type: "invalid_index_name_exception",
    reason: `Invalid index name [${name}], ${rule}`,
    index_uuid: "_na_",
    index: name,
  });
  if (!behaviour.elasticsearch7 && name === "_all") {
    const rule = "does not support accessing all indices; the provided index expression [_all] is not allowed";
    return { type: "illegal_argument_exception", reason: `the action indices:admin/auto_create ${rule}` };
  }
  if (!behaviour.elasticsearch7 && name.includes("*")) {
    return {
      type: "illegal_argument_exception",
      reason: `the action indices:admin/auto_create does not support wildcards; the provided index expression(s) [${name}] are not allowed`,
    };
  }
  if (/[ "*\\<|,>/?]/.test(name)) {
    const list = behaviour.elasticsearch7
      ? '[ , ", *, \\, <, |, ,, >, /, ?]'
      : "[' ','\"','*',',','/','<','>','?','\\','|']";
    return invalid(`must not contain the following characters ${list}`);
  }
  if (name.includes("#")) return invalid("must not contain '#'");
  if (name.includes(":")) return invalid("must not contain ':'");
  if (/^[-_+]/.test(name)) return invalid("must not start with '_', '-', or '+'");
  const bytes = Buffer.byteLength(name);
  if (bytes > 255) return invalid(`index name is too long, (${bytes} > 255)`);
  if (name === "." || name === "..") return invalid("must not be '.' or '..'");
  if (name.toLowerCase() !== name) return invalid("must be lowercase");
  return undefined;
}

/** `<logs-{now/d}>` stands for today's index, `<logs-{now/d{yyyy}}>` for this year's. */
function resolveDateMath(name: string): { name: string } | Cause {
  const pattern = /^<([^{]*)(?:\{now(?:\/([a-zA-Z]))?(?:\{([^}]*)\})?\})?(.*)>$/;
  const [, before = name, unit = "d", format, after = ""] = pattern.exec(name) ?? [];
  if (!name.includes("{now")) return { name: before + after };
  if (!"yMwdhHms".includes(unit))
    return { type: "parse_exception", reason: `unit [${unit}] not supported for date math [/${unit}]` };
  const [year = "", month = "", day = ""] = new Date().toISOString().split(/[-T]/);
  const rounded = { yyyy: year, MM: unit === "y" ? "01" : month, dd: unit === "y" || unit === "M" ? "01" : day };
  const shown = (format ?? "yyyy.MM.dd").replace(/yyyy|MM|dd/g, (part) => rounded[part as keyof typeof rounded]);
  return { name: before + shown + after };
}
