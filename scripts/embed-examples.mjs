// Puts the files that README.md shows into README.md: each fenced block that follows a line `<!-- file: PATH -->`.
// `--check` changes nothing and fails when a block is not its file.
import { readFileSync, writeFileSync } from "node:fs";

const BLOCK = /(<!-- file: (\S+) -->\n+```\w*\n)([\s\S]*?)(```)/g;

const readme = new URL("../README.md", import.meta.url);
const before = readFileSync(readme, "utf8");
const after = before.replace(BLOCK, (_, head, path, _text, fence) => head + readFileSync(new URL(`../${path}`, import.meta.url), "utf8") + fence);
if (after === before) process.exit(0);
if (process.argv.includes("--check")) {
  console.error("README.md shows an example that is not the file any more: run node scripts/embed-examples.mjs");
  process.exit(1);
}
writeFileSync(readme, after);
