// The command line: `npm run test:elasticsearch` fetches a real Elasticsearch, and tests client, sandbox and example with it.
import { type SpawnSyncOptionsWithStringEncoding, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

const version = "8.19.4";
const artifact = `org.elasticsearch.distribution.integ-test-zip:elasticsearch:${version}:zip`;
const password = "changeme";
const folder = mkdtempSync(join(tmpdir(), "kbn-connectors-elasticsearch-"));
const home = join(folder, `elasticsearch-${version}`);
const scratch = join(folder, "scratch");
const addressFile = join(home, "logs/http.ports");
const settings = `discovery.type=single-node network.host=127.0.0.1 http.port=0 transport.port=0 node.portsfile=true
  cluster.routing.allocation.disk.threshold_enabled=false xpack.security.enabled=true
  xpack.security.autoconfiguration.enabled=false xpack.security.http.ssl.enabled=false
  xpack.security.transport.ssl.enabled=false`;
/** Elasticsearch refuses to run as root. */
const nobody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};

function run(command: string, args: string[], options: Partial<SpawnSyncOptionsWithStringEncoding> = {}): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8", ...options });
  if (status === 0) return stdout + stderr;
  throw new Error(`${command} ${args.join(" ")} failed. This needs Java and Maven.\n${error ?? stdout + stderr}`);
}

/** Starts Elasticsearch on any free port. */
function start() {
  const [, java] = /java\.home = (.*)/.exec(run("java", ["-XshowSettings:properties", "-version"])) ?? [];
  console.log(`Fetching Elasticsearch ${version} through Maven...`);
  run("mvn", ["-q", "-B", "dependency:unpack", `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`]);
  mkdirSync(scratch);
  const heap = { ES_JAVA_OPTS: "-Xms512m -Xmx512m" };
  const env = { PATH: process.env.PATH, HOME: scratch, ES_TMPDIR: scratch, ES_JAVA_HOME: java, ...heap };
  run("chmod", ["-R", "a+rx", folder]); // the bits are lost in the zip file
  run(join(home, "bin/elasticsearch-keystore"), ["create"], { env });
  run(join(home, "bin/elasticsearch-keystore"), ["add", "-x", "bootstrap.password"], { env, input: password });
  if (nobody.uid) run("chown", ["-R", `${nobody.uid}:${nobody.gid}`, folder]);
  console.log("Starting it...");
  const args = settings.split(/\s+/).map((setting) => `-E${setting}`);
  return spawn(join(home, "bin/elasticsearch"), args, { ...nobody, cwd: scratch, env, stdio: "ignore" });
}

async function test(): Promise<number> {
  const server = start();
  const ended = new Promise((resolve) => server.once("exit", resolve));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => server.kill());
  try {
    while (!existsSync(addressFile)) {
      if (server.exitCode !== null) throw new Error(`Elasticsearch ended with exit code ${server.exitCode}.`);
      await setTimeout(500);
    }
    const REAL_ELASTICSEARCH = `http://elastic:${password}@${readFileSync(addressFile, "utf8").split("\n")[0]}`;
    const args = ["--import", "tsx", "--test", "test/elasticsearch/real.test.ts"];
    const env = { ...process.env, REAL_ELASTICSEARCH };
    return spawnSync(process.execPath, args, { env, stdio: "inherit" }).status ?? 1;
  } finally {
    server.kill();
    await ended;
  }
}

process.exitCode = await test().finally(() => rmSync(folder, { recursive: true }));
