// The connector types: what their config, secrets and params may hold, and what a run does.
import registered from "./connector-types.json" with { type: "json" };
import { type Cause, isPlainObject, NotSimulated } from "./http.ts";
import type { Schema } from "./schemas.ts";
import type { Behaviour } from "./versions.ts";

// biome-ignore lint/suspicious/noExplicitAny: validated by a schema before it is used
export type Fields = Record<string, any>;

interface Simulated {
  config: Schema;
  secrets: Schema;
  params: Schema;
  run(connector: { config: Fields; secrets: Fields }, params: Fields, bulk: Bulk): Fields | Promise<Fields>;
}

/** An answer of Elasticsearch to Kibana. */
export interface ElasticsearchAnswer {
  status: number;
  type: string;
  text: string;
}

export type Bulk = (path: string, body: string) => Promise<ElasticsearchAnswer>;

const string: Schema = { is: "string" };
const object = (fields: Record<string, Schema>): Schema => ({ is: "object", fields });
const nullable = (of: Schema): Schema => ({ is: "nullable", of, default: null });
const optional = (schema: Schema): Schema => ({ ...schema, default: undefined });

const historyIndex: Schema = {
  is: "string",
  check: (name) =>
    String(name).startsWith("kibana-alert-history-") ? undefined : 'index must start with "kibana-alert-history-"',
};
const url: Schema = {
  is: "string",
  check(text) {
    if (!URL.canParse(String(text))) throw new NotSimulated("its words for a wrong URL");
    return undefined;
  },
};
/** What a real Kibana accepts. */
const refused: Schema = {
  is: "any",
  default: undefined,
  check() {
    throw new NotSimulated("certificates, OAuth and the like in a connector");
  },
};

/** The list is that of 8.12. Types that are not simulated can be listed, but not created. */
export function connectorTypesOf(behaviour: Behaviour) {
  const level: Schema = { is: "enum", options: ["trace", "debug", "info", "warn", "error", "fatal"], default: "info" };
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
        indexOverride: nullable(historyIndex),
      }),
      run: ({ config }, params, bulk) => runIndex(config, params, behaviour, bulk),
    },
    ".server-log": {
      config: object({}),
      secrets: object({}),
      params: object({ message: string, level }),
      run: () => ({ status: "ok" }),
    },
    ".webhook": {
      config: object({
        url,
        method: { is: "enum", options: ["post", "put"], default: "post" },
        headers: nullable({ is: "record", of: string }),
        hasAuth: { is: "boolean", default: true },
        ...{ authType: refused, certType: refused, ca: refused, verificationMode: refused },
      }),
      secrets: object({ user: nullable(string), password: nullable(string), crt: refused, key: refused, pfx: refused }),
      params: object({ body: optional(string) }),
      run: ({ config }, { body }) =>
        send(config.url, body, (fault) => failed("error calling webhook, request failed", `[ENOTFOUND] ${fault}`)),
    },
    ".slack": {
      config: object({}),
      secrets: object({ webhookUrl: url }),
      params: object({ message: string }),
      run: ({ secrets }) =>
        send(secrets.webhookUrl, { text: "ok" }, (fault) =>
          failed("error posting slack message", `A request error occurred: ${fault}`),
        ),
    },
    ".teams": {
      config: object({}),
      secrets: object({ webhookUrl: url }),
      params: object({ message: string }),
      run: ({ secrets }, { message }) =>
        send(secrets.webhookUrl, { text: message }, () => failed("error posting to Microsoft Teams, unexpected error")),
    },
  };
  return registered.map((type) => ({ ...type, simulated: simulated[type.id] }));
}

function failed(message: string, reason?: string): Fields {
  return { status: "error", message, service_message: reason };
}

/** The sandbox sends nothing. Every host accepts the message, but those under `.invalid`, which no resolver knows. */
function send(to: string, data: unknown, fail: (fault: string) => Fields): Fields {
  const { hostname } = new URL(to);
  return /(^|\.)invalid$/.test(hostname) ? fail(`getaddrinfo ENOTFOUND ${hostname}`) : { status: "ok", data };
}

/** Sends one `_bulk` request for all documents, with the rights of the caller. */
async function runIndex(config: Fields, params: Fields, behaviour: Behaviour, bulk: Bulk): Promise<Fields> {
  const timeField: string = config.executionTimeField?.trim();
  const fail = (reason: string) => ({
    ...failed("error indexing documents", reason),
    ...(behaviour.isAfter812 && { errorSource: "user" }),
  });
  const lines = params.documents.flatMap((document: Fields) => [
    '{"index":{"op_type":"create"}}\n',
    `${JSON.stringify(timeField ? { ...document, [timeField]: new Date() } : document)}\n`,
  ]);
  const path = `/${encodeURIComponent(params.indexOverride ?? config.index)}/_bulk?refresh=${config.refresh}`;
  let answer: ElasticsearchAnswer;
  try {
    answer = await bulk(path, lines.join(""));
  } catch (error) {
    return fail((error as Error).message);
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
  if (!isPlainObject(data)) return String(data) || "Response Error";
  const { type, caused_by, root_cause = [] } = (isPlainObject(data.error) ? data.error : {}) as Fields;
  if (type === undefined) return JSON.stringify(data, null, 2);
  const line = (cause: Cause) => `\n\t\t${cause.type}: ${cause.reason}`;
  const roots = root_cause.length > 0 ? `\n\tRoot causes:${root_cause.map(line).join("")}` : "";
  return `${type}${caused_by ? `\n\tCaused by:${line(caused_by)}` : ""}${roots}`;
}
