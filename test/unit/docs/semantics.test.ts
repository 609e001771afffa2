import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const page = new URL("../../../docs/semantics.md", import.meta.url);
/** `[name](file): title`, the last cell of a row. */
const SHOWN_BY = /^\[([^\]]+)\]\(([^)]+)\): (.+)$/;
const TITLE = /\bit\(\s*(["'`])((?:(?!\1).)+)\1/g;

/** The titles of a file's tests, with `…` for what they are given. */
function titlesIn(file: URL): Set<string> {
  const source = readFileSync(file, "utf8");
  return new Set([...source.matchAll(TITLE)].map((match) => (match[2] ?? "").replace(/\$\{[^}]*\}/g, "…")));
}

const rows = readFileSync(page, "utf8").split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| ---") && !line.startsWith("| Situation"))
  .map((line) => line.slice(2, -2).split(" | "));

describe("the page of what a subscriber sees", () => {
  it("has a situation, what is seen and a test in every row", () => {
    expect(rows.length).to.be.greaterThan(40);
    for (const row of rows) expect(row, row[0]).to.have.length(3);
  });

  for (const [situation = "", , shownBy = ""] of rows) {
    it(`names a test that there is: ${situation}`, () => {
      const [, name = "", path = "", title = ""] = SHOWN_BY.exec(shownBy) ?? [];
      const file = new URL(path, page);
      expect(fileURLToPath(file)).to.match(new RegExp(`/${name}$`));
      expect([...titlesIn(file)]).to.include(title);
    });
  }
});
