// Draws the README's picture from what really ran: `npm run pictures`.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

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

const example = ["--import", "tsx", "examples/simple-index-connector.ts"];
const args = ["--import", "tsx", "test/sandbox/main.ts", process.execPath, ...example];
const options = { cwd: root, input: "y\n", encoding: "utf8" } as const;
const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
if (status !== 0) throw new Error(stderr);
const output = stdout.replace(/http:\/\/127\.0\.0\.1:\d+/g, "http://localhost:5601");
writeFileSync(join(root, "docs/example.svg"), terminal("echo y | npx tsx examples/simple-index-connector.ts", output));
console.log("docs/example.svg");
