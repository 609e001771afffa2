import { expect } from "chai";
import { ageText, durationText, timeOfDay } from "../../../src/cli/quantity.js";

describe("a time as a flag takes it", () => {
  const cases: readonly (readonly [ms: number, text: string])[] = [[0, "0s"], [1, "1ms"], [1_500, "1500ms"], [1_000, "1s"], [90_000, "90s"], [120_000, "2m"], [43_200_000, "12h"], [0.5, "0.5ms"]];
  for (const [ms, text] of cases) {
    it(`is ${text} for ${ms} ms`, () => {
      expect(durationText(ms)).to.equal(text);
    });
  }
});

describe("how long something has been so", () => {
  const now = new Date(Date.UTC(2026, 0, 10));
  const cases: readonly (readonly [seconds: number, text: string])[] = [
    [0, "0s"],
    [42, "42s"],
    [60, "1m"],
    [185, "3m 5s"],
    [3_600, "1h"],
    [7_325, "2h 2m"],
    [2 * 86_400 + 4 * 3_600 + 59, "2d 4h"],
    [86_400 + 59, "1d"],
    [-5, "0s"],
  ];
  for (const [seconds, text] of cases) {
    it(`is ${text} after ${seconds} s`, () => {
      expect(ageText(new Date(now.getTime() - seconds * 1_000), now)).to.equal(text);
    });
  }

  it("is a hyphen when nobody said since when", () => {
    expect(ageText(undefined, now)).to.equal("-");
    expect(timeOfDay(undefined)).to.equal("--:--:--");
  });
});
