import { expect } from "chai";
import { LATENCY, quantiles } from "../../../bench/measures/latency.js";
import { historyPage } from "../../../bench/report/history.js";
import { jsonText } from "../../../bench/report/report.js";
import { figureText, measureTable, ratioTo } from "../../../bench/report/table.js";
import type { Outcome } from "../../../bench/rounds.js";
import { outcomeOf } from "./results.js";

const REDIS = "Redis Streams, appendfsync always";

describe("the ratio of a measure", () => {
  const outcome = outcomeOf("m", { Tidemark: [10, 30, 20], peer: [5, 4, 100], fails: "refused" });

  it("is median by median, or by whatever round counts", () => {
    expect([ratioTo(outcome, "peer"), ratioTo(outcome, "peer", (values) => Math.max(...values))]).to.deep.equal([4, 0.3]);
  });

  it("is not known of one that failed, of one that was not there, and of ours itself", () => {
    expect(["fails", "nobody", "Tidemark"].map((name) => ratioTo(outcome, name))).to.deep.equal([NaN, NaN, NaN]);
  });

  it("stands in the table behind median and spread, and a failure in their place", () => {
    expect(measureTable(outcome).split("\n").slice(2)).to.deep.equal([
      "|  | msgs/s | lowest to highest | Tidemark / this |",
      "| --- | ---: | ---: | ---: |",
      "| Tidemark | 20.0 | 10.0 to 30.0 |  |",
      "| peer | 5.00 | 4.00 to 100 | 4.0 |",
      "| fails | – | failed: refused |  |",
    ]);
  });
});

describe("a figure as text", () => {
  it("has three digits, or all of a large number in groups", () => {
    expect([0.12345, 1, 99.96, 100, 1_234_567.8, NaN].map(figureText)).to.deep.equal(["0.123", "1.00", "100", "100", "1,234,568", "–"]);
  });
});

describe("quantiles", () => {
  it("are those of all samples, in any order", () => {
    const samples = Array.from({ length: 1_000 }, (_, i) => ((i * 7) % 1_000) + 1);
    expect(quantiles(samples)).to.deep.equal({ p50: 501, p99: 991, "p99.9": 1_000 });
  });

  it("of few samples are among them", () => {
    expect(quantiles([3, 1, 2])).to.deep.equal({ p50: 2, p99: 3, "p99.9": 3 });
  });
});

describe("the page of kept runs", () => {
  const run = (outcomes: readonly Outcome[]) => ({ endedAt: "2026-11-25T00:00:00Z", facts: [], outcomes });
  const rows = (page: string, measure: string): string[] => page.split("\n").filter((line) => line.startsWith(`| ${measure}`));

  it("has a column a run, the eight newest, and bold what reached its target", () => {
    const runs = new Map(Array.from({ length: 9 }, (_, i) => [`run-${i}`, run([outcomeOf("publish, pipelined", { Tidemark: [100 + i * 100], [REDIS]: [100] })])] as const));
    expect(rows(historyPage(runs), `publish, pipelined: ${REDIS}`)).to.deep.equal([
      `| publish, pipelined: ${REDIS} | 6 | 2.00 | 3.00 | 4.00 | 5.00 | **6.00** | **7.00** | **8.00** | **9.00** |`,
    ]);
  });

  it("takes less for better where times are measured, and has a dash for what was not measured", () => {
    const against = "NATS JetStream, sync always";
    const measure = "delivery at 1,000 messages a second";
    const page = historyPage(new Map([["a", run([outcomeOf(measure, { Tidemark: [1], [against]: [2] }, LATENCY)])], ["b", run([])]]));
    expect(rows(page, measure)).to.deep.equal([`| ${measure}: ${against} | ≤ 0.85 | **0.500** | – |`]);
  });
});

describe("results as JSON", () => {
  it("have figures of five digits, and lists of them in one line", () => {
    expect(jsonText({ values: [1.23456789, 2], name: "a" })).to.equal('{\n "values": [ 1.2346, 2 ],\n "name": "a"\n}\n');
  });
});
