// Writes generated/: the TypeScript of the contract, and tidemark.binpb, the descriptor set that gRPC reflection serves.
// With --check nothing in generated/ is touched: the same is made in a temporary folder, and a difference fails with a diff.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const buf = join(root, "node_modules", ".bin", "buf");
const committed = "generated";

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) throw error;
  return status ?? 1;
}

function must(command, args) {
  const status = run(command, args);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with status ${status}`);
}

/** `base` is the folder that gets a `generated` folder inside. buf.gen.yaml's `clean` empties that one first. */
function generateInto(base) {
  must(buf, ["generate", "--output", base]);
  // Imports are included because a reflection client must be able to build the types from this file alone; source info is
  // left out because nobody reads comments over reflection and they would triple the size.
  must(buf, ["build", "--exclude-source-info", "--as-file-descriptor-set", "--output", join(base, committed, "tidemark.binpb")]);
}

if (process.argv.includes("--check")) {
  const base = mkdtempSync(join(tmpdir(), "tidemark-generate-"));
  try {
    generateInto(base);
    const status = run("git", ["diff", "--no-index", "--stat", "--patch", "--", committed, join(base, committed)]);
    if (status !== 0) {
      console.error("generated/ is stale: run `npm run generate` and commit what it writes");
      process.exitCode = 1;
    }
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
} else {
  generateInto(".");
}
