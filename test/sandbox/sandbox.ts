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
import { behaviourOf } from "./versions.ts";

export const states = [
  "not-ready",
  "no-encryption-key",
  "elasticsearch-gone",
  "read-only",
  "wrong-credentials",
  "payload-limit",
  "slow",
] as const;
export type State = (typeof states)[number];
/** `not-ready=5` for the first 5 seconds, `payload-limit=1000` bytes, `slow=300` ms before each answer; without a number until it is changed, 1000 bytes, 1000 ms. */
export type StateName = State | `${"not-ready" | "payload-limit" | "slow"}=${number}`;

export interface SandboxOptions {
  /** A version in full or a prefix of it: "7.17", "8.6", "8.19" or "9.4", the default. */
  version?: string;
  /** Whether both servers ask for credentials; default true. */
  auth?: boolean;
  /** "/kbn": without it Kibana answers 404. */
  basePath?: string;
  /** Kibana's port; default 0, any free one. */
  port?: number;
  /** A real Elasticsearch to stand in front of, instead of the small one; credentials in the URL are handed to the caller. */
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
  let readyAt: number | undefined;
  let current: { name: State; value: number } | undefined;
  setState(options.state);

  const kibana = createKibana({
    behaviour,
    basePath,
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
        )?.reason;
      }
      const { status, text } = await ask("GET", elasticsearchUrl, "/_security/_authenticate", authorization);
      if (status < 400) return undefined;
      return (JSON.parse(text) as { error: { reason: string } }).error.reason;
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
      const port = await listen(0, "elasticsearch", async (exchange) => small.handle(exchange));
      elasticsearchUrl = `http://127.0.0.1:${port}`;
    }
    sandbox.kibanaUrl = `http://127.0.0.1:${await listen(options.port ?? 0, "kibana", kibana.handle)}${basePath}`;
  } catch (error) {
    await close();
    throw error;
  }
  sandbox.elasticsearchUrl = elasticsearchUrl;
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
    await Promise.all(
      servers.splice(0).map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  function setState(state: StateName | undefined): void {
    if (state === undefined) {
      current = undefined;
      return;
    }
    const [name, value] = state.split("=");
    current = { name: name as State, value: value === undefined ? 1000 : Number(value) };
    readyAt = name === "not-ready" && value !== undefined ? Date.now() + Number(value) * 1000 : undefined;
  }

  function stateNow(): State | undefined {
    if (current?.name === "not-ready" && readyAt !== undefined && Date.now() >= readyAt) current = undefined;
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
      if (server === "elasticsearch" && stateNow() === "elasticsearch-gone") throw new Cut();
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
  const { "accept-ranges": ranges, ...rest } = answer.headers;
  response.writeHead(answer.status, {
    ...rest,
    ...(zipped
      ? { "content-encoding": "gzip", vary: "accept-encoding" }
      : ranges === undefined
        ? {}
        : { "accept-ranges": ranges }),
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
