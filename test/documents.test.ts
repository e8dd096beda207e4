// Documents: what is sent as JSON, and what is refused because JSON would lose it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import { KibanaClient } from "kbn-connectors";
import { failure, serve } from "./support/server.ts";

class Secretive {
  #value = 1;
  get value() {
    return this.#value;
  }
}

class Point {
  x = 1;
  y = [2];
}

class Self {
  b = 1;
  toJSON() {
    return this;
  }
}

/** A value of another realm, as in Jest or in an Electron window. */
const foreign = (code: string): object => runInNewContext(`(${code})`) as object;

describe("a document is refused with the path of what JSON would lose, and nothing is sent:", () => {
  const holed = [1, 2, 3];
  delete holed[1];
  const cyclic: Record<string, unknown> = {};
  cyclic.self = [cyclic];
  let deep: object = {};
  for (let depth = 0; depth < 20_000; depth++) deep = { deep };
  const throwing = {
    get at() {
      return new Date(Number.NaN).toISOString();
    },
  };
  const refused: [what: string, document: unknown, start: string, reason: RegExp][] = [
    ["NaN", { a: { "b c": [1, Number.NaN] } }, 'documents[1].a["b c"][1]: ', /NaN would be stored as null/],
    ["Infinity", { "@n": 1 / 0 }, "documents[1].@n: ", /^Infinity would be stored as null/],
    ["-Infinity", { a: -1 / 0 }, "documents[1].a: ", /^-Infinity would be stored as null/],
    ["undefined in an array", { a: [1, undefined] }, "documents[1].a[1]: ", /undefined/],
    ["a hole in an array", { a: holed }, "documents[1].a[1]: ", /undefined/],
    ["a BigInt", { a: 1n }, "documents[1].a: ", /BigInt/],
    ["a function", { a: () => 1 }, "documents[1].a: ", /function/],
    ["a symbol", { a: Symbol("s") }, "documents[1].a: ", /symbol/],
    ["an invalid date", { a: new Date("x") }, "documents[1].a: ", /invalid date/],
    ["an invalid date of another realm", { a: foreign("new Date('x')") }, "documents[1].a: ", /invalid date/],
    ["a toJSON that gives null, as moment's does", { a: { toJSON: () => null } }, "documents[1].a: ", /invalid date/],
    ["a toJSON that gives nothing", { a: [{ toJSON() {} }] }, "documents[1].a[0]: ", /undefined/],
    ["NaN behind a toJSON", { a: { toJSON: () => ({ b: Number.NaN }) } }, "documents[1].a.b: ", /NaN/],
    ["a Map behind a toJSON", { a: { toJSON: () => new Map() } }, "documents[1].a: ", /Map/],
    ["a Buffer", { a: Buffer.from("x") }, "documents[1].a: ", /binary data/],
    ["a Float64Array", { a: new Float64Array(1) }, "documents[1].a: ", /binary data/],
    ["a DataView", { a: new DataView(new ArrayBuffer(1)) }, "documents[1].a: ", /binary data/],
    ["a Map", { a: new Map([[1, 2]]) }, "documents[1].a: ", /Map would lose its contents/],
    ["a Map of another realm", { a: foreign("new Map()") }, "documents[1].a: ", /Map would/],
    ["a Set", { a: new Set([1]) }, "documents[1].a: ", /Set would/],
    ["a RegExp", { a: /x/ }, "documents[1].a: ", /RegExp would/],
    ["an ArrayBuffer", { a: new ArrayBuffer(1) }, "documents[1].a: ", /ArrayBuffer would/],
    ["a Promise", { a: Promise.resolve(1) }, "documents[1].a: ", /Promise would/],
    ["a Promise as the document", Promise.resolve({}), "documents[1]: ", /Promise would/],
    ["an Error", { a: new TypeError("m") }, "documents[1].a: ", /TypeError would/],
    ["an Error with fields", { a: Object.assign(new Error("m"), { code: "E" }) }, "documents[1].a: ", /Error would/],
    ["an Error of another realm", { a: foreign("new Error('m')") }, "documents[1].a: ", /Error would/],
    ["an Error as the document", new Error("m"), "documents[1]: ", /Error would/],
    ["private state", { a: new Secretive() }, "documents[1].a: ", /Secretive would/],
    ["what is nested in a class", { a: Object.assign(new Point(), { z: [1n] }) }, "documents[1].a.z[0]: ", /BigInt/],
    ["a circle", cyclic, "The request cannot be turned into JSON: ", /contains itself/],
    ["20 000 levels", deep, "The request cannot be turned into JSON: ", /nested too deep/],
    ["a getter that throws", throwing, "The request cannot be turned into JSON: ", /Invalid time value/],
  ];
  for (const [what, document, start, reason] of refused)
    it(what, async (t) => {
      const { url, requests } = await serve(t, {});
      const { actions } = new KibanaClient({ node: url });
      const error = await failure(actions.execute({ id: "c", params: { documents: [{}, document as object] } }));
      assert.deepEqual([error.name, error.outcome, requests.length], ["SerializationError", "not-applied", 0]);
      const beginning = start.replace(/^documents/, "params.documents");
      assert.equal(error.message.slice(0, beginning.length), beginning, error.message);
      assert.match(error.message.slice(beginning.length), reason);
    });

  it("and so are a config and secrets", async (t) => {
    const { url, requests } = await serve(t, {});
    const { actions } = new KibanaClient({ node: url });
    const connector = { name: "n", connector_type_id: ".webhook", config: { port: 1 / 0 } };
    assert.match((await failure(actions.create(connector))).message, /^config\.port: Infinity/);
    const update = { id: "c", name: "n", secrets: { key: Buffer.from("k") } };
    assert.match((await failure(actions.update(update))).message, /^secrets\.key: binary data/);
    assert.equal(requests.length, 0);
  });
});

describe("a document is sent:", () => {
  const shared = { a: 1 };
  const nothing = Object.assign(Object.create({ toJSON: () => null }), { x: 1 });
  const accepted: [what: string, document: object, json: string][] = [
    ["text, numbers, booleans and null", { a: "ż", b: 1.5, c: true, d: null }, '{"a":"ż","b":1.5,"c":true,"d":null}'],
    ["objects and arrays, also empty ones", { a: [{ b: [[], {}] }] }, '{"a":[{"b":[[],{}]}]}'],
    ["a date", { a: new Date(0) }, '{"a":"1970-01-01T00:00:00.000Z"}'],
    ["a date of another realm", { a: foreign("new Date(0)") }, '{"a":"1970-01-01T00:00:00.000Z"}'],
    ["an undefined property, which is left out", { a: undefined, b: 1 }, '{"b":1}'],
    ["what a toJSON gives", { a: { toJSON: () => ["j"] } }, '{"a":["j"]}'],
    ["what the toJSON of a class gives, as the document", new URL("http://a/") as object, '"http://a/"'],
    ["a toJSON that gives the object itself", { a: new Self() }, '{"a":{"b":1}}'],
    ["what a toJSON gives, whose own is not called", { a: { toJSON: () => nothing } }, '{"a":{"x":1}}'],
    ["a toJSON that is no function", { a: { toJSON: 5 } }, '{"a":{"toJSON":5}}'],
    ["an Error with a toJSON", { a: Object.assign(new Error("m"), { toJSON: () => "m" }) }, '{"a":"m"}'],
    ["an instance of a class with fields", { a: new Point() }, '{"a":{"x":1,"y":[2]}}'],
    ["objects without a prototype", Object.assign(Object.create(null), { a: Object.create(null) }), '{"a":{}}'],
    ["objects of another realm", { a: foreign("{ b: [{}] }"), c: foreign("{}") }, '{"a":{"b":[{}]},"c":{}}'],
    ["one object referenced twice", { a: shared, b: [shared, shared] }, '{"a":{"a":1},"b":[{"a":1},{"a":1}]}'],
  ];
  for (const [what, document, json] of accepted)
    it(what, async (t) => {
      const items = [{ create: { _index: "i", _id: "1", status: 201 } }];
      const { url, requests } = await serve(t, { connector_id: "c", status: "ok", data: { items } });
      await new KibanaClient({ node: url }).actions.execute({ id: "c", params: { documents: [document] } });
      assert.equal(requests[0]?.body, `{"params":{"documents":[${json}]}}`);
    });
});
