// A simulated Kibana and a small Elasticsearch on loopback: starting them, watching them, standing between them and a test.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import type { Bulk, ElasticsearchAnswer } from "./connector-types.ts";
import { createElasticsearch, refusal } from "./elasticsearch.ts";
import { Cut, createKibana } from "./kibana.ts";
import type { Cause } from "./mapping.ts";
import { behaviourOf } from "./versions.ts";

export const states = [
  "starting",
  "refused",
  "not-ready",
  "no-license",
  "no-encryption-key",
  "elasticsearch-gone",
  "read-only",
  "wrong-credentials",
  "payload-limit",
  "slow",
] as const;
export type State = (typeof states)[number];
/**
 * `starting` goes through the stages of an ordinary start in 4.7 seconds. `not-ready=5` and `elasticsearch-gone=5` change after
 * 5 seconds: to ready, and to `no-license` (with security). `payload-limit=1000` bytes, `slow=300` ms before each answer.
 */
export type StateName = State | `${"not-ready" | "elasticsearch-gone" | "payload-limit" | "slow"}=${number}`;

/** When an ordinary start of 43 seconds, ten times as fast, changes from one state to the next, in milliseconds. */
const start: [after: number, state: State | undefined][] = [
  [0, "refused"],
  [1700, "not-ready"],
  [3900, "refused"],
  [4200, "no-license"],
  [4700, undefined],
];

export interface SandboxOptions {
  /** A version in full or a prefix of it: "7.17", "8.6", "8.19" or "9.4", the default. */
  version?: string;
  /** Whether both servers ask for credentials; default true. */
  auth?: boolean;
  /** "/kbn": without it Kibana answers 404. */
  basePath?: string;
  /** Default 0, any free one. */
  port?: number;
  elasticsearchPort?: number;
  /** A real Elasticsearch to use instead of the small one; credentials in the URL are handed to the caller. */
  elasticsearch?: string;
  state?: StateName;
  /** Bytes; default 1 048 576, Kibana's own. */
  maxPayload?: number;
  intercept?: Intercept;
}

/** An HTTP answer; an empty body is none. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export interface Exchange {
  server: "kibana" | "elasticsearch";
  method: string;
  /** With the query, as it came. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  response: ServerResponse;
  at: number;
}

/** Stands in front of the real handling: answers itself, or calls handle() and changes its answer, or takes exchange.response over and returns undefined. */
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
  /** What a child process needs. What the sandbox does not set is blank, so that nothing of the surroundings leaks in. */
  env: Record<string, string>;
  /** Every request to either server in order of arrival, Kibana's own to the small Elasticsearch included. */
  requests: Exchange[];
  intercept: Intercept | undefined;
  state: StateName | undefined;
  connectors(): { id: string; name: string; space: string; connector_type_id: string; config: unknown }[];
  /** What the small Elasticsearch holds, refreshed or not. */
  documents(index: string): { _id: string; _source: unknown }[];
  /** Ends every connection at once; may be called again. */
  close(): Promise<void>;
}

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const behaviour = behaviourOf(options.version ?? "9.4");
  const auth = options.auth ?? true;
  const basePath = options.basePath ?? "";
  const real = options.elasticsearch === undefined ? undefined : new URL(options.elasticsearch);
  const credentials = {
    username: decodeURIComponent(real?.username || "elastic"),
    password: decodeURIComponent(real?.password || "changeme"),
    apiKey: Buffer.from("sandbox:changeme-too").toString("base64"),
  };
  const small = real === undefined ? createElasticsearch(behaviour, auth ? credentials : undefined) : undefined;
  let elasticsearchUrl = real === undefined ? "" : `${real.origin}${real.pathname.replace(/\/$/, "")}`;
  let timers: NodeJS.Timeout[] = [];
  let current: { name: State; value: number } | undefined;

  const kibana = createKibana({
    behaviour,
    basePath,
    isSecured: auth,
    maxPayload: () => (current?.name === "payload-limit" ? current.value : (options.maxPayload ?? 1_048_576)),
    state: stateNow,
    refusal: async (authorization) => {
      const wrong = stateNow() === "wrong-credentials";
      if (!auth && !wrong) return undefined;
      if (real === undefined || wrong) {
        return refusal(
          wrong ? { username: "\0", password: "", apiKey: "\0" } : credentials,
          authorization,
          "/_security/_authenticate",
        );
      }
      const { status, text } = await ask("GET", elasticsearchUrl, "/_security/_authenticate", authorization);
      if (status < 400) return undefined;
      return (JSON.parse(text) as { error: Cause }).error;
    },
    bulk:
      (authorization): Bulk =>
      async (path, body) => {
        // Kibana's client for Elasticsearch tries four times, writes included: a document may be written twice.
        for (let attempt = 1; ; attempt++) {
          try {
            const answer = await ask("POST", elasticsearchUrl, path, authorization, body);
            if (attempt === 4 || ![502, 503, 504].includes(answer.status)) return answer;
          } catch (error) {
            if (attempt === 4) throw error;
          }
        }
      },
  });

  const sandbox: Sandbox = {
    kibanaUrl: "",
    elasticsearchUrl: "",
    ...credentials,
    env: {},
    requests: [],
    intercept: options.intercept,
    get state() {
      return stateNow();
    },
    set state(state) {
      setState(state);
    },
    connectors: () =>
      kibana
        .connectors()
        .map(({ id, name, space, connector_type_id, config }) => ({ id, name, space, connector_type_id, config })),
    documents: (index) => small?.documents(index) ?? [],
    close,
  };
  const servers: Server[] = [];
  try {
    if (small !== undefined) {
      const port = await listen(options.elasticsearchPort ?? 0, "elasticsearch", async (exchange) =>
        small.handle(exchange),
      );
      elasticsearchUrl = `http://127.0.0.1:${port}`;
    }
    sandbox.kibanaUrl = `http://127.0.0.1:${await listen(options.port ?? 0, "kibana", kibana.handle)}${basePath}`;
  } catch (error) {
    await close();
    throw error;
  }
  sandbox.elasticsearchUrl = elasticsearchUrl;
  setState(options.state);
  sandbox.env = {
    KIBANA_URL: sandbox.kibanaUrl,
    KIBANA_USERNAME: auth ? credentials.username : "",
    KIBANA_PASSWORD: auth ? credentials.password : "",
    KIBANA_API_KEY: "",
    KIBANA_SPACE: "",
    ELASTICSEARCH_URL: elasticsearchUrl,
  };
  return sandbox;

  async function close(): Promise<void> {
    for (const timer of timers) clearTimeout(timer);
    await Promise.all(
      servers.splice(0).map((server) => {
        const closed = new Promise((resolve) => server.close(resolve)); // also if it was closed before
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  function setState(state: StateName | undefined): void {
    for (const timer of timers) clearTimeout(timer);
    timers = [];
    const later = (milliseconds: number, next: State | undefined) =>
      void timers.push(setTimeout(() => change(next), milliseconds).unref());
    const [name, value] = state?.split("=") ?? [];
    change(name as State | undefined, value === undefined ? 1000 : Number(value));
    if (name === "starting") for (const [after, next] of start) later(after, next);
    if (name === "not-ready" && value !== undefined) later(Number(value) * 1000, undefined);
    if (name === "elasticsearch-gone" && auth && !behaviour.elasticsearch7)
      later(value === undefined ? 290_000 : Number(value) * 1000, "no-license");
  }

  function change(name: State | undefined, value = 1000): void {
    const [wasRefused, isRefused] = [current?.name, name].map((state) => state === "refused" || state === "starting");
    current = name && { name, value };
    const [kibanaServer] = servers.slice(-1);
    if (isRefused && !wasRefused) kibanaServer?.close().closeAllConnections();
    if (wasRefused && !isRefused) kibanaServer?.listen(Number(new URL(sandbox.kibanaUrl).port), "127.0.0.1");
  }

  function stateNow(): State | undefined {
    return current?.name;
  }

  async function listen(
    port: number,
    name: Exchange["server"],
    handle: (exchange: Exchange) => Promise<Answer>,
  ): Promise<number> {
    const server = createServer((incoming, response) => {
      void serve(name, handle, incoming, response);
    });
    // Kibana's own; shorter ones would make clients that keep connections alive race with the server.
    server.keepAliveTimeout = 120_000;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async function serve(
    server: Exchange["server"],
    handle: (exchange: Exchange) => Promise<Answer>,
    incoming: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { method = "", url: path = "", headers } = incoming;
    const at = Date.now();
    response.on("error", () => {});
    let body: string;
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      body = Buffer.concat(chunks).toString();
    } catch {
      return;
    }
    const exchange: Exchange = { server, method, path, headers, body, response, at };
    sandbox.requests.push(exchange);
    try {
      if (server === "elasticsearch" && /^(elasticsearch-gone|no-license)$/.test(stateNow() ?? "")) throw new Cut();
      if (server === "kibana" && current?.name === "slow") await pause(current.value);
      const once = () => handle(exchange);
      const answer = await (sandbox.intercept === undefined ? once() : sandbox.intercept(exchange, once));
      if (answer !== undefined) send(exchange, answer);
    } catch (error) {
      if (!(error instanceof Cut)) console.error("The sandbox failed:", error);
      response.destroy();
    }
  }
}

function send({ server, method, headers, response }: Exchange, answer: Answer): void {
  if (response.destroyed || response.headersSent) return;
  const zipped =
    server === "kibana" && answer.body.length >= 1024 && /\bgzip\b/.test(String(headers["accept-encoding"] ?? ""));
  const body = zipped ? gzipSync(answer.body) : Buffer.from(answer.body);
  response.writeHead(answer.status, {
    ...answer.headers,
    ...(zipped && { "content-encoding": "gzip", vary: "accept-encoding" }),
    ...(server === "kibana"
      ? { "kbn-name": "sandbox", "cache-control": "private, no-cache, no-store, must-revalidate" }
      : {}),
    ...(answer.status === 204 ? {} : { "content-length": String(body.length) }),
  });
  response.end(method === "HEAD" ? undefined : body);
}

/** A request as Kibana makes it of Elasticsearch; the path goes out as it is, an index called ".." included. */
function ask(
  method: string,
  base: string,
  path: string,
  authorization: string | undefined,
  body?: string,
): Promise<ElasticsearchAnswer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined
        ? {}
        : { "content-type": "application/x-ndjson", "content-length": Buffer.byteLength(body) }),
    };
    const whole = new URL(base).pathname.replace(/\/$/, "") + path;
    const outgoing = request(base, { method, path: whole, headers, agent: false }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: incoming.statusCode ?? 0, type: incoming.headers["content-type"] ?? "", text });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
