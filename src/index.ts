// The public names.
export type { Actions, CreateRequest, ExecuteRequest, UpdateRequest } from "./actions.ts";
export { KibanaClient } from "./client.ts";
export type * from "./connector-types.ts";
export * from "./errors.ts";
export type { Auth, Dispatching, KibanaClientOptions, RequestOptions, TlsOptions } from "./options.ts";
export { type WrittenDocument, writtenDocuments } from "./runs.ts";
export type { KibanaResponse } from "./transport.ts";
