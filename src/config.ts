// Environment, .env and start-local -> client options.
/// <reference types="node" preserve="true" />
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Auth, checkSpace, encodeApiKey, type KibanaClientOptions, parseNode, refuse } from "./options.ts";
import { createLookup, type Env, type Lookup, readEnvFile, type Variable, withFallback } from "./variables.ts";

/** What {@link loadConfig} found. */
export interface Config {
  /** For `new KibanaClient(...)`. */
  kibana: { node: string } & Pick<KibanaClientOptions, "auth" | "space">;
  /** For `new Client(...)` of @elastic/elasticsearch. Absent if no address of Elasticsearch is known. */
  elasticsearch?: { node: string; auth?: Auth };
  /** Where the credentials come from, such as `environment variables` or `elastic-start-local/.env`. */
  credentialsFrom?: string;
  /** What the user should know, such as credentials that are sent over plain http. */
  warnings: string[];
}

/** Where {@link loadConfig} looks. Default: the environment and the working directory of this process. */
export interface ConfigOptions {
  env?: Env | undefined;
  cwd?: string | undefined;
}

type Credentials = Readonly<{ auth: Auth; source: string }>;

interface Settings {
  kibanaNode?: string | undefined;
  elasticsearchNode?: string | undefined;
  credentials?: Credentials | undefined;
  warnings?: string[];
}

/**
 * Finds Kibana and Elasticsearch. Uses the first of these sources for which a variable is set:
 *
 * 1. `KIBANA_URL`, `KIBANA_API_KEY` (or `KIBANA_USERNAME` and `KIBANA_PASSWORD`) and `ELASTICSEARCH_URL`, in the
 *    environment or in `.env` of the working directory. The environment takes precedence. Credentials come from the
 *    first of the two places that has a key, or a user name and a password. If neither has, a user name and a password
 *    of different places are put together. If `.env` has both, and the environment one of them, that is an error. The
 *    same credentials go to Elasticsearch.
 * 2. start-local: `.env.local` and `.env` in `$ES_LOCAL_DIR` (environment only), or in `elastic-start-local/` of the
 *    working directory or of one of its parents. Only addresses on this machine are accepted.
 * 3. `http://localhost:5601` without credentials.
 *
 * `KIBANA_SPACE` is read from the environment and `.env` in each case. A blank value counts as not set.
 *
 * @throws {ConfigurationError} a value is wrong or missing; the message names its variable and where it is set
 */
export function loadConfig({ env = process.env, cwd = process.cwd() }: ConfigOptions = {}): Config {
  const environment = createLookup("environment variables", env);
  const dotEnv = readEnvFile(".env", cwd);
  const settings = findOwnSettings(environment, dotEnv) ?? findStartLocalSettings(environment("ES_LOCAL_DIR"), cwd);
  const { kibanaNode = "http://localhost:5601", elasticsearchNode, credentials, warnings = [] } = settings;
  for (const node of new Set([kibanaNode, elasticsearchNode]))
    if (credentials && node?.startsWith("http:") && !isLoopback(node))
      warnings.push(`The credentials are sent to ${node} unencrypted. Use https.`);
  const authOption = credentials && { auth: credentials.auth };
  const space = withFallback(environment, dotEnv)("KIBANA_SPACE");
  return {
    kibana: { node: kibanaNode, ...authOption, ...(space && { space: checkSpace(space.value, space.label) }) },
    ...(elasticsearchNode && { elasticsearch: { node: elasticsearchNode, ...authOption } }),
    ...(credentials && { credentialsFrom: credentials.source }),
    warnings,
  };
}

/** What our own variables say. Undefined if none of them is set. */
function findOwnSettings(environment: Lookup, dotEnv: Lookup): Settings | undefined {
  const lookup = withFallback(environment, dotEnv);
  const kibanaNode = findNode(lookup, "KIBANA_URL");
  const elasticsearchNode = findNode(lookup, "ELASTICSEARCH_URL");
  const credentials = findCredentials(environment, dotEnv);
  if (!kibanaNode && !elasticsearchNode && !credentials) return undefined;
  return { kibanaNode, elasticsearchNode, credentials };
}

function findNode(lookup: Lookup, name: string): string | undefined {
  const variable = lookup(name);
  return variable && parseNode(variable.value, variable.label);
}

function findCredentials(environment: Lookup, dotEnv: Lookup): Credentials | undefined {
  // The first place with complete credentials provides them. If neither has, a user and a password are combined.
  const hasCredentials = (lookup: Lookup) =>
    lookup("KIBANA_API_KEY") || (lookup("KIBANA_USERNAME") && lookup("KIBANA_PASSWORD"));
  const lookup = [environment, dotEnv].find(hasCredentials) ?? withFallback(environment, dotEnv);
  const apiKey = lookup("KIBANA_API_KEY");
  const username = lookup("KIBANA_USERNAME");
  const password = lookup("KIBANA_PASSWORD");
  if (apiKey) return toApiKeyCredentials(apiKey);
  if (!username && !password) return undefined;
  if (!username) refuse(`KIBANA_USERNAME: not set or empty, but ${password?.label} is set.`);
  if (!password)
    refuse(`KIBANA_PASSWORD: not set or empty, but ${username.label} is set. In .env, quote a value with #.`);
  const stray = lookup === dotEnv && (environment("KIBANA_USERNAME") ?? environment("KIBANA_PASSWORD"));
  if (stray) refuse(`${stray.label}, ${username.label} and ${password.label}: different users? Set both in one place.`);
  const source = [...new Set([username.source, password.source])].join(" and ");
  return { auth: { username: username.value, password: password.value }, source };
}

/** ES_LOCAL_PASSWORD belongs to the user `elastic`. KIBANA_LOCAL_PASSWORD is Kibana's own, and is not used. */
function findStartLocalSettings(esLocalDir: Variable | undefined, cwd: string): Settings {
  const folder = esLocalDir ? resolve(cwd, esLocalDir.value) : findStartLocalFolder(resolve(cwd));
  if (folder === undefined) return {};
  if (esLocalDir && !existsSync(join(folder, ".env"))) refuse(`${esLocalDir.label}: there is no .env in ${folder}.`);
  const lookup = withFallback(readEnvFile(join(folder, ".env.local"), cwd), readEnvFile(join(folder, ".env"), cwd));
  if (!lookup("KIBANA_LOCAL_PORT") && !lookup("KIBANA_LOCAL_URL"))
    return { warnings: [`${folder}: has no Kibana. Run start-local again without --esonly, or set KIBANA_URL.`] };
  const apiKey = lookup("ES_LOCAL_API_KEY");
  const password = lookup("ES_LOCAL_PASSWORD");
  const passwordCredentials = password && {
    auth: { username: "elastic", password: password.value },
    source: password.source,
  };
  const credentials = apiKey ? toApiKeyCredentials(apiKey) : passwordCredentials;
  return {
    kibanaNode: findLocalNode(lookup, "KIBANA_LOCAL", "5601"),
    elasticsearchNode: findLocalNode(lookup, "ES_LOCAL", "9200"),
    credentials,
    warnings: credentials ? [] : [`${folder}: its .env has neither ES_LOCAL_API_KEY nor ES_LOCAL_PASSWORD.`],
  };
}

/** Finds `elastic-start-local` in this folder or in the nearest parent. */
function findStartLocalFolder(folder: string): string | undefined {
  const candidate = join(folder, "elastic-start-local");
  if (existsSync(join(candidate, ".env"))) return candidate;
  return dirname(folder) === folder ? undefined : findStartLocalFolder(dirname(folder));
}

/** The address may refer to its port, as in `http://localhost:${ES_LOCAL_PORT}`. */
function findLocalNode(lookup: Lookup, prefix: "KIBANA_LOCAL" | "ES_LOCAL", defaultPort: string): string {
  const url = lookup(`${prefix}_URL`);
  const port = lookup(`${prefix}_PORT`);
  const portNumber = port?.value ?? defaultPort;
  const label = (url ?? port)?.label ?? prefix;
  const address = (url?.value ?? `http://localhost:${portNumber}`).replaceAll(`\${${prefix}_PORT}`, portNumber);
  const node = parseNode(address, label);
  if (isLoopback(node)) return node;
  refuse(`${label}: not on this machine. For another one, set KIBANA_URL and your own credentials.`);
}

function isLoopback(url: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

function toApiKeyCredentials({ value, label, source }: Variable): Credentials {
  return { auth: { apiKey: encodeApiKey(value, label) }, source };
}
