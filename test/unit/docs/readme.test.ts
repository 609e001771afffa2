import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const LINK = /\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g;

const documents = [
  ...readdirSync(ROOT).filter((name) => name.endsWith(".md")),
  ...["docs", "examples"].flatMap((folder) =>
    readdirSync(join(ROOT, folder)).filter((name) => name.endsWith(".md")).map((name) => join(folder, name)),
  ),
];

describe("the documents", () => {
  it("show the examples as they are", () => {
    execFileSync(process.execPath, [join(ROOT, "scripts/embed-examples.mjs"), "--check"]);
  });

  it("have the tables that the code makes of its own", () => {
    execFileSync(process.execPath, ["--import", "tsx", join(ROOT, "scripts/generate-docs.mjs"), "--check"], { cwd: ROOT });
  });

  for (const document of documents) {
    it(`${document} links to files that exist`, () => {
      const text = readFileSync(join(ROOT, document), "utf8");
      const broken = [...text.matchAll(LINK)].map((match) => match[1] ?? "").filter((target) => !existsSync(join(ROOT, dirname(document), target)));
      expect(broken).to.deep.equal([]);
    });
  }
});
