import { readFileSync } from "node:fs";

const ROOT = new URL("../../", import.meta.url);

/** The version of an installed package; of Tidemark itself without a name. */
export function packageVersion(name?: string): string {
  const folder = name === undefined ? "" : `node_modules/${name}/`;
  const manifest = JSON.parse(readFileSync(new URL(`${folder}package.json`, ROOT), "utf8")) as { readonly version: string };
  return manifest.version;
}
