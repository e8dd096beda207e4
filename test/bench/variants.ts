// Ways to run a connector: the client, and what people write by hand instead.
import { KibanaClient } from "kbn-connectors";
import { Agent, request } from "undici";

/** Runs the connector `id` with these documents, and gives the parsed answer. */
export type Execute = (id: string, documents: readonly object[]) => Promise<unknown>;

const credentials = { username: "elastic", password: "changeme" };
const headers = {
  authorization: `Basic ${Buffer.from("elastic:changeme").toString("base64")}`,
  "kbn-xsrf": "true",
  "content-type": "application/json",
};
const timeout = 30_000;

function pathOf(id: string): string {
  return `/api/actions/connector/${encodeURIComponent(id)}/_execute`;
}

function checked(statusCode: number, body: unknown): unknown {
  if (statusCode !== 200 || (body as { status: string }).status !== "ok")
    throw new Error(`${statusCode}: ${JSON.stringify(body)}`);
  return body;
}

export const variants: Readonly<Record<string, (origin: string) => Execute>> = {
  "kbn-connectors": (origin) => {
    const client = new KibanaClient({ node: origin, auth: credentials, requestTimeout: timeout });
    return (id, documents) => client.actions.execute({ id, params: { documents } });
  },

  "undici.request": (origin) => async (id, documents) => {
    const { statusCode, body } = await request(origin + pathOf(id), {
      method: "POST",
      headers,
      body: JSON.stringify({ params: { documents } }),
      signal: AbortSignal.timeout(timeout),
    });
    return checked(statusCode, await body.json());
  },

  /** The floor: nothing but the exchange and its JSON, no deadline of any kind. */
  "bare dispatch": (origin) => {
    const agent = new Agent();
    return (id, documents) =>
      new Promise((resolve, reject) => {
        let statusCode = 0;
        const chunks: Buffer[] = [];
        const body = JSON.stringify({ params: { documents } });
        const path = pathOf(id);
        agent.dispatch(
          { origin, path, method: "POST", headers, body, headersTimeout: 0, bodyTimeout: 0 },
          {
            onRequestStart() {},
            onResponseStart(_controller, status) {
              statusCode = status;
            },
            onResponseData(_controller, chunk) {
              chunks.push(chunk);
            },
            onResponseEnd() {
              try {
                resolve(checked(statusCode, JSON.parse(Buffer.concat(chunks).toString())));
              } catch (error) {
                reject(error);
              }
            },
            onResponseError(_controller, error) {
              reject(error);
            },
          },
        );
      });
  },

  fetch: (origin) => async (id, documents) => {
    const response = await fetch(origin + pathOf(id), {
      method: "POST",
      headers,
      body: JSON.stringify({ params: { documents } }),
      signal: AbortSignal.timeout(timeout),
    });
    return checked(response.status, await response.json());
  },

  /** A list of connectors, of the size that the space's name says. */
  "kbn-connectors, list": (origin) => {
    const client = new KibanaClient({ node: origin, auth: credentials });
    return (id) => client.space(id).actions.getAll();
  },
};
