// Did a run do what it says?
import { isRecord } from "./options.ts";
import { words } from "./shown.ts";

/** Where a document was written. */
export interface WrittenDocument {
  /** The index itself if the connector names an alias or a data stream. */
  index: string;
  id: string;
}

/**
 * The index and the id of each document that a run of an `.index` connector wrote, in order.
 *
 * ```ts
 * const { body: result } = await client.actions.execute({ id, params: { documents } });
 * const [first] = writtenDocuments(result);
 * ```
 *
 * @param result the body that `execute` answered, or anything else with its `data`
 * @returns `[]` if `data` is not the answer of a `_bulk`
 */
export function writtenDocuments(result: { data: unknown }): WrittenDocument[] {
  const written = itemsOf(result.data).filter(isWritten);
  return written.map(({ _index, _id }) => ({ index: String(_index), id: String(_id) }));
}

/** Why a run failed although Kibana answered with a 2xx. `documents` is how many it had to write, if they are known. */
export function problemOf(run: object, documents: number | undefined): string | undefined {
  const { status, message, service_message, data } = run as Readonly<Record<string, unknown>>;
  if (status !== "ok")
    return [message, service_message].filter(Boolean).map(words).join(": ") || `status ${words(status)}`;
  if (documents === undefined) return undefined;
  // `status: "ok"` alone is not trusted: Kibana 8.4 to 8.10 says so whatever Elasticsearch answered.
  const items = itemsOf(data);
  if (items.length !== documents) return "Kibana says ok, but not that the documents were written";
  const refused = items.filter((item) => !isWritten(item));
  if (refused.length === 0 && !Object(data).errors) return undefined;
  const { type, reason } = Object(refused.find(({ error }) => error)?.error) as Readonly<Record<string, unknown>>;
  const first = reason ? [type, reason].filter(Boolean).map(words).join(": ") : "no reason given";
  return `Kibana says ok, but Elasticsearch refused ${refused.length} of ${documents} documents: ${first}`;
}

type Item = Readonly<Record<string, unknown>>;

/** The results of a `_bulk`: under `create` from Kibana 8.4 on, under `index` before. */
function itemsOf(data: unknown): readonly Item[] {
  if (!isRecord(data) || !Array.isArray(data.items)) return [];
  return data.items.map((item) => Object(Object(item).create ?? Object(item).index));
}

function isWritten({ _index, _id, status, error }: Item): boolean {
  const hasName = typeof _index === "string" && _index !== "" && typeof _id === "string" && _id !== "";
  return typeof status === "number" && status >= 200 && status < 300 && !error && hasName;
}
