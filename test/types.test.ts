// The types. `npm run check` compiles this file with all others; so does the test at its end.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { it } from "node:test";
import { type Actions, type Connector, KibanaClient, type KibanaClientOptions, writtenDocuments } from "kbn-connectors";
import { Agent, MockAgent } from "undici";
import { startChild, temporaryFolder } from "./support/child.ts";

declare module "kbn-connectors" {
  interface ConnectorTypes {
    ".pager": { config: { url: string }; secrets: { token: string }; params: { page: string }; data: { sent: number } };
  }
}

interface Hook {
  url: string;
}

// Never runs: the compiler is the test.
export async function types({ actions }: KibanaClient, type: ".index" | ".server-log") {
  const { body: created } = await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" } });
  const { body: run } = await actions.execute({ id: created.id, params: { documents: [{ a: 1 }] } });
  run.data.items[0]?.create?._id satisfies string | undefined;
  run.data.errors satisfies boolean;
  writtenDocuments(run)[0] satisfies { index: string; id: string } | undefined;
  created.connector_type_id satisfies ".index";
  // @ts-expect-error `document` is no param of .index
  await actions.execute({ id: created.id, params: { document: [{ a: 1 }] } });
  // @ts-expect-error a document is an object
  await actions.execute({ id: created.id, params: { documents: ["a"] } });
  // @ts-expect-error one of them, .index, needs a config
  await actions.create({ name: "n", connector_type_id: type });
  // @ts-expect-error refresh is a boolean
  await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i", refresh: "wait_for" } });
  // @ts-expect-error an update replaces the config, so it needs one
  await actions.update({ id: created.id, name: "n" });
  // @ts-expect-error Kibana refuses the other fields of a connector that was read
  await actions.update({ ...created, config: { index: "i" } });
  // @ts-expect-error .index has no secrets
  await actions.create({ name: "n", connector_type_id: ".index", config: { index: "i" }, secrets: { a: "b" } });
  await actions.create({ name: "n", connector_type_id: ".server-log", id: undefined, config: undefined });
  await actions.create({ name: "n", connector_type_id: ".webhook", config: { url: "u" }, secrets: { user: "u" } });
  const hook: Hook = { url: "u" };
  (await actions.create({ name: "n", connector_type_id: ".webhook", config: hook })).body.config.url satisfies unknown;
  // A plain id takes any params, unless the type is named.
  const { body: other } = await actions.execute({ id: "plain", params: { anything: 1 } });
  other.data satisfies unknown;
  await actions.execute<".server-log">({ id: "plain", params: { message: "m" } });
  // @ts-expect-error a .server-log takes a message
  await actions.execute<".server-log">({ id: "plain", params: { documents: [] } });
  (await actions.get<".index">({ id: "plain" })).body.config?.index satisfies string | undefined;
  // @ts-expect-error no such field: a typing mistake must not compile
  void created.nmae;
  // @ts-expect-error nor in the data of a run
  void run.data.itmes;
  // @ts-expect-error nor in a connector type
  void (await actions.listTypes()).body[0]?.enabeld;
  (await actions.getAll()).body satisfies Connector[];
  // A type that a user added above.
  const pager = { name: "n", connector_type_id: ".pager", config: { url: "u" }, secrets: { token: "t" } } as const;
  const { body: added } = await actions.create(pager);
  (await actions.execute({ id: added.id, params: { page: "p" } })).body.data.sent satisfies number;
  // @ts-expect-error the secrets are needed
  await actions.create({ name: "n", connector_type_id: ".pager", config: { url: "u" } });
  actions satisfies Actions;
  new KibanaClient({ node: "http://k", dispatcher: new Agent().compose((dispatch) => dispatch) });
  new KibanaClient({ node: new URL("http://k"), dispatcher: new MockAgent() }) satisfies AsyncDisposable;
  // @ts-expect-error a dispatcher dispatches
  ({ node: "http://k", dispatcher: {} }) satisfies KibanaClientOptions;
  // @ts-expect-error one kind of auth at a time, and whole
  new KibanaClient({ node: "http://k", auth: { username: "u" } });
}

it("the types refuse what is wrong, and accept what is right", async () => {
  const root = resolve(import.meta.dirname, "..");
  const [file, types] = [join(root, "test/types.test.ts"), join(root, "node_modules/@types")];
  const config = { extends: join(root, "tsconfig.json"), include: [file], compilerOptions: { typeRoots: [types] } };
  const tsconfig = join(temporaryFolder(), "tsconfig.json");
  writeFileSync(tsconfig, JSON.stringify(config));
  const args = [join(root, "node_modules/typescript/bin/tsc"), "-p", tsconfig];
  const { exitCode, stdout } = await startChild(process.execPath, args, { env: {}, cwd: root, input: "" }).finished;
  assert.equal(exitCode, 0, stdout);
});
