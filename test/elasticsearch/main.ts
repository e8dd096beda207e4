// Fetches a real Elasticsearch and runs sandbox, client and example against it: `npm run test:elasticsearch`.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";

const version = "8.19.4";
const artifact = `org.elasticsearch.distribution.integ-test-zip:elasticsearch:${version}:zip`;
const password = "changeme";
const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-elasticsearch-"));
const home = join(folder, `elasticsearch-${version}`);
const scratch = join(folder, "scratch");
// It refuses to run as root; then nobody owns it.
const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
const env = { PATH: process.env.PATH, HOME: scratch, ES_TMPDIR: scratch, ES_JAVA_HOME: javaHome() };

function run(command: string, args: string[], input?: string): void {
  const settings = command.startsWith(home) ? { env } : {};
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    cwd: folder,
    input,
    ...settings,
  });
  if (status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error ?? `exit code ${status}\n${stdout}${stderr}`}`);
}

function demand(command: string, name: string): void {
  if (spawnSync(command, ["-version"]).status === 0) return;
  console.error(`${name} is missing: this command needs \`${command}\`, to fetch and run Elasticsearch ${version}.`);
  process.exit(1);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === "object" && address ? address.port : 0;
}

function configure(port: number, transportPort: number): void {
  writeFileSync(
    join(home, "config/elasticsearch.yml"),
    `discovery.type: single-node
network.host: 127.0.0.1
http.port: ${port}
transport.port: ${transportPort}
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.http.ssl.enabled: false
xpack.security.transport.ssl.enabled: false
`,
  );
  mkdirSync(join(home, "config/jvm.options.d"), { recursive: true });
  writeFileSync(join(home, "config/jvm.options.d/heap.options"), "-Xms512m\n-Xmx512m\n");
  for (const tool of readdirSync(join(home, "bin"))) chmodSync(join(home, "bin", tool), 0o755);
  mkdirSync(scratch);
  run(join(home, "bin/elasticsearch-keystore"), ["create"]);
  run(join(home, "bin/elasticsearch-keystore"), ["add", "-x", "bootstrap.password"], password);
  if (owner.uid === undefined) return;
  for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" }))
    chownSync(join(folder, path), owner.uid, owner.gid);
  chmodSync(folder, 0o755);
}

async function test(): Promise<number> {
  console.log(`Fetching Elasticsearch ${version} through Maven...`);
  run("mvn", ["-q", "-B", "dependency:unpack", `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`]);
  const port = await freePort();
  configure(port, await freePort());
  const server = spawn(join(home, "bin/elasticsearch"), { ...owner, cwd: scratch, env, stdio: "ignore" });
  const ended = new Promise((done) => server.once("exit", done));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => server.kill());
  try {
    const headers = { authorization: `Basic ${Buffer.from(`elastic:${password}`).toString("base64")}` };
    console.log("Starting it...");
    while (!(await fetch(`http://127.0.0.1:${port}/_cluster/health`, { headers }).catch(() => undefined))?.ok) {
      if (server.exitCode !== null) throw new Error(`Elasticsearch ended with exit code ${server.exitCode}`);
      await setTimeout(500);
    }
    const tests = ["test/elasticsearch/real.test.ts", "test/client.test.ts", "test/runs.test.ts"];
    return (
      spawnSync(process.execPath, ["--import", "tsx", "--test", ...tests], {
        cwd: root,
        env: { ...process.env, REAL_ELASTICSEARCH: `http://elastic:${password}@127.0.0.1:${port}` },
        stdio: "inherit",
      }).status ?? 1
    );
  } finally {
    server.kill();
    await ended;
  }
}

function javaHome(): string {
  const { stderr } = spawnSync("java", ["-XshowSettings:properties", "-version"], { encoding: "utf8" });
  return /java\.home = (.*)/.exec(stderr)?.[1] ?? "";
}

demand("java", "Java");
demand("mvn", "Maven");
try {
  process.exitCode = await test();
} finally {
  rmSync(folder, { recursive: true });
}
