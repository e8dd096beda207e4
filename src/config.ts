// Environment, .env and start-local's files -> client options; the only file that calls dotenv.
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { parse } from "dotenv";
import { ConfigurationError } from "./errors.ts";
import { type Auth, encodeApiKey, type KibanaClientOptions, parseNode, parseSpace } from "./options.ts";

/** What {@link loadConfig} found. */
export interface Config {
  /** For `new KibanaClient(...)`. */
  kibana: KibanaClientOptions & { node: string };
  /** For `new Client(...)` of @elastic/elasticsearch. Absent where no URL of Elasticsearch is known. */
  elasticsearch?: { node: string; auth?: Auth };
  /** Kibana's address with base path and space: what a link begins with. */
  url: string;
  authentication: "API key" | "Basic authentication" | "none";
  /** Where the credentials come from, such as `environment variables` or `elastic-start-local/.env`. Never the secret. */
  credentialsFrom?: string;
  /** What a careful user would want to know, such as credentials that go over plain http. */
  warnings: string[];
  /** What to do if nothing answers at that address. */
  ifUnreachable: string;
}

type Variables = Readonly<Record<string, string | undefined>>;

/** One place where variables are set, and what a user calls it. */
interface Source {
  name: string;
  variables: Variables;
}

/**
 * Finds Kibana and Elasticsearch. The first place that has a value wins; a blank value counts as none.
 *
 * 1. `KIBANA_URL`, `KIBANA_API_KEY` (or `KIBANA_USERNAME` and `KIBANA_PASSWORD`), `KIBANA_SPACE` and `ELASTICSEARCH_URL`
 *    in the environment, then in `.env` of the working directory.
 * 2. start-local: `.env.local` over `.env`, in `$ES_LOCAL_DIR`, or in `elastic-start-local/` of the working directory or of
 *    one of its parents. Its credentials go to loopback addresses only.
 * 3. `http://localhost:5601` without credentials.
 *
 * @throws {ConfigurationError} a value is wrong or half there; the message names the variable
 */
export function loadConfig({ env = process.env, cwd = process.cwd() }: { env?: Variables; cwd?: string } = {}): Config {
  const sources: Source[] = [
    { name: "environment variables", variables: env },
    { name: ".env", variables: readVariables(join(cwd, ".env")) },
  ];
  const from = (...names: string[]) => sources.find(({ variables }) => names.some((name) => present(variables[name])));
  const value = (name: string) => present(from(name)?.variables[name]);
  const startLocal = findStartLocal(env, cwd);

  const kibanaUrl = value("KIBANA_URL") ?? startLocal?.kibanaUrl;
  if (!kibanaUrl && startLocal)
    throw new ConfigurationError(
      `${startLocal.folder}: has no Kibana (start-local was run with --esonly). Run it again without that, or set KIBANA_URL.`,
    );
  const node = checked(value("KIBANA_URL") ? "KIBANA_URL" : "KIBANA_LOCAL_URL", kibanaUrl ?? "http://localhost:5601");
  const space = value("KIBANA_SPACE");
  const url = parseSpace(space, "KIBANA_SPACE") === "default" ? node : `${node}/s/${space}`;

  const own = from("KIBANA_API_KEY", "KIBANA_USERNAME", "KIBANA_PASSWORD");
  const local = own === undefined && isLoopback(node) ? startLocal : undefined;
  const auth = own ? authOf(own, value) : local?.auth;
  const warnings: string[] = [];
  if (startLocal?.auth && !own && !local)
    warnings.push(`The credentials of ${startLocal.folder} are for this machine only: they are not sent to ${node}.`);

  const elasticsearchUrl = value("ELASTICSEARCH_URL") ?? (isLoopback(node) ? startLocal?.elasticsearchUrl : undefined);
  const elasticsearch: Config["elasticsearch"] = elasticsearchUrl
    ? { node: checked(value("ELASTICSEARCH_URL") ? "ELASTICSEARCH_URL" : "ES_LOCAL_URL", elasticsearchUrl) }
    : undefined;
  if (elasticsearch && local?.auth && !isLoopback(elasticsearch.node))
    warnings.push(
      `The credentials of ${local.folder} are for this machine only: they are not sent to ${elasticsearch.node}.`,
    );
  else if (elasticsearch && auth) elasticsearch.auth = auth;
  const plain = [...(auth ? [node] : []), ...(elasticsearch?.auth ? [elasticsearch.node] : [])].find(
    (to) => to.startsWith("http:") && !isLoopback(to),
  );
  if (plain) warnings.push(`The credentials go to ${plain} unencrypted. Use https.`);

  const credentialsFrom = own?.name ?? local?.credentialsFrom;
  return {
    kibana: { node, ...(auth && { auth }), ...(space && { space }) },
    ...(elasticsearch && { elasticsearch }),
    url,
    authentication: auth === undefined ? "none" : "apiKey" in auth ? "API key" : "Basic authentication",
    ...(credentialsFrom && { credentialsFrom }),
    warnings,
    ifUnreachable: value("KIBANA_URL")
      ? "Check KIBANA_URL."
      : startLocal
        ? `Start it: ${startLocal.folder}/start.sh`
        : "Start a local one (curl -fsSL https://elastic.co/start-local | sh), set KIBANA_URL to yours, or try the built-in sandbox: npm run demo",
  };
}

function authOf({ variables }: Source, value: (name: string) => string | undefined): Auth {
  const apiKey = present(variables.KIBANA_API_KEY);
  if (apiKey) return { apiKey: encodeApiKey(apiKey, "KIBANA_API_KEY") };
  const username = value("KIBANA_USERNAME");
  const password = value("KIBANA_PASSWORD");
  if (username && password) return { username, password };
  throw new ConfigurationError(
    username
      ? "KIBANA_PASSWORD: missing, although KIBANA_USERNAME is set."
      : "KIBANA_USERNAME: missing, although KIBANA_PASSWORD is set.",
  );
}

interface StartLocal {
  folder: string;
  kibanaUrl?: string | undefined;
  elasticsearchUrl?: string | undefined;
  auth?: Auth | undefined;
  credentialsFrom: string;
}

function findStartLocal(env: Variables, cwd: string): StartLocal | undefined {
  const folders = [present(env.ES_LOCAL_DIR)].flatMap((folder) => (folder ? [resolve(cwd, folder)] : []));
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    folders.push(join(folder, "elastic-start-local"));
    if (folder === dirname(folder)) break;
  }
  for (const folder of folders) {
    const files = [".env.local", ".env"].map((name) => ({
      name: relative(cwd, join(folder, name)),
      variables: readVariables(join(folder, name)),
    }));
    if (files.some(({ variables }) => Object.keys(variables).some((name) => name.startsWith("ES_LOCAL_"))))
      return readStartLocal(relative(cwd, folder) || ".", files);
  }
  return undefined;
}

/** start-local never writes a user name: its password is that of `elastic`. `KIBANA_LOCAL_PASSWORD` is Kibana's own. */
function readStartLocal(folder: string, files: readonly Source[]): StartLocal {
  const raw = (name: string) => files.map(({ variables }) => present(variables[name])).find(Boolean);
  // Shell syntax, which dotenv leaves alone: ES_LOCAL_URL=http://localhost:${ES_LOCAL_PORT}
  const value = (name: string): string | undefined =>
    present(
      raw(name)?.replace(/\$\{(\w+)(?::-([^}]*))?\}/g, (_match, other, fallback) => raw(other) ?? fallback ?? ""),
    );
  const apiKey = value("ES_LOCAL_API_KEY");
  const password = value("ES_LOCAL_PASSWORD");
  const hasKibana = files.some(({ variables }) =>
    Object.keys(variables).some((name) => name.startsWith("KIBANA_LOCAL_")),
  );
  const secret = apiKey ? "ES_LOCAL_API_KEY" : "ES_LOCAL_PASSWORD";
  return {
    folder,
    kibanaUrl:
      value("KIBANA_LOCAL_URL") ?? (hasKibana ? `http://localhost:${value("KIBANA_LOCAL_PORT") ?? 5601}` : undefined),
    elasticsearchUrl: value("ES_LOCAL_URL") ?? `http://localhost:${value("ES_LOCAL_PORT") ?? 9200}`,
    auth: apiKey
      ? { apiKey: encodeApiKey(apiKey, `${folder}: ES_LOCAL_API_KEY`) }
      : password
        ? { username: "elastic", password }
        : undefined,
    credentialsFrom: files.find(({ variables }) => present(variables[secret]))?.name ?? folder,
  };
}

function readVariables(path: string): Variables {
  try {
    return parse(readFileSync(path, "utf8").replace(/^\uFEFF/, ""));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return {};
    throw new ConfigurationError(`${path}: cannot be read (${code}).`, { cause });
  }
}

function present(value: string | undefined): string | undefined {
  return value?.trim() ? value : undefined;
}

function checked(name: string, url: string): string {
  const { origin, basePath } = parseNode(url, name);
  return origin + basePath;
}

function isLoopback(url: string): boolean {
  return /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}
