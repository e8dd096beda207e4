// A simulated Kibana and a small Elasticsearch on loopback: starting them, watching them, and standing between them and a test.
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { ElasticsearchAnswer } from "./connector-types.ts";
import { createElasticsearch, refusal } from "./elasticsearch.ts";
import { type Answer, type Cause, type Exchange, type Handler, NotSimulated } from "./http.ts";
import { Cut, createKibana, type License } from "./kibana.ts";
import { behaviourOf } from "./versions.ts";

export type { Answer, Exchange } from "./http.ts";

export const states = [
  "starting",
  "not-ready",
  "no-encryption-key",
  "elasticsearch-gone",
  "read-only",
  "slow",
] as const;
/**
 * `starting` goes through the stages of an ordinary start in 4.7 seconds. `not-ready=5` becomes ready after 5 seconds, and
 * `elasticsearch-gone=5` loses its license then, as Kibana does after 290. `slow=300` waits for 300 ms before each answer.
 */
export type State = (typeof states)[number] | `${"not-ready" | "elasticsearch-gone" | "slow"}=${number}`;

/** When an ordinary start of 43 seconds, ten times as fast, changes from one condition to the next, in milliseconds. */
const start: [after: number, condition: string | undefined][] = [
  [0, "refused"],
  [1700, "not-ready"],
  [3900, "refused"],
  [4200, "no-license"],
  [4700, undefined],
];

export interface SandboxOptions {
  /** A version in full or its beginning: "8.12", "8.19" or "9.4", the default. */
  version?: string;
  /** "trial" enables the connector types `.webhook`, `.slack` and `.teams`. Default: "basic". */
  license?: License;
  /** Whether both servers ask for credentials. Default: true. */
  auth?: boolean;
  /** "/kbn": without it, Kibana answers 404. */
  basePath?: string;
  /** Default: 0, any free one. */
  port?: number;
  elasticsearchPort?: number;
  /** A real Elasticsearch to use instead of the small one, with the credentials of its user in the URL. */
  elasticsearch?: string;
  state?: State;
  /** Bytes. Default: 1 048 576, as Kibana's. */
  maxPayload?: number;
  intercept?: Intercept;
}

/**
 * Stands in front of a server: answers itself, or calls `handle()` and may change its answer, or uses `exchange.response` and
 * returns undefined. This is how to simulate what the small Elasticsearch lacks, such as a pipeline that drops a document.
 */
export type Intercept = (
  exchange: Exchange,
  handle: () => Promise<Answer>,
) => Promise<Answer | undefined> | Answer | undefined;

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
  const { auth = true, basePath = "", license = "basic", maxPayload = 1_048_576 } = options;
  const behaviour = behaviourOf(options.version ?? "9.4");
  const real = options.elasticsearch === undefined ? undefined : new URL(options.elasticsearch);
  const credentials = {
    username: decodeURIComponent(real?.username || "elastic"),
    password: decodeURIComponent(real?.password || "changeme"),
    apiKey: Buffer.from("sandbox:changeme-too").toString("base64"),
  };
  const servers: Server[] = [];
  const small = createElasticsearch(behaviour, auth ? credentials : undefined);
  let state: State | undefined;
  let condition: string | undefined;
  let timers: NodeJS.Timeout[] = [];

  const kibana = createKibana({
    behaviour,
    basePath,
    license,
    maxPayload,
    condition: () => condition,
    async refusal(authorization) {
      const path = "/_security/_authenticate";
      if (!auth) return undefined;
      if (real === undefined) return refusal(credentials, authorization, path);
      const { status, text } = await ask("GET", sandbox.elasticsearchUrl, path, authorization);
      return status < 400 ? undefined : (JSON.parse(text) as { error: Cause }).error;
    },
    bulk: (authorization) => async (path, body) => {
      // Kibana's client for Elasticsearch tries four times, writes included, so a document may be written twice.
      for (let attempt = 1; ; attempt++) {
        try {
          const answer = await ask("POST", sandbox.elasticsearchUrl, path, authorization, body);
          if (attempt === 4 || ![502, 503, 504].includes(answer.status)) return answer;
        } catch (error) {
          if (attempt === 4) throw error;
        }
      }
    },
  });

  const sandbox: Sandbox = {
    kibanaUrl: "",
    elasticsearchUrl: real === undefined ? "" : real.origin + real.pathname.replace(/\/$/, ""),
    ...credentials,
    env: {},
    requests: [],
    intercept: options.intercept,
    get state() {
      return state;
    },
    set state(next) {
      setState(next);
    },
    connectors: () => kibana.connectors().map(({ secrets, ...connector }) => connector),
    documents: small.documents,
    close,
  };
  try {
    if (real === undefined)
      sandbox.elasticsearchUrl = `http://127.0.0.1:${await listen(options.elasticsearchPort, "elasticsearch", small)}`;
    sandbox.kibanaUrl = `http://127.0.0.1:${await listen(options.port, "kibana", kibana)}${basePath}`;
  } catch (error) {
    await close();
    throw error;
  }
  setState(options.state);
  sandbox.env = {
    KIBANA_URL: sandbox.kibanaUrl,
    KIBANA_USERNAME: auth ? credentials.username : "",
    KIBANA_PASSWORD: auth ? credentials.password : "",
    KIBANA_API_KEY: "",
    KIBANA_SPACE: "",
    ELASTICSEARCH_URL: sandbox.elasticsearchUrl,
  };
  return sandbox;

  async function close(): Promise<void> {
    for (const timer of timers) clearTimeout(timer);
    const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const server of servers) server.closeAllConnections();
    await Promise.all(closed);
  }

  function setState(next: State | undefined): void {
    for (const timer of timers) clearTimeout(timer);
    state = next;
    const [name, value] = next?.split("=") ?? [];
    const stages: typeof start = name === "starting" ? start : [[0, name]];
    if (name === "not-ready" && value !== undefined) stages.push([Number(value) * 1000, undefined]);
    if (name === "elasticsearch-gone") stages.push([Number(value ?? 290) * 1000, "no-license"]);
    const [[, first] = [], ...later] = stages;
    change(first);
    timers = later.map(([after, stage]) => setTimeout(change, after, stage).unref());
  }

  function change(next: string | undefined): void {
    const [was, is] = [condition === "refused", next === "refused"];
    condition = next;
    const server = servers.at(-1);
    if (is && !was) server?.close().closeAllConnections();
    if (was && !is) server?.listen(Number(new URL(sandbox.kibanaUrl).port), "127.0.0.1");
  }

  async function listen(port = 0, name: Exchange["server"], handler: Handler): Promise<number> {
    const server = createServer((incoming, response) => void serve(name, handler, incoming, response));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async function serve(
    server: Exchange["server"],
    handler: Handler,
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { method = "", url: path = "", headers } = incoming;
    const at = Date.now();
    const chunks: Buffer[] = [];
    response.on("error", () => {});
    try {
      for await (const chunk of incoming) chunks.push(chunk);
    } catch {
      return;
    }
    const exchange = { server, method, path, headers, body: Buffer.concat(chunks).toString(), response, at };
    sandbox.requests.push(exchange);
    const handle = () => answer(handler, exchange);
    try {
      const answered = await (sandbox.intercept === undefined ? handle() : sandbox.intercept(exchange, handle));
      if (answered !== undefined) send(exchange, answered);
    } catch (error) {
      if (!(error instanceof Cut)) console.error("The sandbox failed:", error);
      response.destroy();
    }
  }

  async function answer(handler: Handler, exchange: Exchange): Promise<Answer> {
    const { host = "", "content-encoding": encoding } = exchange.headers;
    // A web page can make a name of its own lead here (DNS rebinding), but then sends that name.
    if (!/^(localhost|127\.0\.0\.1|\[::1\]|[\w.-]+\.localhost)(:\d+)?$/i.test(host))
      return handler.refuse(403, `The sandbox serves localhost, 127.0.0.1 and [::1] only, not "${host}".`);
    if (exchange.server === "elasticsearch" && /^(elasticsearch-gone|no-license)$/.test(condition ?? ""))
      throw new Cut();
    if (exchange.server === "kibana" && condition === "slow") await pause(Number(state?.split("=")[1] ?? 1000));
    try {
      if (encoding !== undefined) throw new NotSimulated(`requests that are compressed with ${encoding}`);
      return await handler.handle(exchange);
    } catch (error) {
      if (error instanceof NotSimulated) return handler.refuse(501, error.message);
      throw error;
    }
  }
}

function send(
  { server, method, headers, response }: Exchange,
  { status, headers: answered, body: text }: Answer,
): void {
  if (response.destroyed || response.headersSent) return;
  const zips = server === "kibana" && text.length >= 1024 && /\bgzip\b/.test(String(headers["accept-encoding"] ?? ""));
  const body = zips ? gzipSync(text) : Buffer.from(text);
  response.writeHead(status, {
    ...answered,
    ...(zips && { "content-encoding": "gzip", vary: "accept-encoding" }),
    ...(server === "kibana" && {
      "kbn-name": "sandbox",
      "cache-control": "private, no-cache, no-store, must-revalidate",
    }),
    ...(status !== 204 && { "content-length": String(body.length) }),
  });
  response.end(method === "HEAD" ? undefined : body);
}

/** A request of Kibana to Elasticsearch. The path is sent as it is, even for an index called "..". */
function ask(
  method: string,
  base: string,
  path: string,
  authorization: string | undefined,
  body = "",
): Promise<ElasticsearchAnswer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(authorization !== undefined && { authorization }),
      ...(body !== "" && { "content-type": "application/x-ndjson" }),
      "content-length": Buffer.byteLength(body),
    };
    const whole = new URL(base).pathname.replace(/\/$/, "") + path;
    const outgoing = request(base, { method, path: whole, headers, agent: false }, async (incoming) => {
      try {
        const text = (await incoming.setEncoding("utf8").toArray()).join("");
        resolve({ status: incoming.statusCode ?? 0, type: incoming.headers["content-type"] ?? "", text });
      } catch (error) {
        reject(error);
      }
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
