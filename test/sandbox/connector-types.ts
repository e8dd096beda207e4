// The connector types: what their config, secrets and params may hold, and what a run of each does.
import { type Cause, isPlainObject, NotSimulated } from "./http.ts";
import type { Schema } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

export interface ConnectorType {
  id: string;
  name: string;
  license: string;
  features: string[];
  /** Types without it are listed, but cannot be created. */
  simulated?: Simulated;
}

interface Simulated {
  config: Schema;
  secrets: Schema;
  params: Schema;
  /** What the schema cannot say. */
  fault?(part: "config" | "secrets", value: Fields): string | undefined;
  run(connector: { config: Fields; secrets: Fields }, params: Fields, bulk: Bulk): RunResult | Promise<RunResult>;
}

// biome-ignore lint/suspicious/noExplicitAny: validated by the type's schema before it is used
type Fields = Record<string, any>;

export type RunResult = { status: "ok"; data?: unknown } | ({ status: "error"; message: string } & Fields);

/** An answer of Elasticsearch as Kibana's client for it hands it on. */
export interface ElasticsearchAnswer {
  status: number;
  type: string;
  text: string;
}

export type Bulk = (path: string, body: string) => Promise<ElasticsearchAnswer>;

/** In the order in which Kibana 8.12 registers them. */
const registered: [id: string, name: string, license: string, features: string][] = [
  [".email", "Email", "gold", "alerting uptime siem"],
  [".index", "Index", "basic", "alerting uptime siem"],
  [".pagerduty", "PagerDuty", "gold", "alerting uptime siem"],
  [".swimlane", "Swimlane", "gold", "alerting cases siem"],
  [".server-log", "Server log", "basic", "alerting uptime"],
  [".slack", "Slack", "gold", "alerting uptime siem"],
  [".slack_api", "Slack API", "gold", "alerting siem"],
  [".webhook", "Webhook", "gold", "alerting uptime siem"],
  [".cases-webhook", "Webhook - Case Management", "gold", "cases"],
  [".xmatters", "xMatters", "gold", "alerting"],
  [".servicenow", "ServiceNow ITSM", "platinum", "alerting cases uptime siem"],
  [".servicenow-sir", "ServiceNow SecOps", "platinum", "alerting cases siem"],
  [".servicenow-itom", "ServiceNow ITOM", "platinum", "alerting siem"],
  [".jira", "Jira", "gold", "alerting cases uptime siem"],
  [".resilient", "IBM Resilient", "platinum", "alerting cases siem"],
  [".teams", "Microsoft Teams", "gold", "alerting uptime siem"],
  [".torq", "Torq", "gold", "alerting uptime siem"],
  [".opsgenie", "Opsgenie", "platinum", "alerting uptime siem"],
  [".tines", "Tines", "gold", "siem"],
  [".gen-ai", "OpenAI", "enterprise", "generativeAI generativeAIForObservability"],
  [".bedrock", "Amazon Bedrock", "enterprise", "generativeAI"],
  [".d3security", "D3 Security", "gold", "alerting siem"],
  [".sentinelone", "Sentinel One", "enterprise", "siem"],
];

export function connectorTypesOf(behaviour: Behaviour): ConnectorType[] {
  const simulated: Record<string, Simulated> = {
    ".index": {
      config: object({
        index: string,
        refresh: { is: "boolean", default: false },
        executionTimeField: nullable(string),
      }),
      secrets: object({}),
      params: object({
        documents: { is: "array", of: { is: "record", of: { is: "any" } } },
        indexOverride: nullable({ is: "string", check: historyIndexFault }),
      }),
      run: ({ config }, params, bulk) => runIndex(config, params, behaviour, bulk),
    },
    ".server-log": {
      config: object({}),
      secrets: object({}),
      params: object({
        message: string,
        level: { is: "enum", options: ["trace", "debug", "info", "warn", "error", "fatal"], default: "info" },
      }),
      run: () => ({ status: "ok" }),
    },
    ".webhook": {
      config: object({
        url: string,
        method: { is: "enum", options: ["post", "put"], default: "post" },
        headers: nullable({ is: "record", of: string }),
        hasAuth: { is: "boolean", default: true },
        ...refused("authType", "certType", "ca", "verificationMode"),
      }),
      secrets: object({ user: nullable(string), password: nullable(string), ...refused("crt", "key", "pfx") }),
      params: object({ body: { is: "string", default: undefined } }),
      fault(part, { url, user, password }) {
        if (part === "config" && !URL.canParse(url))
          return "error configuring webhook action: unable to parse url: TypeError: Invalid URL";
        if (part === "secrets" && !user !== !password) throw new NotSimulated("a webhook's user without password");
        return undefined;
      },
      run({ config }, { body }) {
        const fault = networkFault(config.url);
        if (fault === undefined) return { status: "ok", data: body };
        return failed("error calling webhook, request failed", `[ENOTFOUND] ${fault}`);
      },
    },
    ".slack": messageTo("slack", (_message, fault) =>
      fault === undefined
        ? { status: "ok", data: { text: "ok" } }
        : failed("error posting slack message", `A request error occurred: ${fault}`),
    ),
    ".teams": messageTo("teams", (message, fault) =>
      fault === undefined
        ? { status: "ok", data: { text: message } }
        : failed("error posting to Microsoft Teams, unexpected error"),
    ),
  };
  return registered.map(([id, name, license, features]) => {
    const known = simulated[id];
    return { id, name, license, features: features.split(" "), ...(known && { simulated: known }) };
  });
}

const string: Schema = { is: "string" };

function object(fields: Record<string, Schema>): Schema {
  return { is: "object", fields };
}

function nullable(of: Schema): Schema {
  return { is: "nullable", of, default: null };
}

/** Fields that a real Kibana accepts. */
function refused(...names: string[]): Record<string, Schema> {
  const check = () => {
    throw new NotSimulated(`the fields ${names.join(", ")} of a webhook`);
  };
  return Object.fromEntries(names.map((name) => [name, { is: "any", default: undefined, check }]));
}

function historyIndexFault(name: unknown): string | undefined {
  const prefix = "kibana-alert-history-";
  return String(name).startsWith(prefix) ? undefined : `index must start with "${prefix}"`;
}

function messageTo(service: string, answer: (message: string, fault: string | undefined) => RunResult): Simulated {
  return {
    config: object({}),
    secrets: object({ webhookUrl: string }),
    params: object({ message: string }),
    fault: (part, { webhookUrl }) =>
      part === "secrets" && !URL.canParse(webhookUrl)
        ? `error configuring ${service} action: unable to parse host name from webhookUrl`
        : undefined,
    run({ secrets }, { message }) {
      if (message === "") throw new NotSimulated("empty messages");
      return answer(message, networkFault(secrets.webhookUrl));
    },
  };
}

/** The sandbox sends nothing. Every host accepts the message, but those under `.invalid`, which no resolver knows. */
function networkFault(url: string): string | undefined {
  const { hostname } = new URL(url);
  return /(^|\.)invalid$/.test(hostname) ? `getaddrinfo ENOTFOUND ${hostname}` : undefined;
}

function failed(message: string, reason?: string, more: Fields = {}): RunResult {
  return { status: "error", message, ...(reason && { service_message: reason }), ...more };
}

/** Sends one `_bulk` request for all documents, with the rights of the caller. */
async function runIndex(config: Fields, params: Fields, behaviour: Behaviour, bulk: Bulk): Promise<RunResult> {
  const timeField: string = config.executionTimeField?.trim() ?? "";
  const fail = (reason: string) =>
    failed("error indexing documents", reason, behaviour.isAfter812 ? { errorSource: "user" } : {});
  const lines = params.documents.flatMap((document: Fields) => [
    '{"index":{"op_type":"create"}}\n',
    `${JSON.stringify(timeField === "" ? document : { ...document, [timeField]: new Date() })}\n`,
  ]);
  const path = `/${encodeURIComponent(params.indexOverride ?? config.index)}/_bulk?refresh=${config.refresh}`;
  let answer: ElasticsearchAnswer;
  try {
    answer = await bulk(path, lines.join(""));
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const data: unknown = answer.type.includes("json") ? JSON.parse(answer.text) : answer.text;
  if (answer.status >= 400) return fail(clientMessage(data));
  if (!isPlainObject(data) || !Array.isArray(data.items) || data.errors !== true) return { status: "ok", data };
  const errors: Cause[] = data.items.flatMap((item) => item.create?.error ?? item.index?.error ?? []);
  const reasons = errors.flatMap(({ reason }) => reason ?? []);
  const causes = errors.flatMap(({ caused_by }) => caused_by?.reason ?? []);
  if (reasons.length === 0) return fail("Indexing error but no reason returned.");
  return fail(`${reasons.join(";")}${causes.length > 0 ? ` (${causes.join(";")})` : ""}`);
}

/** How Kibana's client for Elasticsearch words an error answer. */
export function clientMessage(data: unknown): string {
  const error = isPlainObject(data) && isPlainObject(data.error) ? (data.error as Fields) : undefined;
  if (error?.type === undefined)
    return typeof data === "string" ? data || "Response Error" : JSON.stringify(data, null, 2);
  const line = ({ type, reason }: Cause) => `\n\t\t${type}: ${reason}`;
  const cause = error.caused_by === undefined ? "" : `\n\tCaused by:${line(error.caused_by)}`;
  const roots: Cause[] = error.root_cause ?? [];
  return `${error.type}${cause}${roots.length > 0 ? `\n\tRoot causes:${roots.map(line).join("")}` : ""}`;
}
