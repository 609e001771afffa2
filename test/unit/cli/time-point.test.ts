import { InvalidArgumentError } from "commander";
import { expect } from "chai";
import { timePoint } from "../../../src/cli/time-point.js";

describe("a point in time on the command line", () => {
  for (const [text, ms] of [["500ms", 500], ["90s", 90_000], ["10m", 600_000], ["1.5h", 5_400_000], ["2d", 172_800_000]] as const) {
    it(`may be said as how long ago: ${text}`, () => {
      const before = Date.now();
      const asked = timePoint(text).getTime() + ms;
      expect(asked).to.be.within(before, Date.now());
    });
  }

  for (const [text, time] of [
    ["2026-11-24", new Date(2026, 10, 24)],
    ["2026-11-24 08:30", new Date(2026, 10, 24, 8, 30)],
    ["2026-11-24T08:30:15.250", new Date(2026, 10, 24, 8, 30, 15, 250)],
    ["2026-11-24T08:30:00Z", new Date(Date.UTC(2026, 10, 24, 8, 30))],
    ["2026-11-24T08:30+02:00", new Date(Date.UTC(2026, 10, 24, 6, 30))],
  ] as const) {
    it(`may be a date, local unless it names a zone: ${text}`, () => {
      expect(timePoint(text)).to.deep.equal(time);
    });
  }

  for (const text of ["", "yesterday", "10", "-5m", "10 m", "2026-13-01", "2026-11-24T25:00"]) {
    it(`is refused when it is none: ${JSON.stringify(text)}`, () => {
      expect(() => timePoint(text)).to.throw(InvalidArgumentError, "It must be how long ago");
    });
  }
});
