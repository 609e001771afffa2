import { expect } from "chai";
import { FinishedOffsets } from "../../../src/client/finished-offsets.js";

function runs(finished: FinishedOffsets): string[] {
  return finished.runs().map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`));
}

describe("finished offsets", () => {
  it("become runs of neighbours, in whatever order they came, and never span one that is missing", () => {
    const finished = new FinishedOffsets();
    for (const offset of [5, 2, 3, 9, 1, 6]) finished.add(offset);
    expect(runs(finished)).to.deep.equal(["1-3", "5-6", "9"]);
  });

  it("are forgotten when they are on disk, or come again", () => {
    const finished = new FinishedOffsets();
    for (let offset = 1; offset <= 10; offset++) finished.add(offset);
    finished.confirmThrough(3n);
    finished.delete(5);
    finished.deleteRange({ first: 8n, last: 9n, batchId: 1n });
    finished.deleteRange({ first: 10n, last: 0n, batchId: 1n });
    expect(runs(finished)).to.deep.equal(["4", "6-7"]);
  });

  it("are the newest 10,000, and the last 1,000 runs of them", () => {
    const finished = new FinishedOffsets();
    for (let offset = 1; offset <= 30_000; offset++) finished.add(offset);
    expect(runs(finished)).to.deep.equal(["20001-30000"]);
    for (let offset = 30_002; offset <= 34_000; offset += 2) finished.add(offset);
    expect(finished.runs()).to.have.length(1_000);
    expect(finished.runs().at(-1)).to.deep.equal({ first: 34_000n, last: 34_000n });
  });
});
