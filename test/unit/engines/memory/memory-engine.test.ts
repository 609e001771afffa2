import { expect } from "chai";
import { MemoryEngine } from "../../../../src/engines/memory/memory-engine.js";
import { LogConflict } from "../../../../src/ports/log.js";
import { StateConflict } from "../../../../src/ports/state.js";
import { chunksAfter } from "../../../support/chunks.js";
import { failure, fill, put } from "../../../compliance/engine-bench.js";

/** Lets everything that can happen by itself happen. */
async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

describe("MemoryEngine with faults", () => {
  it("holds commits until they are released", async () => {
    const engine = new MemoryEngine();
    const log = await engine.openLog("q");
    const release = engine.faults.holdCommits();
    let durable = false;
    const appended = fill(log, 2).then(() => {
      durable = true;
    });
    await settle();
    expect([durable, log.head().next]).to.deep.equal([false, 1]);
    release();
    await appended;
    expect(log.head().next).to.equal(3);
  });

  it("fails the commit that it was told to, and answers nobody from then on", async () => {
    const engine = new MemoryEngine();
    const log = await engine.openLog("q");
    engine.faults.failingCommit = 2;
    await fill(log, 2);
    const answered: string[] = [];
    for (let i = 0; i < 2; i++) {
      fill(log, 1).then(
        () => answered.push("ok"),
        () => answered.push("error"),
      );
    }
    expect((await engine.failed).message).to.equal("a commit failed");
    await settle();
    expect([answered, log.head().next, engine.faults.commits]).to.deep.equal([[], 3, 2]);
  });

  it("loses what was not durable when another engine takes over its disk", async () => {
    const engine = new MemoryEngine();
    const log = await engine.openLog("q");
    await fill(log, 2);
    await engine.state("q").commit([put("k", "old")]);
    engine.faults.holdCommits();
    const lost = [fill(log, 1), engine.state("q").commit([put("k", "new")])];
    await settle();
    const after = new MemoryEngine(engine.disk);
    expect((await after.openLog("q")).head().next).to.equal(3);
    expect((await after.state("q").get("k"))?.value.toString()).to.equal("old");
    expect(lost).to.have.length(2);
  });

  it("refuses as many appends and state commits as it was told to", async () => {
    const engine = new MemoryEngine();
    const log = await engine.openLog("q");
    engine.faults.conflictingAppends = 1;
    engine.faults.conflictingStateCommits = 1;
    const conflict = await failure(log.append(chunksAfter(log.head(), [1]), log.head().next), LogConflict);
    expect(conflict.head.next).to.equal(1);
    await failure(engine.state("q").commit([put("k", "v")]), StateConflict);
    await fill(log, 1);
    await engine.state("q").commit([put("k", "v")]);
  });

  it("has no room when told so", () => {
    const engine = new MemoryEngine();
    engine.faults.hasRoom = false;
    expect(engine.hasRoom).to.equal(false);
  });
});
