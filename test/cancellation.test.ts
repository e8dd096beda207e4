// Signals, deadlines and closing: every call ends when it is told to, and leaves nothing behind.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { EventEmitter, getEventListeners, once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import { KibanaClient, type RequestOptions, TimeoutError } from "kbn-connectors";
import { Agent } from "undici";
import { bundle } from "./support/child.ts";
import { sendJson, serve } from "./support/server.ts";

const connector = { id: "c", name: "n", connector_type_id: ".x", is_preconfigured: false };

type Call = (client: KibanaClient, options: RequestOptions) => Promise<unknown>;
const calls: Record<string, Call> = {
  create: ({ actions }, options) => actions.create({ name: "n", connector_type_id: ".x" }, options),
  get: ({ actions }, options) => actions.get({ id: "c" }, options),
  getAll: ({ actions }, options) => actions.getAll(options),
  update: ({ actions }, options) => actions.update({ id: "c", name: "n" }, options),
  delete: ({ actions }, options) => actions.delete({ id: "c" }, options),
  execute: ({ actions }, options) => actions.execute({ id: "c", params: {} }, options),
  listTypes: ({ actions }, options) => actions.listTypes({}, options),
};

/** A dispatcher whose connections are never made; `asked` emits `connect` for each. */
function neverConnecting(t: TestContext) {
  const asked = new EventEmitter();
  const dispatcher = new Agent({ connect: () => void asked.emit("connect") });
  t.after(() => dispatcher.destroy());
  return { dispatcher, asked };
}

async function reasonOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => assert.fail("did not reject"),
    (reason: unknown) => reason,
  );
}

for (const [name, call] of Object.entries(calls))
  describe(`the signal of ${name} rejects with the caller's own reason`, { timeout: 10_000 }, () => {
    const reason = { my: "reason" };

    it("before the call, and nothing is sent", async (t) => {
      const { url, requests } = await serve(t, connector);
      const client = new KibanaClient({ node: url });
      assert.equal(await reasonOf(call(client, { signal: AbortSignal.abort(reason) })), reason);
      await client.close();
      assert.equal(requests.length, 0);
    });

    it("before the call of a client that is closed", async () => {
      const client = new KibanaClient({ node: "http://kibana.invalid" });
      await client.close();
      assert.equal(await reasonOf(call(client, { signal: AbortSignal.abort(reason) })), reason);
    });

    it("while connecting", async (t) => {
      const { dispatcher, asked } = neverConnecting(t);
      const client = new KibanaClient({ node: "http://kibana.invalid", dispatcher });
      const controller = new AbortController();
      asked.once("connect", () => setImmediate(() => controller.abort(reason)));
      assert.equal(await reasonOf(call(client, { signal: controller.signal })), reason);
      assert.deepEqual(getEventListeners(controller.signal, "abort"), []);
    });

    it("while connecting, and the request does not leave when the connection is there at last", async (t) => {
      const { url, requests } = await serve(t, connector);
      const controller = new AbortController();
      const dispatcher = new Agent({
        connect: (_options, callback) => {
          const socket = connect(Number(new URL(url).port), "127.0.0.1", () => {
            controller.abort(reason);
            setImmediate(() => callback(null, socket));
          });
        },
      });
      const client = new KibanaClient({ node: url, dispatcher });
      assert.equal(await reasonOf(call(client, { signal: controller.signal })), reason);
      await dispatcher.close();
      assert.equal(requests.length, 0);
    });

    it("while the request is on the wire, and the connection is closed", async (t) => {
      const arrived = new EventEmitter();
      const { url } = await serve(t, (_request, response) => arrived.emit("request", response));
      const client = new KibanaClient({ node: url });
      const controller = new AbortController();
      const closed = once(arrived, "request").then(async ([response]) => {
        controller.abort(reason);
        await once(response, "close");
      });
      assert.equal(await reasonOf(call(client, { signal: controller.signal })), reason);
      await closed;
      assert.deepEqual(getEventListeners(controller.signal, "abort"), []);
    });

    it("inside the body", async (t) => {
      const controller = new AbortController();
      const { url } = await serve(t, (_request, response) => {
        response.writeHead(200).write('{"id":');
        setImmediate(() => controller.abort(reason));
      });
      const client = new KibanaClient({ node: url });
      assert.equal(await reasonOf(call(client, { signal: controller.signal })), reason);
    });
  });

describe("a signal", { timeout: 30_000 }, () => {
  it("that aborts after the call has no effect, not even on the connection", async (t) => {
    const sockets: (Socket | null)[] = [];
    const { url } = await serve(t, (_request, response) => {
      sockets.push(response.socket);
      sendJson(response, 200, connector);
    });
    const client = new KibanaClient({ node: url });
    const controller = new AbortController();
    const { body } = await client.actions.get({ id: "c" }, { signal: controller.signal });
    controller.abort();
    assert.equal(body.id, "c");
    assert.equal((await client.actions.get({ id: "c" })).statusCode, 200);
    assert.equal(sockets[0]?.destroyed, false);
  });

  it("without a reason rejects with the AbortError of the platform", async (t) => {
    const { url } = await serve(t, connector);
    const { actions } = new KibanaClient({ node: url });
    await assert.rejects(actions.getAll({ signal: AbortSignal.abort() }), { name: "AbortError" });
  });

  it("of AbortSignal.timeout rejects with its TimeoutError, not with the client's", async (t) => {
    const { url } = await serve(t, () => {});
    const { actions } = new KibanaClient({ node: url });
    const error = await reasonOf(actions.getAll({ signal: AbortSignal.timeout(50) }));
    assert.ok(error instanceof DOMException && error.name === "TimeoutError");
  });

  it("that is none is a ConfigurationError", async (t) => {
    const { url, requests } = await serve(t, connector);
    const { actions } = new KibanaClient({ node: url });
    for (const signal of [{}, { throwIfAborted() {} }])
      await assert.rejects(actions.getAll({ signal: signal as AbortSignal }), {
        name: "ConfigurationError",
        message: /^signal: must be an AbortSignal/,
      });
    assert.equal(requests.length, 0);
  });

  it("that lives long keeps no listener of 600 calls, 200 at once, whether they succeed or fail", async (t) => {
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on("warning", warned);
    t.after(() => process.off("warning", warned));
    let count = 0;
    const { url } = await serve(t, (_request, response) => sendJson(response, ++count % 10 ? 200 : 500, connector));
    const client = new KibanaClient({ node: url });
    await client.actions.get({ id: "c" }); // loads undici
    const { signal } = new AbortController();
    let ended = 0;
    for (let round = 0; round < 3; round++) {
      const batch = Array.from({ length: 200 }, () =>
        client.actions.get({ id: "c" }, { signal }).then(
          () => ended++,
          () => ended++,
        ),
      );
      assert.equal(getEventListeners(signal, "abort").length, 200);
      await Promise.all(batch);
      assert.deepEqual(getEventListeners(signal, "abort"), []);
    }
    assert.equal(ended, 600);
    assert.deepEqual(warnings, []);
    await client.close();
  });
});

describe("a deadline", { timeout: 10_000 }, () => {
  it("takes effect while connecting: nothing was applied", async (t) => {
    const { dispatcher } = neverConnecting(t);
    const client = new KibanaClient({ node: "http://kibana.invalid", dispatcher, requestTimeout: 50 });
    const error = await reasonOf(client.actions.delete({ id: "c" }));
    assert.ok(error instanceof TimeoutError);
    assert.equal(error.message, "DELETE /api/actions/connector/c -> no connection within 50 ms");
    assert.equal(error.outcome, "not-applied");
    assert.match(error.hint ?? "", /^http:\/\/kibana\.invalid did not accept a connection/);
  });

  it("of a dispatcher for connecting is a TimeoutError, too, in its own words", async () => {
    const dispatcher = new Agent({
      connect: (_options, callback) =>
        callback(Object.assign(new Error("Connect Timeout Error"), { code: "UND_ERR_CONNECT_TIMEOUT" }), null),
    });
    const error = await reasonOf(new KibanaClient({ node: "http://k.invalid", dispatcher }).actions.getAll());
    assert.ok(error instanceof TimeoutError && error.cause instanceof Error);
    assert.equal(error.outcome, "not-applied");
    assert.match(error.message, /Connect Timeout Error$/);
  });

  it("that passes while the answer is outstanding tells that a write may have happened", async (t) => {
    const { url } = await serve(t, () => {});
    const client = new KibanaClient({ node: url, requestTimeout: 60_000 });
    const error = await reasonOf(client.actions.execute({ id: "c", params: {} }, { requestTimeout: 50 }));
    assert.ok(error instanceof TimeoutError);
    assert.equal(error.message, "POST /api/actions/connector/c/_execute -> no complete answer within 50 ms");
    assert.equal(error.outcome, "unknown");
    assert.match(error.hint ?? "", /Look before you repeat a write/);
  });

  it("of one call leaves the others alone", async (t) => {
    const answers = new EventEmitter();
    const { url } = await serve(t, ({ path }, response) => {
      if (path.endsWith("/slow")) answers.once("go", () => sendJson(response, 200, { ...connector, id: "slow" }));
    });
    const { actions } = new KibanaClient({ node: url });
    const slow = actions.get({ id: "slow" });
    assert.ok((await reasonOf(actions.get({ id: "dead" }, { requestTimeout: 50 }))) instanceof TimeoutError);
    answers.emit("go");
    assert.equal((await slow).statusCode, 200);
  });
});

describe("while the first call loads undici", { timeout: 10_000 }, () => {
  it("a signal rejects it with the caller's own reason, and nothing is sent", async (t) => {
    const { url, requests } = await serve(t, connector);
    const client = new KibanaClient({ node: url });
    const controller = new AbortController();
    const call = reasonOf(client.actions.get({ id: "c" }, { signal: controller.signal }));
    controller.abort("mine");
    assert.equal(await call, "mine");
    await client.close();
    assert.deepEqual([requests.length, getEventListeners(controller.signal, "abort").length], [0, 0]);
  });

  it("close waits for it and for all others, which still get their answers", async (t) => {
    const { url, requests } = await serve(t, connector);
    const client = new KibanaClient({ node: url });
    const calls = [client, client.space("ops")].map(({ actions }) => actions.get({ id: "c" }));
    let answered = 0;
    for (const call of calls) call.then(() => answered++);
    await client.close();
    assert.deepEqual([answered, requests.length], [2, 2]);
  });

  it("close is done at once if there was no call", async () => {
    await new KibanaClient({ node: "http://kibana.invalid" }).close();
  });
});

describe("close", { timeout: 20_000 }, () => {
  // Without it, they would end by themselves after 4 seconds.
  it("ends idle connections", { timeout: 3000 }, async (t) => {
    const sockets = new Set<EventEmitter>();
    const { url } = await serve(t, (_request, response) => {
      if (response.socket) sockets.add(response.socket);
      sendJson(response, 200, connector);
    });
    const client = new KibanaClient({ node: url });
    await Promise.all([client.actions.get({ id: "c" }), client.actions.get({ id: "c" })]);
    const closed = [...sockets].map((socket) => once(socket, "close"));
    await client.close();
    await Promise.all(closed);
  });

  it("waits for the call under way, which still gets its answer", async (t) => {
    const arrived = new EventEmitter();
    const { url } = await serve(t, (_request, response) => arrived.emit("request", response));
    const client = new KibanaClient({ node: url });
    const call = client.actions.get({ id: "c" });
    const [response] = await once(arrived, "request");
    const closing = client.close();
    sendJson(response, 200, connector);
    assert.equal((await call).statusCode, 200);
    await closing;
  });

  for (const [name, call] of Object.entries(calls))
    it(`refuses ${name} afterwards`, async (t) => {
      const { url, requests } = await serve(t, connector);
      const client = new KibanaClient({ node: url });
      await client.close();
      await assert.rejects(call(client, {}), {
        name: "ConfigurationError",
        message: "This client is closed. Create a new one.",
        outcome: "not-applied",
      });
      assert.equal(requests.length, 0);
    });

  it("of the caller's own dispatcher, before or during a call, is a typed error", async (t) => {
    const arrived = new EventEmitter();
    const { url } = await serve(t, () => arrived.emit("request"));
    const dispatcher = new Agent();
    const { actions } = new KibanaClient({ node: url, dispatcher });
    const call = reasonOf(actions.getAll());
    await once(arrived, "request");
    await dispatcher.destroy();
    for (const [error, outcome] of [
      [await call, "unknown"],
      [await reasonOf(actions.getAll()), "not-applied"],
    ] as const) {
      assert.equal((error as Error).name, "ConnectionError");
      assert.equal((error as TimeoutError).outcome, outcome);
    }
  });
});

describe("a process that does not close its client", { timeout: 30_000, concurrency: true }, () => {
  const library = pathToFileURL(bundle("src/index.ts"));
  const ends: [name: string, answer: object | (() => void), script: string, printed: string][] = [
    ["after a call", connector, "await client.actions.get({ id: 'c' }); console.log('ok');", "ok\n"],
    [
      "after a deadline and an abort",
      () => {},
      `for (const options of [{ requestTimeout: 50 }, { signal: AbortSignal.timeout(50) }])
         await client.actions.get({ id: "c" }, options).catch((error) => console.log(error.name));`,
      "TimeoutError\nTimeoutError\n",
    ],
  ];
  for (const [name, answer, script, printed] of ends)
    it(`ends by itself ${name}`, async (t) => {
      const { url } = await serve(t, answer);
      const setup = `import { KibanaClient } from "${library}"; const client = new KibanaClient({ node: "${url}" });`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", `${setup} ${script}`], {
        stdio: ["ignore", "pipe", "inherit"],
        timeout: 15_000, // below the idle time of either side's connections
      });
      let stdout = "";
      child.stdout.on("data", (chunk) => {
        stdout += chunk;
      });
      const [exitCode, signal] = await once(child, "close");
      assert.deepEqual({ exitCode, signal, stdout }, { exitCode: 0, signal: null, stdout: printed });
    });
});
