// What it costs to load what the client needs of undici; the client does so with its first call.
// @ts-expect-error undici declares the types of its index only
import Agent from "undici/lib/dispatcher/agent.js";

void Agent;
