// The result of a run: why it failed, and where its documents are.
import { ConnectorExecutionError, type Outcome } from "./errors.ts";
import { resolveToJson, toRecord, toText, tryParseJson, type UnknownRecord } from "./json.ts";

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
export function writtenDocuments(error: ConnectorExecutionError): WrittenDocument[] | undefined;
export function writtenDocuments(source: { data: unknown } | ConnectorExecutionError): WrittenDocument[] | undefined {
  const isError = source instanceof ConnectorExecutionError;
  const { data } = toRecord(isError ? source.body : source);
  if (isError && !Array.isArray(toRecord(data).items)) return undefined;
  const written = getItemResults(data).filter((result) => findItemFailure(result) === undefined);
  return written.map(({ _index, _id }) => ({ index: String(_index), id: String(_id) }));
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
  const { documents: value } = toRecord(resolveToJson(params));
  const documents = tryParseJson(resolveToJson(value));
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
  const results = getItemResults(data);
  const failures = results.map(findItemFailure).filter((failure) => failure !== undefined);
  if (failures.length === 0 && results.length === expectedCount) return undefined;
  const reason = failures[0] ?? `the response lists ${results.length} of ${expectedCount} documents`;
  return { message: `Kibana says ok, but not every document was written: ${reason}`, reason, outcome: "unknown" };
}

/** The results of a `_bulk`. The key is `create` in Kibana 8.4 and later, otherwise `index`. */
function getItemResults(data: unknown): UnknownRecord[] {
  const { items } = toRecord(data);
  return Array.isArray(items) ? items.map(toRecord).map(({ create, index }) => toRecord(create ?? index)) : [];
}

/** Why a document was not written to its index. */
function findItemFailure(itemResult: UnknownRecord): string | undefined {
  const { _index, _id, status, error, result, failure_store } = itemResult;
  const { type, reason } = toRecord(error);
  if (error) return [type, reason].filter(Boolean).map(toText).join(": ") || toText(error);
  if (failure_store === "used")
    return "failure_store: the document did not fit, so the data stream put it into its failure store";
  if (result === "noop") return "noop: an ingest pipeline dropped the document";
  const hasIndexAndId = typeof _index === "string" && _index !== "" && typeof _id === "string" && _id !== "";
  return hasIndexAndId && (status === 200 || status === 201) ? undefined : `status ${toText(status)}`;
}
