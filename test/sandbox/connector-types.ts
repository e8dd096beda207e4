// The connector types: what their config, secrets and params may hold, and what a run of `.index` does.
import type { Schema } from "./schemas.ts";
import { isPlainObject } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

export interface ConnectorType {
  id: string;
  name: string;
  licence: string;
  features: string[];
  config?: Schema;
  secrets?: Schema;
  params?: Schema;
}

const nothing: Schema = { is: "object", fields: {} };
const historyPrefix = "kibana-alert-history-";

const indexConfig: Schema = {
  is: "object",
  fields: {
    index: { is: "string" },
    refresh: { is: "boolean", default: false },
    executionTimeField: { is: "nullable", of: { is: "string" }, default: null },
  },
};

const indexParams: Schema = {
  is: "object",
  fields: {
    documents: { is: "array", of: { is: "record", of: { is: "any" } } },
    indexOverride: {
      is: "nullable",
      of: {
        is: "string",
        check: (name) => (name.startsWith(historyPrefix) ? undefined : `index must start with "${historyPrefix}"`),
      },
      default: null,
    },
  },
};

const logParams: Schema = {
  is: "object",
  fields: {
    message: { is: "string" },
    level: { is: "enum", options: ["trace", "debug", "info", "warn", "error", "fatal"], default: "info" },
  },
};

const usual = "alerting uptime siem";
const cases = "alerting cases siem";

/** Types that need more than a basic licence, which the sandbox lists and refuses: id, name, licence, features, secret. */
const paid: [
  id: string,
  name: string,
  licence: string,
  features: string,
  secret?: string | undefined,
  since?: "8.12",
][] = [
  [".email", "Email", "gold", usual],
  [".pagerduty", "PagerDuty", "gold", usual, "routingKey"],
  [".swimlane", "Swimlane", "gold", cases],
  [".slack", "Slack", "gold", usual, "webhookUrl"],
  [".slack_api", "Slack API", "gold", "alerting siem", undefined, "8.12"],
  [".webhook", "Webhook", "gold", usual],
  [".cases-webhook", "Webhook - Case Management", "gold", "cases", undefined, "8.12"],
  [".xmatters", "xMatters", "gold", "alerting", undefined, "8.12"],
  [".servicenow", "ServiceNow ITSM", "platinum", "alerting cases uptime siem"],
  [".servicenow-sir", "ServiceNow SecOps", "platinum", cases],
  [".servicenow-itom", "ServiceNow ITOM", "platinum", "alerting siem"],
  [".jira", "Jira", "gold", "alerting cases uptime siem"],
  [".resilient", "IBM Resilient", "platinum", cases],
  [".teams", "Microsoft Teams", "gold", usual, "webhookUrl"],
  [".torq", "Torq", "gold", usual, undefined, "8.12"],
  [".opsgenie", "Opsgenie", "platinum", usual, undefined, "8.12"],
  [".tines", "Tines", "gold", "siem", undefined, "8.12"],
  [".gen-ai", "OpenAI", "enterprise", "generativeAI generativeAIForObservability", undefined, "8.12"],
  [".bedrock", "Amazon Bedrock", "enterprise", "generativeAI", undefined, "8.12"],
  [".d3security", "D3 Security", "gold", "alerting siem", undefined, "8.12"],
  [".sentinelone", "Sentinel One", "enterprise", "siem", undefined, "8.12"],
];

/** In the order in which Kibana registers them. */
export function connectorTypesOf(behaviour: Behaviour): ConnectorType[] {
  const strict = behaviour.strictTypes ? { secrets: nothing } : {};
  const types = paid
    .filter(([, , , , , since]) => !since || behaviour.moreTypes)
    .map(([id, name, licence, features, secret]): ConnectorType => {
      const secrets: Schema = { is: "object", fields: { [secret ?? ""]: { is: "string" } } };
      return { id, name, licence, features: features.split(" "), ...(secret && { secrets }) };
    });
  const index = { id: ".index", name: "Index", licence: "basic", features: usual.split(" ") };
  const log = { id: ".server-log", name: "Server log", licence: "basic", features: ["alerting", "uptime"] };
  types.splice(1, 0, { ...index, config: indexConfig, params: indexParams, ...strict });
  types.splice(4, 0, { ...log, params: logParams, ...(behaviour.strictTypes && { config: nothing }), ...strict });
  return types;
}

/** An answer of Elasticsearch as Kibana's client for it hands it on. */
export interface ElasticsearchAnswer {
  status: number;
  type: string;
  text: string;
}

export type Bulk = (path: string, body: string) => Promise<ElasticsearchAnswer>;

interface IndexConfig {
  index: string;
  refresh: boolean;
  executionTimeField: string | null;
}

interface IndexParams {
  documents: Record<string, unknown>[];
  indexOverride: string | null;
}

export type RunResult =
  | { status: "ok"; data?: unknown }
  | { status: "error"; message: string; service_message?: string; errorSource?: string };

/** One `_bulk` for all documents, with the rights of whoever asks. */
export async function runIndex(
  config: IndexConfig,
  params: IndexParams,
  behaviour: Behaviour,
  bulk: Bulk,
): Promise<RunResult> {
  const action = JSON.stringify({ index: behaviour.createItems ? { op_type: "create" } : {} });
  const timeField = config.executionTimeField?.trim() ?? "";
  const failed = (reason: string): RunResult => ({
    status: "error",
    message: "error indexing documents",
    service_message: reason,
    ...(behaviour.errorSource && { errorSource: "user" }),
  });
  let answer: ElasticsearchAnswer;
  try {
    const lines = params.documents.flatMap((document) => [
      action,
      JSON.stringify(timeField === "" ? document : Object.assign({ ...document }, { [timeField]: new Date() })),
    ]);
    const path = `/${encodeURIComponent(params.indexOverride ?? config.index)}/_bulk?refresh=${config.refresh}`;
    answer = await bulk(path, lines.map((line) => `${line}\n`).join(""));
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
  const data: unknown = answer.type.includes("json") ? JSON.parse(answer.text) : answer.text;
  if (answer.status >= 400) return failed(clientMessage(data, behaviour));
  const reason = failureOf(data, behaviour);
  return reason === undefined ? { status: "ok", data } : failed(reason);
}

/** What a version tells of the items that Elasticsearch refused; undefined if it finds nothing amiss. */
function failureOf(data: unknown, behaviour: Behaviour): string | undefined {
  if (!isPlainObject(data) || !Array.isArray(data.items)) return undefined;
  // 8.4 began to write with `create` and went on looking for failures under `index`.
  const key = behaviour.swallowedFailures || !behaviour.createItems ? ["index"] : ["index", "create"];
  const errors = data.items.flatMap(
    (item: Record<string, { error?: { reason?: string; caused_by?: { reason?: string } } }>) =>
      key.flatMap((action) => item[action]?.error ?? []),
  );
  if (behaviour.joinedReasons) {
    if (data.errors !== true) return undefined;
    const reasons = errors.flatMap(({ reason }) => reason ?? []);
    if (reasons.length === 0) return "Indexing error but no reason returned.";
    const causes = errors.flatMap(({ caused_by }) => caused_by?.reason ?? []);
    return `${reasons.join(";")}${causes.length > 0 ? ` (${causes.join(";")})` : ""}`;
  }
  const first = errors.find(({ reason }) => Boolean(reason));
  if (first === undefined) return undefined;
  return `${first.reason}${first.caused_by === undefined ? "" : ` (${first.caused_by.reason})`}`;
}

/** How Kibana's Elasticsearch client words an error answer. */
export function clientMessage(data: unknown, behaviour: Behaviour): string {
  const error = isPlainObject(data) && isPlainObject(data.error) ? data.error : undefined;
  if (error?.type === undefined)
    return typeof data === "string" ? data || "Response Error" : JSON.stringify(data, null, 2);
  const causes = (error.root_cause ?? []) as { type: string; reason: string }[];
  if (behaviour.elasticsearch7)
    return `${error.type}: ${causes.map(({ type, reason }) => `[${type}] Reason: ${reason}`).join("; ")}`;
  const inner = error.caused_by as { type: string; reason: string } | undefined;
  const caused = inner === undefined ? "" : `\n\tCaused by:\n\t\t${inner.type}: ${inner.reason}`;
  return `${error.type}${caused}${causes.length > 0 ? `\n\tRoot causes:${causes.map(({ type, reason }) => `\n\t\t${type}: ${reason}`).join("")}` : ""}`;
}
