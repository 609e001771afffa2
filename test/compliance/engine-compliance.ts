import { expect } from "chai";
import { decodeMessage } from "../../src/core/message-codec.js";
import type { Chunk } from "../../src/core/chunk.js";
import { offset } from "../../src/core/units.js";
import type { Engine } from "../../src/ports/engine.js";
import { LogConflict, LogCorrupt, LogOutOfRange } from "../../src/ports/log.js";
import type { Head, Log, ReadLimit } from "../../src/ports/log.js";
import { StateConflict } from "../../src/ports/state.js";
import type { Put, Token } from "../../src/ports/state.js";
import { chunkAfter, chunksAfter } from "../support/chunks.js";
import { newMessage } from "../support/messages.js";

/** One engine under test and its data. */
export interface EngineBench {
  readonly engine: Engine;
  /** Closes the engine and opens another over the same data. */
  restart(): Promise<Engine>;
  /** Damages the stored chunk that begins at `first`, between a close and the next open. */
  damage(queue: string, first: number, part: "header" | "body"): Promise<Engine>;
  /** Closes the engine and removes its data. */
  end(): Promise<void>;
}

const EVERYTHING: ReadLimit = { maxMessages: 1_000_000, maxBytes: 1e9, wantsBody: () => true };
const NO_BODIES: ReadLimit = { ...EVERYTHING, wantsBody: () => false };

async function fill(log: Log, ...counts: readonly number[]): Promise<Head> {
  return await log.append(chunksAfter(log.head(), counts), log.head().next);
}

function runs(chunks: readonly Chunk[]): string {
  return chunks.map(({ first, last }) => `${first}-${last}`).join(" ");
}

async function failure<T extends Error>(promise: Promise<unknown>, type: new (...args: never[]) => T): Promise<T> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(type);
    return error as T;
  }
  throw new Error(`expected ${type.name}`);
}

function text(value: string): Buffer {
  return Buffer.from(value);
}

function put(key: string, value: string | null, expect: Put["expect"] = "any"): Put {
  return { key, value: value === null ? null : text(value), expect };
}

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

function describeLog(engine: () => Engine): void {
  it("begins empty, with the next offset 1", async () => {
    const log = await engine().openLog("q");
    expect(log.head()).to.deep.equal({ first: 1, next: 1, cumulativeMessages: 0, cumulativeBytes: 0, messages: 0, bytes: 0 });
    expect(await log.read(offset(1), EVERYTHING)).to.deep.equal([]);
    expect(await log.headers(offset(1), 10)).to.deep.equal([]);
  });

  it("is one object until its queue is dropped", async () => {
    const log = await engine().openLog("q");
    expect(await engine().openLog("q")).to.equal(log);
    await engine().drop("q");
    expect(await engine().openLog("q")).not.to.equal(log);
  });

  it("gives back the messages appended, byte for byte", async () => {
    const log = await engine().openLog("q");
    const record = chunkAfter(log.head(), [newMessage({ payload: text("one") }), newMessage({ event: "b", payload: text("two") })]);
    const body = Buffer.from(record.chunk.body);
    expect(await log.append([record], offset(1))).to.deep.equal({
      first: 1,
      next: 3,
      cumulativeMessages: 2,
      cumulativeBytes: body.length,
      messages: 2,
      bytes: body.length,
    });
    const [chunk] = await log.read(offset(1), EVERYTHING);
    expect(chunk?.body?.equals(body)).to.equal(true);
    expect(decodeMessage(body, chunk?.ends[0])).to.deep.include({ offset: 2, event: "b" });
    expect(log.head().next).to.equal(3);
  });

  it("keeps several chunks of one append together", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 2);
    await fill(log, 4);
    expect(runs(await log.read(offset(1), EVERYTHING))).to.equal("1-3 4-5 6-9");
  });

  it("shows nothing before it is durable, and all of it afterwards", async () => {
    const log = await engine().openLog("q");
    const appended = fill(log, 2);
    expect(log.head().next).to.equal(1);
    expect(await log.read(offset(1), EVERYTHING)).to.deep.equal([]);
    await appended;
    expect(log.head().next).to.equal(3);
    expect(runs(await log.read(offset(1), EVERYTHING))).to.equal("1-2");
  });

  it("takes two appends of one turn that follow each other", async () => {
    const log = await engine().openLog("q");
    const [one, two] = chunksAfter(log.head(), [2, 3]);
    await Promise.all([log.append([one!], offset(1)), log.append([two!], offset(3))]);
    expect(runs(await log.read(offset(1), EVERYTHING))).to.equal("1-2 3-5");
  });

  it("refuses the slower of two appends that expect the same offset, and only that one", async () => {
    const log = await engine().openLog("q");
    const other = await engine().openLog("other");
    const [one] = chunksAfter(log.head(), [2]);
    const [rival] = chunksAfter(log.head(), [1]);
    const winner = log.append([one!], offset(1));
    const loser = failure(log.append([rival!], offset(1)), LogConflict);
    const bystander = fill(other, 1);
    const saved = engine().state("q").commit([put("k", "v")]);
    expect((await loser).head.next).to.equal(3);
    await Promise.all([winner, bystander, saved]);
    expect([log.head().next, other.head().next]).to.deep.equal([3, 2]);
    await fill(log, 1);
    expect(runs(await log.read(offset(1), EVERYTHING))).to.equal("1-2 3-3");
  });

  it("reads from the chunk that contains the offset", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 3, 3);
    expect(runs(await log.read(offset(5), EVERYTHING))).to.equal("4-6 7-9");
    expect(runs(await log.read(offset(6), EVERYTHING))).to.equal("4-6 7-9");
    expect(runs(await log.read(offset(7), EVERYTHING))).to.equal("7-9");
    expect(await log.read(offset(10), EVERYTHING)).to.deep.equal([]);
    expect(await log.read(offset(1_000), EVERYTHING)).to.deep.equal([]);
  });

  it("reads at most the messages asked for, but at least one chunk", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 3, 3);
    expect(runs(await log.read(offset(1), { ...EVERYTHING, maxMessages: 6 }))).to.equal("1-3 4-6");
    expect(runs(await log.read(offset(1), { ...EVERYTHING, maxMessages: 8 }))).to.equal("1-3 4-6");
    expect(runs(await log.read(offset(1), { ...EVERYTHING, maxMessages: 1 }))).to.equal("1-3");
  });

  it("reads at most the bytes asked for, but at least one chunk, and counts only bodies that it reads", async () => {
    const log = await engine().openLog("q");
    await fill(log, 3, 3, 3);
    const bytes = log.head().bytes;
    expect(runs(await log.read(offset(1), { ...EVERYTHING, maxBytes: bytes }))).to.equal("1-3 4-6 7-9");
    expect(runs(await log.read(offset(1), { ...EVERYTHING, maxBytes: bytes - 1 }))).to.equal("1-3 4-6");
    expect(runs(await log.read(offset(1), { ...EVERYTHING, maxBytes: 0 }))).to.equal("1-3");
    expect(runs(await log.read(offset(1), { ...NO_BODIES, maxBytes: 0 }))).to.equal("1-3 4-6 7-9");
  });

  it("reads only the bodies that are wanted", async () => {
    const log = await engine().openLog("q");
    await fill(log, 1, 1, 1);
    const chunks = await log.read(offset(1), { ...EVERYTHING, wantsBody: ({ first }) => first === 2 });
    expect(chunks.map(({ body }) => body !== undefined)).to.deep.equal([false, true, false]);
  });

  it("lists headers, a bounded number of them, without bodies", async () => {
    const log = await engine().openLog("q");
    await fill(log, 2, 2, 2, 2);
    const headers = await log.headers(offset(4), 2);
    expect(runs(headers)).to.equal("3-4 5-6");
    expect(headers.map(({ body }) => body)).to.deep.equal([undefined, undefined]);
    expect(headers[0]?.messageIdHash).to.have.length(2);
  });

  it("keeps queues apart", async () => {
    const one = await engine().openLog("one");
    const two = await engine().openLog("two");
    await Promise.all([fill(one, 2), fill(two, 3)]);
    expect([one.head().next, two.head().next]).to.deep.equal([3, 4]);
    expect(runs(await one.read(offset(1), EVERYTHING))).to.equal("1-2");
  });

  it("counts messages and bytes, stored ever and stored still", async () => {
    const log = await engine().openLog("q");
    await fill(log, 2, 3);
    const chunks = await log.read(offset(1), EVERYTHING);
    const bytes = chunks.reduce((sum, { body }) => sum + (body?.length ?? 0), 0);
    expect(log.head()).to.include({ messages: 5, bytes, cumulativeMessages: 5, cumulativeBytes: bytes });
  });
}

function describeTrim(engine: () => Engine, restart: () => Promise<Engine>): void {
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

function describeRestart(bench: () => EngineBench): void {
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

function describeState(engine: () => Engine, restart: () => Promise<Engine>): void {
  const keys = async (prefix: string, after: string | undefined, limit: number): Promise<string> =>
    (await engine().state("q").list(prefix, after, limit)).map(({ key }) => key).join(" ");

  it("has no entry that nobody wrote", async () => {
    expect(await engine().state("q").get("k")).to.equal(undefined);
    expect(await engine().state("q").list("", undefined, 10)).to.deep.equal([]);
  });

  it("gives back what was committed, with the token that the commit answered, also after a restart", async () => {
    const [token] = await engine().state("q").commit([put("k", "v")]);
    const entry = await engine().state("q").get("k");
    expect(entry?.value.toString()).to.equal("v");
    expect(entry?.token).to.equal(token);
    const again = await (await restart()).state("q").get("k");
    expect(again?.value.toString()).to.equal("v");
  });

  it("shows nothing before it is durable", async () => {
    const committed = engine().state("q").commit([put("k", "v")]);
    expect(await engine().state("q").get("k")).to.equal(undefined);
    await committed;
    expect(await engine().state("q").get("k")).not.to.equal(undefined);
  });

  it("writes all of a commit or nothing", async () => {
    const state = engine().state("q");
    await state.commit([put("taken", "1")]);
    const conflict = await failure(state.commit([put("a", "2"), put("taken", "2", "absent"), put("b", null)]), StateConflict);
    expect(conflict.keys).to.deep.equal(["taken"]);
    expect(await keys("", undefined, 10)).to.equal("taken");
  });

  it("takes a change only on top of the entry expected", async () => {
    const state = engine().state("q");
    const [first] = await state.commit([put("k", "1", "absent")]);
    const [second] = await state.commit([put("k", "2", first!)]);
    expect(second).not.to.equal(first);
    await failure(state.commit([put("k", "3", first!)]), StateConflict);
    await failure(state.commit([put("k", "3", "absent")]), StateConflict);
    await state.commit([put("k", null, second!)]);
    await failure(state.commit([put("k", "3", second!)]), StateConflict);
    expect(await state.get("k")).to.equal(undefined);
  });

  it("never gives an entry the token of an earlier one, not even after a restart", async () => {
    const seen = new Set<Token>();
    let state = engine().state("q");
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 3; i++) {
        const [token] = await state.commit([put("k", "v")]);
        expect(seen.has(token!)).to.equal(false);
        seen.add(token!);
        await state.commit([put("k", null)]);
      }
      state = (await restart()).state("q");
    }
  });

  it("applies the commits of one turn in call order, and refuses only those that conflict", async () => {
    const state = engine().state("q");
    const first = state.commit([put("k", "1", "absent")]);
    const second = failure(state.commit([put("k", "2", "absent"), put("other", "x")]), StateConflict);
    const third = state.commit([put("k", "3")]);
    await Promise.all([first, second, third]);
    expect((await state.get("k"))?.value.toString()).to.equal("3");
    expect(await state.get("other")).to.equal(undefined);
    expect((await state.get("k"))?.token).to.equal((await third)[0]);
  });

  it("lists by prefix, in bytewise order, in pages", async () => {
    const state = engine().state("q");
    await state.commit(["b/2", "a/1", "b/10", "b/1", "b0", "b/~", "c", "b"].map((key) => put(key, key)));
    expect(await keys("b/", undefined, 10)).to.equal("b/1 b/10 b/2 b/~");
    expect(await keys("b/", undefined, 2)).to.equal("b/1 b/10");
    expect(await keys("b/", "b/10", 2)).to.equal("b/2 b/~");
    expect(await keys("b/", "b/~", 2)).to.equal("");
    expect(await keys("b/", "a", 1)).to.equal("b/1");
    expect(await keys("b/", "c", 1)).to.equal("");
    expect(await keys("", undefined, 10)).to.equal("a/1 b b/1 b/10 b/2 b/~ b0 c");
  });

  it("keeps a value of 1 MiB and 64 KiB, an empty one, and a key of 512 bytes", async () => {
    const state = engine().state("q");
    const large = Buffer.alloc(1_114_112, 5);
    const key = "k".repeat(512);
    await state.commit([
      { key: "large", value: large, expect: "any" },
      { key, value: Buffer.alloc(0), expect: "any" },
    ]);
    expect((await state.get("large"))?.value.equals(large)).to.equal(true);
    expect((await state.get(key))?.value.length).to.equal(0);
  });

  it("keeps queues and the catalog apart", async () => {
    await Promise.all([
      engine().state("one").commit([put("k", "1")]),
      engine().state("two").commit([put("k", "2")]),
      engine().catalog.commit([put("k", "3")]),
    ]);
    const values = await Promise.all([engine().state("one").get("k"), engine().state("two").get("k"), engine().catalog.get("k")]);
    expect(values.map((entry) => entry?.value.toString())).to.deep.equal(["1", "2", "3"]);
    expect(await engine().catalog.list("", undefined, 10)).to.have.length(1);
  });

  it("hands out values that later reads and writes leave alone", async () => {
    const state = engine().state("q");
    await state.commit([put("a", "first"), put("b", "other")]);
    const entry = await state.get("a");
    await state.get("b");
    await state.commit([put("a", "second")]);
    expect(entry?.value.toString()).to.equal("first");
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
}
