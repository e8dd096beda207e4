// The seven operations of the connectors API: method, path, body, and which response is valid.
import type * as types from "./connector-types.ts";
import type { RequestOptions } from "./options.ts";
import { countDocuments, runFailure } from "./runs.ts";
import type { Call, Transport } from "./transport.ts";
import { fieldsIn, isRecord, refuse, serialize, toText } from "./values.ts";

/** Any id of a connector type. Editors complete the known ones. */
type TypeId = keyof types.ConnectorTypes | (string & {});

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
  async create<Type extends TypeId>(request: types.CreateRequest<Type>, options?: RequestOptions) {
    const { id, ...connector } = requireObject(request);
    const path = id === undefined ? "/connector" : connectorPath(id);
    return this.#transport.send<types.Connector<Type>>(connectorCall("POST", path, id, connector), options);
  }

  /**
   * "Get connector information": `GET /api/actions/connector/{id}`.
   *
   * @throws {NotFoundError} no such connector in this space
   */
  async get<Type extends string = string>(request: { id: types.ConnectorId<Type> }, options?: RequestOptions) {
    const { id } = requireObject(request);
    return this.#transport.send<types.Connector<Type>>(connectorCall("GET", connectorPath(id), id), options);
  }

  /**
   * "Get all connectors": `GET /api/actions/connectors`. Returns those of this space and the preconfigured ones, sorted
   * by name: at most 10 000, without pages.
   */
  async getAll(options?: RequestOptions) {
    const call: Call = { method: "GET", path: "/connectors", problemIn: listProblem };
    return this.#transport.send<types.Connector[]>(call, options);
  }

  /**
   * "Update a connector": `PUT /api/actions/connector/{id}`. Replaces `name`, `config` and `secrets`: what is left out
   * is reset, and secrets are lost unless you send them again.
   *
   * @throws {NotFoundError} no such connector in this space
   * @throws {BadRequestError} a field is wrong, or the connector is preconfigured
   * @throws {ConflictError} the connector was changed at the same moment
   */
  async update<Type extends string = string>(request: types.UpdateRequest<Type>, options?: RequestOptions) {
    const { id, ...connector } = requireObject(request);
    const call = connectorCall("PUT", connectorPath(id), id, connector);
    return this.#transport.send<types.Connector<Type>>(call, options);
  }

  /**
   * "Delete a connector": `DELETE /api/actions/connector/{id}`. Succeeds even if rules still use the connector; check
   * `referenced_by_count` of `getAll` first. A second delete rejects with a `NotFoundError`.
   *
   * @throws {NotFoundError} no such connector in this space
   */
  async delete(request: { id: string }, options?: RequestOptions) {
    const { id } = requireObject(request);
    const problemIn = (body: unknown) => (body === undefined ? undefined : "204 was expected");
    const call: Call = { method: "DELETE", path: connectorPath(id), connectorId: id, problemIn };
    return this.#transport.send<undefined>(call, options);
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
  async execute<Type extends string = string>(request: types.ExecuteRequest<Type>, options?: RequestOptions) {
    const { id, params } = requireObject(request);
    if (!isRecord(params)) refuse('params: must be an object, such as { documents: [{ message: "hello" }] }.');
    const path = `${connectorPath(id)}/_execute`;
    const body = serialize({ params });
    const count = countDocuments(params);
    const problemIn = (run: unknown) =>
      fieldProblem(run, "connector_id", id) ?? fieldProblem(run, "status") ?? runFailure(fieldsIn(run), count);
    const call: Call = { method: "POST", path, connectorId: id, body, problemIn };
    return this.#transport.send<types.ExecuteResult<Type>>(call, options);
  }

  /**
   * "Get connector types": `GET /api/actions/connector_types`. Every authenticated user may call it.
   *
   * @param filter `feature_id`: only types for that feature, such as `alerting` (Kibana 8.3 and later)
   */
  async listTypes(filter: { feature_id?: string } = {}, options?: RequestOptions) {
    const { feature_id } = requireObject(filter);
    const query = feature_id === undefined ? "" : `?${new URLSearchParams({ feature_id })}`;
    const call: Call = { method: "GET", path: `/connector_types${query}`, problemIn: listProblem };
    return this.#transport.send<types.ConnectorType[]>(call, options);
  }
}

function requireObject<Argument extends object>(argument: Argument): Argument {
  if (!isRecord(argument)) refuse("The first argument must be an object.");
  return argument;
}

/** Encoding keeps the id in one path segment. `""`, `.` and `..` are refused, because URLs drop them. */
function connectorPath(id: string): string {
  if (typeof id === "string" && !["", ".", ".."].includes(id) && id.isWellFormed())
    return `/connector/${encodeURIComponent(id)}`;
  refuse(`id: ${toText(id)} is not an id. An id is a non-empty string other than "." and "..".`);
}

/** A call that returns a connector: the one with this id, if given. */
function connectorCall(method: Call["method"], path: string, id?: string, connector?: object): Call {
  const problemIn = (body: unknown) => fieldProblem(body, "id", id) ?? fieldProblem(body, "connector_type_id");
  return { method, path, connectorId: id, problemIn, ...(connector && { body: serialize(connector) }) };
}

function listProblem(body: unknown): string | undefined {
  return Array.isArray(body) ? body.map((item) => fieldProblem(item, "id")).find(Boolean) : "the body is no list";
}

/** The field must be a string: the `expected` one, if given. */
function fieldProblem(body: unknown, name: string, expected?: string): string | undefined {
  if (!isRecord(body)) return "the body is no JSON object";
  const value = body[name];
  if (typeof value === "string" && (expected === undefined || value === expected)) return undefined;
  return `${name} of the body is ${toText(value)}`;
}
