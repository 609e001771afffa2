import { expect } from "chai";
import { ChunkBuilder } from "../../../src/core/chunk-builder.js";
import { attachBody, decodeChunkHeader } from "../../../src/core/chunk-codec.js";
import { messageStart } from "../../../src/core/chunk.js";
import { decodeMessage } from "../../../src/core/message-codec.js";
import { laneHash } from "../../../src/core/hash.js";
import { LIMITS } from "../../../src/core/limits.js";
import { encodeReplayed } from "../../../src/core/replayed-message.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { newMessage } from "../../support/messages.js";

const TIME = wallMs(1_764_000_000_123);
const FACTS = { publishTimeMs: TIME, messageIdHash: 0n, fingerprint: 0n, joinsPrevious: false };

describe("a message that is replayed", () => {
  it("is stored as any other, and says where it was first published", () => {
    for (const size of [0, 1, 100, 127, 128, 16_383, 16_384, 300_000]) {
      for (const origin of [1, 127, 128, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
        const message = newMessage({ event: "order.paid", payload: Buffer.alloc(size, 7), headers: new Map([["a", "b"]]), messageId: "id", orderingKey: "key" });
        const stored = encodeReplayed({ message, addressee: "billing", originOffset: offset(origin) }, TIME);
        expect(decodeMessage(stored)).to.deep.equal({ ...message, payload: Buffer.alloc(size, 7), offset: 0, publishTimeMs: TIME, expireTimeMs: 0, originOffset: origin });
      }
    }
  });

  it("stands in a chunk beside others, with the one subscriber that it is for", () => {
    const builder = new ChunkBuilder();
    builder.add(newMessage({ event: "a" }), FACTS);
    builder.addReplayed({ message: newMessage({ event: "b", orderingKey: "k" }), addressee: "billing", originOffset: offset(3) }, TIME);
    builder.add(newMessage({ event: "a" }), FACTS);
    const { header, chunk } = builder.seal(offset(10), 9, 900);
    const stored = attachBody(decodeChunkHeader(header), chunk.body);
    expect(stored).to.deep.include({ first: 10, last: 12, events: ["a", "b"], addressee: ["", "billing", ""], originOffset: Float64Array.of(0, 3, 0), messageIdHash: undefined });
    expect(stored.laneHash).to.deep.equal(BigUint64Array.of(0n, laneHash("k"), 0n));
    expect([0, 1, 2].map((index) => decodeMessage(stored.body, messageStart(stored, index)))).to.satisfy((messages: { offset: number; originOffset: number }[]) => messages.every(({ offset: at, originOffset }, i) => at === 10 + i && originOffset === (i === 1 ? 3 : 0)));
  });

  it("goes into the next chunk when one is full", () => {
    const builder = new ChunkBuilder();
    const copy = { message: newMessage({ payload: Buffer.alloc(LIMITS.chunkBytesMax / 2) }), addressee: "billing", originOffset: offset(3) };
    expect([builder.addReplayed(copy, TIME), builder.addReplayed(copy, TIME), builder.count]).to.deep.equal([true, false, 1]);
  });
});
