import { expect } from "chai";
import { DEFAULTS, LIMITS } from "../../../src/core/limits.js";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from "../../../src/grpc/paging.js";
import { QUEUE_SERIES_MAX, SUBSCRIBER_SERIES_MAX } from "../../../src/telemetry/metric-table.js";
import { repositoryText } from "./descriptor-set.js";

/** What the rows of one section say: name to number. A name that stands there twice is an error. */
function documented(section: string): Record<string, number> {
  const text = repositoryText("docs/limits.md").split(`\n## ${section}\n`)[1]?.split("\n## ")[0] ?? "";
  const values: Record<string, number> = {};
  for (const [, value, name, why] of text.matchAll(/^\| [^|]+ \| ([\d,]+)[^|]* \| `(\w+)` \| ([^|]+) \|$/gm)) {
    if (value === undefined || name === undefined) continue;
    expect(values, `rows of ${name}`).to.not.have.property(name);
    expect(why, `reason of ${name}`).to.match(/\w.*\.$/);
    values[name] = Number(value.replaceAll(",", ""));
  }
  return values;
}

describe("docs/limits.md", () => {
  it("has every bound with the number that the code has, and no other", () => {
    expect(documented("Bounds")).to.deep.equal({ ...LIMITS, PAGE_SIZE_MAX, QUEUE_SERIES_MAX, SUBSCRIBER_SERIES_MAX });
  });

  it("has every default with the number that the code has, and no other", () => {
    expect(documented("Defaults")).to.deep.equal({ ...DEFAULTS, PAGE_SIZE_DEFAULT });
  });

  it("gives sizes and times in round units that agree with the exact number", () => {
    const units: Record<string, number> = { KiB: 1024, MiB: 1024 ** 2, min: 60_000, h: 3_600_000, days: 86_400_000 };
    const rounds = [...repositoryText("docs/limits.md").matchAll(/\| ([\d,]+) \((\d+) (\w+)\) \|/g)];
    expect(rounds.length).to.be.greaterThan(10);
    for (const [row, exact = "", round, unit = ""] of rounds) {
      expect(Number(exact.replaceAll(",", "")), row).to.equal(Number(round) * (units[unit] ?? NaN));
    }
  });
});
