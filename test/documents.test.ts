// Documents: sent only if JSON keeps them.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import { KibanaClient } from "kbn-connectors";
import { failure, serve } from "./support/server.ts";

/** Runs a connector with these documents, and gives what arrives. */
async function send(t: Parameters<typeof serve>[0], ...documents: object[]): Promise<string> {
  const items = documents.map(() => ({ create: { _index: "i", _id: "1", status: 201 } }));
  const { url, requests } = await serve(t, { connector_id: "c", status: "ok", data: { errors: false, items } });
  await new KibanaClient({ node: url }).actions.execute({ id: "c", params: { documents } });
  return requests[0]?.body.slice('{"params":{"documents":['.length, -"]}}".length) ?? "";
}

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

class Query {
  sql = "select";
  // biome-ignore lint/suspicious/noThenProperty: what query builders have
  then() {}
}

class Self {
  a = 1;
  toJSON() {
    return this;
  }
}

/** A realm of its own, as Jest has. */
const alien = (code: string): object => runInNewContext(`(${code})`) as object;

describe("a document is refused before anything is sent, and the message names the path:", () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = [cyclic];
  let deep: object = {};
  for (let depth = 0; depth < 20_000; depth++) deep = { deep };
  const holed = [1, 2, 3];
  delete holed[1];
  const thrown = {
    get bad() {
      throw new TypeError("no");
    },
  };
  const invalidTime = {
    get at() {
      return new Date(Number.NaN).toISOString();
    },
  };
  const iterating = Object.assign([Number.NaN], { [Symbol.iterator]: [].values });
  const contents = /would lose its contents\. Pass a plain object/;
  const binary = /: binary data would be stored as numbers\. Pass a base64 string\.$/;
  const refused: [name: string, document: unknown, message: RegExp][] = [
    ["an Error", { error: new Error("disk full") }, /^documents\[1\]\.error: an instance of Error would lose/],
    ["an Error with fields of its own", { e: Object.assign(new Error("m"), { code: "E" }) }, contents],
    ["an Error of another realm", { e: alien("new RangeError('m')") }, contents],
    ["an Error as the document", new Error("m"), /^documents\[1\]: an instance of Error/],
    ["a forgotten await", { a: Promise.resolve(1) }, /^documents\[1\]\.a: a Promise .*Is an await missing\?/],
    ["a forgotten await as the document", Promise.resolve({}), /^documents\[1\]: a Promise/],
    ["a RegExp", { a: /x/ }, contents],
    ["a Map", { map: new Map([[1, 2]]) }, /^documents\[1\]\.map: an instance of Map would lose its contents/],
    ["a Map with a field of its own", { a: Object.assign(new Map(), { name: "n" }) }, contents],
    ["a Map of another realm", { a: alien("new Map()") }, contents],
    ["a Set", { a: new Set([1]) }, contents],
    ["a Set with a field of its own", { a: Object.assign(new Set(), { name: "n" }) }, contents],
    ["a WeakMap", { a: new WeakMap() }, contents],
    ["URLSearchParams", { a: new URLSearchParams("a=b") }, contents],
    ["Headers", { a: new Headers() }, contents],
    ["an iterator", { a: [1].values() }, contents],
    ["an object with private state only", { a: new Secretive() }, /^documents\[1\]\.a: an instance of Secretive would/],
    ["a nameless class", { a: new (class {})() }, /an instance of a class would/],
    ["a Uint8Array", { a: new Uint8Array([1]) }, binary],
    ["a Float64Array", { a: new Float64Array(1) }, binary],
    ["a Buffer", { a: Buffer.from("x") }, binary],
    ["an ArrayBuffer", { a: new ArrayBuffer(1) }, binary],
    ["a SharedArrayBuffer", { a: new SharedArrayBuffer(1) }, binary],
    ["a DataView", { a: new DataView(new ArrayBuffer(1)) }, binary],
    [
      "undefined in an array",
      { list: [1, undefined] },
      /^documents\[1\]\.list\[1\]: undefined would be stored as null/,
    ],
    ["a hole in an array", { list: holed }, /^documents\[1\]\.list\[1\]: undefined would be stored as null/],
    ["toJSON in an array that gives undefined", { a: [{ toJSON() {} }] }, /a\[0\]: undefined would/],
    ["NaN", { value: Number.NaN }, /^documents\[1\]\.value: NaN would be stored as null/],
    ["-Infinity", { a: { "b c": [-1 / 0] } }, /^documents\[1\]\.a\["b c"\]\[0\]: -Infinity would be stored as null/],
    ["a boxed NaN", { a: new Number(Number.NaN) }, /^documents\[1\]\.a: NaN would be stored as null/],
    ["a BigInt", { "@n": 1n }, /^documents\[1\]\.@n: JSON has no BigInt/],
    ["a boxed BigInt", { a: Object(1n) }, /JSON has no BigInt/],
    ["an invalid date", { at: new Date("x") }, /^documents\[1\]\.at: an invalid date would be stored as null/],
    ["an invalid date of another realm", { at: alien("new Date('x')") }, /\.at: an invalid date/],
    ["a function", { f: () => 1 }, /^documents\[1\]\.f: a function would be left out/],
    ["a symbol", { s: Symbol("s") }, /^documents\[1\]\.s: a symbol would be left out/],
    ["a boxed symbol", { s: Object(Symbol("s")) }, contents],
    ["a circle", cyclic, /^documents\[1\]\.self\[0\]: contains itself/],
    ["NaN behind toJSON", { x: { toJSON: () => ({ y: Number.NaN }) } }, /^documents\[1\]\.x\.y: NaN/],
    ["a Map behind toJSON", { x: { toJSON: () => new Map() } }, contents],
    ["an own key __proto__", JSON.parse('{"__proto__":1}'), /^documents\[1\]\.__proto__: Kibana refuses this key/],
    ["__proto__ as text", JSON.parse('{"__proto__":"a"}'), /__proto__: Kibana refuses/],
    ["too many levels", deep, /: is nested too deep\.$/],
    ["a getter that throws", thrown, /: TypeError: no$/],
    ["a getter with an invalid time", invalidTime, /: RangeError: Invalid time value$/],
    ["an array with an iterator of its own", { a: iterating }, /^documents\[1\]\.a\[0\]: NaN/],
    ["a query that was not awaited", { a: new Query() }, /^documents\[1\]\.a: a Promise .*Is an await missing/],
    ["an array", [1], /^documents\[1\]: must be an object/],
    ["null", null, /^documents\[1\]: must be an object/],
    ["a string", "text", /^documents\[1\]: must be an object/],
    ["a bad value after good ones", { a: { b: [1] }, c: [{}, { d: Number.NaN }] }, /^documents\[1\]\.c\[1\]\.d: NaN/],
  ];
  it("the first of them", async () => {
    const { actions } = new KibanaClient({ node: "http://127.0.0.1:1" });
    const error = await failure(actions.execute({ id: "c", params: { documents: [1 as unknown as object, {}] } }));
    assert.match(error.message, /^documents\[0\]: must be an object/);
  });
  for (const [name, document, message] of refused)
    it(name, async (t) => {
      const { url, requests } = await serve(t, {});
      const { actions } = new KibanaClient({ node: url });
      const error = await failure(actions.execute({ id: "c", params: { documents: [{}, document as object] } }));
      assert.deepEqual([error.name, error.outcome], ["SerializationError", "not-applied"]);
      assert.match(error.message, message);
      assert.equal(requests.length, 0);
    });

  it("a hole among the documents", async () => {
    const { actions } = new KibanaClient({ node: "http://127.0.0.1:1" });
    const documents: object[] = [{}];
    documents[2] = {};
    assert.match(
      (await failure(actions.execute({ id: "c", params: { documents } }))).message,
      /^documents\[1\]: must be/,
    );
  });

  it("and so is a config", async () => {
    const { actions } = new KibanaClient({ node: "http://127.0.0.1:1" });
    const call = actions.create({ name: "n", connector_type_id: ".webhook", config: { port: Number.NaN } });
    assert.match((await failure(call)).message, /^config\.port: NaN/);
  });

  it("and params that are no object", async () => {
    const { actions } = new KibanaClient({ node: "http://127.0.0.1:1" });
    const hidden = { toJSON: () => [{ a: 1 }] };
    for (const params of [undefined, null, [], "text", { documents: hidden }, { toJSON: () => ({}) }]) {
      const call = actions.execute({ id: "c", params: params as unknown as Record<string, unknown> });
      assert.match((await failure(call)).message, /^params: must be an object/);
    }
  });
});

describe("a document goes through:", () => {
  const twice = { shared: true };
  const itself = {
    b: 1,
    toJSON() {
      return this;
    },
  };
  const textOf = Object.assign(Buffer.from("t"), { toJSON: () => ({ type: "text", text: "t" }) });
  const accepted: [name: string, document: object, json: string][] = [
    ["text, numbers, booleans and null", { a: "ż", b: 1.5, c: true, d: null }, '{"a":"ż","b":1.5,"c":true,"d":null}'],
    ["nested objects and arrays", { a: [{ b: [[]] }] }, '{"a":[{"b":[[]]}]}'],
    ["dates", { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    ["a date of another realm", { at: alien("new Date(0)") }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    ["undefined as a property, which is left out", { a: undefined, b: 1 }, '{"b":1}'],
    ["a property with a symbol as its key, which is left out", { [Symbol("s")]: 1, b: 1 }, '{"b":1}'],
    ["boxed values", { a: new Number(1), b: new String("s"), c: new Boolean(false) }, '{"a":1,"b":"s","c":false}'],
    ["what its own toJSON gives", { a: { toJSON: () => ["j"] } }, '{"a":["j"]}'],
    ["null that its own toJSON gives", { a: { toJSON: () => null } }, '{"a":null}'],
    ["a class with toJSON as the document", new Self(), '{"a":1}'],
    ["toJSON that gives the object itself", { a: new Self() }, '{"a":{"a":1}}'],
    ["an instance whose state is its own properties", { p: new Point() }, '{"p":{"x":1,"y":[2]}}'],
    ["an object without a prototype", Object.assign(Object.create(null), { a: Object.create(null) }), '{"a":{}}'],
    ["an empty object of another realm", { a: alien("{}") }, '{"a":{}}'],
    [
      "an empty object beside what needs a closer look",
      { a: {}, at: new Date(0) },
      '{"a":{},"at":"1970-01-01T00:00:00.000Z"}',
    ],
    [
      "one object referenced twice",
      { a: twice, b: [twice, twice], at: new Date(0) },
      '{"a":{"shared":true},"b":[{"shared":true},{"shared":true}],"at":"1970-01-01T00:00:00.000Z"}',
    ],
    [
      "what only looks like a Buffer",
      { a: { type: "Buffer", data: [1] }, at: new Date(0) },
      '{"a":{"type":"Buffer","data":[1]},"at":"1970-01-01T00:00:00.000Z"}',
    ],
    ["a toJSON of its own that gives the object itself", { a: itself }, '{"a":{"b":1}}'],
    [
      "a toJSON and a then that are no functions",
      JSON.parse('{"a":{"toJSON":5,"then":1}}'),
      '{"a":{"toJSON":5,"then":1}}',
    ],
    ["binary data of which a toJSON gives a text", { a: textOf }, '{"a":{"type":"text","text":"t"}}'],
    ["an Error with toJSON", { e: Object.assign(new Error("m"), { toJSON: () => "m" }) }, '{"e":"m"}'],
  ];
  for (const [name, document, json] of accepted)
    it(name, async (t) => {
      assert.equal(await send(t, document), json);
    });

  const deep = (depth: number): object => (depth === 0 ? {} : { a: deep(depth - 1) });
  const data = { a: "a", b: 1, c: true, d: null, e: [[1, "a"], {}], f: { g: [] }, deep: deep(95) };
  const slow: [name: string, document: object][] = [
    ["a toJSON", { a: { toJSON: () => 1 } }],
    ["undefined", { a: undefined }],
    ["an instance", { a: new Point() }],
    ["more than 100 levels", { a: [[deep(100)]] }],
  ];
  for (const [name, document, isSlow] of [
    ["plain data", data, false] as const,
    ...slow.map((row) => [...row, true] as const),
  ])
    it(`${name} is written ${isSlow ? "value by value, and checked" : "as fast as JSON.stringify does it"}`, async (t) => {
      const { mock } = t.mock.method(JSON, "stringify");
      await send(t, document);
      const [, replacer] = mock.calls.find(({ arguments: [value] }) => Object(value).params)?.arguments ?? [];
      assert.equal(typeof replacer, isSlow ? "function" : "undefined");
    });

  it("toJSON is called once, with its key", async (t) => {
    const keys: string[] = [];
    const inner = { toJSON: (key: string) => keys.push(key) };
    await send(t, { a: inner, list: [inner] });
    assert.deepEqual(keys, ["a", "0"]);
  });
});
