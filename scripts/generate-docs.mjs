// Writes the parts of docs/ that are made of tables in the code: each lies between `<!-- generated: NAME -->` and
// `<!-- end -->`, and what is around it is written by hand. `--check` changes nothing and fails when a part is stale.
// Run: npm run docs:generate
import { readFileSync, writeFileSync } from "node:fs";
import { ERROR_REASONS, RETRIABLE_REASONS } from "../src/core/errors.ts";
import { METRICS, QUEUE_SERIES_MAX, SUBSCRIBER_SERIES_MAX } from "../src/telemetry/metric-table.ts";

const PART = /(<!-- generated: (\w+) -->\n)([\s\S]*?)(<!-- end -->)/g;

const PARTS = {
  "docs/errors.md": { reasons: reasonRows, settleFailures: () => valueRows("subscribe.proto", "SettleFailureCode"), notices: () => valueRows("errors.proto", "NoticeReason") },
  "docs/metrics.md": { metrics: metricRows, caps: () => `At most ${QUEUE_SERIES_MAX} queues and ${thousands(SUBSCRIBER_SERIES_MAX)} subscribers have series of their own.` },
};

function table(head, rows) {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function thousands(number) {
  return number.toLocaleString("en-US");
}

/** The values of an enum of the contract with what its comment says, but for the one that is never sent. */
function enumValues(file, name) {
  const text = readFileSync(new URL(`../proto/tidemark/v1/${file}`, import.meta.url), "utf8");
  const body = new RegExp(`^enum ${name} \\{\n([\\s\\S]*?)^\\}`, "m").exec(text)?.[1] ?? "";
  const prefix = `${name.replace(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase()}_`;
  const values = [...body.matchAll(/((?: {2}\/\/.*\n)+) {2}(\w+) = \d+/g)].map(([, comment, value]) => ({
    name: value.slice(prefix.length),
    comment: comment.replace(/^ {2}\/\/ ?/gm, "").trim().replaceAll("\n", " ").replaceAll("|", "\\|"),
  }));
  if (values.length < 2) throw new Error(`${file} has no enum ${name}`);
  return values.filter((value) => value.name !== "UNSPECIFIED");
}

function valueRows(file, name) {
  return table(["Code", "Meaning"], enumValues(file, name).map(({ name: value, comment }) => [`\`${value}\``, comment]));
}

/** A comment begins with the status, and may end with the metadata; between them it says what happened and what to do. */
function reasonRows() {
  const comments = new Map(enumValues("errors.proto", "ErrorReason").map(({ name, comment }) => [name, comment]));
  const rows = Object.entries(ERROR_REASONS).map(([reason, status]) => {
    const [, words, metadata = ""] = /^[A-Z_]+(?:, with RetryInfo)?\. (.*?)(?: Metadata: (.*)\.)?$/.exec(comments.get(reason) ?? "") ?? [];
    if (words === undefined) throw new Error(`errors.proto does not say what ${reason} is`);
    return [`\`${reason}\``, `\`${status}\``, RETRIABLE_REASONS.includes(reason) ? "yes" : "", words, metadata];
  });
  return table(["Reason", "Status", "RetryInfo", "What happened, and what to do", "Metadata"], rows);
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
