// The public names.
export type { Actions, CreateRequest, ExecuteRequest, UpdateRequest } from "./actions.ts";
export { KibanaClient } from "./client.ts";
export type {
  ConfigOf,
  Connector,
  ConnectorId,
  ConnectorType,
  ConnectorTypes,
  DataOf,
  ExecuteResult,
  IndexConfig,
  IndexData,
  IndexedDocument,
  IndexItem,
  IndexParams,
  ParamsOf,
  SecretsOf,
  ServerLogParams,
} from "./connector-types.ts";
export {
  AuthenticationError,
  AuthorizationError,
  BadRequestError,
  ConfigurationError,
  ConflictError,
  ConnectionError,
  ConnectorExecutionError,
  DeserializationError,
  KibanaError,
  NotFoundError,
  NotReadyError,
  type Outcome,
  PayloadTooLargeError,
  ResponseError,
  SerializationError,
  TimeoutError,
  TooManyRequestsError,
} from "./errors.ts";
export type { Auth, Dispatching, KibanaClientOptions, RequestOptions, TlsOptions } from "./options.ts";
export { type WrittenDocument, writtenDocuments } from "./runs.ts";
export type { KibanaResponse } from "./transport.ts";
