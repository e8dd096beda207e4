// The types of each connector type, keyed by its id, and of what the operations take and return.

/**
 * The connector types whose fields are known, keyed by their id. `data` is checked as the response of a `_bulk` if
 * `params` has `documents`. Add your own by declaration merging:
 *
 * ```ts
 * declare module "kbn-connectors" {
 *   interface ConnectorTypes {
 *     ".slack": { config: object; secrets: { webhookUrl: string }; params: { message: string }; data: unknown };
 *   }
 * }
 * ```
 */
export interface ConnectorTypes {
  /** Index: writes documents into Elasticsearch with the caller's own privileges. Licence: basic. */
  ".index": { config: IndexConfig; secrets: EmptyObject; params: IndexParams; data: IndexData };
  /** Server log: writes a line into Kibana's log. Licence: basic. */
  ".server-log": { config: EmptyObject; secrets: EmptyObject; params: ServerLogParams; data: unknown };
}

/** The id of a connector type. Editors complete the known ones. */
export type ConnectorTypeId = keyof ConnectorTypes | (string & {});

/** `{}` */
type EmptyObject = Record<string, never>;

/** Config of an `.index` connector. Kibana refuses any other key, and blank strings. */
export interface IndexConfig {
  /** The index, data stream (from Kibana 8.4) or alias to write into. Not checked when the connector is created. */
  index: string;
  /** Make documents visible to searches before the run ends. Default: `false`, so a search may miss them. */
  refresh?: boolean | undefined;
  /**
   * Kibana sets this field to the time of the run, and replaces the document's own value. `a.b` is one key with a dot,
   * not a nested field. Default: `null`, no such field.
   */
  executionTimeField?: string | null | undefined;
}

/** Params of a run of an `.index` connector. */
export interface IndexParams {
  /** The documents, in order. Elasticsearch makes their ids. The whole request can have 1 MiB (`server.maxPayload`). */
  documents: readonly object[];
  /** Another index to write to, named `kibana-alert-history-*`. Default: `null`, the connector's own. */
  indexOverride?: string | null | undefined;
}

/** Data of a run of an `.index` connector: the response of Elasticsearch's `_bulk`. */
export interface IndexData {
  /** Milliseconds. */
  took: number;
  /** Whether Elasticsearch refused a document. */
  errors: boolean;
  /** One per document, in order. */
  items: IndexItem[];
}

/** The result for one document. The key is `create` in Kibana 8.4 and later, otherwise `index`. */
export type IndexItem = Partial<Record<"create" | "index", IndexItemResult>>;

/** Elasticsearch's result for one document. */
export interface IndexItemResult {
  /** The actual index, also if the connector names an alias or a data stream. */
  _index: string;
  _id: string;
  /** 200 or 201. */
  status: number;
  result?: string;
  /** Elasticsearch 9.1 and later. */
  failure_store?: "used" | "not_enabled" | "failed" | "not_applicable_or_unknown";
}

/** Params of a run of a `.server-log` connector. */
export interface ServerLogParams {
  message: string;
  /** Default: `"info"`. */
  level?: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | undefined;
}

/** What a connector type takes and returns; any objects if the type is not declared. */
type TypeFields<Type extends string, Config = object> = Type extends keyof ConnectorTypes
  ? ConnectorTypes[Type]
  : { config: Config; secrets: object; params: object; data: unknown };

/** `config` or `secrets` of a request, optional if `{}` is a valid value. */
type RequestField<Name extends "config" | "secrets", Type extends string> =
  Record<never, never> extends TypeFields<Type>[Name]
    ? { [key in Name]?: TypeFields<Type>[Name] | undefined }
    : { [key in Name]: TypeFields<Type>[Name] };

declare const connectorTypeBrand: unique symbol;

/**
 * A connector's id. It remembers the connector's type for the compiler, so that `execute({ id, params })` is checked;
 * at run time it is a plain string. You can also pass a plain string.
 */
export type ConnectorId<Type extends string = string> = string & { [connectorTypeBrand]?(type: Type): void };

/** A connector as Kibana returns it. Newer versions may add fields. */
export interface Connector<Type extends string = string> {
  id: ConnectorId<Type>;
  /** Not unique. */
  name: string;
  connector_type_id: Type;
  /** With the defaults filled in. Absent on preconfigured connectors. */
  // biome-ignore lint/suspicious/noExplicitAny: with unknown, a config that is declared as an interface would not fit
  config?: TypeFields<Type, Record<string, any>>["config"];
  /** Defined in kibana.yml: can be run, not changed. */
  is_preconfigured: boolean;
  is_missing_secrets?: boolean;
  /** Kibana 8.3 and later. */
  is_deprecated?: boolean;
  /** Kibana 8.11 and later. */
  is_system_action?: boolean;
  /** Kibana 9.1 and later. */
  is_connector_type_deprecated?: boolean;
  /** Kibana 9.4 and later. */
  auth_mode?: "shared" | "per-user";
  /** How many saved objects, such as rules, use it. Only `getAll` gives it. */
  referenced_by_count?: number;
}

/** A connector as `create` and `update` return it. It has a config, because it is not preconfigured. */
export type StoredConnector<Type extends string = string> = Connector<Type> & Required<Pick<Connector<Type>, "config">>;

/** A connector type as `listTypes` returns it. Newer versions may add fields. */
export interface ConnectorType {
  id: string;
  name: string;
  /** Whether both the configuration and the licence enable it. */
  enabled: boolean;
  enabled_in_config: boolean;
  enabled_in_license: boolean;
  minimum_license_required: string;
  supported_feature_ids?: string[];
  is_system_action_type?: boolean;
  is_deprecated?: boolean;
  /** Where the type is defined. Kibana 9.4 and later, like the fields below. */
  source?: "yml" | "spec" | "stack";
  sub_feature?: string;
  description?: string;
  is_experimental?: boolean;
  allow_multiple_system_actions?: boolean;
}

/** The result of a run that succeeded. */
export interface ExecuteResult<Type extends string = string> {
  connector_id: string;
  status: "ok";
  data: TypeFields<Type>["data"];
}

/** What `create` takes. If the type is a union, each of its members needs its own config. */
export type CreateRequest<Type extends string = string> = Type extends string
  ? {
      /** Not blank. Need not be unique: two connectors may have the same name. */
      name: string;
      /** Such as `.index`. Cannot be changed later. */
      connector_type_id: Type;
      /**
       * An id of your own. With it, a repeated `create` rejects with a `ConflictError` and makes no second connector.
       * Kibana 8.8 to 9.3 accepts a UUID (version 1 to 5). Kibana 9.4 and later accept up to 36 of `a-z`, `0-9` and `-`,
       * with no `-` at the start or the end. Default: Kibana makes one.
       */
      id?: string | undefined;
    } & RequestField<"config", Type> &
      RequestField<"secrets", Type>
  : never;

/**
 * What `update` takes. It replaces everything: what is left out is reset. Kibana accepts no other fields. If the type is
 * a union, each of its members needs its own config.
 */
export type UpdateRequest<Type extends string = string> = Type extends string
  ? {
      id: ConnectorId<Type>;
      name: string;
      /** Cannot be changed: do not send it. Of a connector that you have, send only `id`, `name` and `config`. */
      connector_type_id?: never;
    } & RequestField<"config", Type> &
      RequestField<"secrets", Type>
  : never;

/** What `execute` takes. */
export interface ExecuteRequest<Type extends string = string> {
  id: ConnectorId<Type>;
  params: TypeFields<Type>["params"];
}
