import { expect } from "chai";
import fc from "fast-check";
import { Deliveries } from "../../../generated/tidemark/v1/subscribe.js";
import { ChunkBuilder } from "../../../src/core/chunk-builder.js";
import { attachBody, ChunkFormatError, decodeChunkHeader, sealChunk } from "../../../src/core/chunk-codec.js";
import type { SealedChunk } from "../../../src/core/chunk-codec.js";
import { joinsPrevious, messageBytes, messageStart } from "../../../src/core/chunk.js";
import type { Chunk } from "../../../src/core/chunk.js";
import { fingerprint, laneHash, messageIdHash } from "../../../src/core/hash.js";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeMessage } from "../../../src/core/message-codec.js";
import type { NewMessage } from "../../../src/core/message.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { anyMessage, newMessage } from "../../support/messages.js";

const TIME = 1_764_000_000_000;

function add(builder: ChunkBuilder, message: NewMessage, timeMs = TIME, joins = false): boolean {
  return builder.add(message, {
    publishTimeMs: wallMs(timeMs),
    messageIdHash: messageIdHash(message.messageId),
    fingerprint: fingerprint(message),
    joinsPrevious: joins,
  });
}

function seal(messages: readonly NewMessage[], first = 1): SealedChunk {
  const builder = new ChunkBuilder();
  messages.forEach((message, i) => expect(add(builder, message, TIME + i)).to.equal(true));
  return builder.seal(offset(first), 100, 5_000);
}

describe("ChunkBuilder", () => {
  it("numbers the messages from the offset given, in the stored bytes too", () => {
    const { chunk } = seal([newMessage(), newMessage({ event: "b" }), newMessage()], 41);
    expect(chunk).to.include({ first: 41, last: 43, count: 3, firstTimeMs: TIME, lastTimeMs: TIME + 2, cumulativeMessages: 103 });
    expect(chunk.cumulativeBytes).to.equal(5_000 + chunk.body.length);
    expect(Deliveries.decode(chunk.body).messages.map((message) => message.offset)).to.deep.equal([41n, 42n, 43n]);
    expect([...chunk.eventIndex].map((i) => chunk.events[i])).to.deep.equal(["order.created", "b", "order.created"]);
  });

  it("keeps every message readable at its place, with its hashes", () => {
    fc.assert(
      fc.property(fc.array(anyMessage(), { minLength: 1, maxLength: 40 }), (messages) => {
        const { chunk } = seal(messages, 7);
        messages.forEach((message, i) => {
          const at = messageStart(chunk, i);
          const read = decodeMessage(chunk.body.subarray(at, at + messageBytes(chunk, i)));
          expect(read.payload.equals(message.payload)).to.equal(true);
          expect([read.offset, read.event, read.messageId]).to.deep.equal([7 + i, message.event, message.messageId]);
          expect(chunk.laneHash?.[i] ?? 0n).to.equal(laneHash(message.orderingKey));
          expect(chunk.messageIdHash?.[i] ?? 0n).to.equal(messageIdHash(message.messageId));
          if (message.messageId !== "") expect(chunk.fingerprint?.[i]).to.equal(fingerprint(message));
        });
      }),
    );
  });

  it("leaves out the columns that are empty for all of its messages", () => {
    const { chunk } = seal([newMessage(), newMessage()]);
    expect([chunk.laneHash, chunk.messageIdHash, chunk.fingerprint, chunk.expireTimeMs, chunk.addressee, chunk.joined]).to.deep.equal(
      new Array(6).fill(undefined),
    );
  });

  it("turns the message away that would be one too many, and is not changed by it", () => {
    const builder = new ChunkBuilder();
    for (let i = 0; i < LIMITS.chunkMessagesMax; i++) expect(add(builder, newMessage())).to.equal(true);
    const bytes = builder.bytes;
    expect(add(builder, newMessage())).to.equal(false);
    expect([builder.count, builder.bytes]).to.deep.equal([LIMITS.chunkMessagesMax, bytes]);
    expect(Deliveries.decode(builder.seal(offset(1), 0, 0).chunk.body).messages).to.have.length(LIMITS.chunkMessagesMax);
  });

  it("turns the message away that would make it too large", () => {
    const builder = new ChunkBuilder();
    const message = newMessage({ payload: Buffer.alloc(100_000) });
    expect([add(builder, message), add(builder, message), add(builder, message)]).to.deep.equal([true, true, false]);
  });

  it("takes a single message that is larger than a chunk, and nothing after it", () => {
    const builder = new ChunkBuilder();
    expect(add(builder, newMessage({ payload: Buffer.alloc(1_000_000) }))).to.equal(true);
    expect(add(builder, newMessage())).to.equal(false);
    expect(builder.seal(offset(1), 0, 0).chunk.count).to.equal(1);
  });

  it("remembers which messages were published in one batch, from the chunk before on", () => {
    const builder = new ChunkBuilder();
    const joins = Array.from({ length: 30 }, (_, i) => i % 7 !== 3);
    for (const join of joins) add(builder, newMessage(), TIME, join);
    const sealed = builder.seal(offset(1), 0, 0);
    const read = decodeChunkHeader(sealed.header).chunk;
    expect(joins.map((_, i) => joinsPrevious(read, i))).to.deep.equal(joins);
    expect(joinsPrevious(seal([newMessage()]).chunk, 0)).to.equal(false);
  });
});

describe("chunk codec", () => {
  const sealed = seal([
    newMessage({ messageId: "a", orderingKey: "k" }),
    newMessage({ event: "order.paid" }),
    newMessage({ payload: Buffer.alloc(500, 1) }),
  ]);

  it("reads a header back as it was sealed, without the body", () => {
    const { chunk, bodyBytes } = decodeChunkHeader(Buffer.from(sealed.header));
    expect(bodyBytes).to.equal(sealed.chunk.body.length);
    expect(chunk).to.deep.equal({ ...sealed.chunk, body: undefined });
  });

  it("reads a header that does not begin at a multiple of 8", () => {
    const shifted = Buffer.concat([Buffer.alloc(3), sealed.header]).subarray(3);
    expect(decodeChunkHeader(shifted).chunk).to.deep.equal({ ...sealed.chunk, body: undefined });
  });

  it("keeps every optional column", () => {
    const full: Chunk = {
      ...sealed.chunk,
      fingerprint: new BigUint64Array([1n, 2n, 2n ** 64n - 1n]),
      expireTimeMs: new Float64Array([0, TIME, 2 ** 53 - 1]),
      addressee: ["", "invoices", ""],
      originOffset: new Float64Array([0, 17, 0]),
      joined: new Uint8Array([0b110]),
    };
    const { chunk } = decodeChunkHeader(sealChunk(full, sealed.chunk.body).header);
    expect(chunk).to.deep.equal({ ...full, body: undefined });
  });

  it("joins a header to its own body only", () => {
    const header = decodeChunkHeader(sealed.header);
    expect(attachBody(header, sealed.chunk.body)).to.deep.equal(sealed.chunk);
    const other = Buffer.from(sealed.chunk.body);
    other[20] = (other[20] ?? 0) ^ 1;
    expect(() => attachBody(header, other)).to.throw(ChunkFormatError, /checksum/);
    expect(() => attachBody(header, other.subarray(1))).to.throw(ChunkFormatError, /bytes instead of/);
  });

  it("finds every single changed bit of a header", () => {
    for (let bit = 0; bit < sealed.header.length * 8; bit++) {
      const changed = Buffer.from(sealed.header);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => decodeChunkHeader(changed), `bit ${bit}`).to.throw(ChunkFormatError);
    }
  });

  it("finds a header cut at any place", () => {
    for (let length = 0; length < sealed.header.length; length++) {
      expect(() => decodeChunkHeader(sealed.header.subarray(0, length)), `cut at ${length}`).to.throw(ChunkFormatError);
    }
  });
});
