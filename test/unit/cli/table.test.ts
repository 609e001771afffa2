import { expect } from "chai";
import { bytesText, counted, timeText } from "../../../src/cli/quantity.js";
import { detailLines, tableLines } from "../../../src/cli/table.js";
import type { Paint } from "../../../src/cli/terminal.js";

const plain: Paint = (_tone, text) => text;
const marked: Paint = (tone, text) => (tone === "plain" ? text : `<${tone}>${text}</>`);

interface Row {
  readonly name: string;
  readonly count: number;
}

const columns = [
  { title: "NAME", text: ({ name }: Row) => name, tone: "strong" as const },
  { title: "COUNT", align: "right" as const, text: ({ count }: Row) => String(count) },
  { title: "NOTE", text: ({ name }: Row) => name.toUpperCase() },
];

describe("table", () => {
  it("aligns columns by their widest cell or head, numbers on the right, and ends lines without spaces", () => {
    expect(tableLines(columns, [{ name: "a", count: 7 }, { name: "longer", count: 1_000_000 }], plain)).to.deep.equal([
      "NAME      COUNT  NOTE",
      "a             7  A",
      "longer  1000000  LONGER",
    ]);
  });

  it("counts columns without the colours", () => {
    expect(tableLines(columns, [{ name: "ab", count: 1 }], marked)).to.deep.equal(["<dim>NAME</>  <dim>COUNT</>  <dim>NOTE</>", "<strong>ab</>        1  AB"]);
  });

  it("aligns the labels of a description", () => {
    expect(detailLines([["id", "1"], ["longer", "2"]], plain)).to.deep.equal(["id      1", "longer  2"]);
  });
});

describe("quantities", () => {
  it("shows sizes in the unit that fits", () => {
    expect([0, 1_023, 1_024, 1_536, 5 * 1_024 ** 3, 3_000 * 1_024 ** 4].map(bytesText)).to.deep.equal(["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 GiB", "3000.0 TiB"]);
  });

  it("puts one and many into words", () => {
    expect([counted(0, "client"), counted(1, "client"), counted(1_234, "client")]).to.deep.equal(["0 clients", "1 client", "1,234 clients"]);
  });

  it("shows a time as the clock on the wall, and a dash for none", () => {
    expect(timeText(new Date(2026, 0, 5, 9, 3, 7))).to.equal("2026-01-05 09:03:07");
    expect(timeText(undefined)).to.equal("-");
  });
});
