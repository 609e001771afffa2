import { readFileSync } from "node:fs";

/** This program's version, from its own package.json: two folders up from the sources, three from the built files. */
export function programVersion(): string {
  for (const up of ["../../package.json", "../../../package.json"]) {
    const manifest = readManifest(new URL(up, import.meta.url));
    if (manifest?.name === "tidemark" && manifest.version !== undefined) return manifest.version;
  }
  throw new Error("the package.json of tidemark is missing beside the program");
}

interface Manifest {
  readonly name?: string;
  readonly version?: string;
}

function readManifest(url: URL): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(url, "utf8")) as Manifest;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
