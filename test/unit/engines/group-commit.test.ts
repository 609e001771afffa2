import { expect } from "chai";
import { offset } from "../../../src/core/units.js";
import { GroupCommit } from "../../../src/engines/group-commit.js";
import type { Work } from "../../../src/engines/group-commit.js";
import { LogOutOfRange } from "../../../src/ports/log.js";
import { NO_TELEMETRY } from "../../../src/ports/telemetry.js";
import { failure } from "../../compliance/engine-bench.js";
import { until } from "../../support/condition.js";

/** A store that commits when told to, and remembers how the works came. */
class ScriptedStore {
  readonly batches: string[][] = [];
  private finish: ((error?: Error) => void) | undefined;
  private applied: string[] = [];

  readonly transact = (works: readonly Work[]): Promise<void> => {
    this.applied = [];
    for (const work of works) work.apply();
    this.batches.push(this.applied);
    return new Promise((resolve, reject) => {
      this.finish = (error) => {
        if (error === undefined) resolve();
        else reject(error);
      };
    });
  };

  work(name: string, settled: string[]): Work {
    return {
      apply: () => {
        this.applied.push(name);
      },
      settle: () => {
        settled.push(name);
      },
    };
  }

  end(error?: Error): void {
    this.finish?.(error);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe("GroupCommit", () => {
  let store: ScriptedStore;
  let commits: GroupCommit;
  let settled: string[];
  const submit = (name: string): void => {
    commits.submit(store.work(name, settled));
  };

  beforeEach(() => {
    store = new ScriptedStore();
    commits = new GroupCommit(store, 60_000, NO_TELEMETRY);
    settled = [];
  });

  it("commits the work of one turn together, in order, and settles it afterwards", async () => {
    submit("a");
    submit("b");
    expect(store.batches).to.deep.equal([]);
    await turn();
    expect(store.batches).to.deep.equal([["a", "b"]]);
    expect(settled).to.deep.equal([]);
    store.end();
    await turn();
    expect(settled).to.deep.equal(["a", "b"]);
  });

  it("gathers what comes during a commit and commits that as soon as it ends", async () => {
    submit("a");
    await turn();
    submit("b");
    await turn();
    submit("c");
    await turn();
    expect(store.batches).to.deep.equal([["a"]]);
    store.end();
    await turn();
    expect(store.batches).to.deep.equal([["a"], ["b", "c"]]);
  });

  it("clears away one slice a transaction, behind what others wait for", async () => {
    for (const name of ["slice 1", "slice 2"]) commits.submitClearing(store.work(name, settled));
    submit("a");
    await turn();
    expect(store.batches).to.deep.equal([["a", "slice 1"]]);
  });

  it("clears nothing away for as long as the slice before took", async () => {
    for (const name of ["slice 1", "slice 2"]) commits.submitClearing(store.work(name, settled));
    await turn();
    const started = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
    submit("a");
    store.end();
    const took = performance.now() - started;
    await turn();
    expect(store.batches).to.deep.equal([["slice 1"], ["a"]]);
    store.end();
    await until("the second slice is committed", 5_000, () => store.batches.length === 3);
    expect(performance.now() - started).to.be.at.least(1.5 * took);
    expect(store.batches[2]).to.deep.equal(["slice 2"]);
  });

  it("leaves what is to be cleared away where it is when it is stopped", async () => {
    for (const name of ["slice 1", "slice 2"]) commits.submitClearing(store.work(name, settled));
    await turn();
    const stopping = commits.stop();
    store.end();
    await stopping;
    expect([settled, store.batches]).to.deep.equal([["slice 1"], [["slice 1"]]]);
  });

  it("settles nothing any more after a failed commit, and begins no other", async () => {
    submit("a");
    await turn();
    submit("b");
    store.end(new Error("input/output error"));
    const failure = await commits.failed;
    expect(failure.cause).to.have.property("message", "input/output error");
    submit("c");
    await turn();
    expect(store.batches).to.deep.equal([["a"]]);
    expect(settled).to.deep.equal([]);
    expect(commits.hasFailed).to.equal(true);
  });

  it("counts a commit that does not end as failed, and ignores its late end", async () => {
    commits = new GroupCommit(store, 20, NO_TELEMETRY);
    submit("a");
    // The watchdog does not keep a process alive; something else has to, as in a server.
    const alive = setInterval(() => undefined, 1_000);
    const failure = await commits.failed;
    clearInterval(alive);
    expect(failure.message).to.equal("a commit has not ended within 20 ms");
    store.end();
    await turn();
    expect(settled).to.deep.equal([]);
  });

  describe("with a store that can commit at once", () => {
    let nowMs = 0;
    let tookMs = 0;
    const small = (name: string, bytes = 100): void => {
      commits.submit({ ...store.work(name, settled), bytes });
    };
    /** Ends what goes by the other thread, until nothing is pending. */
    const ended = async (): Promise<void> => {
      await turn();
      nowMs += tookMs;
      store.end();
      await turn();
    };
    let atOnce: string[][];

    beforeEach(async () => {
      nowMs = 0;
      tookMs = 0.2;
      atOnce = [];
      const committer = {
        transact: store.transact,
        transactNow: (works: readonly Work[]): void => {
          void store.transact(works);
          atOnce.push(...store.batches.splice(-1));
          nowMs += tookMs;
        },
      };
      commits = new GroupCommit(committer, 60_000, NO_TELEMETRY, () => nowMs);
      small("first");
      await ended();
      settled.length = 0;
    });

    it("commits a little work that is alone at once, and settles it", async () => {
      small("a");
      await turn();
      expect([atOnce, settled]).to.deep.equal([[["a"]], ["a"]]);
    });

    it("lets go of the event loop for more work, for large work, and for work of unknown size", async () => {
      small("a");
      small("b");
      await ended();
      small("large", 1_000_000);
      await ended();
      submit("unknown");
      await ended();
      expect([atOnce, settled]).to.deep.equal([[], ["a", "b", "large", "unknown"]]);
    });

    it("lets go of the event loop while the disk is slow", async () => {
      tookMs = 5;
      small("slow");
      await turn();
      tookMs = 0.2;
      small("next");
      await ended();
      small("fast again");
      await turn();
      expect([atOnce, settled]).to.deep.equal([[["slow"], ["fast again"]], ["slow", "next", "fast again"]]);
    });

    it("fails when committing at once does", async () => {
      const throwing = {
        transact: store.transact,
        transactNow: (): void => {
          throw new Error("input/output error");
        },
      };
      commits = new GroupCommit(throwing, 60_000, NO_TELEMETRY, () => nowMs);
      small("first");
      await ended();
      small("a");
      const failure = await commits.failed;
      expect(failure.cause).to.have.property("message", "input/output error");
      await commits.stop();
      expect([settled, commits.hasFailed]).to.deep.equal([["first"], true]);
    });
  });

  it("commits what is pending when it is stopped, and nothing that comes later", async () => {
    submit("a");
    let stopped = false;
    const stopping = commits.stop().then(() => {
      stopped = true;
    });
    await turn();
    expect(stopped).to.equal(false);
    store.end();
    await stopping;
    submit("late");
    await turn();
    expect([settled, store.batches]).to.deep.equal([["a"], [["a"]]]);
    expect(commits.hasFailed).to.equal(false);
  });

  it("can be stopped though a commit failed", async () => {
    submit("a");
    await turn();
    store.end(new Error("no"));
    await commits.stop();
    await commits.stop();
    expect(commits.hasFailed).to.equal(true);
  });

  it("answers reads at once, and says that the oldest offset is another one", async () => {
    expect(await commits.read(() => "found")).to.equal("found");
    const gone = new LogOutOfRange(offset(7));
    expect(
      await failure(
        commits.read(() => {
          throw gone;
        }),
        LogOutOfRange,
      ),
    ).to.equal(gone);
    expect(store.batches).to.deep.equal([]);
  });

  it("believes damage only of a store that can still commit", async () => {
    let looks = 0;
    const damaged = commits.read(() => {
      looks++;
      throw new Error(`look ${looks}`);
    });
    let found: unknown;
    const told = damaged.catch((error: unknown) => {
      found = error;
    });
    await turn();
    expect([looks, found]).to.deep.equal([1, undefined]);
    store.end();
    await told;
    expect(found).to.have.property("message", "look 2");
  });

  it("answers no read any more after a failed commit", async () => {
    let answered = false;
    const answer = (): void => {
      answered = true;
    };
    commits.read(() => {
      throw new Error("nothing is where it was");
    }).then(answer, answer);
    await turn();
    store.end(new Error("input/output error"));
    await commits.failed;
    commits.read(() => "found").then(answer, answer);
    await turn();
    expect(answered).to.equal(false);
  });
});
