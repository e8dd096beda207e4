// Signals, deadlines and closing: when a call ends before its response, and what becomes of it.
import assert from "node:assert/strict";
import { EventEmitter, getEventListeners, once } from "node:events";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { KibanaClient, type RequestOptions } from "kbn-connectors";
import { Agent, type Dispatcher } from "undici";
import { program, startChild } from "./support/child.ts";
import { controller, dispatching, failure, sendJson, serve } from "./support/server.ts";

const connector = { id: "c", name: "n", connector_type_id: ".x", is_preconfigured: false };
const reason = { my: "reason" };

type Call = (client: KibanaClient, options?: RequestOptions) => Promise<unknown>;
const execute: Call = ({ actions }, options) => actions.execute({ id: "c", params: {} }, options);
const calls: Record<string, Call> = {
  create: ({ actions }, options) => actions.create({ name: "n", connector_type_id: ".x" }, options),
  get: ({ actions }, options) => actions.get({ id: "c" }, options),
  getAll: ({ actions }, options) => actions.getAll(options),
  update: ({ actions }, options) => actions.update({ id: "c", name: "n" }, options),
  delete: ({ actions }, options) => actions.delete({ id: "c" }, options),
  execute,
  listTypes: ({ actions }, options) => actions.listTypes({}, options),
};

const reasonOf = async (call: Promise<unknown>) => Object((await Promise.allSettled([call]))[0]).reason as unknown;

type Place = "connecting" | "receiving the body";
const places: Place[] = ["connecting", "receiving the body"];

/** A client whose requests get as far as that; then `event` happens. Counts how often they were aborted. */
function stoppedAt(place: Place, event: () => void) {
  const aborted = { times: 0 };
  const controller = { abort: () => aborted.times++ } as unknown as Dispatcher.DispatchController;
  const dispatcher = dispatching((handler) => {
    if (place === "receiving the body") {
      handler.onRequestStart(controller, {});
      handler.onResponseStart(controller, 200, {});
      handler.onResponseData(controller, Buffer.from("{"));
    }
    event();
  });
  return { client: new KibanaClient({ node: "http://kibana.invalid", dispatcher }), aborted };
}

describe("a signal rejects with its own reason", () => {
  for (const [name, call] of Object.entries(calls))
    it(`before ${name}, and nothing is sent, also if the client is closed`, async (t) => {
      const { url, requests } = await serve(t, connector);
      const client = new KibanaClient({ node: url });
      assert.equal(await reasonOf(call(client, { signal: AbortSignal.abort(reason) })), reason);
      await client.close();
      assert.equal(await reasonOf(call(client, { signal: AbortSignal.abort(reason) })), reason);
      assert.equal(requests.length, 0);
    });

  for (const place of places)
    it(`while ${place}`, async () => {
      const aborting = new AbortController();
      const { client, aborted } = stoppedAt(place, () => aborting.abort(reason));
      assert.equal(await reasonOf(execute(client, { signal: aborting.signal })), reason);
      assert.deepEqual(getEventListeners(aborting.signal, "abort"), []);
      assert.equal(aborted.times, place === "connecting" ? 0 : 1);
    });

  it("while the first call loads undici, and nothing is sent", async (t) => {
    const { url, requests } = await serve(t, connector);
    const client = new KibanaClient({ node: url });
    const aborting = new AbortController();
    const call = reasonOf(execute(client, { signal: aborting.signal }));
    aborting.abort(reason);
    assert.equal(await call, reason);
    await client.close();
    assert.equal(requests.length, 0);
  });

  it("while the request is on its way, and its connection is closed", async (t) => {
    const aborting = new AbortController();
    const server = new EventEmitter();
    const { url } = await serve(t, (_request, response) => {
      response.once("close", () => server.emit("disconnected"));
      aborting.abort(reason);
    });
    const disconnected = once(server, "disconnected");
    assert.equal(await reasonOf(execute(new KibanaClient({ node: url }), { signal: aborting.signal })), reason);
    await disconnected;
  });

  it("which is the platform's if it has none of its own", async (t) => {
    const { url } = await serve(t, () => {});
    const client = new KibanaClient({ node: url });
    await assert.rejects(execute(client, { signal: AbortSignal.abort() }), { name: "AbortError" });
    const error = await reasonOf(execute(client, { signal: AbortSignal.timeout(0) }));
    assert.ok(error instanceof DOMException && error.name === "TimeoutError");
  });
});

it("100 calls on one signal give no warning, and its abort after them changes nothing", async (t) => {
  const warned = t.mock.method(process, "emitWarning");
  const { url } = await serve(t, (_request, response) => sendJson(response, 200, []));
  await using client = new KibanaClient({ node: url });
  const aborting = new AbortController();
  const { signal } = aborting;
  const calls = Array.from({ length: 100 }, () => client.actions.getAll({ signal }));
  assert.equal(getEventListeners(signal, "abort").length, 100);
  const { length } = await Promise.all(calls);
  aborting.abort();
  assert.deepEqual([length, getEventListeners(signal, "abort").length, warned.mock.callCount()], [100, 0, 0]);
});

describe("a deadline", () => {
  const settings: [what: string, client: object, call: RequestOptions, milliseconds: number][] = [
    ["is 120 seconds by default", {}, {}, 120_000],
    ["is the requestTimeout of the client", { requestTimeout: 5000 }, {}, 5000],
    ["is the requestTimeout of the call", { requestTimeout: 5000 }, { requestTimeout: 70_000 }, 70_000],
  ];
  for (const [what, options, call, milliseconds] of settings)
    it(`${what}, in every space, after which a request that was sent may have been carried out`, async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      let passing = milliseconds - 1;
      const { url } = await serve(t, (_request, response) => {
        t.mock.timers.tick(passing);
        sendJson(response, 200, { connector_id: "c", status: "ok" });
      });
      const client = new KibanaClient({ node: url, ...options });
      await execute(client, call);
      passing = milliseconds;
      for (const { name, outcome, message, hint = "" } of [
        await failure(execute(client, call)),
        await failure(execute(client.space("ops"), call)),
      ]) {
        assert.deepEqual([name, outcome], ["TimeoutError", "unknown"]);
        assert.match(message, new RegExp(`no complete response within ${milliseconds} ms$`));
        assert.match(hint, /check before you repeat/);
      }
    });

  for (const place of places)
    it(`may pass while ${place}`, async (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const { client, aborted } = stoppedAt(place, () => t.mock.timers.tick(120_000));
      const { name, outcome, hint = "" } = await failure(execute(client));
      assert.deepEqual([name, outcome], ["TimeoutError", place === "connecting" ? "not-applied" : "unknown"]);
      assert.match(hint, place === "connecting" ? /^No connection to http:\/\/kibana\.invalid/ : /check before/);
      assert.equal(aborted.times, place === "connecting" ? 0 : 1);
    });
});

type Report = (handler: Required<Dispatcher.DispatchHandler>) => void;
const fail: Report = (handler) => handler.onResponseError(controller, new Error("no connection"));
const respond: Report = (handler) => {
  handler.onRequestStart(controller, {});
  handler.onResponseStart(controller, 500, {});
  handler.onResponseEnd(controller, {});
};
for (const [name, ...reports] of [
  ["ResponseError", respond, fail],
  ["ConnectionError", fail, respond],
] as const)
  it(`a call is settled once: it stays a ${name}, whatever a dispatcher reports after it`, async () => {
    const { signal } = new AbortController();
    const dispatcher = dispatching((handler) => {
      for (const report of reports) report(handler);
    });
    const client = new KibanaClient({ node: "http://k.invalid", dispatcher });
    assert.equal((await failure(execute(client, { signal }))).name, name);
    assert.deepEqual(getEventListeners(signal, "abort"), []);
  });

describe("close", () => {
  it("waits for the calls under way in all spaces, then ends the connections, also the second time", async (t) => {
    const sockets = new EventEmitter();
    const { url } = await serve(t, (_request, response) => {
      response.socket?.once("close", () => sockets.emit("closed"));
      sendJson(response, 200, []);
    });
    const client = new KibanaClient({ node: url });
    const ended: string[] = [];
    const closed = once(sockets, "closed");
    await client.space("ops").close(); // has no effect: the connections are the client's
    const call = client.space("ops").actions.getAll(); // still loads undici when close() is called
    const closing = [client.close(), client[Symbol.asyncDispose]()];
    await Promise.all([
      call.then(() => ended.push("call")),
      ...closing.map((one) => one.then(() => ended.push("close"))),
    ]);
    assert.deepEqual(ended, ["call", "close", "close"]);
    await closed;
  });

  for (const [name, call] of Object.entries(calls))
    it(`makes every later ${name} a ConfigurationError, in all spaces, and nothing is sent`, async (t) => {
      const { url, requests } = await serve(t, connector);
      const client = new KibanaClient({ node: url });
      await client.close();
      for (const closed of [client, client.space("ops")]) {
        const { name, outcome, message } = await failure(call(closed));
        assert.deepEqual([name, outcome], ["ConfigurationError", "not-applied"]);
        assert.match(message, /closed/);
      }
      assert.equal(requests.length, 0);
    });

  it("of the caller's own dispatcher makes calls a ConnectionError: unknown on their way, later not applied", async (t) => {
    const dispatcher = new Agent();
    const { url } = await serve(t, () => void dispatcher.destroy());
    const client = new KibanaClient({ node: url, dispatcher });
    for (const outcome of ["unknown", "not-applied"]) {
      const error = await failure(execute(client));
      assert.deepEqual([error.name, error.outcome], ["ConnectionError", outcome]);
    }
  });
});

it("a program that does not close its client ends by itself, after a response, an abort and a failure", async (t) => {
  const { url } = await serve(t, ({ path }, response) => {
    if (path.endsWith("connectors")) sendJson(response, 200, []);
  });
  const library = pathToFileURL(program("library.cjs"));
  const code = `import { KibanaClient } from "${library}";
    const { actions } = new KibanaClient({ node: "${url}" });
    const { body } = await actions.getAll();
    const call = actions.listTypes({}, { signal: AbortSignal.timeout(0) });
    const other = new KibanaClient({ node: "http://127.0.0.1:1" });
    console.log(body, await call.catch(({ name }) => name), await other.actions.getAll().catch(({ name }) => name));`;
  const args = ["--input-type=module", "-e", code];
  const options = { env: {}, cwd: import.meta.dirname, input: "" };
  const { exitCode, stdout } = await startChild(process.execPath, args, options).finished;
  assert.deepEqual([exitCode, stdout], [0, "[] TimeoutError ConnectionError\n"]);
});
