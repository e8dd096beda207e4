// The connector types: what their config, secrets and params may hold, and what a run does.

import data from "./data.json" with { type: "json" };
import { type Cause, isPlainObject, NotSimulated } from "./http.ts";
import type { Schema } from "./schemas.ts";

// biome-ignore lint/suspicious/noExplicitAny: validated by a schema before it is used
export type Fields = Record<string, any>;

/** As a basic licence lists it. Types without schemas are listed, but cannot be created. */
export interface ConnectorType {
  id: string;
  enabled: boolean;
  supported_feature_ids: string[];
  config?: Schema;
  secrets: Schema;
  params: Schema;
}

/** How Elasticsearch answers Kibana: JSON, or a text if it is none, or why there is no answer. */
export type ElasticsearchAnswer = { status: number; data: unknown };
export type Bulk = (path: string, body: string) => Promise<ElasticsearchAnswer>;

/** Those of 8.12, in the order in which Kibana registers them. */
export const connectorTypes = data.connectorTypes as unknown as ConnectorType[];

export type TypedConnector = { connector_type_id: string; config: Fields; secrets: Fields };

export function run({ connector_type_id, config, secrets }: TypedConnector, params: Fields, bulk: Bulk) {
  switch (connector_type_id) {
    case ".index":
      return runIndex(config, params, bulk);
    case ".webhook":
      return send(config.url, params.body, "error calling webhook, request failed", "[ENOTFOUND] ");
    case ".slack":
      return send(secrets.webhookUrl, { text: "ok" }, "error posting slack message", "A request error occurred: ");
    case ".teams":
      return send(secrets.webhookUrl, { text: params.message }, "error posting to Microsoft Teams, unexpected error");
    default:
      return { status: "ok" };
  }
}

/** Nothing is sent. Every host accepts the message, but those under `.invalid`, which no resolver knows. */
function send(url: string, data: unknown, message: string, prefix?: string): Fields {
  const { hostname } = new URL(url);
  if (!/(^|\.)invalid$/.test(hostname)) return { status: "ok", data };
  return { status: "error", message, service_message: prefix && `${prefix}getaddrinfo ENOTFOUND ${hostname}` };
}

async function runIndex(config: Fields, params: Fields, bulk: Bulk): Promise<Fields> {
  const timeField: string = config.executionTimeField?.trim();
  const fail = (reason: string) => ({ status: "error", message: "error indexing documents", service_message: reason });
  const lines = params.documents.flatMap((document: Fields) => [
    '{"index":{"op_type":"create"}}\n',
    `${JSON.stringify(timeField ? { ...document, [timeField]: new Date() } : document)}\n`,
  ]);
  const path = `/${encodeURIComponent(params.indexOverride ?? config.index)}/_bulk?refresh=${config.refresh}`;
  if (/^\/\.\.?\//.test(path)) throw new NotSimulated("indices called . or ..");
  const { status, data } = await bulk(path, lines.join(""));
  if (status >= 400) return fail(clientMessage(data));
  if (!isPlainObject(data) || !Array.isArray(data.items) || data.errors !== true) return { status: "ok", data };
  const errors: Cause[] = data.items.flatMap((item) => item.create?.error ?? item.index?.error ?? []);
  const reasons = errors.flatMap(({ reason }) => reason ?? []);
  const causes = errors.flatMap(({ caused_by }) => caused_by?.reason ?? []);
  if (reasons.length === 0) return fail("Indexing error but no reason returned.");
  return fail(`${reasons.join(";")}${causes.length > 0 ? ` (${causes.join(";")})` : ""}`);
}

/** How Kibana's client for Elasticsearch words an error answer. */
export function clientMessage(data: unknown): string {
  if (!isPlainObject(data)) return String(data) || "Response Error";
  const { type, caused_by, root_cause = [] } = (isPlainObject(data.error) ? data.error : {}) as Fields;
  if (type === undefined) return JSON.stringify(data, null, 2);
  const line = (cause: Cause) => `\n\t\t${cause.type}: ${cause.reason}`;
  const roots = root_cause.length > 0 ? `\n\tRoot causes:${root_cause.map(line).join("")}` : "";
  return `${type}${caused_by ? `\n\tCaused by:${line(caused_by)}` : ""}${roots}`;
}
