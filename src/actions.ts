// The seven operations of the connectors API: method, path, body, and which response is valid.
import type * as types from "./connector-types.ts";
import { isRecord, serialize, toRecord, toText } from "./json.ts";
import { checkObject, type RequestOptions, refuse } from "./options.ts";
import { countDocuments, findRunFailure } from "./runs.ts";
import type { KibanaResponse, Transport } from "./transport.ts";

/**
 * The connectors API. In Kibana's paths, connectors are called `actions`. The client never retries.
 *
 * Every method resolves to `{ body, statusCode, headers }`. It rejects with a `KibanaError`, or with the reason of the
 * `signal` that you passed. Besides the errors that are listed with a method, there are those of the connection, of the
 * credentials, and of a Kibana that is not ready.
 */
export class Actions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  // The methods are async, so that a wrong argument makes them reject instead of throw.

  /**
   * "Create a connector": `POST /api/actions/connector/{id}`.
   *
   * @throws {BadRequestError} a field is wrong, or the type is unknown
   * @throws {AuthorizationError} no privilege "Actions and Connectors: All", or the licence does not include the type
   * @throws {ConflictError} the id is taken, in this space or another
   */
  async create<Type extends types.ConnectorTypeId>(
    request: types.CreateRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<types.StoredConnector<Type>>> {
    const { id, ...connector } = checkObject(request);
    const path = id === undefined ? "/connector" : toConnectorPath(id);
    const body = serialize(connector);
    return this.#transport.send({ method: "POST", path, body }, (result) => findConnectorProblem(result, id), options);
  }

  /**
   * "Get connector information": `GET /api/actions/connector/{id}`.
   *
   * @throws {NotFoundError} no such connector in this space
   */
  async get<Type extends string = string>(
    request: { id: types.ConnectorId<Type> },
    options?: RequestOptions,
  ): Promise<KibanaResponse<types.Connector<Type>>> {
    const { id } = checkObject(request);
    const path = toConnectorPath(id);
    return this.#transport.send({ method: "GET", path }, (result) => findConnectorProblem(result, id), options);
  }

  /**
   * "Get all connectors": `GET /api/actions/connectors`. Returns those of this space and the preconfigured ones, sorted
   * by name: at most 10 000, without pages.
   */
  async getAll(options?: RequestOptions): Promise<KibanaResponse<types.Connector[]>> {
    return this.#transport.send({ method: "GET", path: "/connectors" }, findListProblem, options);
  }

  /**
   * "Update a connector": `PUT /api/actions/connector/{id}`. Replaces `name`, `config` and `secrets`: what is left out
   * is reset, and secrets are lost unless you send them again.
   *
   * @throws {NotFoundError} no such connector in this space
   * @throws {BadRequestError} a field is wrong, or the connector is preconfigured
   * @throws {ConflictError} the connector was changed at the same moment
   */
  async update<Type extends string = string>(
    request: types.UpdateRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<types.StoredConnector<Type>>> {
    const { id, ...connector } = checkObject(request);
    const path = toConnectorPath(id);
    const body = serialize(connector);
    return this.#transport.send({ method: "PUT", path, body }, (result) => findConnectorProblem(result, id), options);
  }

  /**
   * "Delete a connector": `DELETE /api/actions/connector/{id}`. Succeeds even if rules still use the connector; check
   * `referenced_by_count` of `getAll` first. A second delete rejects with a `NotFoundError`.
   *
   * @throws {NotFoundError} no such connector in this space
   */
  async delete(request: { id: string }, options?: RequestOptions): Promise<KibanaResponse<undefined>> {
    const { id } = checkObject(request);
    const path = toConnectorPath(id);
    const findProblem = (result: unknown) => (result === undefined ? undefined : "204 was expected");
    return this.#transport.send({ method: "DELETE", path }, findProblem, options);
  }

  /**
   * "Run a connector": `POST /api/actions/connector/{id}/_execute`. Not idempotent: every run of an `.index` connector
   * writes its documents again.
   *
   * Resolves only if the run succeeded. Kibana answers HTTP 200 for a failed run too. Some versions say `ok` although
   * Elasticsearch did not write every document. In all these cases, the call rejects.
   *
   * @throws {ConnectorExecutionError} the run failed; of several documents, some may have been written
   * @throws {NotFoundError} no such connector in this space
   * @throws {TimeoutError} no complete response in time: check for the documents before you send them again
   * @throws {SerializationError} JSON would lose a part of a document (NaN, an Error, ...); nothing was sent
   * @throws {PayloadTooLargeError} the request is larger than 1 MiB (`server.maxPayload`)
   */
  async execute<Type extends string = string>(
    request: types.ExecuteRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<types.ExecuteResult<Type>>> {
    const { id, params } = checkObject(request);
    checkObject(params, 'params: must be an object, such as { documents: [{ message: "hello" }] }.');
    const path = `${toConnectorPath(id)}/_execute`;
    const body = serialize({ params });
    const expectedCount = countDocuments(params);
    const findProblem = (result: unknown) =>
      findFieldProblem(result, "connector_id", id) ??
      findFieldProblem(result, "status") ??
      findRunFailure(toRecord(result), expectedCount);
    return this.#transport.send({ method: "POST", path, body }, findProblem, options);
  }

  /**
   * "Get connector types": `GET /api/actions/connector_types`. Every authenticated user may call it.
   *
   * @param request `feature_id`: only types for that feature, such as `alerting` (Kibana 8.3 and later)
   */
  async listTypes(
    request: { feature_id?: string | undefined } = {},
    options?: RequestOptions,
  ): Promise<KibanaResponse<types.ConnectorType[]>> {
    const { feature_id } = checkObject(request);
    const query = feature_id === undefined ? "" : `?${new URLSearchParams({ feature_id })}`;
    const path = `/connector_types${query}`;
    return this.#transport.send({ method: "GET", path }, findListProblem, options);
  }
}

/** Encoding keeps the id in one path segment. `""`, `.` and `..` are refused, because URLs drop them. */
function toConnectorPath(id: string): string {
  if (typeof id === "string" && !["", ".", ".."].includes(id) && id.isWellFormed())
    return `/connector/${encodeURIComponent(id)}`;
  const shown = typeof id === "string" ? id : typeof id; // an object may contain secrets
  refuse(`id: ${shown} is not an id. An id is a non-empty string other than "." and "..".`);
}

/** The body must be a connector: the one with this id, if given. */
function findConnectorProblem(body: unknown, id: string | undefined): string | undefined {
  return findFieldProblem(body, "id", id) ?? findFieldProblem(body, "connector_type_id");
}

function findListProblem(body: unknown): string | undefined {
  if (!Array.isArray(body)) return "the body is not a list";
  return body.every((item) => typeof toRecord(item).id === "string") ? undefined : "an item of the list has no id";
}

/** The body must have this field, with a string: the expected one, if given. */
function findFieldProblem(body: unknown, name: string, expected?: string): string | undefined {
  if (!isRecord(body)) return "the body is not a JSON object";
  const value = body[name];
  if (typeof value === "string" && (expected === undefined || value === expected)) return undefined;
  return `${name} of the body is ${toText(value)}`;
}
