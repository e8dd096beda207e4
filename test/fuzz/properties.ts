// What holds for any input: a typed error, or the right request and nothing else. Shared by the tests and `npm run fuzz`.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect, isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { type Auth, KibanaClient, type KibanaClientOptions, KibanaError } from "kbn-connectors";

interface Arrived {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
}

/** A server that remembers what arrived and accepts everything. */
export async function startRecorder() {
  let arrived: Arrived[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const { method = "", url: path = "", headers } = incoming;
      arrived.push({ method, path, headers, body: Buffer.concat(chunks).toString() });
      response.end('{"id":"c","connector_type_id":".x","status":"ok","data":{"items":[]}}');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    node: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** What arrived since the last time. */
    take(): Arrived[] {
      const taken = arrived;
      arrived = [];
      return taken;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

type Recorder = Awaited<ReturnType<typeof startRecorder>>;

/** Runs one call; gives the one request that arrived, or the error that refused it before. */
async function send(
  recorder: Recorder,
  options: KibanaClientOptions,
  call: (client: KibanaClient) => Promise<unknown>,
): Promise<{ request?: Arrived; error?: KibanaError }> {
  let client: KibanaClient | undefined;
  let error: unknown;
  try {
    client = new KibanaClient(options);
    await call(client);
  } catch (reason) {
    error = reason;
  }
  await client?.close();
  const [request, ...more] = recorder.take();
  assert.deepEqual(more, [], "one request at most");
  if (error !== undefined) assert.ok(error instanceof KibanaError, `untyped: ${inspect(error)}`);
  if (request) return { request };
  assert.ok(error instanceof KibanaError, "neither a request nor an error");
  assert.equal(error.outcome, "not-applied");
  assert.match(error.name, /^(ConfigurationError|SerializationError)$/, inspect(error));
  assert.doesNotMatch(inspect(error, { depth: 12 }), /hunter2/);
  return { error };
}

// Strings that look harmless, and those that somebody would try.
const nasty = fc.constantFrom(
  "..",
  ".",
  "../..",
  "..%2f",
  "%2e%2e",
  "a/../../b",
  "\\..\\",
  "a?b=c",
  "a#b",
  "a;b",
  "//evil.example/",
  "@evil.example",
  " ",
  "\t",
  "\n",
  "\r\nx-evil: 1",
  "a\r\nHTTP/1.1 200",
  "\0",
  "\u007f",
  "\u2028",
  "\ud800",
  "ż",
  "😀",
  "__proto__",
  "constructor",
  "x".repeat(36),
  "x".repeat(37),
  "x".repeat(5000),
  "null",
  "[object Object]",
  "%",
  "%zz",
  "_execute",
  "c/_execute",
  "",
);
/** Any code point that is no surrogate. fast-check's own "binary" takes half a second to make a table of them. */
const character = fc
  .integer({ min: 0, max: 0x10f7ff })
  .map((at) => String.fromCodePoint(at < 0xd800 ? at : at + 0x800));
const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: character, maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 40 }) },
  { weight: 2, arbitrary: nasty },
  { weight: 1, arbitrary: fc.tuple(nasty, nasty).map((parts) => parts.join("")) },
);
/** Any value, for a caller without TypeScript. */
const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true });
/** No timeout that is valid and over before the request is out. */
const noInstant = anything.filter((value) => typeof value !== "number" || !(value > 0 && value < 10_000));
const key = fc.oneof(fc.string({ maxLength: 10 }), nasty);
const json = fc.jsonValue({ maxDepth: 4 });
const document = fc.oneof(
  { weight: 3, arbitrary: fc.dictionary(key, json, { noNullPrototype: false }) },
  { weight: 1, arbitrary: fc.dictionary(key, anything, { noNullPrototype: true }) },
);

const ownHeaders = /^(host|connection|content-length|content-type|authorization|kbn-xsrf)$/;

/** The path, as a server understands it, stays in its place. */
function assertInside({ path }: Arrived, base = "/api/actions/") {
  assert.match(path, /^[\x21-\x7e]+$/);
  const understood = new URL(`http://kibana.test${path}`);
  assert.equal(understood.host, "kibana.test");
  assert.ok(path.startsWith(base) && understood.pathname.startsWith(base), path);
  assert.equal(understood.hash, "");
}

/** The headers are the client's own and those that were passed. */
function assertHeaders({ headers }: Arrived, passed: Record<string, string> = {}) {
  for (const [name, value] of Object.entries(headers))
    if (!ownHeaders.test(name)) assert.equal(value, passed[name], `${name} was sneaked in`);
}

export interface Property {
  name: string;
  check: (recorder: Recorder) => fc.IAsyncProperty<unknown>;
}

const plain = ({ node }: Recorder) => ({ node });

export const properties: Property[] = [
  {
    name: "an id is refused, or arrives whole in its one place of the path",
    check: (recorder) =>
      fc.asyncProperty(
        fc.oneof({ weight: 3, arbitrary: text }, { weight: 1, arbitrary: fc.constantFrom("", ".", "..") }),
        fc.constantFrom("get", "update", "delete", "execute", "create"),
        async (id, method) => {
          const { request } = await send(recorder, plain(recorder), async ({ actions }) => {
            if (method === "create") await actions.create({ id, name: "n", connector_type_id: ".x" });
            else if (method === "update") await actions.update({ id, name: "n" });
            else if (method === "execute") await actions.execute({ id, params: {} });
            else await actions[method as "get" | "delete"]({ id });
          });
          if (!request) return;
          assertInside(request, "/api/actions/connector/");
          const [place = "", ...rest] = request.path.slice("/api/actions/connector/".length).split("/");
          assert.equal(decodeURIComponent(place), id);
          assert.deepEqual(rest, method === "execute" ? ["_execute"] : []);
          assertHeaders(request);
        },
      ),
  },
  {
    name: "a space is refused, or is the one part of the path between the base path and /api",
    check: (recorder) =>
      fc.asyncProperty(fc.oneof(text, fc.stringMatching(/^[a-z0-9_-]{1,20}$/)), fc.boolean(), async (space, later) => {
        const { request, error } = await send(
          recorder,
          later ? plain(recorder) : { node: recorder.node, space },
          async (client) => await (later ? client.space(space) : client).actions.getAll(),
        );
        assert.equal(error === undefined, /^[a-z0-9_-]+$/.test(space));
        if (request) assert.equal(request.path, `/s/${space}/api/actions/connectors`);
      }),
  },
  {
    name: "a base path stays in front, and every other URL is refused or leads to its own host",
    check: (recorder) =>
      fc.asyncProperty(fc.oneof(text, fc.webPath()), async (suffix) => {
        const node = `${recorder.node}/${suffix}`;
        const { request } = await send(recorder, { node }, ({ actions }) => actions.getAll());
        if (!request) return;
        const base = new URL(node.trim()).pathname.replace(/\/+$/, "");
        assert.equal(request.path, `${base}/api/actions/connectors`);
        assertHeaders(request);
      }),
  },
  {
    name: "a URL of any kind is refused with a typed error that shows no credentials",
    check: () =>
      fc.asyncProperty(
        fc.oneof(
          text,
          anything,
          fc.webUrl({ withQueryParameters: true, withFragments: true }).map((url) => url.replace("//", "//u:hunter2@")),
          text.map((part) => `u:hunter2@${part}`),
          text.map((part) => `http://u:hunter2@${part}`),
        ),
        async (node) => {
          try {
            new KibanaClient({ node: node as string });
          } catch (error) {
            assert.ok(error instanceof KibanaError, inspect(error));
            assert.doesNotMatch(inspect(error), /hunter2/);
          }
        },
      ),
  },
  {
    name: "names, types, config and secrets are refused, or arrive equal",
    check: (recorder) =>
      fc.asyncProperty(text, text, document, document, async (name, type, config, secrets) => {
        const create = { name, connector_type_id: type, config, secrets } as Parameters<
          KibanaClient["actions"]["create"]
        >[0];
        const { request } = await send(recorder, plain(recorder), ({ actions }) => actions.create(create));
        if (!request) return;
        assert.equal(request.path, "/api/actions/connector");
        assertSame(request.body, create);
        assertHeaders(request);
      }),
  },
  {
    name: "documents are refused, or arrive equal to their JSON",
    check: (recorder) =>
      fc.asyncProperty(fc.array(document, { maxLength: 4 }), async (documents) => {
        const params = { documents };
        const { request } = await send(recorder, plain(recorder), ({ actions }) =>
          actions.execute({ id: "c", params }),
        );
        if (request) assertSame(request.body, { params });
      }),
  },
  {
    name: "documents of nothing but JSON are always accepted, __proto__ excepted",
    check: (recorder) =>
      fc.asyncProperty(fc.array(fc.dictionary(fc.string(), json), { maxLength: 4 }), async (documents) => {
        const { request, error } = await send(recorder, plain(recorder), ({ actions }) =>
          actions.execute({ id: "c", params: { documents } }),
        );
        const proto = /"__proto__":/.test(JSON.stringify(documents));
        assert.equal(error === undefined, !proto, inspect(error));
        if (request) assertSame(request.body, { params: { documents } });
      }),
  },
  {
    name: "a value that JSON would change is refused wherever it stands, and named by its path",
    check: (recorder) =>
      fc.asyncProperty(
        fc.array(
          key.filter((step) => step !== "__proto__"),
          { minLength: 1, maxLength: 6 },
        ),
        fc.constantFrom<unknown>(
          Number.NaN,
          Number.NEGATIVE_INFINITY,
          1n,
          new Map(),
          new Set(),
          Symbol(),
          () => 1,
          new Date("x"),
        ),
        json,
        async (path, value, neighbour) => {
          const nested = path.reduceRight<unknown>((inner, step) => ({ before: neighbour, [step]: [inner] }), value);
          const { request, error } = await send(recorder, plain(recorder), ({ actions }) =>
            actions.execute({ id: "c", params: { documents: [nested as object] } }),
          );
          assert.equal(request, undefined);
          assert.match(error?.message ?? "", /^documents\[0\]/);
        },
      ),
  },
  {
    name: "an API key is refused, or arrives as one word after ApiKey",
    check: (recorder) =>
      fc.asyncProperty(
        fc.oneof(
          text,
          anything,
          fc.tuple(text, text).map((parts) => parts.join(":")),
          fc.record({ id: fc.oneof(text, anything), api_key: fc.oneof(text, anything) }),
          fc.record({ id: json, api_key: json }).map((value) => JSON.stringify(value)),
          fc.base64String().map((encoded) => ` ApiKey ${encoded}`),
        ),
        async (apiKey) => {
          const auth = { apiKey } as Auth;
          const { request } = await send(recorder, { node: recorder.node, auth }, ({ actions }) => actions.getAll());
          if (!request) return;
          assertHeaders(request);
          if (apiKey !== undefined) assert.match(request.headers.authorization ?? "", /^ApiKey [\w+/=-]+$/);
        },
      ),
  },
  {
    name: "user, password and token are refused, or arrive as they are",
    check: (recorder) =>
      fc.asyncProperty(text, text, fc.boolean(), async (username, password, basic) => {
        const auth = basic ? { username, password } : { bearer: username };
        const { request } = await send(recorder, { node: recorder.node, auth }, ({ actions }) => actions.getAll());
        if (!request) return;
        assertHeaders(request);
        const sent = request.headers.authorization ?? "";
        if (!basic) assert.equal(sent, `Bearer ${username.trim().replace(/^Bearer\s+/i, "")}`);
        else assert.equal(Buffer.from(sent.slice(6), "base64").toString(), `${username}:${password}`.toWellFormed());
      }),
  },
  {
    name: "headers are refused, or arrive as they are, and bring no other",
    check: (recorder) =>
      fc.asyncProperty(
        fc.dictionary(
          fc.oneof(fc.stringMatching(/^[a-zA-Z-]{1,12}$/), text, fc.constantFrom("Host", "content-length", "Kbn-Xsrf")),
          fc.oneof(text, anything),
          { maxKeys: 3 },
        ),
        fc.boolean(),
        async (headers, ofTheCall) => {
          const passed = headers as Record<string, string>;
          const { request } = await send(
            recorder,
            ofTheCall ? plain(recorder) : { node: recorder.node, headers: passed },
            ({ actions }) => actions.get({ id: "c" }, ofTheCall ? { headers: passed } : {}),
          );
          if (!request) return;
          assert.ok(!Object.keys(headers).some((name) => /^(host|content-length|kbn-xsrf)$/i.test(name)));
          assert.equal(request.path, "/api/actions/connector/c");
          const wanted = Object.entries(headers).map(([name, value]) => [
            name.toLowerCase(),
            // HTTP drops white space around a value.
            Buffer.from(String(value), "latin1")
              .toString("latin1")
              .replace(/^[\t ]+|[\t ]+$/g, ""),
          ]);
          assertHeaders(request, Object.fromEntries(wanted));
        },
      ),
  },
  {
    name: "a feature of listTypes arrives as one parameter",
    check: (recorder) =>
      fc.asyncProperty(text, async (feature_id) => {
        const { request } = await send(recorder, plain(recorder), ({ actions }) => actions.listTypes({ feature_id }));
        assert.ok(request);
        assertInside(request, "/api/actions/connector_types");
        const query = new URL(`http://kibana.test${request.path}`).searchParams;
        assert.deepEqual([...query], [["feature_id", feature_id.toWellFormed()]]);
      }),
  },
  {
    name: "arguments of any kind end in a typed error or a request",
    check: (recorder) =>
      fc.asyncProperty(
        fc.constantFrom("create", "get", "update", "delete", "execute", "listTypes"),
        fc.oneof(
          anything,
          fc.constantFrom(undefined, null, "c", 1),
          fc.record({ id: anything, name: anything, connector_type_id: anything, config: anything, params: anything }),
        ),
        fc.oneof(
          fc.constant(undefined),
          fc.record({ requestTimeout: noInstant, signal: anything, headers: anything }, { requiredKeys: [] }),
        ),
        async (method, argument, options) => {
          const { request } = await send(recorder, plain(recorder), async ({ actions }) => {
            const call = actions[method as "get"].bind(actions) as (...given: unknown[]) => Promise<unknown>;
            await call(argument, options);
          });
          if (request) assertInside(request);
        },
      ),
  },
];

function assertSame(body: string, meant: unknown) {
  const expected: unknown = JSON.parse(JSON.stringify(meant));
  assert.ok(isDeepStrictEqual(JSON.parse(body), expected), `${body} is not ${inspect(expected, { depth: 12 })}`);
}
