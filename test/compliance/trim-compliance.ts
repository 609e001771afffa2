import { expect } from "chai";
import { offset } from "../../src/core/units.js";
import type { Engine } from "../../src/ports/engine.js";
import { LogCorrupt, LogOutOfRange } from "../../src/ports/log.js";
import { chunkAfter } from "../support/chunks.js";
import { newMessage } from "../support/messages.js";
import { EVERYTHING, failure, fill, NO_BODIES, runs } from "./engine-bench.js";
import type { EngineBench } from "./engine-bench.js";

/** How every log lets go of its oldest messages. */
export function describeTrim(engine: () => Engine, restart: () => Promise<Engine>): void {
  it("loses whole chunks only", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 3, 3);
    const head = await log.trim(offset(5), offset(5));
    expect(head).to.include({ first: 4, next: 10, messages: 6, cumulativeMessages: 9 });
    expect(log.head()).to.deep.equal(head);
    expect(runs(await log.read(offset(5), EVERYTHING))).to.equal("4-6 7-9");
  });

  it("says what the oldest offset is to who reads below it", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 3);
    await log.trim(offset(3), offset(3));
    expect((await failure(log.read(offset(2), EVERYTHING), LogOutOfRange)).first).to.equal(4);
  });

  it("keeps headers longer than bodies when told to", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 3, 3);
    await log.trim(offset(6), offset(3));
    expect(log.head()).to.include({ first: 7, messages: 3 });
    expect(runs(await log.headers(offset(1), 10))).to.equal("4-6 7-9");
    await log.trim(offset(6), offset(9));
    expect(runs(await log.headers(offset(1), 10)), "never headers whose bodies stay").to.equal("7-9");
  });

  it("never uses an offset again, also when everything was trimmed, before and after a restart", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 2);
    const bytes = log.head().cumulativeBytes;
    const empty = { first: 6, next: 6, messages: 0, bytes: 0, cumulativeMessages: 5, cumulativeBytes: bytes };
    expect(await log.trim(offset(5), offset(5))).to.deep.equal(empty);
    expect(runs(await log.headers(offset(1), 10))).to.equal("4-5");
    expect(await log.read(offset(6), EVERYTHING)).to.deep.equal([]);
    const again = await (await restart()).openLog("q");
    expect(again.head()).to.deep.equal(empty);
    expect(await fill(again, 1)).to.include({ first: 6, next: 7, messages: 1, cumulativeMessages: 6 });
    expect(runs(await again.read(offset(6), EVERYTHING))).to.equal("6-6");
  });

  it("may be told the same again, or less, or more than there is", async () => {
    const log = await engine().openLog("q");
    await fill(log, 2, 2);
    await log.trim(offset(2), offset(2));
    await log.trim(offset(2), offset(2));
    await log.trim(offset(1), offset(1));
    expect(log.head()).to.include({ first: 3, messages: 2 });
    expect(await log.trim(offset(1_000), offset(1_000))).to.include({ first: 5, next: 5, messages: 0 });
  });

  it("goes on taking appends and serving reads while hundreds of chunks go", async () => {
    const log = await engine().openLog("q");
    await fill(log, ...new Array<number>(700).fill(1));
    const trimmed = log.trim(offset(690), offset(690));
    await fill(log, 5);
    expect(await log.read(offset(695), EVERYTHING)).to.have.length(7);
    await trimmed;
    expect(log.head()).to.include({ first: 691, next: 706, messages: 15 });
    expect(runs((await log.headers(offset(1), 2)).slice(0, 1))).to.equal("691-691");
  });

  it("frees large chunks and small ones side by side, and never a header before its body", async () => {
    const log = await engine().openLog("q");
    const large = newMessage({ payload: Buffer.alloc(1_000_000, 1) });
    for (let i = 0; i < 50; i++) {
      for (const messages of [[large], [newMessage({})]]) {
        const { next } = log.head();
        await log.append([chunkAfter(log.head(), messages)], next);
      }
    }
    const trimmed = log.trim(offset(90), offset(90));
    let seen = 0;
    for (let over = false; !over; ) {
      over = await Promise.race([trimmed.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);
      const { first } = log.head();
      const read = await log.read(first, { ...EVERYTHING, maxMessages: 1 }).catch((error: unknown) => {
        // It went meanwhile.
        if (error instanceof LogOutOfRange && error.first > first) return undefined;
        throw error;
      });
      expect(read?.length ?? 1, `chunks read at ${first}`).to.equal(1);
      if (++seen > 100_000) throw new Error("the trim does not end");
    }
    expect(log.head()).to.include({ first: 91, messages: 10 });
    const [kept] = await log.read(offset(91), EVERYTHING);
    expect(kept?.body).to.have.length(chunkAfter({ next: offset(91), cumulativeMessages: 90, cumulativeBytes: 0 }, [large]).chunk.body.length);
  });

  it("remembers after a restart what was trimmed", async () => {
    const log = await engine().openLog("q");
    await fill(log, 2, 2, 2);
    await log.trim(offset(4), offset(2));
    const head = log.head();
    const again = await (await restart()).openLog("q");
    expect(again.head()).to.deep.equal(head);
    expect(runs(await again.headers(offset(1), 10))).to.equal("3-4 5-6");
  });
}

/** What every log still knows after a restart, and what it says of damage. */
export function describeRestart(bench: () => EngineBench): void {
  it("has the same extent and the same bytes", async () => {
    const log = await bench().engine.openLog("q");
    await fill(log, 3, 2);
    const head = log.head();
    const bodies = (await log.read(offset(1), EVERYTHING)).map(({ body }) => body?.toString("hex"));
    const again = await (await bench().restart()).openLog("q");
    expect(again.head()).to.deep.equal(head);
    expect((await again.read(offset(1), EVERYTHING)).map(({ body }) => body?.toString("hex"))).to.deep.equal(bodies);
    await fill(again, 1);
    expect(again.head().next).to.equal(7);
  });

  it("names the messages whose body is damaged, and serves what lies around them", async () => {
    await fill(await bench().engine.openLog("q"), 3, 3, 3);
    const log = await (await bench().damage("q", 4, "body")).openLog("q");
    expect(runs(await log.read(offset(1), EVERYTHING)), "ends before the damage").to.equal("1-3");
    expect(await failure(log.read(offset(5), EVERYTHING), LogCorrupt)).to.include({ from: 4, through: 6 });
    expect(runs(await log.read(offset(7), EVERYTHING))).to.equal("7-9");
    expect(runs(await log.read(offset(1), NO_BODIES)), "nobody wants the damaged body").to.equal("1-3 4-6 7-9");
  });

  it("names the messages whose header is damaged, and serves what lies around them", async () => {
    await fill(await bench().engine.openLog("q"), 3, 3, 3);
    const log = await (await bench().damage("q", 4, "header")).openLog("q");
    for (const limit of [EVERYTHING, NO_BODIES]) {
      expect(runs(await log.read(offset(1), limit))).to.equal("1-3");
      expect(await failure(log.read(offset(5), limit), LogCorrupt)).to.include({ from: 4, through: 6 });
      expect(runs(await log.read(offset(7), limit))).to.equal("7-9");
    }
    expect(runs(await log.headers(offset(1), 10))).to.equal("1-3");
    expect(await failure(log.headers(offset(4), 10), LogCorrupt)).to.include({ from: 4, through: 6 });
  });

  it("never uses an offset again though the newest header is damaged", async () => {
    await fill(await bench().engine.openLog("q"), 3, 3);
    const log = await (await bench().damage("q", 4, "header")).openLog("q");
    expect(log.head().next).to.be.at.least(7);
    expect(runs(await log.read(offset(1), EVERYTHING))).to.equal("1-3");
    const { next } = log.head();
    await fill(log, 2);
    expect(await failure(log.read(offset(4), EVERYTHING), LogCorrupt)).to.include({ from: 4, through: next - 1 });
    expect(runs(await log.read(next, EVERYTHING))).to.equal(`${next}-${next + 1}`);
  });

  it("trims damaged chunks like any other", async () => {
    await fill(await bench().engine.openLog("q"), 3, 3, 3);
    const log = await (await bench().damage("q", 4, "header")).openLog("q");
    expect(await log.trim(offset(6), offset(6))).to.include({ first: 7, messages: 3 });
    expect(runs(await log.headers(offset(1), 10))).to.equal("7-9");
  });
}
