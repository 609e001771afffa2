import { expect } from "chai";
import { cutToColumns } from "../../../src/cli/terminal.js";

describe("cutting a line to columns", () => {
  it("leaves a line alone that fits", () => {
    expect(cutToColumns("abc", 3)).to.equal("abc");
  });

  it("counts characters, not what paints them, and keeps every style that ends", () => {
    expect(cutToColumns("\u001b[31mabc\u001b[39m\u001b[1mdef\u001b[22m", 4)).to.equal("\u001b[31mabc\u001b[39m\u001b[1md\u001b[22m");
  });

  it("cuts no character in two", () => {
    expect(cutToColumns("a😀b", 2)).to.equal("a😀");
  });
});
