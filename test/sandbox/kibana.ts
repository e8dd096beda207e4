// Kibana's actions API: its routes, the order in which it checks a request, and what its operations answer.
import { randomUUID } from "node:crypto";
import { STATUS_CODES } from "node:http";
import { parse as parseForm } from "node:querystring";
import { setTimeout as pause } from "node:timers/promises";
import { type Bulk, clientMessage, connectorTypesOf, type RunResult, runIndex } from "./connector-types.ts";
import type { Cause } from "./mapping.ts";
import { createSavedObjects, preconfiguredIn, type StoredConnector } from "./objects.ts";
import type { Answer, Exchange, State } from "./sandbox.ts";
import { byConfigSchema, byZod, Invalid, isPlainObject, notBlank, type Schema } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

export interface KibanaOptions {
  behaviour: Behaviour;
  basePath: string;
  isSecured: boolean;
  maxPayload(): number;
  /** Why Elasticsearch refuses the credentials; undefined if they are right or nobody checks. */
  refusal(authorization: string | undefined): Promise<Cause | undefined>;
  bulk(authorization: string | undefined): Bulk;
  state(): State | undefined;
}

export interface Kibana {
  handle(exchange: Exchange): Promise<Answer>;
  connectors(): StoredConnector[];
}

/** An error answer. */
class Failure extends Error {
  readonly status: number;
  readonly extra: Record<string, unknown>;
  constructor(status: number, message: string, extra: Record<string, unknown> = {}) {
    super(message);
    this.status = status;
    this.extra = extra;
  }
}

/** A chunked body over the limit: Kibana cuts the connection without an answer. */
export class Cut extends Error {}

interface Call {
  space: string;
  id: string;
  body: Record<string, unknown>;
  query: URLSearchParams;
  authorization: string | undefined;
}

interface Route {
  method: string;
  path: RegExp;
  body?: Schema;
  run(call: Call): unknown;
}

const name: Schema = { is: "string", check: notBlank };
const record: Schema = { is: "record", of: { is: "any", check: notBlank }, default: {} };
const createBody: Schema = { is: "object", fields: { name, connector_type_id: name, config: record, secrets: record } };
const updateBody: Schema = { is: "object", fields: { name, config: record, secrets: record } };
const executeBody: Schema = { is: "object", fields: { params: { is: "record", of: { is: "any" } } } };

export function createKibana(options: KibanaOptions): Kibana {
  const { behaviour, basePath } = options;
  const objects = createSavedObjects();
  const preconfigured = preconfiguredIn(behaviour.elasticsearch7 ? "pre-target" : "pre-index");
  const types = connectorTypesOf(behaviour);
  const routes = routesOf();
  let lostElasticsearch = false;

  return { handle, connectors: () => objects.all() };

  async function handle(exchange: Exchange): Promise<Answer> {
    try {
      return await answer(exchange);
    } catch (error) {
      if (error instanceof Failure) return failed(error.status, error.message, error.extra);
      if (error instanceof Invalid) return failed(400, error.message);
      throw error;
    }
  }

  async function answer(exchange: Exchange): Promise<Answer> {
    const { method, headers } = exchange;
    const hasPayload = method !== "GET" && method !== "HEAD";
    const { path, space, prefix, query } = locate(exchange.path);
    const state = options.state();
    if (state === "not-ready") {
      if (hasPayload) readPayload(exchange);
      if (behaviour.pagesWhileStarting) checkHeaders(exchange, hasPayload);
      const isPage =
        behaviour.pagesWhileStarting && !hasPayload && (prefix !== basePath || !/^\/(api|internal)\//.test(path));
      if (isPage) return { status: 200, headers: html, body: "<!DOCTYPE html><html><title>Elastic</title></html>" };
      return { status: 503, headers: { ...html, "retry-after": "30" }, body: "Kibana server is not ready yet" };
    }
    if (state === "no-license") return failed(503, "License is not available.", {}, { "retry-after": "30" });
    const route = routes.find((candidate) => candidate.path.test(path) && matches(candidate.method, method));
    if (method === "OPTIONS" && behaviour.corsErrors)
      throw new Failure(404, "CORS error: Missing Access-Control-Request-Method header");
    // Other methods have no route that catches everything: nothing is checked before their 404.
    if (route === undefined && hasPayload) throw new Failure(404, "Not Found");
    const id = decode(route === undefined ? path : (route.path.exec(path)?.[1] ?? ""));
    await authenticate(headers.authorization);
    const isRead = hasPayload && (method !== "DELETE" || behaviour.elasticsearch7);
    const payload = isRead ? readPayload(exchange) : undefined;
    checkHeaders(exchange, hasPayload);
    if (route === undefined) {
      const to =
        path === "/"
          ? "/spaces/enter"
          : path.endsWith("/")
            ? encoded(path.slice(0, -1)) + (query.size > 0 ? `?${query}` : "")
            : undefined;
      if (to === undefined) throw new Failure(404, "Not Found");
      return { status: 302, headers: { location: prefix + to }, body: "" };
    }
    if (route.body === createBody && path !== "/api/actions/connector") checkNewId(id);
    const body = route.body && byConfigSchema(route.body, payload, ["request body"], behaviour.zod);
    checkState();
    const result = await route.run({
      space,
      id,
      body: isPlainObject(body) ? body : {},
      query,
      authorization: headers.authorization,
    });
    if (result === undefined) return { status: 204, headers: versionHeader(), body: "" };
    return {
      status: 200,
      headers: { ...json, ...versionHeader() },
      body: JSON.stringify(result),
    };
  }

  /** From 8.0 on, the path without its last slash is encoded whole. */
  function encoded(path: string): string {
    return behaviour.elasticsearch7 ? path : `/${encodeURIComponent(path.slice(1))}`;
  }

  function failed(status: number, message: string, extra: object = {}, headers: Record<string, string> = {}): Answer {
    const body = {
      statusCode: status,
      error: status === 413 ? "Request Entity Too Large" : STATUS_CODES[status],
      message,
      ...extra,
    };
    return { status, headers: { ...json, ...versionHeader(), ...headers }, body: JSON.stringify(body) };
  }

  function versionHeader(): Record<string, string> {
    return behaviour.apiVersionHeader ? { "elastic-api-version": "2023-10-31" } : {};
  }

  /** Base path first, then the space, then the API. */
  function locate(target: string): { path: string; space: string; prefix: string; query: URLSearchParams } {
    const [whole = "", search = ""] = target.split("?", 2);
    if (basePath !== "" && whole !== basePath && !whole.startsWith(`${basePath}/`)) throw new Failure(404, "Not Found");
    const rest = whole.slice(basePath.length);
    const decoded = rest.replace(/^\/s\/[^/]+/, decode);
    if (!behaviour.elasticsearch7 && /^\/s\/[a-z0-9_-]+[^a-z0-9_/-]/.test(decoded)) throw coreError();
    const [inSpace = "", space = "default"] = /^\/s\/([a-z0-9_-]+)(?=\/|$)/.exec(decoded) ?? [];
    return {
      path: (inSpace ? decoded.slice(inSpace.length) : rest) || "/",
      space,
      prefix: basePath + inSpace,
      query: new URLSearchParams(search),
    };
  }

  async function authenticate(authorization: string | undefined): Promise<void> {
    const isSecured = options.isSecured && !behaviour.elasticsearch7;
    if (isSecured && options.state() === "elasticsearch-gone") throw new Failure(401, "Unauthorized");
    const error = await options.refusal(authorization).catch((error: Error) => {
      throw new Failure(503, error.message);
    });
    if (error === undefined) return;
    // Kibana asks Elasticsearch about these schemes only.
    if (!/^(basic|apikey|bearer)( |$)/i.test(authorization ?? "")) throw new Failure(401, "Unauthorized");
    throw new Failure(
      401,
      `[${clientMessage({ error: { ...error, root_cause: [error] } }, behaviour)}]: ${error.reason}`,
    );
  }

  /** Size, then content type, then JSON: all of them before kbn-xsrf. */
  function readPayload({ headers, body }: Exchange): unknown {
    const limit = options.maxPayload();
    if (Buffer.byteLength(body) > limit) {
      if (headers["content-length"] === undefined) throw new Cut();
      throw new Failure(413, `Payload content length greater than maximum allowed: ${limit}`);
    }
    const [, type, parameters = ""] =
      /^([^/\s]+\/[^\s;]+)(.*)?$/.exec(headers["content-type"] || "application/json") ?? [];
    if (type === undefined) throw new Failure(400, "Invalid content-type header");
    const mime = type.toLowerCase();
    if (mime.startsWith("multipart/") && !/boundary=/i.test(parameters))
      throw new Failure(400, "Invalid content-type header: multipart missing boundary");
    if (mime === "application/octet-stream") return body === "" ? null : Buffer.from(body);
    if (mime.startsWith("text/")) return body;
    if (mime === "application/x-www-form-urlencoded") return parseForm(body);
    if (!/^application\/(?:.+\+)?json$/.test(mime)) throw new Failure(415, "Unsupported Media Type");
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

  function checkHeaders({ headers }: Exchange, writes: boolean): void {
    const version = headers["kbn-version"];
    if (writes && headers["kbn-xsrf"] === undefined && version === undefined)
      throw new Failure(400, "Request must contain a kbn-xsrf header.");
    if (version === undefined || version === behaviour.version) return;
    throw new Failure(
      400,
      `Browser client is out of date, please refresh the page ("kbn-version" header was "${version}" but should be "${behaviour.version}")`,
      { attributes: { expected: behaviour.version, got: version } },
    );
  }

  function checkNewId(id: string): void {
    if (!behaviour.shortIds) return;
    const refuse = (message: string) => {
      throw new Failure(400, `[request params.id]: ${message}`);
    };
    if (id.length === 0) refuse("value has length [0] but it must have a minimum length of [1].");
    if (id.length > 36) refuse(`value has length [${id.length}] but it must have a maximum length of [36].`);
    if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(id) || id === "constructor" || id === "prototype") {
      refuse("Connector ID must contain only lowercase letters, numbers, and hyphens.");
    }
  }

  /** What stops every operation, whatever it is. */
  function checkState(): void {
    if (options.state() === "elasticsearch-gone") {
      if (lostElasticsearch)
        throw new Failure(403, "Actions is unavailable - license information is not available at this time.");
      lostElasticsearch = true;
      throw new Failure(503, "socket hang up - Local: 127.0.0.1:59744, Remote: 127.0.0.1:9200");
    }
    lostElasticsearch = false;
    // Kibana tells its log what is missing, and the caller nothing.
    if (options.state() === "no-encryption-key") {
      throw coreError();
    }
  }

  function coreError(): Failure {
    const more = behaviour.elasticsearch7 ? "" : " Check Kibana server logs for details.";
    return new Failure(500, `An internal server error occurred.${more}`);
  }

  function mayWrite(operation: "create" | "update" | "delete", typeId?: unknown): void {
    if (options.state() !== "read-only") return;
    throw new Failure(403, `Unauthorized to ${operation} ${typeId === undefined ? "actions" : `a "${typeId}" action`}`);
  }

  function routesOf(): Route[] {
    const connector = /^\/api\/actions\/connector\/([^/]+)$/;
    return [
      { method: "GET", path: /^\/api\/actions\/connector_types$/, run: listTypes },
      { method: "GET", path: /^\/api\/actions\/connectors$/, run: list },
      { method: "POST", path: /^\/api\/actions\/connector$/, body: createBody, run: create },
      ...(behaviour.pathIds
        ? [{ method: "POST", path: /^\/api\/actions\/connector\/([^/]*)$/, body: createBody, run: create }]
        : []),
      { method: "GET", path: connector, run: get },
      { method: "PUT", path: connector, body: updateBody, run: update },
      { method: "DELETE", path: connector, run: remove },
      { method: "POST", path: /^\/api\/actions\/connector\/([^/]+)\/_execute$/, body: executeBody, run: execute },
    ];
  }

  function listTypes({ query }: Call): unknown {
    if (behaviour.featureIds) {
      const fields: Schema = { is: "object", fields: { feature_id: { is: "string", default: undefined } } };
      const all = [...new Set(query.keys())].map((name) => [name, query.getAll(name)] as const);
      const given = Object.fromEntries(all.map(([name, values]) => [name, values.length > 1 ? values : values[0]]));
      byConfigSchema(fields, given, ["request query"], behaviour.zod);
    }
    const feature = query.get("feature_id");
    return types
      .map(({ id, name, licence, features }) => ({
        id,
        name,
        enabled: licence === "basic",
        enabled_in_config: true,
        enabled_in_license: licence === "basic",
        minimum_license_required: licence,
        ...(behaviour.featureIds && { supported_feature_ids: features }),
        ...(behaviour.systemActions && { is_system_action_type: false }),
        ...(behaviour.deprecatedTypes && { is_deprecated: false }),
      }))
      .filter(
        ({ id, supported_feature_ids: ids }) => !feature || !ids || (ids.includes(feature) && id !== ".sentinelone"),
      );
  }

  function list({ space }: Call): unknown {
    return [
      ...objects.inSpace(space).map((connector) => shown(connector, true)),
      ...preconfigured.map((connector) => shownPreconfigured(connector, true)),
    ]
      .map((connector) => ({ ...connector, referenced_by_count: 0 }))
      .sort((a, b) => String(a.name).localeCompare(String(b.name)));
  }

  function create({ space, id, body }: Call): unknown {
    const typeId = String(body.connector_type_id);
    mayWrite("create", typeId);
    if (id !== "" && preconfigured.some((connector) => connector.id === id)) {
      throw new Failure(400, `This ${id} already exists in a preconfigured action.`);
    }
    const config = checked(typeId, "config", body.config);
    const secrets = checked(typeId, "secrets", body.secrets);
    checkLicence(typeId);
    const uuid = /^([0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|0{8}-(0{4}-){3}0{12})$/i;
    if (id !== "" && !behaviour.shortIds && !uuid.test(id)) {
      throw new Failure(
        400,
        "Predefined IDs are not allowed for saved objects with encrypted attributes unless the ID is a UUID.: Bad Request",
      );
    }
    // One id, one connector: also across spaces.
    if (objects.has(id)) throw new Failure(409, `Saved object [action/${id}] conflict`);
    return shown(
      objects.save({
        id: id || randomUUID(),
        name: String(body.name),
        space,
        connector_type_id: typeId,
        config,
        secrets,
      }),
    );
  }

  function get({ space, id }: Call): unknown {
    const fixed = preconfigured.find((connector) => connector.id === id);
    return fixed === undefined ? shown(load(space, id), true) : shownPreconfigured(fixed, true);
  }

  async function update({ space, id, body }: Call): Promise<unknown> {
    mayWrite("update");
    if (preconfigured.some((connector) => connector.id === id)) {
      throw new Failure(
        400,
        `Preconfigured action ${id} ${behaviour.systemActions ? "can not be updated" : "is not allowed to update"}.`,
      );
    }
    const before = load(space, id);
    const config = checked(before.connector_type_id, "config", body.config);
    const secrets = checked(before.connector_type_id, "secrets", body.secrets);
    checkLicence(before.connector_type_id);
    // Between its read and its write Kibana waits for Elasticsearch: of updates at the same time one wins.
    await pause(5);
    const now = objects.find(space, id);
    if (now === undefined) throw notFound(id);
    if (now.seqNo !== before.seqNo) {
      const owner = behaviour.elasticsearch7 && space !== "default" ? `${space}:action` : "action";
      const reason = `[${owner}:${id}]: version conflict, required seqNo [${before.seqNo}], primary term [1]. current document has seqNo [${now.seqNo}] and primary term [1]`;
      const error = { type: "version_conflict_engine_exception", reason };
      throw new Failure(409, `${reason}: ${clientMessage({ error: { ...error, root_cause: [error] } }, behaviour)}`);
    }
    return shown(objects.save({ ...before, name: String(body.name), config, secrets }));
  }

  function remove({ space, id }: Call): undefined {
    mayWrite("delete");
    if (preconfigured.some((connector) => connector.id === id))
      throw new Failure(400, `Preconfigured action ${id} is not allowed to delete.`);
    load(space, id);
    objects.remove(id);
  }

  async function execute({ space, id, body, authorization }: Call): Promise<unknown> {
    const connector = preconfigured.find((fixed) => fixed.id === id) ?? load(space, id);
    const type = types.find((known) => known.id === connector.connector_type_id);
    let result: RunResult | Record<string, unknown> = { status: "ok" };
    try {
      const params = type?.params === undefined ? body.params : valid(type.params, body.params);
      if (type?.id === ".index") {
        result = await runIndex(connector.config as never, params as never, behaviour, options.bulk(authorization));
      }
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      result = {
        status: "error",
        message: `error validating action params: ${error.message}`,
        retry: false,
        ...(behaviour.errorSource && { errorSource: "user" }),
      };
    }
    const { service_message, ...rest }: Record<string, unknown> = { ...result };
    return { ...rest, connector_id: id, ...(service_message ? { service_message } : {}) };
  }

  function checked(typeId: string, part: "config" | "secrets", value: unknown): unknown {
    const type = types.find((known) => known.id === typeId);
    if (type === undefined) throw new Failure(400, `Action type "${typeId}" is not registered.`);
    const schema = type[part];
    if (schema === undefined) return value;
    try {
      return valid(schema, value);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      throw new Failure(
        400,
        `error validating ${behaviour.zod ? "connector" : "action"} type ${part}: ${error.message}`,
      );
    }
  }

  function valid(schema: Schema, value: unknown): unknown {
    return behaviour.zod ? byZod(schema, value) : byConfigSchema(schema, value, []);
  }

  function checkLicence(typeId: string): void {
    if (types.find((known) => known.id === typeId)?.licence === "basic") return;
    throw new Failure(
      403,
      `Action type ${typeId} is disabled because your basic license does not support it. Please upgrade your license.`,
    );
  }

  function load(space: string, id: string): StoredConnector {
    const connector = objects.find(space, id);
    if (connector === undefined) throw notFound(id);
    return connector;
  }

  function notFound(id: string): Failure {
    return new Failure(404, `Saved object [action/${id}] not found`);
  }

  function shown({ id, name, config, connector_type_id }: StoredConnector, read = false) {
    return { id, name, config, connector_type_id, is_preconfigured: false, ...flags(read), is_missing_secrets: false };
  }

  /** What kibana.yml holds is not for everybody: the config stays away. */
  function shownPreconfigured({ id, name, connector_type_id }: (typeof preconfigured)[number], read = false) {
    return { id, name, connector_type_id, is_preconfigured: true, ...flags(read) };
  }

  function flags(read: boolean): Record<string, unknown> {
    return {
      ...(behaviour.deprecatedFlag && { is_deprecated: false }),
      ...(behaviour.systemActions && { is_system_action: false }),
      ...(behaviour.deprecatedTypes && { is_connector_type_deprecated: false }),
      ...(behaviour.shortIds && read && { auth_mode: "shared" }),
    };
  }
}

const json = { "content-type": "application/json; charset=utf-8" };
const html = { "content-type": "text/html; charset=utf-8" };

function matches(routeMethod: string, method: string): boolean {
  return routeMethod === method || (routeMethod === "GET" && method === "HEAD");
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Failure(400, "Bad Request");
  }
}
