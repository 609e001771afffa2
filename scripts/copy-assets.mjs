// Finishes a build: what the compiler does not write but the built program needs.
import { chmodSync, copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");

// The descriptor set that reflection serves lies beside the generated code, in the sources as in the build.
const descriptors = "generated/tidemark.binpb";
mkdirSync(dirname(join(root, "dist", descriptors)), { recursive: true });
copyFileSync(join(root, descriptors), join(root, "dist", descriptors));

// The `bin` entry of package.json.
chmodSync(join(root, "dist/src/cli/main.js"), 0o755);
