// The result of a run: why it failed, and where its documents are.
import { ConnectorExecutionError, type Outcome } from "./errors.ts";
import { toJsonValue, toRecord, toText, tryParseJson, type UnknownRecord } from "./json.ts";

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
 * @param result the body that `execute` resolved to, any object with the same `data`, or the error of a failed run
 * @returns `[]` if `data` is not the response of a `_bulk`; undefined if an error does not say what was written
 */
export function writtenDocuments(result: { data: unknown }): WrittenDocument[];
export function writtenDocuments(error: ConnectorExecutionError | { data: unknown }): WrittenDocument[] | undefined;
export function writtenDocuments(source: { data: unknown } | ConnectorExecutionError): WrittenDocument[] | undefined {
  const isError = source instanceof ConnectorExecutionError;
  const { data } = toRecord(isError ? source.body : source);
  if (isError && !Array.isArray(toRecord(data).items)) return undefined;
  return readItems(data).filter((item) => typeof item !== "string");
}

/** Why a run failed. */
export interface RunFailure {
  /** For the error's message. */
  message: string;
  /** What Kibana or Elasticsearch said, unchanged, to find a hint. */
  reason: string;
  outcome: Outcome;
}

/** What Kibana says if it refuses params, config or secrets before it runs anything. */
const validationErrorPattern = /^error validating (action params|(action|connector) type )/;

/** How many documents a run has to write; undefined if `params` has none. Kibana accepts them as JSON text, too. */
export function countDocuments(params: unknown): number | undefined {
  const { documents: value } = toRecord(toJsonValue(params));
  const documents = tryParseJson(toJsonValue(value));
  if (documents === undefined) return undefined;
  return Array.isArray(documents) ? documents.length : 0;
}

/**
 * `status: "ok"` alone is not trusted: Kibana 8.4 to 8.10 reports it whatever Elasticsearch said about the documents.
 *
 * @param expectedCount how many documents the run has to write; undefined: not known, so `data` is not checked
 */
export function findRunFailure(result: UnknownRecord, expectedCount: number | undefined): RunFailure | undefined {
  const { status, message, service_message, data } = result;
  if (status !== "ok") {
    const text = [message, service_message].filter(Boolean).map(toText).join(": ");
    // Only the words of Elasticsearch and Kibana choose a hint, not those of another system.
    const reason = expectedCount === undefined ? message : service_message || message;
    const outcome = validationErrorPattern.test(toText(message)) ? "not-applied" : "unknown";
    return { message: text || `status ${toText(status)}`, reason: toText(reason ?? ""), outcome };
  }
  if (expectedCount === undefined) return undefined;
  const items = readItems(data);
  const failure = items.find((item) => typeof item === "string");
  if (failure === undefined && items.length === expectedCount) return undefined;
  const reason = failure ?? `the response lists ${items.length} of ${expectedCount} documents`;
  return { message: `Kibana says ok, but not every document was written: ${reason}`, reason, outcome: "unknown" };
}

/** For each item of a `_bulk`: where its document was written, or why it was not written to its index. */
function readItems(data: unknown): (WrittenDocument | string)[] {
  const { items } = toRecord(data);
  return Array.isArray(items) ? items.map(readItem) : [];
}

/** The key is `create` in Kibana 8.4 and later, otherwise `index`. */
function readItem(item: unknown): WrittenDocument | string {
  const { create, index } = toRecord(item);
  const { _index, _id, status, error, result, failure_store } = toRecord(create ?? index);
  const { type, reason } = toRecord(error);
  if (error) return [type, reason].filter(Boolean).map(toText).join(": ") || toText(error);
  if (failure_store === "used")
    return "failure_store: the document did not fit, so the data stream put it into its failure store";
  if (result === "noop") return "noop: an ingest pipeline dropped the document";
  if (typeof _index === "string" && _index && typeof _id === "string" && _id && (status === 200 || status === 201))
    return { index: _index, id: _id };
  return `status ${toText(status)}`;
}
