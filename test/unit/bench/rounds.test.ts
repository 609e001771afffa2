import { expect } from "chai";
import { type Cell, type Figures, RATE } from "../../../bench/measures/measure.js";
import { median, runRounds } from "../../../bench/rounds.js";

describe("median", () => {
  it("is the value in the middle, or half way between the two", () => {
    expect([median([3, 1, 2]), median([4, 1, 3, 2]), median([5])]).to.deep.equal([2, 2.5, 5]);
  });

  it("sorts as numbers, and leaves what it was given as it is", () => {
    const values = [100, 9, 20];
    expect([median(values), values]).to.deep.equal([20, [100, 9, 20]]);
  });

  it("is not a number when there is nothing", () => {
    expect(median([])).to.be.NaN;
  });
});

describe("runRounds", () => {
  let log: string[];

  const cell = (contestant: string, run: (ms: number) => Promise<Figures>): Cell => ({
    contestant,
    resume: () => log.push(`${contestant} resumes`),
    pause: () => log.push(`${contestant} pauses`),
    run: (ms) => {
      log.push(`${contestant} runs ${ms} ms`);
      return run(ms);
    },
  });

  beforeEach(() => {
    log = [];
  });

  it("runs everybody in turn, frozen otherwise, first a short round that does not count", async () => {
    let value = 0;
    const next = (): Promise<Figures> => Promise.resolve({ perSecond: ++value });
    const { series } = await runRounds({ name: "m", figures: RATE, lasts: 2, cells: [cell("a", next), cell("b", next)] }, 2, 100);
    expect(series.map(({ contestant, values }) => [contestant, values])).to.deep.equal([["a", [3, 5]], ["b", [4, 6]]]);
    expect(log.slice(0, 7)).to.deep.equal(["a resumes", "a runs 100 ms", "a pauses", "b resumes", "b runs 100 ms", "b pauses", "a resumes"]);
    expect(log.filter((line) => line === "a runs 200 ms")).to.have.length(2);
  });

  it("does not run a cell again that failed, keeps why, and goes on with the others", async () => {
    let runs = 0;
    const failing = (): Promise<Figures> => (++runs < 2 ? Promise.resolve({ perSecond: 1 }) : Promise.reject(new Error("no room")));
    const { series } = await runRounds({ name: "m", figures: RATE, cells: [cell("a", failing), cell("b", () => Promise.resolve({ perSecond: 7 }))] }, 3, 100);
    expect(series.map(({ values, failure }) => [values, failure])).to.deep.equal([[[], "no room"], [[7, 7, 7], undefined]]);
    expect(runs).to.equal(2);
    expect(log[log.indexOf("a runs 100 ms") + 1]).to.equal("a pauses");
  });
});
