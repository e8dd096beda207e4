// Runs: which result of a run means that every document was written.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { ConnectorExecutionError, KibanaClient, writtenDocuments } from "kbn-connectors";
import { begin, failure, idsIn, serve } from "./support/server.ts";

const item = { _index: "i", _id: "1", status: 201, result: "created" };
const error = { type: "mapper_parsing_exception", reason: "failed to parse" };
const params = { documents: [{ a: 1 }, { a: 2 }] };
const ok = (...items: unknown[]) => ({ connector_id: "c", status: "ok", data: { took: 1, errors: false, items } });
/** A run of two documents, of which the second has this result. */
const second = (result: object) => ok({ create: item }, { create: { ...item, ...result } });

describe("execute rejects although Kibana answers HTTP 200:", () => {
  const status = { connector_id: "c", status: "error", message: "error indexing documents" };
  type Run = [what: string, run: object, says: RegExp];
  const runs: Run[] = [
    ["status error", { ...status, service_message: "why" }, /the run failed: error indexing documents: why$/],
    ["status error without a reason", { connector_id: "c", status: "error" }, /the run failed: status error$/],
    ["an unknown status", { connector_id: "c", status: "queued" }, /the run failed: status queued$/],
    ["an error in an item", second({ status: 400, error }), /mapper_parsing_exception: failed to parse$/],
    ["an error in an item under index", ok({ index: item }, { index: { ...item, error } }), /failed to parse$/],
    ["an error beside a good item under index", ok({ create: { error }, index: item }, { create: item }), /to parse$/],
    ["an error in an item of status 201", second({ error: { reason: "R1" } }), /: R1$/],
    ["an error that is a text", second({ error: "R2" }), /: R2$/],
    ["a document in the failure store", second({ failure_store: "used" }), /failure_store/],
    ["a document that a pipeline dropped", second({ status: 200, result: "noop" }), /noop/],
    ...[199, 202, 400, undefined].map(
      (status): Run => [`an item of status ${status}`, second({ status }), /status (\d+|undefined)$/],
    ),
    ...[{ _id: undefined }, { _id: "" }, { _index: undefined }, { _index: "" }].map(
      (lack): Run => [`an item with ${inspect(lack)}`, second(lack), /status 201$/],
    ),
    ["an item of an unknown kind", ok({ create: item }, { update: item }), /status undefined$/],
    ["an item that is null", ok({ create: item }, null), /status undefined$/],
    ["an item too few", ok({ create: item }), /1 of 2 documents$/],
    ["an item too many", ok({ create: item }, { create: item }, { create: item }), /3 of 2 documents$/],
    ["items that are no list", { ...ok(), data: { items: { length: 2 } } }, /0 of 2 documents$/],
    ["data that is a web page", { ...ok(), data: "<html>" }, /0 of 2 documents$/],
    ["no data", { ...ok(), data: undefined }, /0 of 2 documents$/],
  ];
  for (const [what, run, says] of runs)
    it(what, async (t) => {
      const { url, requests } = await serve(t, run);
      const failed = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params }));
      assert.ok(failed instanceof ConnectorExecutionError, inspect(failed));
      assert.match(failed.message, says);
      assert.deepEqual([failed.outcome, failed.connectorId, requests.length], ["unknown", "c", 1]);
      assert.deepEqual(failed.body, JSON.parse(JSON.stringify(run)));
    });

  for (const documents of ['[{"a":1}]', [{ a: 1 }]] as unknown as object[][])
    it(`documents as ${typeof documents === "string" ? "JSON text" : "an array"} are checked`, async (t) => {
      const execute = async (run: object) =>
        new KibanaClient({ node: (await serve(t, run)).url }).actions.execute({ id: "c", params: { documents } });
      const bad = ok({ create: { ...item, status: 400, error } });
      assert.match((await failure(execute(bad))).message, /failed to parse$/);
      assert.match((await failure(execute(ok()))).message, /0 of 1 documents$/);
      assert.equal((await execute(ok({ create: item }))).body.status, "ok");
    });

  for (const [shown, sent] of [
    [["security_exception", "2026-01-01T00:00:00.000Z", "framework"]],
    [[undefined, null, "user"]],
    [[undefined, false, undefined]],
    [[undefined, undefined, undefined], { service_message: 1, retry: {}, errorSource: "another" }],
  ])
    it(`the error has serviceMessage, retry and errorSource: ${inspect(shown)}`, async (t) => {
      const [service_message, retry, errorSource] = Object(shown);
      const { url } = await serve(t, { ...status, ...(sent ?? { service_message, retry, errorSource }) });
      const failed = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params: {} }));
      assert.ok(failed instanceof ConnectorExecutionError);
      assert.deepEqual([failed.serviceMessage, failed.retry, failed.errorSource], shown);
    });
});

describe("execute resolves", () => {
  it("with the documents that the toJSON of params returns, whichever it has itself", async (t) => {
    const { url } = await serve(t, ok({ create: item }, { create: item }));
    const request = { id: "c", params: { documents: [1, 2, 3], toJSON: () => params } };
    await new KibanaClient({ node: url }).actions.execute(request);
  });

  it("with the documents in order, which writtenDocuments names", async (t) => {
    const kept = { ...item, _id: "2", status: 200, result: "updated", failure_store: "not_enabled" };
    const { url } = await serve(t, ok({ create: item }, { index: kept }));
    const { body } = await new KibanaClient({ node: url }).actions.execute({ id: "c", params });
    const at = (id: string) => ({ index: "i", id });
    assert.deepEqual(writtenDocuments(body), [at("1"), at("2")]);
  });

  it("with whatever another connector type returns, which is not checked", async (t) => {
    const data = { errors: true, items: [{ create: { status: 400, error } }] };
    const { url } = await serve(t, { ...ok(), data });
    const { body } = await new KibanaClient({ node: url }).actions.execute({ id: "c", params: { message: "m" } });
    assert.deepEqual(body.data, data);
  });

  it("and writtenDocuments leaves out what was not written", () => {
    const wrong = [{ error }, { status: 500 }, { failure_store: "used" }, { result: "noop" }];
    const items = wrong.map((result) => ({ create: { ...item, ...result } }));
    const body = { data: { items: [...items, { create: item }, null] } };
    const failed = (body = {}) =>
      new ConnectorExecutionError("", { statusCode: 0, headers: {}, body, connectorId: "" });
    const written = [writtenDocuments(body), writtenDocuments(failed(body)), writtenDocuments(failed())];
    assert.deepEqual(written, [[{ index: "i", id: "1" }], [{ index: "i", id: "1" }], undefined]);
    for (const data of [undefined, null, "text", [], { items: {} }]) assert.deepEqual(writtenDocuments({ data }), []);
  });
});

for (const version of ["8.12", "8.19", "9.4"] as const)
  it(`Kibana ${version}: of three documents with a bad one, the run rejects and the good ones are written`, async (t) => {
    const sandbox = await begin(t, { version });
    const { actions } = sandbox.client();
    const index = `run-${randomUUID()}`;
    const { body } = await actions.create({ name: "n", connector_type_id: ".index", config: { index } });
    await actions.execute({ id: body.id, params: { documents: [{ n: 1 }] } });
    const documents = [{ n: 2 }, { n: "bad" }, { n: 3 }];
    const failed = await failure(actions.execute({ id: body.id, params: { documents } }));
    assert.ok(failed instanceof ConnectorExecutionError, inspect(failed));
    assert.match(failed.message, /failed to parse field \[n\] of type \[long\]/);
    assert.match(failed.hint ?? "", /_mapping\. The others of a batch were written/);
    assert.equal((await idsIn(sandbox, index)).length, 3);
  });
