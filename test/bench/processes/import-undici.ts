// What it costs to load all of undici.
import { Agent } from "undici";

void Agent;
