import { expect } from "chai";
import { offset } from "../../src/core/units.js";
import type { Engine } from "../../src/ports/engine.js";
import { EVERYTHING, fill, put } from "./engine-bench.js";
import type { EngineBench } from "./engine-bench.js";
import { describeLog } from "./log-compliance.js";
import { describeState } from "./state-compliance.js";
import { describeRestart, describeTrim } from "./trim-compliance.js";

/** The whole contract of the storage ports, for any engine. */
export function describeEngine(name: string, makeBench: () => Promise<EngineBench>): void {
  describe(`${name} engine`, () => {
    let bench: EngineBench;
    let engine: Engine;

    beforeEach(async () => {
      bench = await makeBench();
      engine = bench.engine;
    });

    afterEach(() => bench.end());

    describe("a log", () => {
      describeLog(() => engine);
    });
    describe("a log being trimmed", () => {
      describeTrim(
        () => engine,
        () => bench.restart(),
      );
    });
    describe("a log after a restart or damage", () => {
      describeRestart(() => bench);
    });
    describe("a state", () => {
      describeState(
        () => engine,
        () => bench.restart(),
      );
    });
    describe("as a whole", () => {
      describeWhole(
        () => engine,
        () => bench.restart(),
      );
    });
  });
}

function describeWhole(engine: () => Engine, restart: () => Promise<Engine>): void {
  it("commits the appends and states of many queues of one turn", async () => {
    const queues = Array.from({ length: 50 }, (_, i) => `q${i}`);
    const logs = await Promise.all(queues.map((queue) => engine().openLog(queue)));
    await Promise.all([...logs.map((log) => fill(log, 2)), ...queues.map((queue) => engine().state(queue).commit([put("k", queue)]))]);
    expect(logs.map((log) => log.head().next)).to.deep.equal(queues.map(() => 3));
    const again = await restart();
    for (const queue of queues) {
      expect((await again.openLog(queue)).head().next).to.equal(3);
      expect((await again.state(queue).get("k"))?.value.toString()).to.equal(queue);
    }
  });

  it("drops a queue's log and state, whatever their size, and nothing else", async () => {
    const log = await engine().openLog("gone");
    await fill(log, ...new Array<number>(400).fill(1));
    await engine().state("gone").commit([put("k", "v")]);
    await fill(await engine().openLog("stays"), 2);
    await engine().catalog.commit([put("gone", "id")]);
    await engine().drop("gone");
    await engine().drop("gone");
    const onlyGoneIsGone = async (current: Engine): Promise<void> => {
      expect((await current.openLog("gone")).head()).to.include({ first: 1, next: 1, messages: 0 });
      expect(await current.state("gone").get("k")).to.equal(undefined);
      expect((await current.openLog("stays")).head().next).to.equal(3);
      expect(await current.catalog.get("gone")).not.to.equal(undefined);
    };
    await onlyGoneIsGone(engine());
    await onlyGoneIsGone(await restart());
  });

  it("has room, and has not failed", async () => {
    expect(engine().hasRoom).to.equal(true);
    const verdict = await Promise.race([engine().failed, Promise.resolve("fine")]);
    expect(verdict).to.equal("fine");
  });

  it("finishes what was submitted before it closes, and may be closed twice", async () => {
    const log = await engine().openLog("q");
    const appended = fill(log, 3);
    await Promise.all([engine().close(), engine().close()]);
    expect((await appended).next).to.equal(4);
    expect((await (await restart()).openLog("q")).head().next).to.equal(4);
  });
  it("answers nothing more once it is closed", async () => {
    const log = await engine().openLog("q");
    await fill(log, 1);
    await engine().close();
    const answers: unknown[] = [];
    const note = (answer: unknown): void => {
      answers.push(answer);
    };
    fill(log, 1).then(note, note);
    log.read(offset(1), EVERYTHING).then(note, note);
    engine().state("q").commit([put("k", "v")]).then(note, note);
    engine().state("q").get("k").then(note, note);
    expect(await engine().openLog("other").catch((error: unknown) => error)).to.be.instanceOf(Error);
    for (let turn = 0; turn < 10; turn++) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    expect(answers).to.deep.equal([]);
    expect((await (await restart()).openLog("q")).head().next).to.equal(2);
  });
}
