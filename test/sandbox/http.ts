// What the sandbox's two servers have in common: a request, an answer, and the refusal of what is not simulated.
import type { IncomingHttpHeaders, ServerResponse } from "node:http";

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export interface Exchange {
  server: "kibana" | "elasticsearch";
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  response: ServerResponse;
}

export interface Handler {
  server: Exchange["server"];
  handle(exchange: Exchange): Answer | Promise<Answer>;
  fail(failure: Failure): Answer;
}

/** An error answer, before a server gives it its own shape. */
export class Failure extends Error {
  readonly status: number;
  readonly more: object;
  constructor(status: number, message: string, more: object = {}) {
    super(message);
    this.status = status;
    this.more = more;
  }
}

/** A real server can do this, and this one cannot. */
export class NotSimulated extends Failure {
  constructor(what: string) {
    super(501, `The sandbox does not simulate ${what}.`);
  }
}

/** Why Elasticsearch refused something. */
export type Cause = { type: string; reason: string; caused_by?: Cause } & Record<string, unknown>;

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
