// Compares the contract with the version before: a field renumbered, a name or a file gone, a type changed fails the build.
// The baseline is the last commit in which proto/ differs from what lies here; a branch is compared with where it left main.
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

function git(...args) {
  const { status, stdout, error } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
  if (error !== undefined) throw error;
  return { ok: status === 0, text: stdout.trim() };
}

function hasProto(commit) {
  return git("rev-parse", "--verify", "--quiet", `${commit}:proto`).ok;
}

/** The commit to compare with; undefined at the very beginning of a history, or of a shallow clone's piece of it. */
function baseline() {
  const branchedAt = git("merge-base", "HEAD", "main");
  const head = git("rev-parse", "HEAD").text;
  if (branchedAt.ok && branchedAt.text !== head) return branchedAt.text;
  const dirty = git("status", "--porcelain", "--", "proto").text !== "";
  if (dirty) return "HEAD";
  const changed = git("rev-list", "--max-count=1", "HEAD", "--", "proto").text;
  const before = git("rev-parse", "--verify", "--quiet", `${changed}~1`);
  return before.ok ? before.text : undefined;
}

const against = baseline();
if (against === undefined || !hasProto(against)) {
  console.log("buf breaking: no earlier version of proto/ in this clone to compare with");
} else {
  const gitDirectory = git("rev-parse", "--path-format=absolute", "--git-common-dir").text;
  const buf = join(root, "node_modules", ".bin", "buf");
  const { status, error } = spawnSync(buf, ["breaking", "--against", `${gitDirectory}#format=git,ref=${against}`], {
    cwd: root,
    stdio: "inherit",
  });
  if (error !== undefined) throw error;
  if (status === 0) console.log(`buf breaking: nothing broken since ${against}`);
  process.exitCode = status ?? 1;
}
