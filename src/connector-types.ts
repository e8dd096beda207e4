// The types of each connector type, keyed by its id, and of what the operations take and return.

/**
 * The connector types whose fields are known, keyed by their id. Add your own by declaration merging:
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
  /** Index: writes documents into Elasticsearch with the caller's own rights. Licence: basic. */
  ".index": { config: IndexConfig; secrets: Nothing; params: IndexParams; data: IndexData };
  /** Server log: writes a line into Kibana's log. Licence: basic. */
  ".server-log": { config: Nothing; secrets: Nothing; params: ServerLogParams; data: unknown };
}

/** `{}` */
type Nothing = Record<string, never>;

/** Config of an `.index` connector. Kibana refuses any other key, and blank strings. */
export interface IndexConfig {
  /** The index, data stream (from Kibana 8.4) or alias to write into. Not checked when the connector is created. */
  index: string;
  /** Make documents visible to searches before the run ends. Default: `false`, so a search right after it may miss them. */
  refresh?: boolean;
  /**
   * The field that Kibana sets to the time of the run, over a value that the document has there. A literal key: `a.b`
   * does not nest. Default: `null`, no such field.
   */
  executionTimeField?: string | null;
}

/** Params of a run of an `.index` connector. */
export interface IndexParams {
  /** The documents, in order. Elasticsearch makes their ids. The whole request may have 1 MiB (`server.maxPayload`). */
  documents: readonly object[];
  /** Another index, only `kibana-alert-history-*`. Default: `null`, the connector's own. */
  indexOverride?: string | null;
}

/** Data of a run of an `.index` connector: the answer of Elasticsearch's `_bulk`. */
export interface IndexData {
  /** Milliseconds. */
  took: number;
  /** Always false here: a run in which a document failed rejects. */
  errors: boolean;
  /** One a document, in order. */
  items: IndexItem[];
}

/** What became of one document: under `create` from Kibana 8.4 on, under `index` before. */
export interface IndexItem {
  create?: IndexedDocument;
  index?: IndexedDocument;
}

/** Where a document was written. */
export interface IndexedDocument {
  /** The index itself, where the connector names an alias or a data stream. */
  _index: string;
  _id: string;
  /** 201. */
  status: number;
  _version?: number;
  result?: string;
  _seq_no?: number;
  _primary_term?: number;
}

/** Params of a run of a `.server-log` connector. */
export interface ServerLogParams {
  message: string;
  /** Default: `"info"`. */
  level?: "trace" | "debug" | "info" | "warn" | "error" | "fatal";
}

type Part = "config" | "secrets" | "params" | "data";
type Fields<Type extends string, Name extends Part, Unknown> = Type extends keyof ConnectorTypes
  ? ConnectorTypes[Type][Name]
  : Unknown;

/** The `config` of a connector type; any object, where the type is not known. */
export type ConfigOf<Type extends string> = Fields<Type, "config", object>;
/** The `secrets` of a connector type. */
export type SecretsOf<Type extends string> = Fields<Type, "secrets", object>;
/** The `params` of a run. */
export type ParamsOf<Type extends string> = Fields<Type, "params", object>;
/** The `data` that a run gives. */
export type DataOf<Type extends string> = Fields<Type, "data", unknown>;

declare const connectorType: unique symbol;

/**
 * A connector's id. It remembers the connector's type for the compiler, so that `execute({ id, params })` is checked;
 * at run time it is a plain string, and a plain string will do.
 */
export type ConnectorId<Type extends string = string> = string & { readonly [connectorType]?: Type };

/** A connector as Kibana answers it. Newer versions may add fields. */
export interface Connector<Type extends string = string> {
  id: ConnectorId<Type>;
  /** Not unique. */
  name: string;
  connector_type_id: Type;
  /** With the defaults filled in. Absent on preconfigured connectors. */
  config?: Fields<Type, "config", Record<string, unknown>>;
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

/** A connector type as `listTypes` answers it. Newer versions may add fields. */
export interface ConnectorType {
  id: string;
  name: string;
  /** In the configuration and in the licence. */
  enabled: boolean;
  enabled_in_config: boolean;
  enabled_in_license: boolean;
  minimum_license_required: string;
  supported_feature_ids?: string[];
  is_system_action_type?: boolean;
  is_deprecated?: boolean;
}

/** The answer of a run that succeeded. */
export interface ExecuteResult<Type extends string = string> {
  connector_id: string;
  status: "ok";
  data: DataOf<Type>;
}

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
   * An id of your own, which makes a repeated `create` a conflict instead of a second connector. Kibana 8.8 to 9.3 accepts a
   * UUID (version 1 to 5), 9.4 and later `a-z`, `0-9`, and `-` between them. At most 36 characters. Default: Kibana makes one.
   */
  id?: string;
} & Field<"config", ConfigOf<Type>> &
  Field<"secrets", SecretsOf<Type>>;

/** What `update` takes. It replaces everything: what is left out is reset. Kibana accepts no other fields. */
export type UpdateRequest<Type extends string = string> = {
  id: ConnectorId<Type>;
  name: string;
  /** Cannot be changed, so it must not be sent: pick `id`, `name` and `config` from a connector that you read. */
  connector_type_id?: never;
} & Field<"config", ConfigOf<Type>> &
  Field<"secrets", SecretsOf<Type>>;

/** What `execute` takes. */
export interface ExecuteRequest<Type extends string = string> {
  id: ConnectorId<Type>;
  params: ParamsOf<Type>;
}
