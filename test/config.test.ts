// Where the configuration comes from: the environment, .env and start-local's files, which are real files here.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { inspect } from "node:util";
import { ConfigurationError } from "kbn-connectors";
import { type Config, loadConfig } from "kbn-connectors/config";

type Files = Readonly<Record<string, string | Buffer>>;

/** What is set: variables of the environment, `.env` of the working directory, and `.env` of start-local. */
interface Given {
  env?: Record<string, string>;
  own?: string | Buffer;
  local?: string | Buffer;
  localToo?: string;
}

/** A folder with these files, until the test ends. */
function folderWith(t: TestContext, files: Files): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "kbn-connectors-config-")));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function load(t: TestContext, { env = {}, own, local, localToo }: Given): Config {
  const files = { ".env": own, "elastic-start-local/.env": local, "elastic-start-local/.env.local": localToo };
  const given = Object.entries(files).filter((file): file is [string, string | Buffer] => file[1] !== undefined);
  return loadConfig({ env, cwd: folderWith(t, Object.fromEntries(given)) });
}

/** A configuration on one line: Kibana, space, Elasticsearch, credentials and their place, warnings. */
function brief({ kibana: { node, auth, space }, elasticsearch, credentialsFrom, warnings }: Config): string {
  if (elasticsearch) assert.deepEqual(elasticsearch.auth, auth);
  const credentials = auth && ("apiKey" in auth ? atob(String(auth.apiKey)) : Object.values(auth).join(":"));
  const parts = [node, space, elasticsearch?.node, credentials, credentialsFrom, ...warnings];
  const line = parts.filter((part) => part !== undefined).join(" ");
  return line.replaceAll("http://localhost", "").replace("environment variables", "env");
}

const pair = { KIBANA_USERNAME: "amy", KIBANA_PASSWORD: "hunter2" };
const bob = "KIBANA_USERNAME=bob\nKIBANA_PASSWORD=hunter2bob\n";
const key = { KIBANA_API_KEY: btoa("id:hunter2") };
const keyFile = `KIBANA_API_KEY=${btoa("file:hunter2")}\n`;
const plain = (host: string) => ({ ...pair, KIBANA_URL: `http://${host}` });

/** What start-local 0.14 writes, without versions and names of containers. */
const startLocal = `ES_LOCAL_PASSWORD=Xk7pQ2wZ
ES_LOCAL_PORT=9201
ES_LOCAL_URL=http://localhost:\${ES_LOCAL_PORT}
ES_LOCAL_JAVA_OPTS="-Xms128m -Xmx2g"
KIBANA_LOCAL_PORT=5602
KIBANA_LOCAL_PASSWORD=KibanaSystemsOwn
KIBANA_ENCRYPTION_KEY=0123456789abcdef0123456789abcdef
ES_LOCAL_API_KEY=${btoa("local:hunter2")}
`;
const without = (names: string) => startLocal.replace(new RegExp(`^(${names}).*\n`, "gm"), "");

describe("the configuration is", () => {
  const both = { KIBANA_URL: "https://k.example/kbn/", ELASTICSEARCH_URL: "https://e.example/es/" };
  const files = "KIBANA_URL=http://localhost:2\nKIBANA_SPACE=ops\nELASTICSEARCH_URL=http://localhost:3";
  const foreign = Object.fromEntries(["ES_LOCAL_URL", "XKIBANA_URL", "KIBANA_URLX"].map((name) => [name, "'x'"]));
  const forms = ["id:hunter2", ` ApiKey ${btoa("id:hunter2")}\t`, '{"id":"id","name":"n","api_key":"hunter2"}'];
  const byKey = ":5601 id:hunter2 env";
  const [user, password] = [{ KIBANA_USERNAME: "amy" }, { KIBANA_PASSWORD: "hunter2" }];
  const configurations: [what: string, given: Given, config: string][] = [
    ["localhost:5601 if nothing is set", {}, ":5601"],
    ["no concern of quoted variables of other programs", { env: foreign }, ":5601"],
    ["a value with quotes in it", { env: { KIBANA_USERNAME: 'a"b"', KIBANA_PASSWORD: "'c'd" } }, `:5601 a"b":'c'd env`],
    ["the environment before .env", { env: { KIBANA_URL: "http://localhost:1" }, own: files }, ":1 ops :3"],
    [".env for what is blank", { env: { KIBANA_URL: " ", KIBANA_SPACE: "" }, own: files }, ":2 ops :3"],
    ["one pair for both", { env: { ...pair, ...both } }, "https://k.example/kbn https://e.example/es amy:hunter2 env"],
    ["a pair of the environment before one of .env", { env: pair, own: bob }, ":5601 amy:hunter2 env"],
    ["a pair of the environment before a key of .env", { env: pair, own: keyFile }, ":5601 amy:hunter2 env"],
    ["a key of the environment before all", { env: { ...key, ...pair } }, ":5601 id:hunter2 env"],
    ["a key of .env before a pair of .env", { own: keyFile + bob }, ":5601 file:hunter2 .env"],
    ["a key of .env before half a pair", { env: user, own: keyFile }, ":5601 file:hunter2 .env"],
    ["a password beside a user of .env", { env: password, own: "KIBANA_USERNAME=b" }, ":5601 b:hunter2 .env and env"],
    ["a user beside a password of .env", { env: user, own: "KIBANA_PASSWORD=p" }, ":5601 amy:p env and .env"],
    ["a # in quotes", { env: user, own: "KIBANA_PASSWORD='a=b#c \"d'" }, ':5601 amy:a=b#c "d env and .env'],
    ...forms.map((form): [string, Given, string] => [`the key of ${form}`, { env: { KIBANA_API_KEY: form } }, byKey]),
    ...[key, pair, { KIBANA_URL: "http://localhost:1" }, { ELASTICSEARCH_URL: "http://localhost:2" }].map(
      (env, row): [string, Given, string] => [
        `without start-local, which is not even read, if the environment has ${Object.keys(env)}`,
        { env, local: "\uFFFD" },
        [":5601 id:hunter2 env", ":5601 amy:hunter2 env", ":1", ":5601 :2"][row] ?? "",
      ],
    ),
  ];
  for (const [what, given, config] of configurations) it(what, (t) => assert.equal(brief(load(t, given)), config));
});

describe("start-local gives", () => {
  const from = "elastic-start-local/.env";
  const withUrl = `${startLocal}KIBANA_LOCAL_URL=http://localhost:\${KIBANA_LOCAL_PORT}/kbn`;
  const windows = `\uFEFF${startLocal.replaceAll("\n", "\r\n")}`;
  const more = "ES_LOCAL_API_KEY=a:b\nES_LOCAL_PORT=9300\n";
  const configurations: [what: string, given: Given, config: string][] = [
    ["its ports and its key", { local: startLocal }, `:5602 :9201 local:hunter2 ${from}`],
    ["KIBANA_SPACE with it", { local: startLocal, own: "KIBANA_SPACE=a" }, `:5602 a :9201 local:hunter2 ${from}`],
    ["the password of elastic", { local: without("ES_LOCAL_API") }, `:5602 :9201 elastic:Xk7pQ2wZ ${from}`],
    ["ES_LOCAL_PORT without an address", { local: without("ES_LOCAL_URL") }, `:5602 :9201 local:hunter2 ${from}`],
    ["9200 without both", { local: without("ES_LOCAL_URL|ES_LOCAL_PORT") }, `:5602 :9200 local:hunter2 ${from}`],
    ["KIBANA_LOCAL_URL, which may name its port", { local: withUrl }, `:5602/kbn :9201 local:hunter2 ${from}`],
    [".env.local before .env", { local: startLocal, localToo: more }, `:5602 :9300 a:b ${from}.local`],
    ["the same from a file with a BOM and Windows line ends", { local: windows }, `:5602 :9201 local:hunter2 ${from}`],
  ];
  for (const [what, given, config] of configurations) it(what, (t) => assert.equal(brief(load(t, given)), config));

  it("what stands in the nearest folder above, or in ES_LOCAL_DIR of the environment, but not of .env", (t) => {
    const folder = folderWith(t, {
      "elastic-start-local/.env": startLocal,
      "near/elastic-start-local/.env": startLocal.replace("5602", "5603"),
      "near/deep/er/.env": "ES_LOCAL_DIR=../../../other\n",
      "far/elastic-start-local/file": "",
      "other/.env": startLocal.replace("5602", "5604"),
    });
    for (const [cwd, ES_LOCAL_DIR, port, from] of [
      [".", "", 5602, "elastic-start-local/.env"],
      ["far", " ", 5602, "../elastic-start-local/.env"],
      ["near/deep/er", "", 5603, "../../elastic-start-local/.env"],
      ["near", join(folder, "other"), 5604, "../other/.env"],
      ["near", "../other", 5604, "../other/.env"],
    ] as const) {
      const config = loadConfig({ env: { ES_LOCAL_DIR }, cwd: join(folder, cwd) });
      assert.equal(brief(config), `:${port} :9201 local:hunter2 ${from}`);
    }
  });
});

describe("a warning says", () => {
  const elsewhere = { ...pair, KIBANA_URL: "https://k.example", ELASTICSEARCH_URL: "http://e.example" };
  const machines = ["localhost.example", "127.0.0.1.example", "evillocalhost", "1127.0.0.1.example"];
  const own = ["localhost", "LOCALHOST:1", "127.8.8.8", "[::1]:5601", "a.localhost"];
  const warned: [what: string, given: Given, ...warnings: RegExp[]][] = [
    ["that credentials go to Kibana unencrypted", { env: plain("k.example:5601") }, /http:\/\/k\.example:5601 unencr/],
    ["that they go to Elasticsearch unencrypted", { env: elsewhere }, /http:\/\/e\.example unencrypted/],
    ...machines.map((host): [string, Given, RegExp] => [`so for ${host}`, { env: plain(host) }, /unencrypted/]),
    ...own.map((host): [string, Given] => [`nothing for ${host}`, { env: plain(host) }]),
    ["nothing without credentials", { env: { KIBANA_URL: "http://k.example" } }],
    ["nothing with https", { env: { ...pair, KIBANA_URL: "https://k.example" } }],
    ["that start-local has no key", { local: without("ES_LOCAL_(API|PASS)") }, /start-local.*\.env.*API_KEY/],
    ["that start-local has no Kibana", { local: without("KIBANA") }, /elastic-start-local.*no Kibana.*--esonly/],
  ];
  for (const [what, given, ...expected] of warned)
    it(what, (t) => {
      const { warnings } = load(t, given);
      assert.equal(warnings.length, expected.length, inspect(warnings));
      for (const [index, pattern] of expected.entries()) assert.match(warnings[index] ?? "", pattern);
    });
});

describe("a value is refused with its variable and its place, and without a secret:", () => {
  const utf16 = Buffer.from("\uFEFFKIBANA_URL=http://k\r\n", "utf16le");
  const twoUsers =
    /^(?=.*KIBANA_USERNAME \()(?=.*KIBANA_PASSWORD \()(?=.*\(environment variables\))(?=.*\(\.env\)).*different users/;
  const notHere = /^(KIBANA|ES)_LOCAL_URL \(elastic-start-local\/\.env\): not on this machine.*KIBANA_URL/;
  const refused: [what: string, given: Given, message: RegExp][] = [
    ["no scheme", { env: { KIBANA_URL: "localhost:5601" } }, /^KIBANA_URL \(env.*\): .*http/],
    ["a page's address", { own: 'KIBANA_URL="http://k/app#/"' }, /^KIBANA_URL \(\.env\): .*#/],
    ["credentials in it", { env: { ELASTICSEARCH_URL: "https://u:hunter2@e" } }, /^ELASTICSEARCH_URL \(env.*\): .*@/],
    ["a space's name", { env: { KIBANA_SPACE: "My Space" } }, /^KIBANA_SPACE \(environment variables\): .*My Space/],
    ["a key of no form", { env: { KIBANA_API_KEY: "hunter2!" } }, /^KIBANA_API_KEY \(env.*\): is not an API key/],
    ["a key of start-local's", { local: `${startLocal}ES_LOCAL_API_KEY=hunter2!` }, /^ES_LOCAL_API_KEY \(elastic-/],
    ["a value in quotes", { env: { KIBANA_API_KEY: ' "hunter2" ' } }, /^KIBANA_API_KEY \(env.*\): is quoted/],
    ["one in two pairs of quotes", { own: `KIBANA_PASSWORD="'hunter2'"` }, /^KIBANA_PASSWORD \(\.env\): is quoted/],
    ["a user without a password", { env: { KIBANA_USERNAME: "u" } }, /^KIBANA_PASSWORD: .*_USERNAME \(env.*\) is set/],
    ["a password after #", { own: "KIBANA_USERNAME=u\nKIBANA_PASSWORD=#hunter2" }, /^KIBANA_PASSWORD: .*quote .*#/],
    ["a password without a user", { own: "KIBANA_PASSWORD=hunter2" }, /^KIBANA_USERNAME: .*_PASSWORD \(\.env\) is set/],
    ["a user beside a pair in .env", { env: { KIBANA_USERNAME: "amy" }, own: bob }, twoUsers],
    ["a password beside a pair in .env", { env: { KIBANA_PASSWORD: "hunter2" }, own: bob }, twoUsers],
    ["Kibana elsewhere in start-local", { local: `${startLocal}KIBANA_LOCAL_URL=https://k.example` }, notHere],
    ["Elasticsearch elsewhere", { local: startLocal.replace("http://localhost", "http://e.example") }, notHere],
    ["a folder without start-local", { env: { ES_LOCAL_DIR: "x" } }, /^ES_LOCAL_DIR \(env.*\): there is no \.env in /],
    ["UTF-16", { own: utf16 }, /\.env: is not UTF-8/],
    ["UTF-16 without a byte order mark", { local: utf16.subarray(2) }, /elastic-start-local\/\.env: is not UTF-8/],
  ];
  for (const [what, given, message] of refused)
    it(what, (t) => {
      const isRefusal = (error: unknown) => {
        assert.ok(error instanceof ConfigurationError, inspect(error));
        assert.match(error.message, message);
        assert.doesNotMatch(inspect(error), /hunter2|Xk7pQ2wZ/);
        return true;
      };
      assert.throws(() => load(t, given), isRefusal);
    });
});

it("a file that cannot be read is a ConfigurationError", () => {
  assert.throws(() => loadConfig({ env: {}, cwd: "\0" }), { name: "ConfigurationError", message: /cannot be read/ });
});

it(".env.example lists every variable that is read, and can be copied as it is", (t) => {
  const read = (path: string) => readFileSync(join(import.meta.dirname, "..", path), "utf8");
  const example = read(".env.example");
  const names = read("src/config.ts").match(/\b(KIBANA|ELASTICSEARCH|ES)_[A-Z_]*[A-Z]\b/g) ?? [];
  const own = names.filter((name) => name === "ES_LOCAL_DIR" || !/^(ES|KIBANA)_LOCAL/.test(name));
  const listed = [...example.matchAll(/^# ([A-Z_]+)=/gm)].map(([, name]) => name);
  assert.deepEqual(listed.sort(), [...new Set(own)].sort());
  assert.equal(brief(load(t, { own: example })), ":5601");
});
