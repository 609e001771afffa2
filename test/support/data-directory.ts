import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory of its own for one test; `remove` takes it away again. */
export async function newDataDirectory(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), "tidemark-test-"));
  return { path: join(root, "data"), remove: () => rm(root, { recursive: true, force: true }) };
}
