// Kibana: its routes, the order in which it checks a request, and what its operations answer.
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import { parse as parseForm } from "node:querystring";
import { type Bulk, clientMessage, connectorTypesOf, type Fields } from "./connector-types.ts";
import { type Answer, type Cause, type Exchange, Failure, type Handler, isPlainObject, NotSimulated } from "./http.ts";
import { Invalid, notBlank, type Schema, validate } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

export interface KibanaOptions {
  behaviour: Behaviour;
  basePath: string;
  license: "basic" | "trial";
  maxPayload: number;
  /** Why Elasticsearch refuses the credentials; undefined if they are right or not asked for. */
  refusal(authorization: string | undefined): Promise<Cause | undefined>;
  bulk(authorization: string | undefined): Bulk;
  /** What Kibana is like now, if it is not as usual. */
  state(): string | undefined;
}

interface StoredConnector {
  id: string;
  name: string;
  space: string;
  connector_type_id: string;
  config: Fields;
  secrets: Fields;
}

/** A chunked body over the limit: Kibana closes the connection without an answer. */
export class Cut extends Error {}

interface Call {
  space: string;
  id: string;
  body: Fields;
  query: URLSearchParams;
  authorization: string | undefined;
}

/** A run that returns undefined is answered with 204. */
type Route = [method: string, path: RegExp, run: (call: Call) => unknown, body?: Schema];

const json = { "content-type": "application/json; charset=utf-8" };
const html = { "content-type": "text/html; charset=utf-8" };
const name: Schema = { is: "string", check: notBlank };
const record: Schema = { is: "record", of: { is: "any", check: notBlank }, default: {} };
const createBody: Schema = { is: "object", fields: { name, connector_type_id: name, config: record, secrets: record } };
const updateBody: Schema = { is: "object", fields: { name, config: record, secrets: record } };
const executeBody: Schema = { is: "object", fields: { params: { is: "record", of: { is: "any" } } } };
const typesQuery: Schema = { is: "object", fields: { feature_id: { is: "string", default: undefined } } };

const preconfigured: StoredConnector = {
  id: "pre-index",
  name: "Preconfigured index",
  space: "default",
  connector_type_id: ".index",
  config: { index: "pre-index", refresh: false, executionTimeField: null },
  secrets: {},
};
const defaultSpace = { id: "default", name: "Default", description: "This is your default space!", color: "#00bfb3" };

/** What a real Kibana has beside the connectors API: its other APIs, and the pages of its user interface. */
const notHere =
  /^\/($|(app|internal|login|logout|spaces|ui|bundles)(\/|$)|api\/(agent_builder|alerting|apm|cases|console|core|dashboards|data_views|detection_engine|endpoint|entity_analytics|exception_lists|features|fleet|index_management|licensing|lists|logstash|maintenance_window|ml|observability|osquery|reporting|saved_objects|security|short_url|spaces|stats|status|streams|synthetics|task_manager|telemetry|timeline|uptime|visualizations|workflows)(\/|$))/;
const legacy = /^\/api\/actions(\/action\b.*|\/list_action_types)?$/;

export function createKibana(options: KibanaOptions): Handler & { connectors(): StoredConnector[] } {
  const { behaviour, basePath, state } = options;
  const [bodyValidator, typeValidator] = behaviour.is94
    ? (["newer config-schema", "zod"] as const)
    : (["config-schema", "config-schema"] as const);
  const types = connectorTypesOf(behaviour);
  const connectors = new Map<string, StoredConnector>();
  const one = /^\/api\/actions\/connector\/([^/]+)$/;
  const routes: Route[] = [
    ["GET", /^\/api\/actions\/connector_types$/, listTypes],
    ["GET", /^\/api\/actions\/connectors$/, list],
    ["POST", /^\/api\/actions\/connector(?:\/([^/]*))?$/, create, createBody],
    ["GET", one, ({ space, id }) => shown(load(space, id), "read")],
    ["PUT", one, update, updateBody],
    ["DELETE", one, remove],
    ["POST", /^\/api\/actions\/connector\/([^/]+)\/_execute$/, execute, executeBody],
    ["GET", /^\/api\/spaces\/space(?:\/([^/]+))?$/, getSpaces],
  ];
  return { handle, fail, connectors: () => [...connectors.values()] };

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
    if (path === "/api/status" && isRead) return reply(200, await status(headers.authorization));
    const route = routes.find(([verb, pattern]) => pattern.test(path) && verb === (isRead ? "GET" : method));
    if (route === undefined && (notHere.test(path) || (!behaviour.is94 && legacy.test(path))))
      throw new NotSimulated(`${method} ${path}`);
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
    if (run === create && path !== "/api/actions/connector") checkNewId(id);
    const body = schema && validate(schema, payload, bodyValidator, ["request body"]);
    if (state() === "no-encryption-key" && path.startsWith("/api/actions/")) throw internalError();
    const call = { space, id, query, authorization: headers.authorization };
    const result = await run({ ...call, body: isPlainObject(body) ? body : {} });
    return result === undefined ? { ...reply(204, ""), body: "" } : reply(200, result);
  }

  function reply(status: number, body: unknown, more: Record<string, string> = json): Answer {
    const headers = {
      ...(status !== 204 && more),
      ...(behaviour.isAfter812 && { "elastic-api-version": "2023-10-31" }),
    };
    return { status, headers, body: JSON.stringify(body) };
  }

  function fail({ status, message, more }: Failure, headers: Record<string, string> = {}): Answer {
    const error = status === 413 ? "Request Entity Too Large" : STATUS_CODES[status];
    return reply(status, { statusCode: status, error, message, ...more }, { ...json, ...headers });
  }

  /** The base path comes first, then the space, then the API. */
  function locate(target: string) {
    const [whole = "", search = ""] = target.split("?", 2);
    if (basePath !== "" && whole !== basePath && !whole.startsWith(`${basePath}/`)) throw new Failure(404, "Not Found");
    const rest = whole.slice(basePath.length).replace(/^\/s\/[^/]+/, decode);
    if (/^\/s\/[a-z0-9_-]+[^a-z0-9_/-]/.test(rest)) throw internalError();
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
      return JSON.parse(body || "null", (key, value: unknown) => {
        if (key === "__proto__") throw new SyntaxError();
        return value;
      });
    } catch {
      throw new Failure(400, "Invalid request payload JSON format");
    }
  }

  function checkHeaders({ headers }: Exchange, isRead: boolean): void {
    const got = headers["kbn-version"];
    const expected = behaviour.version;
    if (!isRead && headers["kbn-xsrf"] === undefined && got === undefined)
      throw new Failure(400, "Request must contain a kbn-xsrf header.");
    if (got === undefined || got === expected) return;
    const fault = `("kbn-version" header was "${got}" but should be "${expected}")`;
    const more = { attributes: { expected, got } };
    throw new Failure(400, `Browser client is out of date, please refresh the page ${fault}`, more);
  }

  function checkNewId(id: string): void {
    if (!behaviour.is94) return;
    if (id.length < 1 || id.length > 36) throw new NotSimulated(`the refusal of an id of ${id.length} characters`);
    const rule = "Connector ID must contain only lowercase letters, numbers, and hyphens.";
    if (!/^(?!(constructor|prototype)$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(id))
      throw new Invalid(`[request params.id]: ${rule}`);
  }

  function checkMayWrite(operation: string): void {
    if (state() === "read-only") throw new Failure(403, `Unauthorized to ${operation}`);
  }

  /** Users that Kibana does not know learn less. */
  async function status(authorization: string | undefined): Promise<unknown> {
    const level = "available";
    if ((await options.refusal(authorization)) !== undefined) return { status: { overall: { level } } };
    const overall = { level, summary: "All services and plugins are available" };
    return { name: "sandbox", version: { number: behaviour.version, build_snapshot: false }, status: { overall } };
  }

  function getSpaces({ id }: Call): unknown {
    const space = { ...defaultSpace, disabledFeatures: [], _reserved: true };
    if (id !== "" && id !== space.id) throw new Failure(404, "Not Found");
    return id === "" ? [space] : space;
  }

  function listTypes({ query }: Call): unknown {
    validate(typesQuery, Object.fromEntries(query), bodyValidator, ["request query"]);
    const feature = query.get("feature_id");
    return types
      .filter(({ features }) => !feature || features.includes(feature))
      .map(({ id, name, license, features }) => ({
        id,
        name,
        enabled: isLicensed(license),
        enabled_in_config: true,
        enabled_in_license: isLicensed(license),
        minimum_license_required: license,
        supported_feature_ids: features,
        is_system_action_type: false,
        ...(behaviour.is94 && { is_deprecated: false }),
      }));
  }

  function list({ space }: Call): unknown {
    return [...[...connectors.values()].filter((stored) => stored.space === space), preconfigured]
      .sort((a, b) => a.name.localeCompare(b.name))
      .map((stored) => shown(stored, "list"));
  }

  function create({ space, id, body }: Call): unknown {
    const { name, connector_type_id: typeId } = body;
    checkMayWrite(`create a "${typeId}" action`);
    if (id === preconfigured.id) throw new Failure(400, `This ${id} already exists in a preconfigured action.`);
    const fields = checkFields(typeId, body);
    const uuid = /^([0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-]{36})$/i;
    if (id !== "" && !behaviour.is94 && !uuid.test(id)) {
      const rule = "saved objects with encrypted attributes unless the ID is a UUID.: Bad Request";
      throw new Failure(400, `Predefined IDs are not allowed for ${rule}`);
    }
    // An id can be used once, in whichever space.
    if (connectors.has(id)) throw new Failure(409, `Saved object [action/${id}] conflict`);
    return save({ id: id || randomUUID(), name, space, connector_type_id: typeId, ...fields });
  }

  function update({ space, id, body }: Call): unknown {
    checkMayWrite("update actions");
    if (id === preconfigured.id) throw new Failure(400, `Preconfigured action ${id} can not be updated.`);
    const stored = load(space, id);
    return save({ ...stored, name: body.name, ...checkFields(stored.connector_type_id, body) });
  }

  function remove({ space, id }: Call): undefined {
    checkMayWrite("delete actions");
    if (id === preconfigured.id) throw new Failure(400, `Preconfigured action ${id} is not allowed to delete.`);
    load(space, id);
    connectors.delete(id);
  }

  async function execute({ space, id, body, authorization }: Call): Promise<unknown> {
    const stored = load(space, id);
    const { params: schema, run } = simulatedAs(stored.connector_type_id);
    let params: unknown;
    try {
      params = validate(schema, body.params, typeValidator);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      const message = `error validating action params: ${error.message}`;
      const source = behaviour.isAfter812 ? { errorSource: "user" } : {};
      return { status: "error", message, retry: false, ...source, connector_id: id };
    }
    const { service_message, ...result } = await run(stored, params as Fields, options.bulk(authorization));
    return { ...result, connector_id: id, ...(service_message && { service_message }) };
  }

  function checkFields(typeId: string, body: Fields): Pick<StoredConnector, "config" | "secrets"> {
    const { license, ...type } = simulatedAs(typeId);
    const check = (part: "config" | "secrets") => {
      try {
        return validate(type[part], body[part], typeValidator) as Fields;
      } catch (error) {
        if (!(error instanceof Invalid)) throw error;
        throw new Invalid(`error validating ${behaviour.is94 ? "connector" : "action"} type ${part}: ${error.message}`);
      }
    };
    const checked = { config: check("config"), secrets: check("secrets") };
    if (!isLicensed(license)) throw unlicensed(typeId);
    return checked;
  }

  function simulatedAs(typeId: string) {
    const type = types.find(({ id }) => id === typeId);
    if (type === undefined) throw new Failure(400, `Action type "${typeId}" is not registered.`);
    if (type.simulated !== undefined) return { license: type.license, ...type.simulated };
    throw isLicensed(type.license) ? new NotSimulated(`connectors of type ${typeId}`) : unlicensed(typeId);
  }

  function isLicensed(minimum: string): boolean {
    return minimum === "basic" || options.license === "trial";
  }

  function load(space: string, id: string): StoredConnector {
    const stored = id === preconfigured.id ? { ...preconfigured, space } : connectors.get(id);
    if (stored?.space === space) return stored;
    throw new Failure(404, `Saved object [action/${id}] not found`);
  }

  function save(stored: StoredConnector): unknown {
    // A search finds a connector that was written again after those of the same name.
    connectors.delete(stored.id);
    connectors.set(stored.id, stored);
    return shown(stored, "write");
  }

  function shown({ id, name, config, connector_type_id }: StoredConnector, after: "read" | "list" | "write") {
    const is_preconfigured = id === preconfigured.id;
    return {
      id,
      name,
      ...(!is_preconfigured && { config }),
      connector_type_id,
      is_preconfigured,
      is_deprecated: false,
      ...(after === "list" && { referenced_by_count: 0 }),
      ...(!is_preconfigured && { is_missing_secrets: false }),
      is_system_action: false,
      ...(behaviour.is94 && { is_connector_type_deprecated: false }),
      ...(behaviour.is94 && after !== "write" && { auth_mode: "shared" }),
    };
  }
}

function unlicensed(typeId: string): Failure {
  const reason = "your basic license does not support it. Please upgrade your license.";
  return new Failure(403, `Action type ${typeId} is disabled because ${reason}`);
}

function internalError(): Failure {
  return new Failure(500, "An internal server error occurred. Check Kibana server logs for details.");
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Failure(400, "Bad Request");
  }
}
