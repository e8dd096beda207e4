// What the sandbox's two servers have in common: a request, an answer, and the refusal of what is not simulated.
import type { IncomingHttpHeaders, ServerResponse } from "node:http";

/** An empty body is none. */
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
  /** When it arrived, in milliseconds. */
  at: number;
}

export interface Handler {
  handle(exchange: Exchange): Promise<Answer>;
  /** An error in the server's own shape, with the sandbox's own words. */
  refuse(status: number, message: string): Answer;
}

/** A real server has it, this one does not: status 501. */
export class NotSimulated extends Error {
  constructor(what: string) {
    super(`The sandbox does not simulate ${what}.`);
  }
}

/** Why Elasticsearch refused something. */
export interface Cause {
  type: string;
  reason: string;
  caused_by?: Cause;
  [more: string]: unknown;
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
