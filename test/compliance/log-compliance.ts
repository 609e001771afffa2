import { expect } from "chai";
import { ChunkBuilder } from "../../src/core/chunk-builder.js";
import { decodeMessage } from "../../src/core/message-codec.js";
import { offset, wallMs } from "../../src/core/units.js";
import type { Engine } from "../../src/ports/engine.js";
import { READ_CHUNKS_MAX } from "../../src/engines/read-budget.js";
import { LogConflict } from "../../src/ports/log.js";
import type { ChunkRecord } from "../../src/ports/log.js";
import { chunkAfter, chunksAfter } from "../support/chunks.js";
import { newMessage } from "../support/messages.js";
import { EVERYTHING, failure, fill, NO_BODIES, put, runs } from "./engine-bench.js";

/** What every log does with appends and reads. */
export function describeLog(engine: () => Engine): void {
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
    const record = chunkAfter(log.head(), [newMessage({ payload: Buffer.from("one") }), newMessage({ event: "b", payload: Buffer.from("two") })]);
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

  it("keeps for whom a replayed message is, and where it was first published", async () => {
    const log = await engine().openLog("q");
    const builder = new ChunkBuilder();
    builder.addReplayed({ message: newMessage({ payload: Buffer.from("again") }), addressee: "billing", originOffset: offset(7) }, wallMs(1_764_000_000_000));
    await log.append([builder.seal(offset(1), 0, 0)], offset(1));
    const [header] = await log.headers(offset(1), 1);
    expect(header).to.deep.include({ addressee: ["billing"], originOffset: Float64Array.of(7) });
    const [chunk] = await log.read(offset(1), EVERYTHING);
    expect(decodeMessage(chunk?.body ?? Buffer.alloc(0))).to.deep.include({ offset: 1, originOffset: 7, payload: Buffer.from("again") });
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

  it("takes appends of one turn in the order of their offsets, whatever their size and that of others", async () => {
    const log = await engine().openLog("q");
    const other = await engine().openLog("other");
    const large = Array.from({ length: 6 }, () => newMessage({ payload: Buffer.alloc(200_000) }));
    const records = (): ChunkRecord[] => {
      const chunks: ChunkRecord[] = [];
      let head = log.head();
      for (const message of large) {
        const record = chunkAfter(head, [message]);
        chunks.push(record);
        head = { ...head, next: offset(record.chunk.last + 1), cumulativeMessages: record.chunk.cumulativeMessages, cumulativeBytes: record.chunk.cumulativeBytes };
      }
      return chunks;
    };
    const mine = records();
    const last = mine[5]!.chunk;
    const small = chunkAfter({ ...log.head(), next: offset(7), cumulativeMessages: last.cumulativeMessages, cumulativeBytes: last.cumulativeBytes }, [newMessage()]);
    await Promise.all([other.append(records(), offset(1)), log.append(mine, offset(1)), log.append([small], offset(7))]);
    expect([log.head().next, other.head().next]).to.deep.equal([8, 7]);
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

  it("reads so many small chunks at once that others get their turn, and goes on behind them", async () => {
    const log = await engine().openLog("q");
    await fill(log, ...Array<number>(READ_CHUNKS_MAX + 1).fill(1));
    const some = await log.read(offset(1), EVERYTHING);
    expect(some).to.have.length(READ_CHUNKS_MAX);
    expect(runs(await log.read(offset(READ_CHUNKS_MAX + 1), EVERYTHING))).to.equal(`${READ_CHUNKS_MAX + 1}-${READ_CHUNKS_MAX + 1}`);
    expect(await log.read(offset(1), NO_BODIES)).to.have.length(READ_CHUNKS_MAX);
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
