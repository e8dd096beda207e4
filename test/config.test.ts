// Where the configuration comes from: environment, .env and start-local's files, on real files in folders of their own.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
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

test("with nothing set it is localhost:5601 without credentials, and what to do if nothing answers there", (t) => {
  const { ifUnreachable, ...config } = loadConfig({ env: {}, cwd: folderWith(t, {}) });
  assert.deepEqual(config, {
    kibana: { node: "http://localhost:5601" },
    url: "http://localhost:5601",
    authentication: "none",
    warnings: [],
  });
  for (const way of [/start-local/, /KIBANA_URL/, /npm run demo/]) assert.match(ifUnreachable, way);
});

test("the environment goes before .env, that before start-local, and that before the default, for the address", (t) => {
  const files = { ".env": "KIBANA_URL=http://localhost:2222", "elastic-start-local/.env": startLocalEnv };
  const cwd = folderWith(t, files);
  const startLocalOnly = folderWith(t, { "elastic-start-local/.env": startLocalEnv });
  assert.equal(loadConfig({ env: { KIBANA_URL: "http://localhost:1111" }, cwd }).url, "http://localhost:1111");
  assert.equal(loadConfig({ env: {}, cwd }).url, "http://localhost:2222");
  assert.equal(loadConfig({ env: {}, cwd: startLocalOnly }).url, "http://localhost:5602");
});

test("the environment goes before .env, and that before start-local, for the credentials, the space and Elasticsearch", (t) => {
  const cwd = folderWith(t, {
    ".env":
      "KIBANA_USERNAME=file-user\nKIBANA_PASSWORD=file-password\nKIBANA_SPACE=file-space\nELASTICSEARCH_URL=http://localhost:2222\n",
    "elastic-start-local/.env": startLocalEnv,
  });
  const fromFile = loadConfig({ env: {}, cwd });
  assert.deepEqual(fromFile.kibana.auth, { username: "file-user", password: "file-password" });
  assert.equal(fromFile.credentialsFrom, ".env");
  assert.equal(fromFile.kibana.space, "file-space");
  assert.equal(fromFile.elasticsearch?.node, "http://localhost:2222");

  const env = { KIBANA_API_KEY: encodedKey, KIBANA_SPACE: "marketing", ELASTICSEARCH_URL: "http://localhost:1111" };
  const fromEnvironment = loadConfig({ env, cwd });
  assert.deepEqual(fromEnvironment.kibana.auth, { apiKey: encodedKey });
  assert.equal(fromEnvironment.credentialsFrom, "environment variables");
  assert.equal(fromEnvironment.kibana.space, "marketing");
  assert.deepEqual(fromEnvironment.elasticsearch, { node: "http://localhost:1111", auth: { apiKey: encodedKey } });
});

test("a blank value counts as unset in the environment, in .env and in start-local's files", (t) => {
  const blank =
    "KIBANA_URL=\nKIBANA_API_KEY=  \nKIBANA_USERNAME=''\nKIBANA_PASSWORD=\nKIBANA_SPACE=\nELASTICSEARCH_URL=\n";
  const cwd = folderWith(t, {
    ".env": blank,
    "elastic-start-local/.env": startLocalEnv,
    "elastic-start-local/.env.local": "ES_LOCAL_API_KEY=\nES_LOCAL_PASSWORD=\nKIBANA_LOCAL_PORT=\nES_LOCAL_URL=\n",
  });
  const env = { KIBANA_URL: "", KIBANA_API_KEY: "  ", KIBANA_USERNAME: "", KIBANA_SPACE: " ", ES_LOCAL_DIR: "" };
  const config = loadConfig({ env, cwd });
  assert.deepEqual(config.kibana, { node: "http://localhost:5602", auth: { apiKey: encodedKey } });
  assert.deepEqual(config.elasticsearch, { node: "http://localhost:9201", auth: { apiKey: encodedKey } });
  assert.equal(config.url, "http://localhost:5602");
  assert.equal(config.credentialsFrom, "elastic-start-local/.env");
});

test("start-local's own file gives address, API key and Elasticsearch, with the port expanded in its URL", (t) => {
  const config = loadConfig({ env: {}, cwd: folderWith(t, { "elastic-start-local/.env": startLocalEnv }) });
  assert.deepEqual(config, {
    kibana: { node: "http://localhost:5602", auth: { apiKey: encodedKey } },
    elasticsearch: { node: "http://localhost:9201", auth: { apiKey: encodedKey } },
    url: "http://localhost:5602",
    authentication: "API key",
    credentialsFrom: "elastic-start-local/.env",
    warnings: [],
    ifUnreachable: "Start it: elastic-start-local/start.sh",
  });
});

test("without an API key start-local's password is that of elastic; Kibana's own password is never taken", (t) => {
  const config = loadConfig({ env: {}, cwd: folderWith(t, { "elastic-start-local/.env": withoutKey }) });
  assert.deepEqual(config.kibana.auth, { username: "elastic", password: "Xk7pQ2wZ" });
  assert.equal(config.authentication, "Basic authentication");

  const withoutPassword = withoutKey.replace(/^ES_LOCAL_PASSWORD=.*\n/m, "");
  const none = loadConfig({ env: {}, cwd: folderWith(t, { "elastic-start-local/.env": withoutPassword }) });
  assert.equal(none.authentication, "none");
  assert.ok(!inspect([config, none], { depth: 9 }).includes("KibanaSystemsOwn"));
});

const values: [what: string, file: string, node: string, auth: object][] = [
  [
    "quotes are no part of a value",
    `ES_LOCAL_PASSWORD="pass word"\nKIBANA_LOCAL_PORT='5602'\n`,
    "http://localhost:5602",
    { username: "elastic", password: "pass word" },
  ],
  [
    "an = inside a value stays",
    "ES_LOCAL_PASSWORD=a=b==\nKIBANA_LOCAL_PORT=5602\n",
    "http://localhost:5602",
    { username: "elastic", password: "a=b==" },
  ],
  [
    "the = at the end of an API key stays",
    "ES_LOCAL_API_KEY=YWI6Yw==\nKIBANA_LOCAL_PORT=5602\n",
    "http://localhost:5602",
    { apiKey: "YWI6Yw==" },
  ],
  [
    "a shell default is taken where the variable is blank",
    `PORT=\nES_LOCAL_PASSWORD=secret99\nKIBANA_LOCAL_URL=http://localhost:\${PORT:-5777}\n`,
    "http://localhost:5777",
    { username: "elastic", password: "secret99" },
  ],
  [
    "a byte order mark and Windows line ends do no harm",
    "\uFEFFES_LOCAL_PASSWORD=secret99\r\nKIBANA_LOCAL_PORT=5602\r\n",
    "http://localhost:5602",
    { username: "elastic", password: "secret99" },
  ],
];
for (const [what, file, node, auth] of values)
  test(`in start-local's file, ${what}`, (t) => {
    const { kibana } = loadConfig({ env: {}, cwd: folderWith(t, { "elastic-start-local/.env": file }) });
    assert.deepEqual(kibana, { node, auth });
  });

test(".env.local goes before .env, and only with the values that it has", (t) => {
  const cwd = folderWith(t, {
    "elastic-start-local/.env": withoutKey,
    "elastic-start-local/.env.local": `ES_LOCAL_API_KEY=${encodedKey}\nES_LOCAL_PORT=9300\n`,
  });
  const config = loadConfig({ env: {}, cwd });
  assert.deepEqual(config.kibana, { node: "http://localhost:5602", auth: { apiKey: encodedKey } });
  assert.equal(config.elasticsearch?.node, "http://localhost:9300");
  assert.equal(config.credentialsFrom, "elastic-start-local/.env.local");
});

test("kibana-py's variant gives its KIBANA_LOCAL_URL, and the password where ES_LOCAL_API_KEY is blank", (t) => {
  const kibanaPy = `ES_LOCAL_VERSION=9.4.3
ES_LOCAL_PASSWORD=kibana-py-es-dev
ES_LOCAL_URL=http://localhost:9200
ES_LOCAL_API_KEY=
KIBANA_LOCAL_PORT=5601
KIBANA_LOCAL_URL=http://localhost:5699
KIBANA_LOCAL_PASSWORD=kibana-py-kbn-dev
KIBANA_USERNAME=elastic
KIBANA_PASSWORD=kibana-py-es-dev
`;
  const config = loadConfig({ env: {}, cwd: folderWith(t, { "elastic-start-local/.env": kibanaPy }) });
  assert.deepEqual(config.kibana, {
    node: "http://localhost:5699",
    auth: { username: "elastic", password: "kibana-py-es-dev" },
  });
  assert.equal(config.elasticsearch?.node, "http://localhost:9200");
  assert.equal(config.credentialsFrom, "elastic-start-local/.env");
});

test("an installation with --esonly is told apart, and KIBANA_URL makes up for it", (t) => {
  const cwd = folderWith(t, { "elastic-start-local/.env": withoutKibana });
  const { message } = refusal(() => loadConfig({ env: {}, cwd }));
  for (const part of [/elastic-start-local/, /--esonly/, /KIBANA_URL/]) assert.match(message, part);
  const config = loadConfig({ env: { KIBANA_URL: "http://localhost:5601" }, cwd });
  assert.deepEqual(config.kibana.auth, { apiKey: encodedKey });
});

test("start-local is found in a parent folder, and the nearest one is taken", (t) => {
  const nearer = startLocalEnv.replace("5602", "5603");
  const folder = folderWith(t, {
    "elastic-start-local/.env": startLocalEnv,
    "near/elastic-start-local/.env": nearer,
    "near/deep/er/file": "",
    "other/file": "",
  });
  const far = loadConfig({ env: {}, cwd: join(folder, "other") });
  assert.equal(far.url, "http://localhost:5602");
  assert.equal(far.credentialsFrom, "../elastic-start-local/.env");
  const near = loadConfig({ env: {}, cwd: join(folder, "near/deep/er") });
  assert.equal(near.url, "http://localhost:5603");
  assert.equal(near.credentialsFrom, "../../elastic-start-local/.env");
});

test("ES_LOCAL_DIR goes before elastic-start-local, absolute or relative to the working directory", (t) => {
  const folder = folderWith(t, {
    "project/elastic-start-local/.env": startLocalEnv,
    "elsewhere/.env": startLocalEnv.replace("5602", "5603"),
  });
  for (const ES_LOCAL_DIR of [join(folder, "elsewhere"), "../elsewhere"]) {
    const config = loadConfig({ env: { ES_LOCAL_DIR }, cwd: join(folder, "project") });
    assert.equal(config.url, "http://localhost:5603");
    assert.equal(config.credentialsFrom, "../elsewhere/.env");
    assert.match(config.ifUnreachable, /\.\.\/elsewhere\/start\.sh/);
  }
});

test("a folder named elastic-start-local without start-local's variables is passed over", (t) => {
  const cwd = folderWith(t, { "elastic-start-local/.env": "UNRELATED=1\n" });
  assert.equal(loadConfig({ env: {}, cwd }).url, "http://localhost:5601");
});

const elsewhere: [what: string, env: Record<string, string>, file: string][] = [
  ["KIBANA_URL names", { KIBANA_URL: "https://kibana.example" }, startLocalEnv],
  [
    "KIBANA_URL, which only begins like a loopback address, names",
    { KIBANA_URL: "https://localhost.example" },
    startLocalEnv,
  ],
  [
    "KIBANA_URL, which has localhost in its path only, names",
    { KIBANA_URL: "https://kibana.example/localhost" },
    startLocalEnv,
  ],
  ["KIBANA_LOCAL_URL names", {}, `${startLocalEnv}KIBANA_LOCAL_URL=https://kibana.example\n`],
];
for (const [what, env, file] of elsewhere)
  for (const [kind, text] of [
    ["API key", file],
    ["password", file.replace(/^ES_LOCAL_API_KEY=.*\n/m, "")],
  ] as const)
    test(`start-local's ${kind} does not go to another host that ${what}, and that is said`, (t) => {
      const config = loadConfig({ env, cwd: folderWith(t, { "elastic-start-local/.env": text }) });
      assert.equal(config.authentication, "none");
      assert.equal(config.credentialsFrom, undefined);
      assert.equal(config.elasticsearch, undefined);
      assert.match(config.warnings.join("\n"), /elastic-start-local.*not sent/);
      const shown = inspect(config, { depth: 9 });
      for (const secret of [encodedKey, "Xk7pQ2wZ", "KibanaSystemsOwn"]) assert.ok(!shown.includes(secret), shown);
    });

for (const [variable, env, file] of [
  ["ELASTICSEARCH_URL", { ELASTICSEARCH_URL: "http://es.example:9200" }, startLocalEnv],
  ["ES_LOCAL_URL", {}, startLocalEnv.replace(/^ES_LOCAL_URL=.*$/m, "ES_LOCAL_URL=http://es.example:9200")],
] as const)
  test(`start-local's credentials do not go to another host that ${variable} names, and no warning says they do`, (t) => {
    const config = loadConfig({ env, cwd: folderWith(t, { "elastic-start-local/.env": file }) });
    assert.deepEqual(config.kibana.auth, { apiKey: encodedKey });
    assert.deepEqual(config.elasticsearch, { node: "http://es.example:9200" });
    assert.doesNotMatch(config.warnings.join("\n"), /unencrypted/);
  });

for (const KIBANA_URL of [
  "http://127.0.0.1:5601",
  "http://[::1]:5601",
  "http://127.8.8.8:5601",
  "http://LOCALHOST:5601",
])
  test(`start-local's credentials go to the loopback address ${KIBANA_URL}`, (t) => {
    const config = loadConfig({
      env: { KIBANA_URL },
      cwd: folderWith(t, { "elastic-start-local/.env": startLocalEnv }),
    });
    assert.deepEqual(config.kibana.auth, { apiKey: encodedKey });
    assert.deepEqual(config.warnings, []);
  });

test("credentials of your own go to any host, and over plain http there is a warning that names it", (t) => {
  const cwd = folderWith(t, {});
  const load = (env: Record<string, string>) => loadConfig({ env, cwd });
  const own = { KIBANA_USERNAME: "elastic", KIBANA_PASSWORD: "hunter2hunter2" };
  const plain = load({ ...own, KIBANA_URL: "http://kibana.example:5601" });
  assert.deepEqual(plain.kibana.auth, { username: "elastic", password: "hunter2hunter2" });
  assert.match(plain.warnings.join("\n"), /http:\/\/kibana\.example:5601 unencrypted/);
  assert.doesNotMatch(plain.warnings.join("\n"), /hunter2/);

  const plainElasticsearch = { KIBANA_URL: "https://kibana.example", ELASTICSEARCH_URL: "http://es.example:9200" };
  assert.match(load({ ...own, ...plainElasticsearch }).warnings.join("\n"), /http:\/\/es\.example:9200 unencrypted/);

  const silent = [
    { ...own, KIBANA_URL: "https://kibana.example" },
    { ...own, KIBANA_URL: "http://localhost:5601" },
    { KIBANA_URL: "http://kibana.example:5601" },
  ];
  for (const env of silent) assert.deepEqual(load(env).warnings, [], JSON.stringify(env));
});

for (const [missing, env, file] of [
  ["KIBANA_PASSWORD", { KIBANA_USERNAME: "elastic" }, ""],
  ["KIBANA_USERNAME", { KIBANA_PASSWORD: "hunter2hunter2" }, ""],
  ["KIBANA_PASSWORD", { KIBANA_PASSWORD: "" }, "KIBANA_USERNAME=elastic\nKIBANA_PASSWORD=\n"],
] as const)
  test(`half a pair is refused, naming the missing ${missing} (${JSON.stringify(env).replace("hunter2hunter2", "...")} ${file ? "and .env" : ""})`, (t) => {
    // start-local's credentials do not make up for it: whoever sets a user means that user.
    const cwd = folderWith(t, { ".env": file, "elastic-start-local/.env": startLocalEnv });
    const error = refusal(() => loadConfig({ env, cwd }));
    assert.match(error.message, new RegExp(`^${missing}: missing`));
    assert.ok(!inspect(error).includes("hunter2hunter2"));
  });

test("a user in the environment and a password in .env make a pair", (t) => {
  const cwd = folderWith(t, { ".env": "KIBANA_PASSWORD=hunter2hunter2\n" });
  const { kibana } = loadConfig({ env: { KIBANA_USERNAME: "elastic" }, cwd });
  assert.deepEqual(kibana.auth, { username: "elastic", password: "hunter2hunter2" });
});

test("an API key goes before user and password of the same place", (t) => {
  const env = { KIBANA_API_KEY: encodedKey, KIBANA_USERNAME: "elastic", KIBANA_PASSWORD: "hunter2hunter2" };
  assert.deepEqual(loadConfig({ env, cwd: folderWith(t, {}) }).kibana.auth, { apiKey: encodedKey });
});

const shapes: [shape: string, key: string][] = [
  ["encoded", encodedKey],
  ["encoded without padding", encodedKey.replace(/=+$/, "")],
  ["id:api_key", "key-id:key-secret"],
  ["with ApiKey in front", `ApiKey ${encodedKey}`],
  ["with white space around", `  ${encodedKey}\t`],
  [
    "the JSON of Elasticsearch's answer",
    `{"id":"key-id","name":"mine","api_key":"key-secret","encoded":"${encodedKey}"}`,
  ],
];
for (const [shape, key] of shapes)
  test(`an API key is taken ${shape}, from the environment and from start-local's file`, (t) => {
    const cwd = folderWith(t, { "elastic-start-local/.env": `${withoutKey}ES_LOCAL_API_KEY='${key}'\n` });
    for (const env of [{ KIBANA_API_KEY: key }, {}]) {
      const { auth } = loadConfig({ env, cwd }).kibana;
      assert.ok(auth && "apiKey" in auth && typeof auth.apiKey === "string");
      assert.equal(Buffer.from(auth.apiKey, "base64").toString(), "key-id:key-secret");
    }
  });

for (const key of ["no-key-at-all!", "bm9jb2xvbmF0YWxs", '{"id":"only-an-id-here"}'])
  test(`an API key of no known shape is refused, naming the variable and not the key (${key.length} characters)`, (t) => {
    const env = { KIBANA_API_KEY: key };
    const own = refusal(() => loadConfig({ env, cwd: folderWith(t, {}) }));
    assert.match(own.message, /KIBANA_API_KEY/);
    const file = { "elastic-start-local/.env": `${withoutKey}ES_LOCAL_API_KEY='${key}'\n` };
    const local = refusal(() => loadConfig({ env: {}, cwd: folderWith(t, file) }));
    assert.match(local.message, /ES_LOCAL_API_KEY/);
    for (const error of [own, local]) assert.ok(!inspect(error, { depth: 9 }).includes(key));
  });

for (const variable of ["KIBANA_URL", "ELASTICSEARCH_URL"])
  for (const address of ["https://elastic:hunter2hunter2@kibana.example", "elastic:hunter2hunter2@localhost:5601"])
    test(`credentials inside ${variable} are refused and not repeated (${address.startsWith("https") ? "a URL" : "no scheme"})`, (t) => {
      const error = refusal(() => loadConfig({ env: { [variable]: address }, cwd: folderWith(t, {}) }));
      assert.match(error.message, new RegExp(`^${variable}`));
      assert.ok(!inspect(error, { depth: 9 }).includes("hunter2hunter2"));
    });

const wrong: [variable: string, value: string, says: RegExp][] = [
  ["KIBANA_URL", "localhost:5601", /Did you mean http:\/\/localhost:5601\?/],
  ["KIBANA_URL", "http://localhost:5601/app/home#/", /page/],
  ["ELASTICSEARCH_URL", "es.example", /http/],
  ["KIBANA_SPACE", "My Space", /space/],
];
for (const [variable, value, says] of wrong)
  test(`${variable}=${value} is refused, naming the variable and the fix`, (t) => {
    const { message } = refusal(() => loadConfig({ env: { [variable]: value }, cwd: folderWith(t, {}) }));
    assert.match(message, new RegExp(`^${variable}`));
    assert.match(message, says);
  });

for (const path of [".env", "elastic-start-local/.env"])
  test(`${path} that cannot be read (a folder) is an error that names it, not silence`, (t) => {
    const { message } = refusal(() => loadConfig({ env: {}, cwd: folderWith(t, { [`${path}/file`]: "" }) }));
    assert.match(message, /\.env: cannot be read \(EISDIR\)/);
    assert.ok(message.includes(path));
  });

test("links begin with the address, its base path and the space", (t) => {
  const env = { KIBANA_URL: "https://proxy.example/kbn/", KIBANA_SPACE: "marketing" };
  const { url, kibana } = loadConfig({ env, cwd: folderWith(t, {}) });
  assert.equal(url, "https://proxy.example/kbn/s/marketing");
  assert.deepEqual(kibana, { node: "https://proxy.example/kbn", space: "marketing" });
  const inDefault = loadConfig({ env: { ...env, KIBANA_SPACE: "default" }, cwd: folderWith(t, {}) });
  assert.equal(inDefault.url, "https://proxy.example/kbn");
});

test("what there is to show tells the place of the credentials, and never the secret", (t) => {
  for (const [file, credentialsFrom] of [
    [{ "elastic-start-local/.env": startLocalEnv }, "elastic-start-local/.env"],
    [{ "elastic-start-local/.env": withoutKey }, "elastic-start-local/.env"],
    [{ ".env": `KIBANA_API_KEY=${encodedKey}\n` }, ".env"],
  ] as const) {
    const { kibana, elasticsearch, ...shown } = loadConfig({ env: {}, cwd: folderWith(t, file) });
    assert.ok(kibana.auth);
    assert.equal(shown.credentialsFrom, credentialsFrom);
    for (const secret of [encodedKey, "key-secret", "Xk7pQ2wZ"]) assert.ok(!inspect(shown).includes(secret));
  }
});

test(".env.example lists every variable that config.ts reads, and loads once the password is filled in", (t) => {
  const example = readFileSync(new URL("../.env.example", import.meta.url), "utf8");
  const source = readFileSync(new URL("../src/config.ts", import.meta.url), "utf8");
  const read = (source.match(/\b(KIBANA|ELASTICSEARCH|ES)_[A-Z_]*[A-Z]\b/g) ?? []).filter(
    (name) => name === "ES_LOCAL_DIR" || !/^(ES|KIBANA)_LOCAL/.test(name), // start-local's own file has those
  );
  const listed = [...example.matchAll(/^(?:# ?)?([A-Z_]+)=/gm)].map(([, name]) => name);
  assert.deepEqual(listed.sort(), [...new Set(read)].sort());
  assert.deepEqual(listed, [
    "ELASTICSEARCH_URL",
    "ES_LOCAL_DIR",
    "KIBANA_API_KEY",
    "KIBANA_PASSWORD",
    "KIBANA_SPACE",
    "KIBANA_URL",
    "KIBANA_USERNAME",
  ]);

  const filledIn = example.replace(/^KIBANA_PASSWORD=.*$/m, "KIBANA_PASSWORD=hunter2hunter2");
  const config = loadConfig({ env: {}, cwd: folderWith(t, { ".env": filledIn }) });
  assert.deepEqual(config.kibana.auth, { username: "elastic", password: "hunter2hunter2" });
});
