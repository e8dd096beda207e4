// Environment, .env and start-local's files -> client options; the only file that uses dotenv.
import { readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parse } from "dotenv";
import { ConfigurationError } from "./errors.ts";
import { type Auth, checkNode, checkSpace, encodeApiKey, type KibanaClientOptions, refuse } from "./options.ts";

/** What {@link loadConfig} found. */
export interface Config {
  /** For `new KibanaClient(...)`. */
  kibana: { node: string } & Pick<KibanaClientOptions, "auth" | "space">;
  /** For `new Client(...)` of @elastic/elasticsearch. Absent if no address of Elasticsearch is known. */
  elasticsearch?: { node: string; auth?: Auth };
  /** Where the credentials come from, such as `environment variables` or `elastic-start-local/.env`. Never the secret. */
  credentialsFrom?: string;
  /** What the user should know, such as credentials that are sent over plain http. */
  warnings: string[];
}

type Variables = Readonly<Record<string, string | undefined>>;

/** A value, the name of its variable, and what a user calls the place where it is set. */
interface Found {
  name: string;
  value: string;
  from: string;
}

type LookUp = (name: string) => Found | undefined;

/** An address and credentials of one place. */
interface Place {
  kibana?: Found | undefined;
  elasticsearch?: Found | undefined;
  auth?: { value: Auth; from: string } | undefined;
}

/**
 * Finds Kibana and Elasticsearch. The first of these that has anything is used, and the others are ignored:
 *
 * 1. `KIBANA_URL`, `KIBANA_API_KEY` (or `KIBANA_USERNAME` and `KIBANA_PASSWORD`) and `ELASTICSEARCH_URL`, in the environment
 *    or in `.env` of the working directory. The environment takes precedence. The same credentials go to Elasticsearch.
 * 2. start-local: `.env.local` and `.env` in `$ES_LOCAL_DIR` (environment only), or in `elastic-start-local/` of the working
 *    directory or of one of its parents.
 * 3. `http://localhost:5601` without credentials.
 *
 * `KIBANA_SPACE` is read from the environment and `.env` in each case. A blank value counts as not set.
 *
 * @throws {ConfigurationError} a value is wrong or missing; the message names its variable
 */
export function loadConfig({ env = process.env, cwd = process.cwd() }: { env?: Variables; cwd?: string } = {}): Config {
  const own = lookUp(["environment variables", env], [".env", readVariables(join(cwd, ".env"))]);
  const warnings: string[] = [];
  const place = ownPlace(own) ?? startLocal(env.ES_LOCAL_DIR, cwd, warnings) ?? {};
  const { auth } = place;
  const node = place.kibana ? checkedUrl(place.kibana) : "http://localhost:5601";
  const elasticsearch = place.elasticsearch && {
    node: checkedUrl(place.elasticsearch),
    ...(auth && { auth: auth.value }),
  };
  const space = own("KIBANA_SPACE");
  for (const to of new Set(auth ? [node, elasticsearch?.node ?? node] : []))
    if (to.startsWith("http:") && !isLoopback(to)) warnings.push(`The credentials go to ${to} unencrypted. Use https.`);
  return {
    kibana: { node, ...(auth && { auth: auth.value }), ...(space && { space: checkSpace(space.value, space.name) }) },
    ...(elasticsearch && { elasticsearch }),
    ...(auth && { credentialsFrom: auth.from }),
    warnings,
  };
}

/** Finds a variable in the first of these places that has a value for it. */
function lookUp(...places: readonly [from: string, variables: Variables][]): LookUp {
  return (name) => {
    const place = places.find(([, variables]) => variables[name]?.trim());
    return place && { name, value: place[1][name] ?? "", from: place[0] };
  };
}

/** Undefined if none of our own variables is set. */
function ownPlace(own: LookUp): Place | undefined {
  const [kibana, elasticsearch, key] = [own("KIBANA_URL"), own("ELASTICSEARCH_URL"), own("KIBANA_API_KEY")];
  const [username, password] = [own("KIBANA_USERNAME"), own("KIBANA_PASSWORD")];
  if (!(kibana || elasticsearch || key || username || password)) return undefined;
  // A pair in the environment takes precedence over a key in .env.
  const pair = username ?? password;
  if (key && (!pair || key.from === pair.from || key.from !== ".env"))
    return { kibana, elasticsearch, auth: apiKey(key) };
  if (username && !password) refuse("KIBANA_PASSWORD: missing, although KIBANA_USERNAME is set.");
  if (password && !username) refuse("KIBANA_USERNAME: missing, although KIBANA_PASSWORD is set.");
  return { kibana, elasticsearch, auth: username && password && basic(username.value, password) };
}

/** Passes over the folders of other users and those that cannot be read, unless ES_LOCAL_DIR names one. */
function startLocal(named: string | undefined, cwd: string, warnings: string[]): Place | undefined {
  if (named?.trim()) {
    const place = readStartLocal(resolve(cwd, named), cwd);
    return place ?? refuse(`ES_LOCAL_DIR ${JSON.stringify(named)}: has no .env of start-local.`);
  }
  for (const parent of withParents(resolve(cwd))) {
    const folder = join(parent, "elastic-start-local");
    try {
      const isOthers = reading(folder, () => process.getuid && statSync(folder).uid !== process.getuid());
      if (isOthers) warnings.push(`${folder}: belongs to another user, so it is not used. ES_LOCAL_DIR can name it.`);
      const place = isOthers ? undefined : readStartLocal(folder, cwd);
      if (place) return place;
    } catch (error) {
      if (!(error instanceof ConfigurationError && error.cause)) throw error; // only errors of `reading` have one
      warnings.push(`${error.message} It is not used.`);
    }
  }
  return undefined;
}

function withParents(folder: string): string[] {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...withParents(parent)];
}

/** start-local writes no user name: its password is that of `elastic`. `KIBANA_LOCAL_PASSWORD` is Kibana's own. */
function readStartLocal(folder: string, cwd: string): Place | undefined {
  const files = [".env.local", ".env"].map((file): [string, Variables] => {
    const path = join(folder, file);
    return [relative(cwd, path).replaceAll("\\", "/"), readVariables(path)];
  });
  const names = files.flatMap(([, variables]) => Object.keys(variables));
  if (!names.some((name) => name.startsWith("ES_LOCAL_"))) return undefined;
  if (!names.some((name) => name.startsWith("KIBANA_LOCAL_")))
    refuse(
      `${folder}: has no Kibana (start-local was run with --esonly). Run it again without that, or set KIBANA_URL.`,
    );
  const raw = lookUp(...files);
  const usual: Variables = { KIBANA_LOCAL_PORT: "5601", ES_LOCAL_PORT: "9200" };
  // Shell syntax, which dotenv leaves alone: ES_LOCAL_URL=http://localhost:${ES_LOCAL_PORT}
  const expand = (_: string, name: string, fallback = usual[name] ?? "") => raw(name)?.value ?? fallback;
  const url = (name: string, port: string): Found => {
    const { value, from } = raw(name) ?? { value: `http://localhost:\${${port}}`, from: folder };
    const found = { name, value: value.replace(/\$\{(\w+)(?::-([^}]*))?\}/g, expand), from };
    if (isLoopback(checkedUrl(found))) return found;
    refuse(`${name} in ${from}: not on this machine. For another one, set KIBANA_URL and credentials of your own.`);
  };
  const [key, password] = [raw("ES_LOCAL_API_KEY"), raw("ES_LOCAL_PASSWORD")];
  return {
    kibana: url("KIBANA_LOCAL_URL", "KIBANA_LOCAL_PORT"),
    elasticsearch: url("ES_LOCAL_URL", "ES_LOCAL_PORT"),
    auth: key ? apiKey(key) : password && basic("elastic", password),
  };
}

function apiKey({ name, value, from }: Found): Place["auth"] {
  return { value: { apiKey: encodeApiKey(value, name) }, from };
}

function basic(username: string, { value, from }: Found): Place["auth"] {
  return { value: { username, password: value }, from };
}

function readVariables(path: string): Variables {
  const text = reading(path, () => statSync(path).isFile() && readFileSync(path, "utf8")) || "";
  if (text.includes("\0") || text.includes("\uFFFD"))
    refuse(`${path}: not UTF-8 text (UTF-16, perhaps, as an old PowerShell writes it). Save it as UTF-8.`);
  return parse(text);
}

/** Undefined if there is nothing at that path. */
function reading<Result>(path: string, read: () => Result): Result | undefined {
  try {
    return read();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new ConfigurationError(`${path}: cannot be read (${code}).`, { cause });
  }
}

function checkedUrl({ name, value }: Found): string {
  const { origin, basePath } = checkNode(value, name);
  return origin + basePath;
}

function isLoopback(url: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}
