// The public names.
/// <reference types="node" preserve="true" />
export type { Actions } from "./actions.ts";
export { KibanaClient } from "./client.ts";
export type * from "./connector-types.ts";
export type { Auth } from "./credentials.ts";
export * from "./errors.ts";
export type { DispatcherLike } from "./exchange.ts";
export type { KibanaClientOptions, RequestOptions, TlsOptions } from "./options.ts";
export { type WrittenDocument, writtenDocuments } from "./runs.ts";
export type { KibanaResponse } from "./transport.ts";
