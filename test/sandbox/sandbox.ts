// A simulated Kibana and a small Elasticsearch on loopback: starting them, watching them, and standing between them and a test.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ElasticsearchAnswer } from "./connector-types.ts";
import { createElasticsearch, refusal } from "./elasticsearch.ts";
import { type Answer, type Cause, type Exchange, Failure, type Handler, NotSimulated } from "./http.ts";
import { Cut, createKibana } from "./kibana.ts";
import { behaviourOf } from "./versions.ts";

export type { Answer, Exchange } from "./http.ts";

export const states = [
  "not-ready",
  "no-license",
  "no-encryption-key",
  "elasticsearch-gone",
  "read-only",
  "slow",
] as const;
export type State = (typeof states)[number];

export interface SandboxOptions {
  /** A version in full or its beginning: "8.12", "8.19" or "9.4", the default. */
  version?: string;
  /** "trial" enables the connector types `.webhook`, `.slack` and `.teams`. Default: "basic". */
  license?: "basic" | "trial";
  /** Whether both servers ask for credentials. Default: true. */
  auth?: boolean;
  /** "/kbn": without it, Kibana answers 404. */
  basePath?: string;
  /** Default: 0, any free one. */
  port?: number;
  elasticsearchPort?: number;
  /** A real Elasticsearch to use instead of the small one, with its user and password in the URL. */
  elasticsearch?: string;
  state?: State;
  /** Bytes. Default: 1 048 576, as Kibana's. */
  maxPayload?: number;
  intercept?: Intercept;
}

/** Answers itself, or calls `handle()` and may change its answer, or uses `exchange.response` and returns undefined. */
export type Intercept = (exchange: Exchange, handle: () => Promise<Answer>) => Answered | Promise<Answered>;
type Answered = Answer | undefined;

export interface Sandbox {
  kibanaUrl: string;
  elasticsearchUrl: string;
  username: string;
  password: string;
  /** Encoded: base64 of `id:key`. */
  apiKey: string;
  /** For a child process. A variable that the sandbox does not need is blank, so that none is inherited. */
  env: Record<string, string>;
  /** Every request to either server in order of arrival, with those of Kibana to the small Elasticsearch. */
  requests: Exchange[];
  intercept: Intercept | undefined;
  state: State | undefined;
  connectors(): { id: string; name: string; space: string; connector_type_id: string; config: unknown }[];
  /** What the small Elasticsearch holds, refreshed or not. */
  documents(index: string): { _id: string; _source: unknown }[];
  /** Ends every connection at once. May be called again. */
  close(): Promise<void>;
}

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { auth = true, basePath = "", license = "basic", maxPayload = 1_048_576, version = "9.4" } = options;
  const behaviour = behaviourOf(version);
  const real = options.elasticsearch === undefined ? undefined : new URL(options.elasticsearch);
  const credentials = {
    username: decodeURIComponent(real?.username || "elastic"),
    password: decodeURIComponent(real?.password || "changeme"),
    apiKey: btoa("sandbox:changeme-too"),
  };
  const servers: Server[] = [];
  const small = createElasticsearch(behaviour, auth ? credentials : undefined);
  const kibana = createKibana({
    ...{ behaviour, basePath, license, maxPayload },
    state: () => sandbox.state,
    async refusal(authorization) {
      const path = "/_security/_authenticate";
      if (!auth) return undefined;
      if (real === undefined) return refusal(credentials, authorization, path);
      const { status, data } = await ask("GET", sandbox.elasticsearchUrl + path, authorization);
      if (typeof data === "string") throw new Failure(401, "Unauthorized");
      return status < 400 ? undefined : (data as { error: Cause }).error;
    },
    bulk: (authorization) => (path, body) => ask("POST", sandbox.elasticsearchUrl + path, authorization, body),
  });

  const sandbox: Sandbox = {
    kibanaUrl: "",
    elasticsearchUrl: real === undefined ? "" : real.origin + real.pathname.replace(/\/$/, ""),
    ...credentials,
    env: {},
    requests: [],
    intercept: options.intercept,
    state: options.state,
    connectors: () => kibana.connectors().map(({ secrets, ...connector }) => connector),
    documents: small.documents,
    async close() {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve).closeAllConnections()));
      await Promise.all(closed);
    },
  };
  try {
    if (real === undefined) sandbox.elasticsearchUrl = await listen(small, options.elasticsearchPort);
    sandbox.kibanaUrl = (await listen(kibana, options.port)) + basePath;
  } catch (error) {
    await sandbox.close();
    throw error;
  }
  sandbox.env = {
    KIBANA_URL: sandbox.kibanaUrl,
    KIBANA_USERNAME: auth ? credentials.username : "",
    KIBANA_PASSWORD: auth ? credentials.password : "",
    KIBANA_API_KEY: "",
    KIBANA_SPACE: "",
    ELASTICSEARCH_URL: sandbox.elasticsearchUrl,
  };
  return sandbox;

  async function listen(handler: Handler, port = 0): Promise<string> {
    const server = createServer((incoming, response) => void serve(handler, incoming, response));
    await once(server.listen(port, "127.0.0.1"), "listening");
    servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async function serve(handler: Handler, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    const chunks: Buffer[] | undefined = await incoming.toArray().catch(() => undefined);
    if (chunks === undefined) return;
    const { method = "", url: path = "", headers } = incoming;
    const body = Buffer.concat(chunks).toString();
    const exchange = { server: handler.server, method, path, headers, body, response };
    sandbox.requests.push(exchange);
    const handle = () => answer(handler, exchange);
    try {
      const answered = await (sandbox.intercept === undefined ? handle() : sandbox.intercept(exchange, handle));
      if (answered === undefined || response.destroyed || response.headersSent) return;
      response.writeHead(answered.status, answered.headers).end(method === "HEAD" ? undefined : answered.body);
    } catch (error) {
      if (!(error instanceof Cut)) console.error("The sandbox failed:", error);
      response.destroy();
    }
  }

  async function answer(handler: Handler, exchange: Exchange): Promise<Answer> {
    const { host = "", "content-encoding": encoding } = exchange.headers;
    if (exchange.server === "elasticsearch" && sandbox.state === "elasticsearch-gone") throw new Cut();
    try {
      // A web page can have its own host name resolved to this machine (DNS rebinding), but its requests carry that name.
      if (!/^(localhost|127\.0\.0\.1|\[::1\]|[\w.-]+\.localhost)(:\d+)?$/i.test(host))
        throw new Failure(403, `The sandbox serves localhost, 127.0.0.1 and [::1] only, not "${host}".`);
      if (encoding !== undefined) throw new NotSimulated(`requests that are compressed with ${encoding}`);
      return await handler.handle(exchange);
    } catch (error) {
      if (error instanceof Failure) return handler.fail(error);
      throw error;
    }
  }
}

async function ask(method: string, url: string, authorization = "", body?: string): Promise<ElasticsearchAnswer> {
  const headers = { ...(authorization && { authorization }), ...(body && { "content-type": "application/x-ndjson" }) };
  try {
    const response = await fetch(url, { method, headers, ...(body !== undefined && { body }) });
    const isJson = response.headers.get("content-type")?.includes("json");
    return { status: response.status, data: await (isJson ? response.json() : response.text()) };
  } catch (error) {
    return { status: 503, data: String(((error as Error).cause as Error | undefined)?.message) };
  }
}
