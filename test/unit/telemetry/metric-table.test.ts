import { expect } from "chai";
import { METRICS } from "../../../src/telemetry/metric-table.js";
import type { MetricEntry } from "../../../src/telemetry/metric-table.js";

const LABELS = ["version", "engine", "durability", "queue", "subscriber", "method", "code", "reason", "cause", "verdict"];

describe("the metrics", () => {
  for (const entry of Object.values<MetricEntry>(METRICS)) {
    it(`${entry.name} is named as Prometheus wants it`, () => {
      const { name, type, labels, unit, help } = entry;
      expect(name).to.match(/^tidemark_[a-z]+(_[a-z]+)*$/);
      expect(name.endsWith("_total"), "_total").to.equal(type === "counter");
      if (unit === "bytes" || unit === "seconds") expect(name.replace(/_total$/, "")).to.contain(unit);
      expect(name).to.not.match(/milli|_ms\b|kilo|_info_|_bucket$|_sum$|_count$/);
      expect(help).to.match(/^[A-Z].*\.$/);
      expect(LABELS).to.include.members([...labels]);
    });
  }

  it("have names of their own", () => {
    const names = Object.values<MetricEntry>(METRICS).map(({ name }) => name);
    expect(new Set(names).size).to.equal(names.length);
  });
});
