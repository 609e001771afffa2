import { expect } from "chai";
import { endOfExpected } from "./expected-output.js";

describe("the output that a page shows", () => {
  const cases: [string, string[], string, boolean, number | undefined][] = [
    ["is the whole of what there was", ["a", "b"], "a\nb\n", true, 4],
    ["may lack the last line end", ["a"], "a", true, 1],
    ["may lack blanks at line ends", ["a"], "a  \n", true, 4],
    ["must not leave out lines before", ["b"], "a\nb\n", true, undefined],
    ["must not leave out lines behind", ["a"], "a\nb\n", true, undefined],
    ["must not add lines", ["a", "b"], "a\n", true, undefined],
    ["may stand anywhere in what still goes on", ["b"], "a\nb\nc\n", false, 4],
    ["names whole lines there as well", ["b"], "a\nbb\nab\n", false, undefined],
    ["has its lines one after the other", ["a", "c"], "a\nb\nc\n", false, undefined],
    ["leaves out lines where it says so", ["a", "…", "c"], "a\nb\nb\nc\n", true, 8],
    ["leaves out none where there are none", ["a", "…", "c"], "a\nc\n", true, 4],
    ["leaves out parts of a line where it says so", ["id … of …"], "id 7 of 9\n", true, 10],
    ["never lets a part reach over the line end", ["id …9"], "id 7\n9\n", true, undefined],
    ["means its characters, not a pattern", ["[a.c]*"], "[abc]*\n", true, undefined],
  ];
  for (const [name, lines, shown, whole, end] of cases) {
    it(name, () => {
      expect(endOfExpected(lines, shown, whole)).to.equal(end);
    });
  }
});
