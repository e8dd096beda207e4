// The result of a run: why it failed, and where its documents are.
import type { Outcome } from "./errors.ts";
import { fieldsIn, parseJson, toJsonValue, toText } from "./values.ts";

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
  outcome: Outcome;
}

/** What Kibana says if it refuses params, config or secrets before it runs anything. */
const validationMessage = /^error validating (action params|(action|connector) type )/;

/** How many documents a run has to write; undefined if `params` has none. Kibana accepts them as JSON text, too. */
export function countDocuments(params: unknown): number | undefined {
  const documents = parseJson(toJsonValue(fieldsIn(toJsonValue(params)).documents));
  if (documents === undefined) return undefined;
  return Array.isArray(documents) ? documents.length : 0;
}

/**
 * `status: "ok"` alone is not trusted: Kibana 8.4 to 8.10 reports it whatever Elasticsearch said about the documents.
 *
 * @param count how many documents the run has to write; undefined: no documents are known, so `data` is not checked
 */
export function runFailure(run: Readonly<Record<string, unknown>>, count: number | undefined): RunFailure | undefined {
  const { status, message, service_message, data } = run;
  if (status !== "ok") {
    const text = [message, service_message].filter(Boolean).map(toText).join(": ");
    // Only the words of Elasticsearch and Kibana choose a hint, not those of another system.
    const said = count === undefined ? message : service_message || message;
    const outcome = validationMessage.test(toText(message)) ? "not-applied" : "unknown";
    return { message: text || `status ${toText(status)}`, said: toText(said ?? ""), outcome };
  }
  if (count === undefined) return undefined;
  const items = itemsOf(data);
  const failures = items.map(itemFailure).filter((failure) => failure !== undefined);
  if (failures.length === 0 && items.length === count) return undefined;
  const said = failures[0] ?? `the response lists ${items.length} of ${count} documents`;
  return { message: `Kibana says ok, but not every document was written: ${said}`, said, outcome: "unknown" };
}

type Item = Readonly<Record<string, unknown>>;

/** The results of a `_bulk`. The key is `create` in Kibana 8.4 and later, otherwise `index`. */
function itemsOf(data: unknown): readonly Item[] {
  const { items } = fieldsIn(data);
  return Array.isArray(items) ? items.map((item) => fieldsIn(fieldsIn(item).create ?? fieldsIn(item).index)) : [];
}

/** Why a document was not written to its index. */
function itemFailure({ _index, _id, status, error, result, failure_store }: Item): string | undefined {
  const { type, reason } = fieldsIn(error);
  if (error) return [type, reason].filter(Boolean).map(toText).join(": ") || toText(error);
  if (failure_store === "used")
    return "failure_store: the document did not fit, so the data stream put it into its failure store";
  if (result === "noop") return "noop: an ingest pipeline dropped the document";
  const isNamed = typeof _index === "string" && _index !== "" && typeof _id === "string" && _id !== "";
  return isNamed && (status === 200 || status === 201) ? undefined : `status ${toText(status)}`;
}
