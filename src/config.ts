// Environment, .env and start-local -> client options; the only file that uses dotenv.
/// <reference types="node" preserve="true" />
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parse } from "dotenv";
import { type Auth, encodeApiKey } from "./credentials.ts";
import { checkSpace, isLoopback, type KibanaClientOptions, parseNode } from "./options.ts";
import { refuse } from "./values.ts";

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

/** A variable that is set: its value, the place where it is set, and its name in messages. */
type Variable = Readonly<Record<"value" | "from" | "name", string>>;

/** The variables that are read from the environment and from `.env`, and those from start-local's files. */
const ownNames = /^(KIBANA_(URL|API_KEY|USERNAME|PASSWORD|SPACE)|ELASTICSEARCH_URL|ES_LOCAL_DIR)$/;
const localNames = /^((KIBANA|ES)_LOCAL_(URL|PORT)|ES_LOCAL_(API_KEY|PASSWORD))$/;

type Variables = Readonly<Record<string, Variable | undefined>>;
type Env = Readonly<Record<string, string | undefined>>;

interface Found {
  kibana?: string | undefined;
  elasticsearch?: string | undefined;
  credentials?: { auth: Auth; from: string } | undefined;
  warning?: string;
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
export function loadConfig({ env = process.env, cwd = process.cwd() }: { env?: Env; cwd?: string } = {}): Config {
  const environment = variablesOf("environment variables", env, ownNames);
  const dotEnv = readVariables(cwd, ".env", ownNames);
  const found = ownSettings(environment, dotEnv) ?? startLocal(environment.ES_LOCAL_DIR, cwd);
  const { kibana: node = "http://localhost:5601", elasticsearch, warning } = found;
  const warnings = warning ? [warning] : [];
  const auth = found.credentials && { auth: found.credentials.auth };
  const space = environment.KIBANA_SPACE ?? dotEnv.KIBANA_SPACE;
  for (const address of new Set([node, elasticsearch]))
    if (auth && address?.startsWith("http:") && !isLoopback(address))
      warnings.push(`The credentials are sent to ${address} unencrypted. Use https.`);
  return {
    kibana: { node, ...auth, ...(space && { space: checkSpace(space.value, space.name) }) },
    ...(elasticsearch && { elasticsearch: { node: elasticsearch, ...auth } }),
    ...(found.credentials && { credentialsFrom: found.credentials.from }),
    warnings,
  };
}

/** Undefined if none of our own variables is set. */
function ownSettings(environment: Variables, dotEnv: Variables): Found | undefined {
  const { KIBANA_URL: kibana, ELASTICSEARCH_URL: elasticsearch }: Variables = { ...dotEnv, ...environment };
  const credentials = ownCredentials(environment, dotEnv);
  if (!kibana && !elasticsearch && !credentials) return undefined;
  return { kibana: kibana && addressOf(kibana), elasticsearch: elasticsearch && addressOf(elasticsearch), credentials };
}

function ownCredentials(environment: Variables, dotEnv: Variables): Found["credentials"] {
  // The first place with complete credentials provides them. If neither has, a user and a password are combined.
  const isComplete = (place: Variables) => place.KIBANA_API_KEY || (place.KIBANA_USERNAME && place.KIBANA_PASSWORD);
  const source = [environment, dotEnv].find(isComplete) ?? { ...dotEnv, ...environment };
  const { KIBANA_API_KEY: key, KIBANA_USERNAME: username, KIBANA_PASSWORD: password } = source;
  if (key) return keyCredentials(key);
  if (!username && !password) return undefined;
  if (!username) refuse(`KIBANA_USERNAME: not set or empty, but ${password?.name} is set.`);
  if (!password)
    refuse(`KIBANA_PASSWORD: not set or empty, but ${username.name} is set. In .env, quote a value with #.`);
  const stray = source === dotEnv && (environment.KIBANA_USERNAME ?? environment.KIBANA_PASSWORD);
  if (stray) refuse(`${stray.name}, ${username.name} and ${password.name}: different users? Set both in one place.`);
  const from = [...new Set([username.from, password.from])].join(" and ");
  return userCredentials(username.value, { ...password, from });
}

/** ES_LOCAL_PASSWORD belongs to the user `elastic`. KIBANA_LOCAL_PASSWORD is Kibana's own, and is not used. */
function startLocal(esLocalDir: Variable | undefined, cwd: string): Found {
  const folder = esLocalDir ? resolve(cwd, esLocalDir.value) : findStartLocalFolder(resolve(cwd));
  if (folder === undefined) return {};
  if (esLocalDir && !existsSync(join(folder, ".env"))) refuse(`${esLocalDir.name}: there is no .env in ${folder}.`);
  const [file, override] = [".env", ".env.local"].map((name) => readVariables(cwd, join(folder, name), localNames));
  const { ES_LOCAL_API_KEY: key, ES_LOCAL_PASSWORD: password, ...variables }: Variables = { ...file, ...override };
  if (!variables.KIBANA_LOCAL_PORT && !variables.KIBANA_LOCAL_URL)
    return { warning: `${folder}: has no Kibana. Run start-local again without --esonly, or set KIBANA_URL.` };
  return {
    ...(!key && !password && { warning: `${folder}: its .env has neither ES_LOCAL_API_KEY nor ES_LOCAL_PASSWORD.` }),
    kibana: localAddress(variables, "KIBANA_LOCAL", "5601"),
    elasticsearch: localAddress(variables, "ES_LOCAL", "9200"),
    credentials: key ? keyCredentials(key) : password && userCredentials("elastic", password),
  };
}

/** Finds `elastic-start-local` in this folder or in the nearest parent. */
function findStartLocalFolder(folder: string): string | undefined {
  const found = join(folder, "elastic-start-local");
  if (existsSync(join(found, ".env"))) return found;
  return dirname(folder) === folder ? undefined : findStartLocalFolder(dirname(folder));
}

/** The address may refer to its port, as in `http://localhost:${ES_LOCAL_PORT}`. */
function localAddress(variables: Variables, prefix: string, usualPort: string): string {
  const { [`${prefix}_URL`]: url, [`${prefix}_PORT`]: port = { name: prefix, value: usualPort } } = variables;
  const { name, value } = url ?? { name: port.name, value: `http://localhost:${port.value}` };
  const address = addressOf({ name, value: value.replaceAll(`\${${prefix}_PORT}`, port.value) });
  if (isLoopback(address)) return address;
  refuse(`${name}: not on this machine. For another one, set KIBANA_URL and your own credentials.`);
}

function keyCredentials({ value, name, from }: Variable): Found["credentials"] {
  return { auth: { apiKey: encodeApiKey(value, name) }, from };
}

function userCredentials(username: string, { value, from }: Variable): Found["credentials"] {
  return { auth: { username, password: value }, from };
}

function readVariables(cwd: string, file: string, names: RegExp): Variables {
  const path = resolve(cwd, file);
  const text = statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, "utf8") : "";
  if (/[\0\uFFFD]/.test(text)) refuse(`${path}: is not UTF-8 (old PowerShells write UTF-16). Save it as UTF-8.`);
  return variablesOf(relative(cwd, path).replaceAll("\\", "/"), parse(text), names);
}

/** The variables with these names that are not blank. */
function variablesOf(from: string, values: Env, names: RegExp): Variables {
  const variables: Record<string, Variable> = {};
  for (const [key, value] of Object.entries(values))
    if (names.test(key) && value?.trim()) {
      const name = `${key} (${from})`;
      if (/^\s*(".*"|'.*')\s*$/s.test(value)) refuse(`${name}: is quoted. Remove the quotes around the value.`);
      variables[key] = { name, from, value };
    }
  return variables;
}

function addressOf({ value, name }: Pick<Variable, "value" | "name">): string {
  const { origin, basePath } = parseNode(value, name);
  return origin + basePath;
}
