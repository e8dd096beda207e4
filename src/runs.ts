// The result of a run: why it failed, and where its documents are.
import { isRecord, parseJson, toText } from "./values.ts";

/** Where a document was written. */
export interface WrittenDocument {
  /** The actual index, also if the connector names an alias or a data stream. */
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
 * @param result the body that `execute` resolved to, or any object with the same `data`
 * @returns `[]` if `data` is not the response of a `_bulk`
 */
export function writtenDocuments(result: { data: unknown }): WrittenDocument[] {
  const written = itemsOf(result.data).filter((item) => itemFailure(item) === undefined);
  return written.map(({ _index, _id }) => ({ index: String(_index), id: String(_id) }));
}

/** Why a run failed. */
export interface RunFailure {
  /** For the error's message. */
  message: string;
  /** What Kibana or Elasticsearch said, unchanged, to find a hint. */
  said: string;
}

/** How many documents a run has to write; undefined if `params` has none. Kibana accepts them as JSON text, too. */
export function countDocuments(params: unknown): number | undefined {
  const { documents } = Object(params);
  const list = typeof documents === "string" ? parseJson(documents) : documents;
  if (documents === undefined) return undefined;
  return Array.isArray(list) ? list.length : 0;
}

/**
 * `status: "ok"` alone is not trusted: Kibana 8.4 to 8.10 reports it whatever Elasticsearch said about the documents.
 *
 * @param count how many documents the run has to write; if undefined, as for most other connector types, `data` is not checked
 */
export function runFailure(run: Readonly<Record<string, unknown>>, count: number | undefined): RunFailure | undefined {
  const { status, message, service_message, data } = run;
  if (status !== "ok") {
    const text = [message, service_message].filter(Boolean).map(toText).join(": ");
    // What another system than Elasticsearch said must not choose a hint.
    const said = count === undefined ? message : service_message || message;
    return { message: text || `status ${toText(status)}`, said: toText(said ?? "") };
  }
  if (count === undefined) return undefined;
  const items = itemsOf(data);
  const failures = items.map(itemFailure).filter((failure) => failure !== undefined);
  if (failures.length === 0 && items.length === count) return undefined;
  const said = failures[0] ?? `the response lists ${items.length} of ${count} documents`;
  return { message: `Kibana says ok, but not every document was written: ${said}`, said };
}

type Item = Readonly<Record<string, unknown>>;

/** The results of a `_bulk`. The key is `create` in Kibana 8.4 and later, otherwise `index`. */
function itemsOf(data: unknown): readonly Item[] {
  if (!isRecord(data) || !Array.isArray(data.items)) return [];
  return data.items.map((item) => Object(Object(item).create ?? Object(item).index));
}

/** Why a document was not written to its index. */
function itemFailure({ _index, _id, status, error, result, failure_store }: Item): string | undefined {
  if (error) return [Object(error).type, Object(error).reason].filter(Boolean).map(toText).join(": ") || toText(error);
  if (failure_store === "used")
    return "failure_store: the document did not fit, so the data stream put it into its failure store";
  if (result === "noop") return "noop: an ingest pipeline dropped the document";
  const isNamed = typeof _index === "string" && _index !== "" && typeof _id === "string" && _id !== "";
  return isNamed && (status === 200 || status === 201) ? undefined : `status ${toText(status)}`;
}
