// Draws the README's pictures from what really ran: `npm run pictures`.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { startChild } from "../child.ts";
import { startSandbox } from "../sandbox/sandbox.ts";

const root = resolve(import.meta.dirname, "../..");
const docs = join(root, "docs");

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A terminal on a ground of its own, so that it reads the same on a light and on a dark page. */
function terminal(command: string, output: string): string {
  const lines = [`$ ${command}`, ...output.trimEnd().split("\n")];
  const lineHeight = 19;
  const width = 24 + Math.max(...lines.map((line) => line.length)) * 8.05;
  const height = 56 + lines.length * lineHeight;
  const text = lines.map((line, row) => {
    const color = row === 0 ? "#8ab4f8" : line.startsWith("✓") ? "#7ee787" : "#e6edf3";
    return `<text x="16" y="${58 + row * lineHeight}" fill="${color}" xml:space="preserve">${escapeXml(line)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width.toFixed(0)} ${height}" width="${width.toFixed(0)}" role="img">
<title>A run of the example</title>
<rect width="100%" height="100%" rx="8" fill="#161b22" stroke="#57606a"/>
<circle cx="20" cy="18" r="5" fill="#ff7b72"/><circle cx="38" cy="18" r="5" fill="#f2cc60"/><circle cx="56" cy="18" r="5" fill="#7ee787"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13">
${text.join("\n")}
</g>
</svg>
`;
}

async function drawExample(): Promise<void> {
  const sandbox = await startSandbox({ port: 5601 }).catch(() => startSandbox());
  const args = ["--import", "tsx", join(root, "examples/simple-index-connector.ts")];
  const { exitCode, stdout, stderr } = await startChild(process.execPath, args, {
    env: sandbox.env,
    cwd: root,
    input: "y\n",
  }).finished;
  await sandbox.close();
  if (exitCode !== 0) throw new Error(stderr);
  writeFileSync(
    join(docs, "example.svg"),
    terminal(
      "npx tsx examples/simple-index-connector.ts",
      stdout.replaceAll(sandbox.kibanaUrl, "http://localhost:5601"),
    ),
  );
  console.log("docs/example.svg");
}

interface Results {
  machine: { processor: string; node: string };
  rows: { what: string; who: string; median: number }[];
}

/** Bars without a ground: their colours and the text's follow the page's. */
function chart({ machine, rows }: Results, what: string): string {
  const bars = rows.filter((row) => row.what === what).sort((a, b) => a.median - b.median);
  const longest = Math.max(...bars.map(({ median }) => median));
  const drawn = bars.map(({ who, median }, row) => {
    const y = 52 + row * 30;
    const width = ((median / longest) * 340).toFixed(0);
    const own = who === "kbn-connectors" ? ' class="own"' : "";
    return `<text x="136" y="${y + 15}" text-anchor="end">${escapeXml(who)}</text>
<rect${own} x="146" y="${y}" width="${width}" height="20" rx="3"/>
<text x="${146 + Number(width) + 8}" y="${y + 15}">${median.toFixed(0)} µs</text>`;
  });
  const height = 62 + bars.length * 30;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 570 ${height}" width="570" role="img">
<title>${escapeXml(what)}: median microseconds a call</title>
<style>
text { fill: #1f2328; font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
rect { fill: #8c959f }
.own { fill: #0969da }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } rect { fill: #6e7681 } .own { fill: #58a6ff } }
</style>
<text x="16" y="20" font-weight="600">${escapeXml(what)}: µs a call, median</text>
<text x="16" y="38">${escapeXml(`Node ${machine.node.slice(1)}, ${machine.processor}; npm run bench`)}</text>
${drawn.join("\n")}
</svg>
`;
}

function drawBenchmark(): void {
  const results = JSON.parse(readFileSync(join(root, "test/bench/results.json"), "utf8")) as Results;
  writeFileSync(join(docs, "benchmark.svg"), chart(results, "execute, 1 document, one at a time, time"));
  console.log("docs/benchmark.svg");
}

mkdirSync(docs, { recursive: true });
await drawExample();
drawBenchmark();
