// A small HTTP server for tests that need an answer which no Kibana gives.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

/** A request as it stood on the wire. */
export interface Request {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Answers every request with `answer` until the test ends: a body to send as JSON with status 200, or a handler. */
export async function serve(
  t: TestContext,
  answer: object | ((request: Request, response: ServerResponse) => void),
): Promise<{ url: string; requests: Request[] }> {
  const requests: Request[] = [];
  const server = createServer((incoming, response) => {
    let body = "";
    incoming.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    incoming.on("end", () => {
      const request = { method: incoming.method ?? "", path: incoming.url ?? "", headers: incoming.headers, body };
      requests.push(request);
      if (typeof answer === "function") answer(request, response);
      else sendJson(response, 200, answer);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}
