// Kibana: its routes, the order in which it checks a request, and what its operations answer.
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import { parse as parseForm } from "node:querystring";
import type { Bulk, ConnectorType, Fields, TypedConnector } from "./connector-types.ts";
import { clientMessage, connectorTypes, run } from "./connector-types.ts";
import data from "./data.json" with { type: "json" };
import { type Answer, type Cause, type Exchange, Failure, type Handler, isPlainObject, NotSimulated } from "./http.ts";
import { Invalid, type Schema, validate } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

export interface KibanaOptions {
  behaviour: Behaviour;
  basePath: string;
  license: "basic" | "trial";
  maxPayload: number;
  /** Why Elasticsearch refuses the credentials; undefined if they are right or not asked for. */
  refusal(authorization: string | undefined): Promise<Cause | undefined>;
  bulk(authorization: string | undefined): Bulk;
  state(): string | undefined;
}

/** A chunked body over the limit: Kibana closes the connection without an answer. */
export class Cut extends Error {}

type Connector = { id: string; name: string; space: string } & TypedConnector;
type Call = { space: string; id: string; body: Fields; query: URLSearchParams; authorization: string | undefined };
type Route = [method: string, path: RegExp, run: (call: Call) => unknown, body?: Schema];

const json = { "content-type": "application/json; charset=utf-8" };
const html = { "content-type": "text/html; charset=utf-8" };
const { preconfigured, defaultSpace } = data;
const schemas = data.schemas as unknown as Record<keyof typeof data.schemas, Schema>;

export function createKibana(options: KibanaOptions): Handler & { connectors(): Connector[] } {
  const { behaviour, basePath, state } = options;
  const bodyValidator = behaviour.is94 ? "newer config-schema" : "config-schema";
  const typeValidator = behaviour.is94 ? "zod" : "config-schema";
  const connectors = new Map<string, Connector>();
  /** What a real Kibana has beside the connectors API: its other APIs, and the pages of its user interface. */
  const apis = [...data.otherApis, ...(behaviour.is94 ? [] : data.legacyApis)];
  const notHere = new RegExp(`^/($|(app|internal|login|spaces|ui|api/(${apis.join("|")}))(/|$))`);
  const one = /^\/api\/actions\/connector\/(?!_oauth_)([^/]+)$/;
  const routes: Route[] = [
    ["GET", /^\/api\/actions\/connector_types$/, listTypes],
    ["GET", /^\/api\/actions\/connectors$/, list],
    ["POST", /^\/api\/actions\/connector(?:\/([^/]*))?$/, create, schemas.create],
    ["GET", one, ({ space, id }) => shown(load(space, id), "read")],
    ["PUT", one, update, schemas.update],
    ["DELETE", one, remove],
    ["POST", /^\/api\/actions\/connector\/([^/]+)\/_execute$/, execute, schemas.execute],
    ["GET", /^\/api\/spaces\/space(?:\/([^/]+))?$/, getSpaces],
  ];
  return { server: "kibana", handle, fail, connectors: () => [...connectors.values()] };

  async function handle(exchange: Exchange): Promise<Answer> {
    const { method, headers } = exchange;
    const { path, space, prefix, query } = locate(exchange.path);
    const isRead = method === "GET" || method === "HEAD";
    if (state() === "not-ready") {
      if (!isRead) readPayload(exchange);
      checkHeaders(exchange, isRead);
      // In a space, the page that says "starting" answers.
      if (isRead && prefix !== basePath) return { status: 200, headers: html, body: "<!DOCTYPE html><html></html>" };
      return { status: 503, headers: { ...html, "retry-after": "30" }, body: "Kibana server is not ready yet" };
    }
    if (state() === "no-license") return fail(new Failure(503, "License is not available."), { "retry-after": "30" });
    if (path === "/api/status" && isRead) {
      const isKnownUser = (await options.refusal(headers.authorization)) === undefined;
      const version = isKnownUser && { name: "sandbox", version: { number: behaviour.version } };
      return reply(200, { ...version, status: { overall: { level: "available" } } });
    }
    const route = routes.find(([verb, pattern]) => pattern.test(path) && verb === (isRead ? "GET" : method));
    if (route === undefined && notHere.test(path)) throw new NotSimulated(`${method} ${path}`);
    // Only GET has a route that catches everything: for other methods, nothing is checked before the 404.
    if (route === undefined && !isRead) throw new Failure(404, "Not Found");
    const id = decode(route?.[1].exec(path)?.[1] ?? "");
    await authenticate(headers.authorization);
    const payload = isRead || method === "DELETE" ? undefined : readPayload(exchange);
    checkHeaders(exchange, isRead);
    if (route === undefined) {
      if (!path.endsWith("/")) throw new Failure(404, "Not Found");
      const location = `${prefix}/${encodeURIComponent(decode(path).slice(1, -1))}${query.size > 0 ? `?${query}` : ""}`;
      return { status: 302, headers: { location }, body: "" };
    }
    const [, , run, schema] = route;
    if (behaviour.is94 && run === create && path !== "/api/actions/connector") checkShortId(id);
    const body = schema && validate(schema, payload, bodyValidator, ["request body"]);
    if (state() === "no-encryption-key" && path.startsWith("/api/actions/"))
      throw new Failure(500, "An internal server error occurred. Check Kibana server logs for details.");
    const call = { space, id, query, authorization: headers.authorization };
    return reply(200, await run({ ...call, body: isPlainObject(body) ? body : {} }));
  }

  /** Without a body, it is a 204. */
  function reply(status: number, body?: unknown, more: Record<string, string> = {}): Answer {
    const version = behaviour.isAfter812 ? { "elastic-api-version": "2023-10-31" } : {};
    const headers = { "kbn-name": "sandbox", ...(body !== undefined && json), ...version, ...more };
    return { status: body === undefined ? 204 : status, headers, body: JSON.stringify(body) ?? "" };
  }

  function fail({ status, message, more }: Failure, headers?: Record<string, string>): Answer {
    const error = status === 413 ? "Request Entity Too Large" : STATUS_CODES[status];
    return reply(status, { statusCode: status, error, message, ...more }, headers);
  }

  /** The base path comes first, then the space, then the API. */
  function locate(target: string) {
    const [whole = "", search = ""] = target.split("?", 2);
    if (basePath !== "" && whole !== basePath && !whole.startsWith(`${basePath}/`)) throw new Failure(404, "Not Found");
    const rest = whole.slice(basePath.length).replace(/^\/s\/[^/]+/, decode);
    if (/^\/s\/[a-z0-9_-]+[^a-z0-9_/-]/.test(rest)) throw new NotSimulated(target);
    const [inSpace = "", space = "default"] = /^\/s\/([a-z0-9_-]+)(?=\/|$)/.exec(rest) ?? [];
    const path = rest.slice(inSpace.length) || "/";
    return { path, space, prefix: basePath + inSpace, query: new URLSearchParams(search) };
  }

  async function authenticate(authorization: string | undefined): Promise<void> {
    if (state() === "elasticsearch-gone") throw new Failure(401, "Unauthorized");
    const cause = await options.refusal(authorization);
    if (cause === undefined) return;
    // Kibana asks Elasticsearch about these schemes only.
    if (!/^(basic|apikey|bearer)( |$)/i.test(authorization ?? "")) throw new Failure(401, "Unauthorized");
    throw new Failure(401, `[${clientMessage({ error: { ...cause, root_cause: [cause] } })}]: ${cause.reason}`);
  }

  /** Size, then content type, then JSON: all of them before kbn-xsrf. */
  function readPayload({ headers, body }: Exchange): unknown {
    if (Buffer.byteLength(body) > options.maxPayload) {
      if (headers["content-length"] === undefined) throw new Cut();
      throw new Failure(413, `Payload content length greater than maximum allowed: ${options.maxPayload}`);
    }
    const [type] = /^[^/\s]+\/[^\s;]+/.exec(headers["content-type"]?.toLowerCase() || "application/json") ?? [];
    if (type === undefined) throw new Failure(400, "Invalid content-type header");
    if (/^application\/octet-stream$|^multipart\//.test(type)) throw new NotSimulated(`bodies of ${type}`);
    if (type.startsWith("text/")) return body;
    if (type === "application/x-www-form-urlencoded") return parseForm(body);
    if (!/^application\/(?:.+\+)?json$/.test(type)) throw new Failure(415, "Unsupported Media Type");
    try {
      if (/"__proto__"\s*:/.test(body)) throw new SyntaxError("refused for safety");
      return JSON.parse(body || "null");
    } catch {
      throw new Failure(400, "Invalid request payload JSON format");
    }
  }

  function checkHeaders({ headers }: Exchange, isRead: boolean): void {
    const { "kbn-version": got, "kbn-xsrf": xsrf } = headers;
    const expected = behaviour.version;
    if (!isRead && (xsrf ?? got) === undefined) throw new Failure(400, "Request must contain a kbn-xsrf header.");
    if (got === undefined || got === expected) return;
    const fault = `("kbn-version" header was "${got}" but should be "${expected}")`;
    const more = { attributes: { expected, got } };
    throw new Failure(400, `Browser client is out of date, please refresh the page ${fault}`, more);
  }

  function checkShortId(id: string): void {
    if (id.length < 1 || id.length > 36) throw new NotSimulated(`the refusal of an id of ${id.length} characters`);
    const rule = "Connector ID must contain only lowercase letters, numbers, and hyphens.";
    if (!/^(?!(constructor|prototype)$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(id))
      throw new Invalid(400, `[request params.id]: ${rule}`);
  }

  function checkMayChange(id: string, operation: string, refusal: string): void {
    if (state() === "read-only") throw new Failure(403, `Unauthorized to ${operation}`);
    if (id === preconfigured.id) throw new Failure(400, refusal);
  }

  function getSpaces({ id }: Call): unknown {
    if (id !== "" && id !== defaultSpace.id) throw new Failure(404, "Not Found");
    return id === "" ? [defaultSpace] : defaultSpace;
  }

  function listTypes({ query }: Call): unknown {
    const given = validate(schemas.listTypes, Object.fromEntries(query), bodyValidator, ["request query"]) as Fields;
    const enabled = options.license === "trial" && { enabled: true, enabled_in_license: true };
    const newer = behaviour.is94 && { is_deprecated: false };
    return connectorTypes
      .filter(({ supported_feature_ids: ids }) => !given.feature_id || ids.includes(given.feature_id))
      .map(({ config, secrets, params, ...type }) => ({ ...type, ...enabled, ...newer }));
  }

  function list({ space }: Call): unknown {
    return [...[...connectors.values()].filter((stored) => stored.space === space), { ...preconfigured, space }]
      .sort((a, b) => a.name.localeCompare(b.name))
      .map((stored) => shown(stored, "list"));
  }

  function create({ space, id, body }: Call): unknown {
    const { name, connector_type_id: typeId } = body;
    checkMayChange(id, `create a "${typeId}" action`, `This ${id} already exists in a preconfigured action.`);
    const fields = checkFields(typeId, body);
    const uuid = /^([0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|0{8}(-0{4}){3}-0{12})$/i;
    if (id !== "" && !behaviour.is94 && !uuid.test(id)) {
      const rule = "saved objects with encrypted attributes unless the ID is a UUID.: Bad Request";
      throw new Failure(400, `Predefined IDs are not allowed for ${rule}`);
    }
    // An id can be used once, in whichever space.
    if (connectors.has(id)) throw new Failure(409, `Saved object [action/${id}] conflict`);
    return save({ id: id || randomUUID(), name, space, connector_type_id: typeId, ...fields });
  }

  function update({ space, id, body }: Call): unknown {
    checkMayChange(id, "update actions", `Preconfigured action ${id} can not be updated.`);
    const stored = load(space, id);
    return save({ ...stored, name: body.name, ...checkFields(stored.connector_type_id, body) });
  }

  function remove({ space, id }: Call): undefined {
    checkMayChange(id, "delete actions", `Preconfigured action ${id} is not allowed to delete.`);
    load(space, id);
    connectors.delete(id);
  }

  async function execute({ space, id, body, authorization }: Call): Promise<unknown> {
    const stored = load(space, id);
    const source = behaviour.isAfter812 ? { errorSource: "user" } : {};
    try {
      const params = validate(typeOf(stored.connector_type_id).params, body.params, typeValidator) as Fields;
      const { service_message, ...result }: Fields = await run(stored, params, options.bulk(authorization));
      const hasSource = result.message === "error indexing documents";
      return { ...result, connector_id: id, ...(service_message && { service_message }), ...(hasSource && source) };
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      const message = `error validating action params: ${error.message}`;
      return { status: "error", message, retry: false, connector_id: id, ...source };
    }
  }

  function checkFields(typeId: string, body: Fields): Pick<Connector, "config" | "secrets"> {
    const type = typeOf(typeId);
    const check = (part: "config" | "secrets") => {
      try {
        return validate(type[part], body[part], typeValidator) as Fields;
      } catch (error) {
        if (!(error instanceof Invalid)) throw error;
        const kind = behaviour.is94 ? "connector" : "action";
        throw new Invalid(400, `error validating ${kind} type ${part}: ${error.message}`);
      }
    };
    const checked = { config: check("config"), secrets: check("secrets") };
    if (!checked.secrets.user !== !checked.secrets.password) throw new NotSimulated("a user without a password");
    checkLicense(type);
    return checked;
  }

  function typeOf(typeId: string): Required<ConnectorType> {
    const type = connectorTypes.find(({ id }) => id === typeId);
    if (type === undefined) throw new Invalid(400, `Action type "${typeId}" is not registered.`);
    const { config } = type;
    if (config !== undefined) return { ...type, config };
    checkLicense(type);
    throw new NotSimulated(`connectors of type ${typeId}`);
  }

  function checkLicense({ id, enabled }: ConnectorType): void {
    const reason = "your basic license does not support it. Please upgrade your license.";
    if (!enabled && options.license === "basic")
      throw new Failure(403, `Action type ${id} is disabled because ${reason}`);
  }

  function load(space: string, id: string): Connector {
    const stored = id === preconfigured.id ? { ...preconfigured, space } : connectors.get(id);
    if (stored?.space === space) return stored;
    throw new Failure(404, `Saved object [action/${id}] not found`);
  }

  function save(stored: Connector): unknown {
    // A search finds a connector that was written again after those of the same name.
    connectors.delete(stored.id);
    connectors.set(stored.id, stored);
    return shown(stored, "write");
  }

  function shown({ id, name, config, connector_type_id }: Connector, after: "read" | "list" | "write") {
    const is_preconfigured = id === preconfigured.id;
    const type = { connector_type_id, is_preconfigured, is_deprecated: false };
    const count = after === "list" ? { referenced_by_count: 0 } : {};
    const secrets = is_preconfigured ? {} : { is_missing_secrets: false };
    const mode = after === "write" ? {} : { auth_mode: "shared" };
    const newer = behaviour.is94 ? { is_connector_type_deprecated: false, ...mode } : {};
    return {
      id,
      name,
      ...(!is_preconfigured && { config }),
      ...type,
      ...count,
      ...secrets,
      is_system_action: false,
      ...newer,
    };
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Failure(400, "Bad Request");
  }
}
