import { expect } from "chai";
import { TailCache } from "../../../src/broker/tail-cache.js";
import type { QueueTail } from "../../../src/broker/tail-cache.js";
import { ChunkBuilder } from "../../../src/core/chunk-builder.js";
import type { Chunk } from "../../../src/core/chunk.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { newMessage } from "../../support/messages.js";

const PAYLOAD_BYTES = 10_000;

function chunkOf(first: number, count: number): Chunk {
  const builder = new ChunkBuilder();
  for (let i = 0; i < count; i++) {
    builder.add(newMessage({ payload: Buffer.alloc(PAYLOAD_BYTES / count) }), { publishTimeMs: wallMs(1), messageIdHash: 0n, fingerprint: 0n, joinsPrevious: false });
  }
  return builder.seal(offset(first), first - 1, 0).chunk;
}

function firsts(tail: QueueTail, from: number, bytesMax = Infinity): readonly number[] {
  return tail.run(offset(from), bytesMax).map(({ first }) => first);
}

describe("TailCache", () => {
  it("answers with the chunk around an offset and those behind it", () => {
    const tail = new TailCache(1_000_000).forQueue();
    for (const first of [1, 4, 7]) tail.push(chunkOf(first, 3));
    expect(firsts(tail, 1)).to.deep.equal([1, 4, 7]);
    expect(firsts(tail, 5)).to.deep.equal([4, 7]);
    expect(firsts(tail, 9)).to.deep.equal([7]);
    expect(firsts(tail, 10)).to.deep.equal([]);
    expect(tail.find(offset(6))?.first).to.equal(4);
    expect(tail.find(offset(10))).to.equal(undefined);
  });

  it("cuts a run at a number of bytes, but never below one chunk", () => {
    const tail = new TailCache(1_000_000).forQueue();
    for (const first of [1, 2, 3]) tail.push(chunkOf(first, 1));
    expect(firsts(tail, 1, 1)).to.deep.equal([1]);
    expect(firsts(tail, 1, 2.5 * PAYLOAD_BYTES)).to.deep.equal([1, 2]);
  });

  it("never shows a hole: what lies before one is dropped", () => {
    const tail = new TailCache(1_000_000).forQueue();
    tail.push(chunkOf(1, 1));
    tail.push(chunkOf(5, 1));
    expect(firsts(tail, 1)).to.deep.equal([]);
    expect(firsts(tail, 5)).to.deep.equal([5]);
  });

  it("drops the oldest chunks of all queues when its budget is spent", () => {
    const cache = new TailCache(5.5 * (PAYLOAD_BYTES + 1_100));
    const [busy, quiet] = [cache.forQueue(), cache.forQueue()];
    quiet.push(chunkOf(1, 1));
    for (let first = 1; first <= 100; first++) busy.push(chunkOf(first, 1));
    expect(firsts(quiet, 1)).to.deep.equal([]);
    expect(firsts(busy, 95)).to.deep.equal([]);
    expect(firsts(busy, 96)).to.deep.equal([96, 97, 98, 99, 100]);
  });

  it("keeps the newest chunk, however large", () => {
    const tail = new TailCache(10).forQueue();
    tail.push(chunkOf(1, 1));
    tail.push(chunkOf(2, 1));
    expect(firsts(tail, 2)).to.deep.equal([2]);
    expect(firsts(tail, 1)).to.deep.equal([]);
  });

  it("gives its budget back when a queue is cleared", () => {
    const cache = new TailCache(3.5 * (PAYLOAD_BYTES + 1_100));
    const [a, b] = [cache.forQueue(), cache.forQueue()];
    for (const first of [1, 2, 3]) a.push(chunkOf(first, 1));
    a.clear();
    for (const first of [1, 2, 3]) b.push(chunkOf(first, 1));
    expect(firsts(b, 1)).to.deep.equal([1, 2, 3]);
    expect(firsts(a, 1)).to.deep.equal([]);
  });
});
