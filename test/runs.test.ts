// Runs: what proves a document, what rejects, and what becomes of a batch on its way.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import { ConnectorExecutionError, KibanaClient, writtenDocuments } from "kbn-connectors";
import { versions } from "./sandbox/versions.ts";
import { begin, failure, idsIn, serve } from "./support/server.ts";

const item = { create: { _index: "i", _id: "1", status: 201 } };
const refused = { create: { status: 400, error: { type: "mapper_parsing_exception", reason: "failed to parse" } } };
const batch = { documents: [{ a: 1 }, { a: 2 }] };

describe("a run rejects although Kibana answers HTTP 200:", () => {
  const ok = (items: unknown, errors = false) => ({ status: "ok", data: { errors, items } });
  const lacking = (create: object) => ok([item, { create }]);
  const runs: [name: string, run: object, message: RegExp][] = [
    [
      "with status error",
      { status: "error", message: "error indexing documents", service_message: "why" },
      /the run failed: error indexing documents: why$/,
    ],
    ["with status error and no reason", { status: "error" }, /the run failed: status error$/],
    ["with a message that is an object", { status: "error", message: { toString: 1 } }, /failed: \{"toString":1\}$/],
    ["of an unknown status", { status: "queued" }, /the run failed: status queued$/],
    [
      "with ok and data.errors",
      ok([item, refused], true),
      /Elasticsearch refused 1 of 2 documents: mapper_parsing_exception: failed to parse$/,
    ],
    ["with ok and data.errors alone", ok([item, item], true), /refused 0 of 2 documents: no reason given$/],
    [
      "with an item that failed without a reason",
      ok([item, { index: { status: 429 } }]),
      /1 of 2 documents: no reason/,
    ],
    ["with an item whose reason has no type", ok([item, { index: { error: { reason: "r" } } }]), /documents: r$/],
    ["with an item without a 2xx status", lacking({ _index: "i", _id: "1", status: 400 }), /refused 1 of 2/],
    ["with an item below 200", lacking({ _index: "i", _id: "1", status: 199 }), /refused 1 of 2/],
    ["with an item of status 300", lacking({ _index: "i", _id: "1", status: 300 }), /refused 1 of 2/],
    ["with a 201 that has an error", lacking({ ...item.create, error: { reason: "R1" } }), /refused 1 of 2.*: R1$/],
    ["with a 201 that names no _id", lacking({ _index: "i", status: 201 }), /refused 1 of 2/],
    ["with a 201 whose _id is blank", lacking({ _index: "i", _id: "", status: 201 }), /refused 1 of 2/],
    ["with a 201 that names no _index", lacking({ _id: "1", status: 201 }), /refused 1 of 2/],
    ["with a 201 whose _index is blank", lacking({ _index: "", _id: "1", status: 201 }), /refused 1 of 2/],
    ["with an item of no known kind", ok([item, {}]), /refused 1 of 2/],
    ["with an item that is null", ok([item, null]), /refused 1 of 2/],
    ["with an item too few", ok([item]), /but not that the documents were written$/],
    ["with an item too many", ok([item, item, item]), /but not that the documents were written$/],
    ["with items that are no list", ok({ length: 2 }), /but not that the documents were written$/],
    ["with data that is a web page", { status: "ok", data: "<html>" }, /but not that the documents were written$/],
    ["without data", { status: "ok" }, /but not that the documents were written$/],
  ];
  for (const [name, run, message] of runs)
    it(name, async (t) => {
      const { url, requests } = await serve(t, { connector_id: "c", ...run });
      const error = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params: batch }));
      assert.ok(error instanceof ConnectorExecutionError, inspect(error));
      assert.match(error.message, message);
      assert.equal(error.outcome, "unknown");
      assert.equal(error.connectorId, "c");
      assert.deepEqual(error.body, { connector_id: "c", ...run });
      assert.equal(requests.length, 1);
    });

  it("and tells what Kibana adds: service message, retry, error source", async (t) => {
    const told = { service_message: "security_exception", retry: "2026-01-01T00:00:00.000Z", errorSource: "framework" };
    const { url } = await serve(t, { connector_id: "c", status: "error", message: "m", ...told });
    const error = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params: {} }));
    assert.ok(error instanceof ConnectorExecutionError);
    assert.deepEqual(
      [error.serviceMessage, error.retry, error.errorSource],
      ["security_exception", "2026-01-01T00:00:00.000Z", "framework"],
    );
    assert.match(error.hint ?? "", /create_doc/);
  });

  it("and leaves out what Kibana does not say, or says in another shape", async (t) => {
    const strange = { service_message: 1, retry: {}, errorSource: "moon" };
    for (const told of [{}, strange]) {
      const { url } = await serve(t, { connector_id: "c", status: "error", ...told });
      const error = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params: {} }));
      for (const name of ["serviceMessage", "retry", "errorSource"]) assert.equal(name in error, false, name);
    }
  });

  for (const retry of [true, false, null])
    it(`and keeps retry: ${retry}`, async (t) => {
      const { url } = await serve(t, { connector_id: "c", status: "error", retry });
      const error = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params: {} }));
      assert.equal((error as ConnectorExecutionError).retry, retry);
    });

  it("and was certainly not applied if Kibana refused the params", async (t) => {
    const message = "error validating action params: [documents]: expected value of type [array] but got [undefined]";
    const { url } = await serve(t, { connector_id: "c", status: "error", message, retry: false });
    const error = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params: {} }));
    assert.deepEqual([error.name, error.outcome], ["ConnectorExecutionError", "not-applied"]);
  });

  it("and a long answer is not kept, but its service message is", async (t) => {
    const service_message = "x".repeat(2 ** 20);
    const { url } = await serve(t, { connector_id: "c", status: "error", service_message });
    const error = await failure(new KibanaClient({ node: url }).actions.execute({ id: "c", params: batch }));
    assert.ok(error instanceof ConnectorExecutionError);
    assert.deepEqual([error.body, error.serviceMessage], [undefined, service_message]);
  });
});

describe("a run resolves", () => {
  it("of another connector type when it says ok", async (t) => {
    const { url } = await serve(t, { connector_id: "c", status: "ok", data: { errors: "none of ours" } });
    const { body } = await new KibanaClient({ node: url }).actions.execute({ id: "c", params: { message: "m" } });
    assert.deepEqual(body.data, { errors: "none of ours" });
    assert.deepEqual(writtenDocuments(body), []);
  });

  it("and writtenDocuments names each document, under create or index", async (t) => {
    const items = [item, { index: { _index: "j", _id: "2", status: 200 } }];
    const { url } = await serve(t, { connector_id: "c", status: "ok", data: { errors: false, items } });
    const { body } = await new KibanaClient({ node: url }).actions.execute({ id: "c", params: batch });
    assert.deepEqual(writtenDocuments(body), [
      { index: "i", id: "1" },
      { index: "j", id: "2" },
    ]);
    assert.deepEqual(writtenDocuments({ data: { items: [refused, item, null] } }), [{ index: "i", id: "1" }]);
  });
});

describe("a batch", () => {
  const answering = (t: Parameters<typeof serve>[0], count: number) =>
    serve(t, { connector_id: "c", status: "ok", data: { errors: false, items: Array(count).fill(item) } });

  it("that is emptied while it is written resolves if all were written", async (t) => {
    const { url, requests } = await answering(t, 2);
    const documents = [{ a: 1 }, { a: 2 }];
    const call = new KibanaClient({ node: url }).actions.execute({ id: "c", params: { documents } });
    documents.length = 0;
    assert.equal((await call).body.status, "ok");
    assert.equal(requests[0]?.body, '{"params":{"documents":[{"a":1},{"a":2}]}}');
  });

  it("that shrinks on its way cannot make a short answer look complete", async (t) => {
    const { url } = await answering(t, 1);
    const documents = [{ a: 1 }, { a: 2 }];
    const call = new KibanaClient({ node: url }).actions.execute({ id: "c", params: { documents } });
    documents.pop();
    assert.match((await failure(call)).message, /but not that the documents were written/);
  });

  it("that shrinks while it is serialized is sent as it was", async (t) => {
    const { url, requests } = await answering(t, 2);
    const documents: object[] = [{ toJSON: () => [{ a: 1 }, documents.pop()][0] }, { a: 2 }];
    await new KibanaClient({ node: url }).actions.execute({ id: "c", params: { documents } });
    assert.equal(requests[0]?.body, '{"params":{"documents":[{"a":1},{"a":2}]}}');
  });

  it("keeps the other params", async (t) => {
    const { url, requests } = await answering(t, 1);
    const params = { documents: [{ a: 1 }], indexOverride: "kibana-alert-history-x" };
    await new KibanaClient({ node: url }).actions.execute<".index">({ id: "c", params });
    assert.deepEqual(JSON.parse(requests[0]?.body ?? ""), { params });
  });
});

for (const version of versions)
  it(`Kibana ${version}: of three documents with a bad one, the run rejects and the good ones are written`, async (t) => {
    const sandbox = await begin(t, { version });
    const { actions } = sandbox.client();
    const index = `run-${randomUUID()}`;
    const { body } = await actions.create({ name: "n", connector_type_id: ".index", config: { index } });
    await actions.execute({ id: body.id, params: { documents: [{ n: 1 }] } });
    const error = await failure(
      actions.execute({ id: body.id, params: { documents: [{ n: 2 }, { n: "bad" }, { n: 3 }] } }),
    );
    assert.ok(error instanceof ConnectorExecutionError, inspect(error));
    assert.match(error.message, /failed to parse field \[n\] of type \[long\]/);
    assert.match(error.hint ?? "", /_mapping\)\. Of several documents, those that fit have been written/);
    assert.equal((await idsIn(sandbox, index)).length, 3);
  });
