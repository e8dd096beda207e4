// What it costs to load what the client needs of undici.
import { Agent, EnvHttpProxyAgent, Pool } from "undici";

void [Agent, EnvHttpProxyAgent, Pool];
