import { expect } from "chai";
import fc from "fast-check";
import { layoutJson } from "../../../src/cli/json-layout.js";

describe("JSON layout", () => {
  it("means the same as the text, whatever the text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.array(fc.jsonValue()), fc.dictionary(fc.string(), fc.jsonValue())), fc.nat(3), (value, spaces) => {
        const text = JSON.stringify(value, undefined, spaces);
        expect(JSON.parse(layoutJson(text)?.join("\n") ?? "")).to.deep.equal(JSON.parse(text));
      }),
    );
  });

  it("looks as people write JSON", () => {
    const value = { a: [1, { b: "x, {y}: [\"z\"]" }], c: {}, d: [], e: null };
    expect(layoutJson(JSON.stringify(value))).to.deep.equal(JSON.stringify(value, undefined, 2).split("\n"));
  });

  it("keeps numbers and escapes as they were written", () => {
    expect(layoutJson('{"n":12345678901234567890.10,"s":"\\u00e9"}')).to.deep.equal(["{", '  "n": 12345678901234567890.10,', '  "s": "\\u00e9"', "}"]);
  });

  it("leaves alone what is no JSON object or array", () => {
    for (const text of ["", "plain", "42", '"text"', "{not json}", "[1,", "{} {}"]) expect(layoutJson(text), text).to.equal(undefined);
  });
});
