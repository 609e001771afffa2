// Writes the parts of docs/ that are made of tables in the code: each lies between `<!-- generated: NAME -->` and
// `<!-- end -->`, and what is around it is written by hand. `--check` changes nothing and fails when a part is stale.
// Run: npm run docs:generate
import { readFileSync, writeFileSync } from "node:fs";
import { METRICS, SERIES_MAX } from "../src/telemetry/metric-table.ts";

const PART = /(<!-- generated: (\w+) -->\n)([\s\S]*?)(<!-- end -->)/g;

const PARTS = {
  "docs/metrics.md": { metrics: metricRows, caps: () => `At most ${SERIES_MAX.queues} queues and ${thousands(SERIES_MAX.subscribers)} subscribers have series of their own.` },
};

function table(head, rows) {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function thousands(number) {
  return number.toLocaleString("en-US");
}

function metricRows() {
  const rows = Object.values(METRICS).map(({ name, type, labels, unit, help }) => [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(", "), unit, help]);
  return table(["Metric", "Type", "Labels", "Unit", "Meaning"], rows);
}

const checking = process.argv.includes("--check");
for (const [path, parts] of Object.entries(PARTS)) {
  const file = new URL(`../${path}`, import.meta.url);
  const before = readFileSync(file, "utf8");
  const missing = new Set(Object.keys(parts));
  const after = before.replace(PART, (_, start, name, _old, end) => {
    if (parts[name] === undefined) throw new Error(`${path} has a part ${name} that nothing makes`);
    missing.delete(name);
    return `${start}${parts[name]()}\n${end}`;
  });
  if (missing.size > 0) throw new Error(`${path} has no place for ${[...missing].join(", ")}`);
  if (after === before) continue;
  if (checking) {
    console.error(`${path} is stale: run npm run docs:generate`);
    process.exitCode = 1;
  } else writeFileSync(file, after);
}
