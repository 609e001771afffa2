import { expect } from "chai";
import { measuresOf, Party, type PartyHello } from "../../../bench/contestants/party.js";
import { type Cell, RATE } from "../../../bench/measures/measure.js";
import { plan, QUICK } from "../../../bench/plan.js";
import { failure } from "../../compliance/engine-bench.js";

const cell = (contestant: string): Cell => ({ contestant, resume: () => undefined, pause: () => undefined, run: () => Promise.resolve({}) });

/** A party that takes part in measures by name. */
function party(name: string, measures: readonly string[], part: readonly string[]): Pick<Party, "hello" | "cells"> {
  const hello: PartyHello = { facts: undefined, measures: measures.map((title) => ({ name: title, figures: RATE, lasts: 1, cells: part.includes(title) ? [name] : [] })) };
  return { hello, cells: (i) => (hello.measures[i]?.cells ?? []).map(cell) };
}

describe("measuresOf", () => {
  it("puts the cells of all parties side by side, and leaves out what nobody takes part in", () => {
    const all = ["a", "b", "c"];
    const measures = measuresOf([party("ours", all, ["a", "b"]), party("peer", all, ["a"]), party("limits", all, ["a", "b"])]);
    expect(measures.map(({ name, cells }) => [name, cells.map(({ contestant }) => contestant)])).to.deep.equal([
      ["a", ["ours", "peer", "limits"]],
      ["b", ["ours", "limits"]],
    ]);
  });
});

describe("plan", () => {
  it("has the same measures in the same order for every party, without cells where one has none", () => {
    const measures = plan({}, QUICK);
    expect(measures.length).to.be.greaterThan(20);
    expect(new Set(measures.map(({ name }) => name)).size).to.equal(measures.length);
    expect(measures.every(({ cells }) => cells.length === 0)).to.equal(true);
  });
});

describe("Party", () => {
  it("says who there is when asked for somebody else", async () => {
    expect((await failure(Party.start("kafka", true), Error)).message).to.equal("there is no party kafka; there are tidemark, nats, nats-default, redis, rabbitmq, limits");
  });

  it("runs its cells in a process of its own", async function () {
    this.timeout(60_000);
    const limits = await Party.start("limits", true);
    try {
      const measure = limits.hello.measures.findIndex(({ name }) => name === "publish, one caller");
      const [echo] = limits.cells(measure);
      expect(echo?.contestant).to.equal("bare unary echo");
      echo?.resume();
      expect((await echo?.run(50))?.["perSecond"]).to.be.greaterThan(0);
      echo?.pause();
    } finally {
      await limits.stop();
    }
    await limits.stop();
  });
});
