// A connection that is not accepted ends after 10 seconds. In a file of its own, so that the other tests need not wait.
import assert from "node:assert/strict";
import { it } from "node:test";
import { inspect } from "node:util";
import { KibanaClient, TimeoutError } from "kbn-connectors";
import { failure } from "./support/server.ts";

it("a connection that is not accepted is a TimeoutError long before requestTimeout: nothing was applied", async () => {
  const unanswered = { lookup: () => {} };
  const client = new KibanaClient({ node: "http://k.invalid", tls: unanswered, requestTimeout: 600_000 });
  const error = await failure(client.actions.delete({ id: "c" }));
  assert.ok(error instanceof TimeoutError, inspect(error));
  assert.equal(error.outcome, "not-applied");
  assert.match(error.message, /UND_ERR_CONNECT_TIMEOUT/);
  assert.match(error.hint ?? "", /did not accept a connection/);
});
