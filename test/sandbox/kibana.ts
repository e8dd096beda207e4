// Kibana: its routes, the order in which it checks a request, and what its operations answer.
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import { parse as parseForm } from "node:querystring";
import { type Bulk, clientMessage, connectorTypesOf } from "./connector-types.ts";
import { type Answer, type Cause, type Exchange, type Handler, isPlainObject, NotSimulated } from "./http.ts";
import { Invalid, notBlank, type Schema, validate } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

export type License = "basic" | "trial";

export interface KibanaOptions {
  behaviour: Behaviour;
  basePath: string;
  license: License;
  maxPayload: number;
  /** Why Elasticsearch refuses the credentials; undefined if they are right or not asked for. */
  refusal(authorization: string | undefined): Promise<Cause | undefined>;
  bulk(authorization: string | undefined): Bulk;
  condition(): string | undefined;
}

export interface StoredConnector {
  id: string;
  name: string;
  space: string;
  connector_type_id: string;
  config: Record<string, unknown>;
  secrets: Record<string, unknown>;
}

class Failure extends Error {
  readonly status: number;
  readonly more: object;
  constructor(status: number, message: string, more: object = {}) {
    super(message);
    this.status = status;
    this.more = more;
  }
}

/** A chunked body over the limit: Kibana closes the connection without an answer. */
export class Cut extends Error {}

interface Call {
  space: string;
  id: string;
  // biome-ignore lint/suspicious/noExplicitAny: validated by the route's schema before it is used
  body: Record<string, any>;
  query: URLSearchParams;
  authorization: string | undefined;
  isKnownUser: boolean;
}

interface Route {
  method: string;
  path: RegExp;
  body?: Schema;
  /** Answers unknown users too, but less. */
  isOpen?: boolean;
  /** undefined is a 204. */
  run(call: Call): unknown;
}

const json = { "content-type": "application/json; charset=utf-8" };
const html = { "content-type": "text/html; charset=utf-8" };
const name: Schema = { is: "string", check: notBlank };
const record: Schema = { is: "record", of: { is: "any", check: notBlank }, default: {} };
const createBody: Schema = { is: "object", fields: { name, connector_type_id: name, config: record, secrets: record } };
const updateBody: Schema = { is: "object", fields: { name, config: record, secrets: record } };
const executeBody: Schema = { is: "object", fields: { params: { is: "record", of: { is: "any" } } } };
const typesQuery: Schema = { is: "object", fields: { feature_id: { is: "string", default: undefined } } };

const preconfigured = {
  id: "pre-index",
  name: "Preconfigured index",
  connector_type_id: ".index",
  config: { index: "pre-index", refresh: false, executionTimeField: null },
  secrets: {},
};

/** What a real Kibana has beside the connectors API: its other APIs, and the pages of its user interface. */
const notHere =
  /^\/($|(app|internal|login|logout|spaces|ui|bundles)(\/|$)|api\/(agent_builder|alerting|apm|cases|console|core|dashboards|data_views|detection_engine|endpoint|entity_analytics|exception_lists|features|fleet|index_management|licensing|lists|logstash|maintenance_window|ml|observability|osquery|reporting|saved_objects|security|short_url|spaces|stats|status|streams|synthetics|task_manager|telemetry|timeline|uptime|visualizations|workflows)(\/|$))/;
const legacy = /^\/api\/actions(\/action\b.*|\/list_action_types)?$/;

export function createKibana(options: KibanaOptions): Handler & { connectors(): StoredConnector[] } {
  const { behaviour, basePath, license, condition } = options;
  const types = connectorTypesOf(behaviour);
  const connectors = new Map<string, StoredConnector>();
  const description = "This is your default space!";
  const spaces = new Map<string, object>([
    [
      "default",
      { id: "default", name: "Default", description, color: "#00bfb3", disabledFeatures: [], _reserved: true },
    ],
  ]);
  const connector = /^\/api\/actions\/connector\/([^/]+)$/;
  const routes: Route[] = [
    { method: "GET", path: /^\/api\/actions\/connector_types$/, run: listTypes },
    { method: "GET", path: /^\/api\/actions\/connectors$/, run: list },
    { method: "POST", path: /^\/api\/actions\/connector(?:\/([^/]*))?$/, body: createBody, run: create },
    { method: "GET", path: connector, run: get },
    { method: "PUT", path: connector, body: updateBody, run: update },
    { method: "DELETE", path: connector, run: remove },
    { method: "POST", path: /^\/api\/actions\/connector\/([^/]+)\/_execute$/, body: executeBody, run: execute },
    { method: "GET", path: /^\/api\/status$/, isOpen: true, run: status },
    { method: "GET", path: /^\/api\/spaces\/space$/, run: () => [...spaces.values()] },
    { method: "GET", path: /^\/api\/spaces\/space\/([^/]+)$/, run: getSpace },
  ];
  return { handle, refuse, connectors: () => [...connectors.values()] };

  async function handle(exchange: Exchange): Promise<Answer> {
    try {
      return await answer(exchange);
    } catch (error) {
      if (error instanceof Failure) return refuse(error.status, error.message, error.more);
      if (error instanceof Invalid) return refuse(400, error.message);
      throw error;
    }
  }

  async function answer(exchange: Exchange): Promise<Answer> {
    const { method, headers } = exchange;
    const { path, space, prefix, query } = locate(exchange.path);
    const isRead = method === "GET" || method === "HEAD";
    if (condition() === "not-ready") return answerWhileStarting(exchange, isRead, path, prefix);
    if (condition() === "no-license")
      return refuse(503, "License is not available.", {}, { ...json, "retry-after": "30" });
    const route = routes.find(
      (candidate) => candidate.path.test(path) && candidate.method === (isRead ? "GET" : method),
    );
    if (route === undefined && (notHere.test(path) || (!behaviour.is94 && legacy.test(path))))
      throw new NotSimulated(`${method} ${path}`);
    // Only GET has a route that catches everything: for other methods, nothing is checked before the 404.
    if (route === undefined && !isRead) throw new Failure(404, "Not Found");
    const id = decode(route === undefined ? path : (route.path.exec(path)?.[1] ?? ""));
    const isKnownUser = await authenticate(headers.authorization, route?.isOpen);
    const payload = isRead || method === "DELETE" ? undefined : readPayload(exchange);
    checkHeaders(exchange, isRead);
    if (route === undefined) {
      if (!path.endsWith("/")) throw new Failure(404, "Not Found");
      const search = query.size > 0 ? `?${query}` : "";
      const location = `${prefix}/${encodeURIComponent(path.slice(1, -1))}${search}`;
      return { status: 302, headers: { location }, body: "" };
    }
    if (route.body === createBody && path !== "/api/actions/connector") checkNewId(id);
    const validator = behaviour.is94 ? "newer config-schema" : "config-schema";
    const body = route.body && validate(route.body, payload, validator, ["request body"]);
    if (condition() === "no-encryption-key" && path.startsWith("/api/actions/")) throw internalError();
    const call = { space, id, query, authorization: headers.authorization, isKnownUser };
    const result = await route.run({ ...call, body: isPlainObject(body) ? body : {} });
    if (result === undefined) return { status: 204, headers: versionHeader(), body: "" };
    return { status: 200, headers: { ...json, ...versionHeader() }, body: JSON.stringify(result) };
  }

  function refuse(
    statusCode: number,
    message: string,
    more: object = {},
    headers: Record<string, string> = json,
  ): Answer {
    const error = statusCode === 413 ? "Request Entity Too Large" : STATUS_CODES[statusCode];
    const body = JSON.stringify({ statusCode, error, message, ...more });
    return { status: statusCode, headers: { ...headers, ...versionHeader() }, body };
  }

  function versionHeader(): Record<string, string> {
    return behaviour.isAfter812 ? { "elastic-api-version": "2023-10-31" } : {};
  }

  /** The base path comes first, then the space, then the API. */
  function locate(target: string): { path: string; space: string; prefix: string; query: URLSearchParams } {
    const [whole = "", search = ""] = target.split("?", 2);
    if (basePath !== "" && whole !== basePath && !whole.startsWith(`${basePath}/`)) throw new Failure(404, "Not Found");
    const rest = whole.slice(basePath.length);
    const decoded = rest.replace(/^\/s\/[^/]+/, decode);
    if (/^\/s\/[a-z0-9_-]+[^a-z0-9_/-]/.test(decoded)) throw internalError();
    const [inSpace = "", space = "default"] = /^\/s\/([a-z0-9_-]+)(?=\/|$)/.exec(decoded) ?? [];
    const path = (inSpace ? decoded.slice(inSpace.length) : rest) || "/";
    return { path, space, prefix: basePath + inSpace, query: new URLSearchParams(search) };
  }

  function answerWhileStarting(exchange: Exchange, isRead: boolean, path: string, prefix: string): Answer {
    if (!isRead) readPayload(exchange);
    checkHeaders(exchange, isRead);
    // Outside of /api, and in every space, the page that says "starting" answers.
    if (isRead && (prefix !== basePath || !/^\/(api|internal)\//.test(path)))
      return { status: 200, headers: html, body: "<!DOCTYPE html><html><title>Elastic</title></html>" };
    return { status: 503, headers: { ...html, "retry-after": "30" }, body: "Kibana server is not ready yet" };
  }

  async function authenticate(authorization: string | undefined, isOpen = false): Promise<boolean> {
    if (condition() === "elasticsearch-gone" && !isOpen) throw new Failure(401, "Unauthorized");
    const cause = await options.refusal(authorization);
    if (cause === undefined || isOpen) return cause === undefined;
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
    if (type === "application/octet-stream" || type.startsWith("multipart/"))
      throw new NotSimulated(`bodies of ${type}`);
    if (type.startsWith("text/")) return body;
    if (type === "application/x-www-form-urlencoded") return parseForm(body);
    if (!/^application\/(?:.+\+)?json$/.test(type)) throw new Failure(415, "Unsupported Media Type");
    if (body === "") return null;
    try {
      return JSON.parse(body, (key, value: unknown) => {
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
    const refuseId = (message: string) => new Failure(400, `[request params.id]: ${message}`);
    if (!behaviour.is94) return;
    if (id === "") throw refuseId("value has length [0] but it must have a minimum length of [1].");
    if (id.length > 36) throw refuseId(`value has length [${id.length}] but it must have a maximum length of [36].`);
    if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(id) || id === "constructor" || id === "prototype")
      throw refuseId("Connector ID must contain only lowercase letters, numbers, and hyphens.");
  }

  function checkMayWrite(operation: string): void {
    if (condition() === "read-only") throw new Failure(403, `Unauthorized to ${operation}`);
  }

  function status({ isKnownUser }: Call): unknown {
    const overall = { level: "available", summary: "All services and plugins are available" };
    if (!isKnownUser) return { status: { overall: { level: overall.level } } };
    return { name: "sandbox", version: { number: behaviour.version, build_snapshot: false }, status: { overall } };
  }

  function getSpace({ id }: Call): unknown {
    const space = spaces.get(id);
    if (space === undefined) throw new Failure(404, "Not Found");
    return space;
  }

  function listTypes({ query }: Call): unknown {
    validate(typesQuery, Object.fromEntries(query), behaviour.is94 ? "newer config-schema" : "config-schema", [
      "request query",
    ]);
    const feature = query.get("feature_id");
    return types
      .filter(({ features }) => !feature || features.includes(feature))
      .map(({ id, name, license: minimum, features }) => ({
        id,
        name,
        enabled: isLicensed(minimum),
        enabled_in_config: true,
        enabled_in_license: isLicensed(minimum),
        minimum_license_required: minimum,
        supported_feature_ids: features,
        is_system_action_type: false,
        ...(behaviour.is94 && { is_deprecated: false }),
      }));
  }

  function list({ space }: Call): unknown {
    const stored = [...connectors.values()].filter((one) => one.space === space);
    return [...stored.map((one) => shown(one, true)), shownPreconfigured()]
      .map((one) => ({ ...one, referenced_by_count: 0 }))
      .sort((a, b) => a.name.localeCompare(b.name));
  }

  function create({ space, id, body }: Call): unknown {
    const { name, connector_type_id: typeId } = body;
    checkMayWrite(`create a "${typeId}" action`);
    if (id === preconfigured.id) throw new Failure(400, `This ${id} already exists in a preconfigured action.`);
    const checked = checkFields(typeId, body);
    const uuid = /^([0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-]{36})$/i;
    if (id !== "" && !behaviour.is94 && !uuid.test(id)) {
      const rule = "saved objects with encrypted attributes unless the ID is a UUID.: Bad Request";
      throw new Failure(400, `Predefined IDs are not allowed for ${rule}`);
    }
    // An id can be used once, in whichever space.
    if (connectors.has(id)) throw new Failure(409, `Saved object [action/${id}] conflict`);
    return shown(save({ id: id || randomUUID(), name, space, connector_type_id: typeId, ...checked }));
  }

  function get({ space, id }: Call): unknown {
    return id === preconfigured.id ? shownPreconfigured() : shown(load(space, id), true);
  }

  function update({ space, id, body }: Call): unknown {
    checkMayWrite("update actions");
    if (id === preconfigured.id) throw new Failure(400, `Preconfigured action ${id} can not be updated.`);
    const before = load(space, id);
    return shown(save({ ...before, name: body.name, ...checkFields(before.connector_type_id, body) }));
  }

  function remove({ space, id }: Call): undefined {
    checkMayWrite("delete actions");
    if (id === preconfigured.id) throw new Failure(400, `Preconfigured action ${id} is not allowed to delete.`);
    load(space, id);
    connectors.delete(id);
  }

  async function execute({ space, id, body, authorization }: Call): Promise<unknown> {
    const stored = id === preconfigured.id ? preconfigured : load(space, id);
    const { simulated } = typeOf(stored.connector_type_id);
    let params: unknown;
    try {
      params = validate(simulated.params, body.params, behaviour.is94 ? "zod" : "config-schema");
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      const message = `error validating action params: ${error.message}`;
      const source = behaviour.isAfter812 ? { errorSource: "user" } : {};
      return { status: "error", message, retry: false, ...source, connector_id: id };
    }
    const result = await simulated.run(stored, params as Record<string, unknown>, options.bulk(authorization));
    return { ...result, connector_id: id };
  }

  function checkFields(typeId: string, body: Call["body"]): Pick<StoredConnector, "config" | "secrets"> {
    const { simulated, license: minimum } = typeOf(typeId);
    const check = (part: "config" | "secrets") => {
      try {
        const checked = validate(simulated[part], body[part], behaviour.is94 ? "zod" : "config-schema");
        const fault = simulated.fault?.(part, checked as Record<string, unknown>);
        if (fault !== undefined) throw new Invalid(fault);
        return checked as Record<string, unknown>;
      } catch (error) {
        if (!(error instanceof Invalid)) throw error;
        const what = behaviour.is94 ? "connector" : "action";
        throw new Failure(400, `error validating ${what} type ${part}: ${error.message}`);
      }
    };
    const checked = { config: check("config"), secrets: check("secrets") };
    if (!isLicensed(minimum)) throw unlicensed(typeId);
    return checked;
  }

  function typeOf(typeId: string) {
    const type = types.find(({ id }) => id === typeId);
    if (type === undefined) throw new Failure(400, `Action type "${typeId}" is not registered.`);
    const { simulated } = type;
    if (simulated !== undefined) return { ...type, simulated };
    throw isLicensed(type.license) ? new NotSimulated(`connectors of type ${typeId}`) : unlicensed(typeId);
  }

  function isLicensed(minimum: string): boolean {
    return minimum === "basic" || license === "trial";
  }

  function unlicensed(typeId: string): Failure {
    const reason = "your basic license does not support it. Please upgrade your license.";
    return new Failure(403, `Action type ${typeId} is disabled because ${reason}`);
  }

  function load(space: string, id: string): StoredConnector {
    const stored = connectors.get(id);
    if (stored?.space === space) return stored;
    throw new Failure(404, `Saved object [action/${id}] not found`);
  }

  function save(stored: StoredConnector): StoredConnector {
    // A search finds a connector that was written again after those of the same name.
    connectors.delete(stored.id);
    connectors.set(stored.id, stored);
    return stored;
  }

  function shown({ id, name, config, connector_type_id }: StoredConnector, isRead = false) {
    return {
      id,
      name,
      config,
      connector_type_id,
      is_preconfigured: false,
      ...flags(isRead),
      is_missing_secrets: false,
    };
  }

  function shownPreconfigured() {
    const { id, name, connector_type_id } = preconfigured;
    return { id, name, connector_type_id, is_preconfigured: true, ...flags(true) };
  }

  function flags(isRead: boolean) {
    return {
      is_deprecated: false,
      is_system_action: false,
      ...(behaviour.is94 && { is_connector_type_deprecated: false }),
      ...(behaviour.is94 && isRead && { auth_mode: "shared" }),
    };
  }
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
