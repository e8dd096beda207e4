// The seven operations of the connectors API: method, path, body, and what has to come back.
import type {
  ConfigOf,
  Connector,
  ConnectorId,
  ConnectorType,
  ConnectorTypes,
  ExecuteResult,
  ParamsOf,
  SecretsOf,
} from "./connector-types.ts";
import { SerializationError } from "./errors.ts";
import { isRecord, quoted, type RequestOptions, refuse } from "./options.ts";
import { problemOf } from "./runs.ts";
import { serialize } from "./serialize.ts";
import type { KibanaResponse, Transport } from "./transport.ts";

/** `{ name: Value }`, optional if `{}` is a valid value. */
type Field<Name extends string, Value> =
  Record<never, never> extends Value ? { [name in Name]?: Value } : { [name in Name]: Value };

/** What `create` takes. */
export type CreateRequest<Type extends string = string> = {
  /** Not blank. Need not be unique: the same name twice makes two connectors. */
  name: string;
  /** Such as `.index`. Cannot be changed later. */
  connector_type_id: Type;
  /**
   * An id of your own, which makes a repeated `create` a conflict instead of a second connector. Kibana 8.8 to 9.3 takes a
   * UUID (version 1 to 5), 9.4 and later `a-z`, `0-9`, and `-` between them. At most 36 characters. Default: Kibana makes one.
   */
  id?: string;
} & Field<"config", ConfigOf<Type>> &
  Field<"secrets", SecretsOf<Type>>;

/** What `update` takes. It replaces everything: what is left out is reset. */
export type UpdateRequest<Type extends string = string> = {
  id: ConnectorId<Type>;
  name: string;
} & Field<"config", ConfigOf<Type>> &
  Field<"secrets", SecretsOf<Type>>;

/** What `execute` takes. */
export interface ExecuteRequest<Type extends string = string> {
  id: ConnectorId<Type>;
  params: ParamsOf<Type>;
}

/**
 * The connectors API. In Kibana's paths, connectors are called `actions`. Every method answers `{ body, statusCode, headers }`. It
 * rejects with a `KibanaError`, or with the reason of the `signal` that you passed. No request is ever repeated. Besides the
 * errors that a method names, any may throw those of the connection, of credentials and of a Kibana that is not ready.
 */
export class Actions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * "Create a connector": `POST /api/actions/connector/{id}`.
   *
   * @throws {BadRequestError} a field is wrong, or the type is unknown
   * @throws {AuthorizationError} no privilege "Actions and Connectors: All", or the licence does not include the type
   * @throws {ConflictError} the id is taken, in this space or another
   */
  async create<const Type extends keyof ConnectorTypes | (string & {})>(
    request: CreateRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<Connector<Type>>> {
    const { id, ...body } = given(request);
    const path = id === undefined ? "/connector" : connectorPath(id);
    if (id !== undefined && id.length > 36)
      refuse(`id ${JSON.stringify(id)}: has ${id.length} characters; Kibana takes at most 36.`);
    const accepts = isConnector<Type>(id);
    return await this.#transport.request({ method: "POST", path, body: serialize(body), accepts }, options);
  }

  /**
   * "Get connector information": `GET /api/actions/connector/{id}`.
   *
   * @throws {NotFoundError} no such connector in this space
   */
  async get<Type extends string = string>(
    request: { id: ConnectorId<Type> },
    options?: RequestOptions,
  ): Promise<KibanaResponse<Connector<Type>>> {
    const { id } = given(request);
    const accepts = isConnector<Type>(id);
    return await this.#transport.request({ method: "GET", path: connectorPath(id), accepts }, options);
  }

  /**
   * "Get all connectors": `GET /api/actions/connectors`. Those of this space and the preconfigured ones, sorted by name. At
   * most 10 000, not paged.
   */
  async getAll(options?: RequestOptions): Promise<KibanaResponse<Connector[]>> {
    const accepts = isListOf(isConnector());
    return await this.#transport.request({ method: "GET", path: "/connectors", accepts }, options);
  }

  /**
   * "Update a connector": `PUT /api/actions/connector/{id}`. Replaces `name`, `config` and `secrets`: what is left out is
   * reset, and secrets are lost unless you send them again.
   *
   * @throws {NotFoundError} no such connector in this space
   * @throws {BadRequestError} a field is wrong, or the connector is preconfigured
   * @throws {ConflictError} the connector was changed at the same moment
   */
  async update<Type extends string = string>(
    request: UpdateRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<Connector<Type>>> {
    const { id, ...body } = given(request);
    const accepts = isConnector<Type>(id);
    return await this.#transport.request(
      { method: "PUT", path: connectorPath(id), body: serialize(body), accepts },
      options,
    );
  }

  /**
   * "Delete a connector": `DELETE /api/actions/connector/{id}`. Succeeds even if rules still use the connector; check
   * `referenced_by_count` of `getAll` first. A second time it is a `NotFoundError`.
   *
   * @throws {NotFoundError} no such connector in this space
   */
  async delete(request: { id: string }, options?: RequestOptions): Promise<KibanaResponse<undefined>> {
    const { id } = given(request);
    const accepts = (body: unknown) => body === undefined;
    return await this.#transport.request({ method: "DELETE", path: connectorPath(id), accepts }, options);
  }

  /**
   * "Run a connector": `POST /api/actions/connector/{id}/_execute`. Not idempotent: every run of an `.index` connector
   * writes its documents again.
   *
   * Resolves only if the run succeeded. Kibana answers HTTP 200 for a failed run too, and some versions say `ok` although
   * Elasticsearch refused documents; both reject.
   *
   * If `params.documents` is an array, it counts as documents of an `.index` connector, and each of them has to be written.
   *
   * @throws {ConnectorExecutionError} the run failed; of several documents, some may have been written
   * @throws {NotFoundError} no such connector in this space
   * @throws {TimeoutError} no complete answer in time: look before you send the documents again
   * @throws {SerializationError} JSON would change a document (NaN, an Error, ...); nothing was sent
   * @throws {PayloadTooLargeError} the request is larger than 1 MiB (`server.maxPayload`)
   */
  async execute<Type extends string = string>(
    request: ExecuteRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<ExecuteResult<Type>>> {
    const { id, params } = given(request);
    const documents = documentsOf(params);
    return await this.#transport.request(
      {
        method: "POST",
        path: `${connectorPath(id)}/_execute`,
        body: serialize({ params: documents ? { ...params, documents } : params }),
        accepts: isRun<Type>(id),
        problemOf: (run) => problemOf(run, documents?.length),
      },
      options,
    );
  }

  /**
   * "Get connector types": `GET /api/actions/connector_types`. Every authenticated user may call it.
   *
   * @param filter `feature_id`: only types for that feature, such as `alerting` (Kibana 8.3 and later)
   */
  async listTypes(
    filter: { feature_id?: string } = {},
    options?: RequestOptions,
  ): Promise<KibanaResponse<ConnectorType[]>> {
    const { feature_id } = given(filter);
    const query = feature_id === undefined ? "" : `?${new URLSearchParams({ feature_id })}`;
    const accepts = isListOf((type): type is ConnectorType => isRecord(type) && typeof type.id === "string");
    return await this.#transport.request({ method: "GET", path: `/connector_types${query}`, accepts }, options);
  }
}

function given<Request extends object>(request: Request): Request {
  if (!isRecord(request)) refuse("The first argument must be an object, such as { id }.");
  return request;
}

/** Stays one path segment; `""`, `.` and `..` are refused because URLs drop them. */
function connectorPath(id: string): string {
  if (typeof id !== "string" || id === "" || id === "." || id === ".." || !id.isWellFormed())
    refuse(`id ${quoted(id)}: must be a connector's id, a string that is not empty, "." or "..".`);
  return `/connector/${encodeURIComponent(id)}`;
}

/**
 * A copy of the documents, so that it does not matter what becomes of the caller's array; undefined if there are none, as
 * in a run of another connector type.
 */
function documentsOf(params: unknown): object[] | undefined {
  if (!isRecord(params) || "toJSON" in params || "toJSON" in Object(params.documents))
    throw new SerializationError("params: must be an object, such as { documents: [{ ... }] }, without a toJSON.");
  if (!Array.isArray(params.documents)) return undefined;
  const documents: object[] = [...params.documents];
  const wrong = documents.findIndex((document) => !isRecord(document));
  if (wrong >= 0) throw new SerializationError(`documents[${wrong}]: must be an object.`);
  return documents;
}

/** With this id, if one is given. */
function isConnector<Type extends string>(id?: string) {
  return (body: unknown): body is Connector<Type> =>
    isRecord(body) &&
    typeof body.connector_type_id === "string" &&
    (id === undefined ? typeof body.id === "string" : body.id === id);
}

function isListOf<Item>(isItem: (item: unknown) => item is Item) {
  return (body: unknown): body is Item[] => Array.isArray(body) && body.every(isItem);
}

function isRun<Type extends string>(id: string) {
  return (body: unknown): body is ExecuteResult<Type> =>
    isRecord(body) && typeof body.status === "string" && body.connector_id === id;
}
