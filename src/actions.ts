// The seven operations of the connectors API, each a few lines: method, path, body.
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
import { ConfigurationError, SerializationError } from "./errors.ts";
import { type RequestOptions, shown } from "./options.ts";
import { serialize } from "./serialize.ts";
import type { KibanaResponse, Transport } from "./transport.ts";

/** `{ name: Value }`, optional where an empty object will do. */
type Field<Name extends string, Value> =
  Record<never, never> extends Value ? { [name in Name]?: Value } : { [name in Name]: Value };

/** What `create` takes. */
export type CreateRequest<Type extends string = string> = {
  /** Not blank. Need not be unique: the same name twice makes two connectors. */
  name: string;
  /** Such as `.index`. Cannot be changed later. */
  connector_type_id: Type;
  /**
   * An id of your own, which makes a repeated `create` a conflict instead of a second connector. Kibana 8.8 to 9.3 wants a
   * UUID, 9.4 and later `a-z`, `0-9` and `-`. 36 characters at most. Default: Kibana makes one.
   */
  id?: string;
} & Field<"config", ConfigOf<Type>> &
  Field<"secrets", SecretsOf<Type>>;

/** What `update` takes. It replaces everything: what is left out is gone. */
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
 * The connectors API, which Kibana's paths call actions. Every method answers `{ body, statusCode, headers }` and rejects
 * with a `KibanaError`, or with the reason of the `signal` that you passed. None repeats a request by itself.
 */
export class Actions {
  // Each method says "return await": a promise that is returned as it is takes three more turns of the queue.
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
      throw new ConfigurationError(`id ${JSON.stringify(id)}: has ${id.length} characters; Kibana takes 36 at most.`);
    return await this.#transport.request<Connector<Type>>(
      {
        method: "POST",
        path,
        body: serialize(body),
        secrets: request.secrets,
        accepts: isConnector,
      },
      options,
    );
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
    return await this.#transport.request<Connector<Type>>(
      { method: "GET", path: connectorPath(id), accepts: isConnector },
      options,
    );
  }

  /**
   * "Get all connectors": `GET /api/actions/connectors`. Those of this space and the preconfigured ones, sorted by name, at
   * most 10 000, not paged.
   */
  async getAll(options?: RequestOptions): Promise<KibanaResponse<Connector[]>> {
    return await this.#transport.request<Connector[]>(
      { method: "GET", path: "/connectors", accepts: isListOf(isConnector) },
      options,
    );
  }

  /**
   * "Update a connector": `PUT /api/actions/connector/{id}`. Replaces `name`, `config` and `secrets`: what is left out
   * goes back to its default.
   *
   * @throws {NotFoundError} no such connector in this space
   * @throws {ConflictError} somebody else updated it at the same moment
   */
  async update<Type extends string = string>(
    request: UpdateRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<Connector<Type>>> {
    const { id, ...body } = given(request);
    return await this.#transport.request<Connector<Type>>(
      {
        method: "PUT",
        path: connectorPath(id),
        body: serialize(body),
        secrets: request.secrets,
        accepts: isConnector,
      },
      options,
    );
  }

  /**
   * "Delete a connector": `DELETE /api/actions/connector/{id}`. Also while rules still refer to it: `getAll` tells by
   * `referenced_by_count`. A second time it is a `NotFoundError`.
   *
   * @throws {NotFoundError} no such connector in this space
   */
  async delete(request: { id: string }, options?: RequestOptions): Promise<KibanaResponse<undefined>> {
    const { id } = given(request);
    return await this.#transport.request<undefined>(
      { method: "DELETE", path: connectorPath(id), accepts: isNothing },
      options,
    );
  }

  /**
   * "Run a connector": `POST /api/actions/connector/{id}/_execute`. Not idempotent: every run of an `.index` connector
   * writes its documents anew.
   *
   * Resolves only if the run succeeded. Kibana answers HTTP 200 for a failed run too, and some versions say `ok` although
   * Elasticsearch refused documents; both reject.
   *
   * @throws {ConnectorExecutionError} the run failed; of several documents, some may have been written
   * @throws {SerializationError} a document would not survive JSON (NaN, BigInt, ...); nothing was sent
   * @throws {PayloadTooLargeError} the request is larger than 1 MiB (`server.maxPayload`)
   */
  async execute<Type extends string = string>(
    request: ExecuteRequest<Type>,
    options?: RequestOptions,
  ): Promise<KibanaResponse<ExecuteResult<Type>>> {
    const { id, params } = given(request);
    const documents = documentsOf(params);
    return await this.#transport.request<ExecuteResult<Type>>(
      {
        method: "POST",
        path: `${connectorPath(id)}/_execute`,
        body: serialize({ params }, params),
        accepts: isRun<Type>,
        problem: (run) => problemOf(run, documents?.length),
        connectorId: id,
      },
      options,
    );
  }

  /**
   * "Get connector types": `GET /api/actions/connector_types`.
   *
   * @param filter `feature_id`: only types for that feature, such as `alerting` (Kibana 8.3 and later)
   */
  async listTypes(
    filter: { feature_id?: string } = {},
    options?: RequestOptions,
  ): Promise<KibanaResponse<ConnectorType[]>> {
    const { feature_id } = given(filter);
    const query = feature_id === undefined ? "" : `?${new URLSearchParams({ feature_id })}`;
    return await this.#transport.request<ConnectorType[]>(
      { method: "GET", path: `/connector_types${query}`, accepts: isListOf(isConnectorType) },
      options,
    );
  }
}

function given<Request extends object>(request: Request): Request {
  if (!isObject(request)) throw new ConfigurationError("The first argument must be an object, such as { id }.");
  return request;
}

/** An id is data: encoded, it cannot leave its place in the path, and what a URL would swallow is refused. */
function connectorPath(id: string): string {
  if (typeof id !== "string" || id === "" || id === "." || id === ".." || !id.isWellFormed())
    throw new ConfigurationError(`id ${shown(id)}: must be a connector's id, a string that is not empty, "." or "..".`);
  return `/connector/${encodeURIComponent(id)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isConnector(body: unknown): body is Connector<never> {
  return isObject(body) && typeof body.id === "string" && typeof body.connector_type_id === "string";
}

function isConnectorType(body: unknown): body is ConnectorType {
  return isObject(body) && typeof body.id === "string";
}

function isListOf<Item>(isItem: (item: unknown) => item is Item): (body: unknown) => body is Item[] {
  return (body): body is Item[] => Array.isArray(body) && body.every(isItem);
}

function isNothing(body: unknown): body is undefined {
  return body === undefined;
}

function isRun<Type extends string>(body: unknown): body is ExecuteResult<Type> {
  return isObject(body) && typeof body.status === "string";
}

/** Why a run that was answered with HTTP 200 failed. An `ok` is believed only as far as it goes. */
function problemOf(run: Readonly<Record<string, unknown>>, documents: number | undefined): string | undefined {
  const { status, message, service_message, data } = run;
  if (status !== "ok") return [message, service_message].filter(Boolean).join(": ") || `status ${String(status)}`;
  if (documents === undefined) return undefined;
  // Kibana 8.4 to 8.10 says ok whatever Elasticsearch answered, and 7.17 if an item failed without a reason.
  if (!isObject(data) || !Array.isArray(data.items) || data.items.length !== documents)
    return "Kibana says ok, but not that the documents were written";
  const refused = data.items.filter((item) => !isWritten(item));
  if (refused.length === 0 && data.errors !== true) return undefined;
  return `Kibana says ok, but Elasticsearch refused ${refused.length} of ${documents} documents: ${reasonOf(refused[0])}`;
}

function outcomeOf(item: unknown): Record<string, unknown> {
  const outcome = isObject(item) ? (item.create ?? item.index) : undefined;
  return isObject(outcome) ? outcome : {};
}

function isWritten(item: unknown): boolean {
  const { status } = outcomeOf(item);
  return typeof status === "number" && status >= 200 && status < 300;
}

function reasonOf(item: unknown): string {
  const { error } = outcomeOf(item);
  return isObject(error) && error.reason ? `${error.type}: ${error.reason}` : "no reason given";
}

/** The documents of a run of an `.index` connector, whose type a plain id does not tell. */
function documentsOf(params: unknown): readonly unknown[] | undefined {
  if (!isObject(params)) throw new SerializationError("params: must be an object, such as { documents: [{ ... }] }.");
  if (!Array.isArray(params.documents)) return undefined;
  const wrong = params.documents.findIndex((document) => !isObject(document));
  if (wrong >= 0) throw new SerializationError(`documents[${wrong}]: must be an object.`);
  return params.documents;
}
