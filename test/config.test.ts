// Where the configuration comes from: environment, .env and start-local's files, on real files in folders of their own.
import assert from "node:assert/strict";
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { ConfigurationError } from "kbn-connectors";
import { loadConfig } from "kbn-connectors/config";

/** A folder with these files, which is gone after the test. */
function folderWith(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "kbn-connectors-config-")));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function refusal(load: () => unknown): ConfigurationError {
  try {
    load();
  } catch (error) {
    assert.ok(error instanceof ConfigurationError, `a ConfigurationError, not ${inspect(error)}`);
    return error;
  }
  return assert.fail("it was accepted");
}

const isRoot = process.getuid?.() === 0;
const onWindows = process.platform === "win32" && "a symbolic link needs a right of its own on Windows";
const encodedKey = Buffer.from("key-id:key-secret").toString("base64");

/** As start-local 0.14 writes it. */
const startLocalEnv = `START_LOCAL_VERSION=0.14.0
ES_LOCAL_VERSION=9.4.3
ES_LOCAL_CONTAINER_NAME=es-local-dev
ES_LOCAL_PASSWORD=Xk7pQ2wZ
ES_LOCAL_PORT=9201
ES_LOCAL_URL=http://localhost:\${ES_LOCAL_PORT}
ES_LOCAL_DISK_SPACE_REQUIRED=1gb
ES_LOCAL_LICENSE_EXPIRE_DATE=1798761600
ES_LOCAL_JAVA_OPTS="-Xms128m -Xmx2g"
KIBANA_LOCAL_CONTAINER_NAME=kibana-local-dev
KIBANA_LOCAL_SETTINGS_CONTAINER_NAME=kibana-local-settings
KIBANA_LOCAL_PORT=5602
KIBANA_LOCAL_PASSWORD=KibanaSystemsOwn
KIBANA_ENCRYPTION_KEY=0123456789abcdef0123456789abcdef
ES_LOCAL_API_KEY=${encodedKey}
`;
const withoutKey = startLocalEnv.replace(/^ES_LOCAL_API_KEY=.*\n/m, "");
const withoutKibana = startLocalEnv.replace(/^KIBANA_.*\n/gm, "");

const startLocal = (text: string) => ({ "elastic-start-local/.env": text });
const load = (t: TestContext, env: Record<string, string>, files: Record<string, string> = {}) =>
  loadConfig({ env, cwd: folderWith(t, files) });
const pair = { KIBANA_USERNAME: "elastic", KIBANA_PASSWORD: "hunter2hunter2" };
const basic = { username: "elastic", password: "hunter2hunter2" };

describe("one source gives everything", () => {
  test("with nothing set it is localhost:5601 without credentials", (t) => {
    assert.deepEqual(load(t, {}), { kibana: { node: "http://localhost:5601" }, warnings: [] });
  });

  test("the environment takes precedence over .env, for each variable", (t) => {
    const file = "KIBANA_URL=http://localhost:2222\nKIBANA_SPACE=ops\nELASTICSEARCH_URL=http://localhost:9222\n";
    assert.deepEqual(load(t, { KIBANA_URL: "http://localhost:1111", KIBANA_SPACE: "" }, { ".env": file }), {
      kibana: { node: "http://localhost:1111", space: "ops" },
      elasticsearch: { node: "http://localhost:9222" },
      warnings: [],
    });
  });

  test("credentials of one's own go to Kibana and to Elasticsearch, and their place is named", (t) => {
    const env = { ...pair, KIBANA_URL: "https://k.example", ELASTICSEARCH_URL: "https://e.example/es/" };
    assert.deepEqual(load(t, env), {
      kibana: { node: "https://k.example", auth: basic },
      elasticsearch: { node: "https://e.example/es", auth: basic },
      credentialsFrom: "environment variables",
      warnings: [],
    });
    assert.equal(load(t, {}, { ".env": `KIBANA_API_KEY=${encodedKey}\n` }).credentialsFrom, ".env");
  });

  const own: [variable: string, env: Record<string, string>, auth: unknown, node?: string][] = [
    ["KIBANA_URL", { KIBANA_URL: "http://localhost:15601" }, undefined, "http://localhost:15601"],
    [
      "KIBANA_URL of start-local's own address",
      { KIBANA_URL: "http://localhost:5602" },
      undefined,
      "http://localhost:5602",
    ],
    ["credentials", pair, basic],
    ["an API key", { KIBANA_API_KEY: encodedKey }, { apiKey: encodedKey }],
    ["ELASTICSEARCH_URL", { ELASTICSEARCH_URL: "http://localhost:9201" }, undefined],
  ];
  for (const [variable, env, auth, node = "http://localhost:5601"] of own)
    test(`start-local is not looked for if ${variable} is set: neither its address nor its credentials are used`, (t) => {
      const broken = { "elastic-start-local/.env": "\uFFFD" };
      for (const files of [startLocal(startLocalEnv), broken]) {
        const config = load(t, env, files);
        assert.deepEqual(config.kibana, { node, ...(auth !== undefined && { auth }) });
        assert.equal(config.elasticsearch?.node, env.ELASTICSEARCH_URL);
        assert.deepEqual(config.warnings, []);
      }
    });

  test("KIBANA_SPACE goes with any source", (t) => {
    const { kibana } = load(t, { KIBANA_SPACE: "ops" }, startLocal(startLocalEnv));
    assert.deepEqual(kibana, { node: "http://localhost:5602", auth: { apiKey: encodedKey }, space: "ops" });
  });

  test("a blank value counts as not set", (t) => {
    const env = { KIBANA_URL: " ", KIBANA_API_KEY: "", KIBANA_USERNAME: "\t", KIBANA_PASSWORD: "", ES_LOCAL_DIR: " " };
    assert.equal(load(t, env, startLocal(startLocalEnv)).kibana.node, "http://localhost:5602");
  });
});

describe("credentials of one's own", () => {
  for (const [missing, env, file] of [
    ["KIBANA_PASSWORD", { KIBANA_USERNAME: "elastic" }, ""],
    ["KIBANA_USERNAME", { KIBANA_PASSWORD: "hunter2hunter2" }, ""],
    ["KIBANA_PASSWORD", { KIBANA_PASSWORD: "" }, "KIBANA_USERNAME=elastic\nKIBANA_PASSWORD=\n"],
  ] as const)
    test(`half a pair is refused, naming the missing ${missing} (${Object.keys(env)} ${file ? "and .env" : ""})`, (t) => {
      const error = refusal(() => load(t, env, { ".env": file, ...startLocal(startLocalEnv) }));
      assert.match(error.message, new RegExp(`^${missing}: missing`));
      assert.ok(!inspect(error).includes("hunter2hunter2"));
    });

  test("a user in the environment and a password in .env make a pair, named after the password's place", (t) => {
    const config = load(t, { KIBANA_USERNAME: "elastic" }, { ".env": "KIBANA_PASSWORD=hunter2hunter2\n" });
    assert.deepEqual([config.kibana.auth, config.credentialsFrom], [basic, ".env"]);
  });

  test("an API key takes precedence over a pair of the same place or of .env, but not .env's over the environment's", (t) => {
    const key = { KIBANA_API_KEY: encodedKey };
    const dotenv = (variables: object) => ({
      ".env": Object.entries(variables)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    });
    assert.deepEqual(load(t, { ...key, ...pair }).kibana.auth, { apiKey: encodedKey });
    assert.deepEqual(load(t, {}, dotenv({ ...key, ...pair })).kibana.auth, { apiKey: encodedKey });
    assert.deepEqual(load(t, key, dotenv(pair)).kibana.auth, { apiKey: encodedKey });
    assert.deepEqual(load(t, pair, dotenv(key)).kibana.auth, basic);
    const half = refusal(() => load(t, { KIBANA_USERNAME: "elastic" }, dotenv(key)));
    assert.match(half.message, /^KIBANA_PASSWORD: missing/);
  });

  const shapes: [shape: string, key: string][] = [
    ["encoded", encodedKey],
    ["encoded without padding", encodedKey.replace(/=+$/, "")],
    ["id:api_key", "key-id:key-secret"],
    ["with ApiKey in front", `ApiKey ${encodedKey}`],
    ["with white space around", `  ${encodedKey}\t`],
    ["the JSON of Elasticsearch's answer", '{"id":"key-id","name":"mine","api_key":"key-secret"}'],
  ];
  for (const [shape, key] of shapes)
    test(`an API key is taken ${shape}, from the environment and from start-local's file`, (t) => {
      const files = startLocal(`${withoutKey}ES_LOCAL_API_KEY='${key}'\n`);
      for (const env of [{ KIBANA_API_KEY: key }, {}]) {
        const { auth } = load(t, env, files).kibana;
        assert.ok(auth && "apiKey" in auth && typeof auth.apiKey === "string");
        assert.equal(Buffer.from(auth.apiKey, "base64").toString(), "key-id:key-secret");
      }
    });

  for (const key of ["no-key-at-all!", "bm9jb2xvbmF0YWxs", '{"id":"only-an-id-here"}'])
    test(`an API key of no known form is refused, naming the variable and not the key (${key.length} characters)`, (t) => {
      const own = refusal(() => load(t, { KIBANA_API_KEY: key }));
      assert.match(own.message, /^KIBANA_API_KEY: of no known form/);
      const local = refusal(() => load(t, {}, startLocal(`${withoutKey}ES_LOCAL_API_KEY='${key}'\n`)));
      assert.match(local.message, /^ES_LOCAL_API_KEY: of no known form/);
      for (const error of [own, local]) assert.ok(!inspect(error, { depth: 9 }).includes(key));
    });

  test("over plain http to another machine there is a warning that names the address, and no secret", (t) => {
    const plain = load(t, { ...pair, KIBANA_URL: "http://kibana.example:5601" }).warnings;
    assert.deepEqual(plain, ["The credentials go to http://kibana.example:5601 unencrypted. Use https."]);
    const both = { ...pair, KIBANA_URL: "https://kibana.example", ELASTICSEARCH_URL: "http://es.example:9200" };
    assert.match(load(t, both).warnings.join(), /^The credentials go to http:\/\/es\.example:9200 unencrypted/);
    const silent = [
      { ...pair, KIBANA_URL: "https://kibana.example" },
      ...["localhost:5601", "127.8.8.8:1", "[::1]:5601", "LOCALHOST", "b.a.localhost", "127.100.20.3"].map((host) => ({
        ...pair,
        KIBANA_URL: `http://${host}`,
      })),
      { KIBANA_URL: "http://kibana.example:5601" },
    ];
    for (const env of silent) assert.deepEqual(load(t, env).warnings, [], JSON.stringify(env));
    for (const host of ["localhost.example", "127.0.0.1.example", "evillocalhost", "1127.0.0.1.example"])
      assert.equal(load(t, { ...pair, KIBANA_URL: `http://${host}` }).warnings.length, 1);
  });
});

describe("start-local", () => {
  test("gives Kibana, Elasticsearch and the key", (t) => {
    assert.deepEqual(load(t, {}, startLocal(startLocalEnv)), {
      kibana: { node: "http://localhost:5602", auth: { apiKey: encodedKey } },
      elasticsearch: { node: "http://localhost:9201", auth: { apiKey: encodedKey } },
      credentialsFrom: "elastic-start-local/.env",
      warnings: [],
    });
  });

  test("gives the password of elastic if it has no key, never that of kibana_system", (t) => {
    const { kibana } = load(t, {}, startLocal(withoutKey));
    assert.deepEqual(kibana.auth, { username: "elastic", password: "Xk7pQ2wZ" });
    const neither = load(t, {}, startLocal(withoutKey.replace(/^ES_LOCAL_PASSWORD=.*\n/m, "")));
    assert.deepEqual([neither.kibana.auth, neither.credentialsFrom], [undefined, undefined]);
  });

  const values: [what: string, file: string, node: string, auth: unknown, elasticsearch?: string][] = [
    [
      "ports that are missing are the usual ones",
      "ES_LOCAL_PASSWORD=secret99\nKIBANA_LOCAL_PASSWORD=x\n",
      "http://localhost:5601",
      { username: "elastic", password: "secret99" },
      "http://localhost:9200",
    ],
    [
      "the Elasticsearch port is used without ES_LOCAL_URL",
      "ES_LOCAL_PORT=9300\nKIBANA_LOCAL_PORT=5602\n",
      "http://localhost:5602",
      undefined,
      "http://localhost:9300",
    ],
    [
      "a value may have = and quotes",
      "ES_LOCAL_PASSWORD='a=b#c d'\nKIBANA_LOCAL_PORT=5602\n",
      "http://localhost:5602",
      { username: "elastic", password: "a=b#c d" },
    ],
    [
      "a shell default is used if the variable is blank",
      `PORT=\nES_LOCAL_PASSWORD=secret99\nKIBANA_LOCAL_URL=http://localhost:\${PORT:-5777}\n`,
      "http://localhost:5777",
      { username: "elastic", password: "secret99" },
    ],
    [
      "a shell default is not used if the variable is set",
      `PORT=5778\nES_LOCAL_PASSWORD=secret99\nKIBANA_LOCAL_URL=http://localhost:\${PORT:-5777}\n`,
      "http://localhost:5778",
      { username: "elastic", password: "secret99" },
    ],
    [
      "a dollar in a password stays",
      `ES_LOCAL_PASSWORD='a\${b}c'\nKIBANA_LOCAL_PORT=5602\n`,
      "http://localhost:5602",
      { username: "elastic", password: `a\${b}c` },
    ],
    [
      "a byte order mark and Windows line ends do no harm",
      "\uFEFFES_LOCAL_PASSWORD=secret99\r\nKIBANA_LOCAL_PORT=5602\r\n",
      "http://localhost:5602",
      { username: "elastic", password: "secret99" },
    ],
  ];
  for (const [what, file, node, auth, elasticsearch = "http://localhost:9200"] of values)
    test(what, (t) => {
      const config = load(t, {}, startLocal(file));
      assert.deepEqual(config.kibana, { node, ...(auth !== undefined && { auth }) });
      assert.equal(config.elasticsearch?.node, elasticsearch);
    });

  test(".env.local takes precedence over .env, for the values that it has", (t) => {
    const config = load(
      t,
      {},
      {
        "elastic-start-local/.env": withoutKey.replace(/^ES_LOCAL_URL=.*\n/m, ""),
        "elastic-start-local/.env.local": `ES_LOCAL_API_KEY=${encodedKey}\nES_LOCAL_PORT=9300\n`,
      },
    );
    assert.deepEqual(config.kibana, { node: "http://localhost:5602", auth: { apiKey: encodedKey } });
    assert.equal(config.elasticsearch?.node, "http://localhost:9300");
    assert.equal(config.credentialsFrom, "elastic-start-local/.env.local");
  });

  test("of kibana-py's variant gives its KIBANA_LOCAL_URL, and the password if ES_LOCAL_API_KEY is blank", (t) => {
    const file =
      "ES_LOCAL_PASSWORD=kibana-py-es-dev\nES_LOCAL_API_KEY=\nKIBANA_LOCAL_PORT=5601\nKIBANA_LOCAL_URL=http://localhost:5699\nKIBANA_LOCAL_PASSWORD=kibana-py-kbn-dev\nKIBANA_USERNAME=elastic\nKIBANA_PASSWORD=kibana-py-es-dev\n";
    assert.deepEqual(load(t, {}, startLocal(file)).kibana, {
      node: "http://localhost:5699",
      auth: { username: "elastic", password: "kibana-py-es-dev" },
    });
  });

  test("with --esonly is refused, with the way out", (t) => {
    const { message } = refusal(() => load(t, {}, startLocal(withoutKibana)));
    for (const part of [/elastic-start-local: has no Kibana/, /--esonly/, /KIBANA_URL/]) assert.match(message, part);
  });

  for (const [variable, file] of [
    ["KIBANA_LOCAL_URL", `${startLocalEnv}KIBANA_LOCAL_URL=https://kibana.example\n`],
    ["ES_LOCAL_URL", startLocalEnv.replace(/^ES_LOCAL_URL=.*$/m, "ES_LOCAL_URL=http://es.example:9200")],
  ] as const)
    test(`with an address in ${variable} that is not on this machine is refused, and no secret is shown`, (t) => {
      const error = refusal(() => load(t, {}, startLocal(file)));
      assert.match(
        error.message,
        new RegExp(`^${variable} in elastic-start-local/\\.env: not on this machine.*KIBANA_URL`),
      );
      for (const secret of [encodedKey, "Xk7pQ2wZ"]) assert.ok(!inspect(error).includes(secret));
    });

  test("is found in a parent folder, and the nearest one is used", (t) => {
    const folder = folderWith(t, {
      ...startLocal(startLocalEnv),
      "near/elastic-start-local/.env": startLocalEnv.replace("5602", "5603"),
      "near/deep/er/file": "",
      "other/file": "",
    });
    const far = loadConfig({ env: {}, cwd: join(folder, "other") });
    assert.equal(far.kibana.node, "http://localhost:5602");
    assert.equal(far.credentialsFrom, "../elastic-start-local/.env");
    const near = loadConfig({ env: {}, cwd: join(folder, "near/deep/er") });
    assert.equal(near.kibana.node, "http://localhost:5603");
    assert.equal(near.credentialsFrom, "../../elastic-start-local/.env");
  });

  test("in ES_LOCAL_DIR takes precedence over elastic-start-local, absolute or relative", (t) => {
    const folder = folderWith(t, {
      "project/elastic-start-local/.env": startLocalEnv,
      "elsewhere/.env": startLocalEnv.replace("5602", "5603"),
    });
    for (const ES_LOCAL_DIR of [join(folder, "elsewhere"), "../elsewhere"]) {
      const config = loadConfig({ env: { ES_LOCAL_DIR }, cwd: join(folder, "project") });
      assert.equal(config.kibana.node, "http://localhost:5603");
      assert.equal(config.credentialsFrom, "../elsewhere/.env");
    }
  });

  test("ES_LOCAL_DIR without start-local is refused, and in .env it is not read", (t) => {
    const { message } = refusal(() => load(t, { ES_LOCAL_DIR: "nowhere" }, startLocal(startLocalEnv)));
    assert.match(message, /^ES_LOCAL_DIR "nowhere": has no \.env of start-local/);
    const config = load(t, {}, { ".env": "ES_LOCAL_DIR=nowhere\n", ...startLocal(startLocalEnv) });
    assert.equal(config.kibana.node, "http://localhost:5602");
  });

  test("a folder of that name without start-local's variables is passed over, and so is a file", (t) => {
    const folder = folderWith(t, {
      ...startLocal(startLocalEnv),
      "a/elastic-start-local/.env": "UNRELATED=1\n",
      "a/b/elastic-start-local": "a file",
    });
    const config = loadConfig({ env: {}, cwd: join(folder, "a/b") });
    assert.deepEqual([config.kibana.node, config.warnings], ["http://localhost:5602", []]);
  });

  test("a folder that cannot be read is passed over with a warning, unless ES_LOCAL_DIR names it", {
    skip: onWindows,
  }, (t) => {
    const folder = folderWith(t, { ...startLocal(startLocalEnv), "a/file": "" });
    const loop = join(folder, "a/elastic-start-local");
    symlinkSync(loop, loop);
    const config = loadConfig({ env: {}, cwd: join(folder, "a") });
    assert.equal(config.kibana.node, "http://localhost:5602");
    assert.deepEqual(config.warnings, [`${loop}: cannot be read (ELOOP). It is not used.`]);
    const named = refusal(() => loadConfig({ env: { ES_LOCAL_DIR: loop }, cwd: folder }));
    assert.match(named.message, /cannot be read \(ELOOP\)/);
  });

  test("a folder of another user is passed over with a warning, unless ES_LOCAL_DIR names it", {
    skip: !isRoot && "only root may give a folder to another user",
  }, (t) => {
    const folder = folderWith(t, startLocal(startLocalEnv));
    const others = join(folder, "elastic-start-local");
    chownSync(others, 65_534, 65_534);
    const config = loadConfig({ env: {}, cwd: folder });
    assert.equal(config.kibana.node, "http://localhost:5601");
    assert.deepEqual(config.warnings, [
      `${others}: belongs to another user, so it is not used. ES_LOCAL_DIR can name it.`,
    ]);
    const named = loadConfig({ env: { ES_LOCAL_DIR: others }, cwd: folder });
    assert.deepEqual([named.kibana.node, named.warnings], ["http://localhost:5602", []]);
  });
});

describe("a value that is wrong is refused, naming its variable and the fix", () => {
  const wrong: [variable: string, value: string, says: RegExp][] = [
    ["KIBANA_URL", "localhost:5601", /Did you mean http:\/\/localhost:5601\?/],
    ["KIBANA_URL", "http://localhost:5601/app/home#/", /page/],
    ["KIBANA_URL", "http://localhost:5601/s/ops", /contains a space/],
    ["ELASTICSEARCH_URL", "es.example", /http/],
    ["KIBANA_SPACE", "My Space", /space/],
  ];
  for (const [variable, value, says] of wrong)
    test(`${variable}=${value}`, (t) => {
      const { message } = refusal(() => load(t, { [variable]: value }));
      assert.match(message, new RegExp(`^${variable}`));
      assert.match(message, says);
    });

  for (const variable of ["KIBANA_URL", "ELASTICSEARCH_URL"])
    for (const address of ["https://elastic:hunter2hunter2@kibana.example", "elastic:hunter2hunter2@localhost:5601"])
      test(`${variable} with credentials inside, which are not repeated (${address.slice(0, 5)})`, (t) => {
        const error = refusal(() => load(t, { [variable]: address }));
        assert.match(error.message, new RegExp(`^${variable}`));
        assert.ok(!inspect(error, { depth: 9 }).includes("hunter2hunter2"));
      });

  for (const path of [".env", "elastic-start-local/.env"])
    test(`${path} in UTF-16 or Latin-1; a folder of that name counts as absent`, (t) => {
      const cwd = folderWith(t, { [path]: "" });
      const utf16 = Buffer.from("KIBANA_URL=http://k\r\n", "utf16le");
      for (const bytes of [utf16, Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]), Buffer.from("A=\xe9", "latin1")]) {
        writeFileSync(join(cwd, path), bytes);
        assert.match(refusal(() => loadConfig({ env: {}, cwd })).message, /\.env: not UTF-8 text.*Save it as UTF-8/);
      }
      assert.equal(load(t, {}, { [`${path}/file`]: "" }).kibana.node, "http://localhost:5601");
    });

  test("a .env of one's own that cannot be read", { skip: onWindows }, (t) => {
    const cwd = folderWith(t, {});
    symlinkSync(join(cwd, ".env"), join(cwd, ".env"));
    assert.match(refusal(() => loadConfig({ env: {}, cwd })).message, /\.env: cannot be read \(ELOOP\)/);
  });
});

test(".env.example lists every variable that config.ts reads, and can be copied as it is", (t) => {
  const example = readFileSync(new URL("../.env.example", import.meta.url), "utf8");
  const source = readFileSync(new URL("../src/config.ts", import.meta.url), "utf8");
  const read = (source.match(/\b(KIBANA|ELASTICSEARCH|ES)_[A-Z_]*[A-Z]\b/g) ?? []).filter(
    (name) => name === "ES_LOCAL_DIR" || !/^(ES|KIBANA)_LOCAL/.test(name), // start-local's own file has those
  );
  const listed = [...example.matchAll(/^(?:# ?)?([A-Z_]+)=/gm)].map(([, name]) => name);
  assert.deepEqual(listed.sort(), [...new Set(read)].sort());
  assert.equal(load(t, {}, { ".env": example }).kibana.auth, undefined);
  const filledIn = example
    .replace(/^# ?(KIBANA_USERNAME)=.*$/m, "$1=elastic")
    .replace(/^# ?(KIBANA_PASSWORD)=.*$/m, "$1=hunter2hunter2");
  assert.deepEqual(load(t, {}, { ".env": filledIn }).kibana.auth, basic);
});
