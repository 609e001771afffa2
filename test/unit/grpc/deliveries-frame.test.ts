import { expect } from "chai";
import fc from "fast-check";
import { Message } from "../../../generated/tidemark/v1/message.js";
import { SubscribeResponse } from "../../../generated/tidemark/v1/subscribe.js";
import type { Chunk } from "../../../src/core/chunk.js";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeMessage, encodeMessage, patchOffset } from "../../../src/core/message-codec.js";
import type { NewMessage } from "../../../src/core/message.js";
import type { BatchFacts, DeliveryCause } from "../../../src/core/session.js";
import type { DeliveryPart } from "../../../src/core/subscription/effects.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { DeliveriesFrame, deliveriesTextFrame } from "../../../src/grpc/deliveries-frame.js";
import { CAUSES } from "../../../src/grpc/to-wire.js";
import { duration } from "../../../src/grpc/wire-numbers.js";
import { chunkOf } from "../../support/chunk-builder.js";
import { anyMessage, newMessage } from "../../support/messages.js";

const TIME = wallMs(1_764_000_000_123);

/** A chunk that holds these messages as they are stored. */
function storedChunk(first: number, messages: readonly NewMessage[]): Chunk {
  const encoded = messages.map((message, i) => {
    const bytes = encodeMessage(message, TIME);
    patchOffset(bytes, 0, offset(first + i));
    return bytes;
  });
  let end = 0;
  const ends = Uint32Array.from(encoded, (bytes) => (end += bytes.length));
  return { ...chunkOf(first, messages.map(({ event }) => event)), ends, body: Buffer.concat(encoded) };
}

const facts = (parts: Partial<BatchFacts> = {}): BatchFacts => ({
  batchId: 1,
  attempt: 1,
  deliveryCount: 1,
  cause: "NEW",
  lastReason: "",
  leaseMs: 60_000,
  ...parts,
});

/** The same frame by the generated code, from decoded messages. */
function generatedFrame(batch: BatchFacts, messages: readonly Message[], backlogCount: number): Buffer {
  return Buffer.from(
    SubscribeResponse.encode({
      frame: {
        $case: "deliveries",
        value: {
          messages: [...messages],
          batchId: BigInt(batch.batchId),
          attempt: batch.attempt,
          cause: CAUSES[batch.cause],
          lease: batch.leaseMs === 0 ? undefined : duration(batch.leaseMs),
          backlogCount: BigInt(backlogCount),
          lastReason: batch.lastReason,
          deliveryCount: batch.deliveryCount,
        },
      },
    }).finish(),
  );
}

function asMessages(part: DeliveryPart): Message[] {
  const { chunk, firstIndex, count } = part;
  return Array.from({ length: count }, (_, i) => {
    const start = firstIndex + i === 0 ? 0 : (chunk.ends[firstIndex + i - 1] ?? 0);
    const stored = decodeMessage(chunk.body ?? Buffer.alloc(0), start);
    return Message.fromPartial({
      offset: BigInt(stored.offset),
      event: stored.event,
      payload: stored.payload,
      headers: Object.fromEntries(stored.headers),
      messageId: stored.messageId,
      orderingKey: stored.orderingKey,
      publishTime: { seconds: BigInt(Math.floor(TIME / 1_000)), nanos: (TIME % 1_000) * 1_000_000 },
    });
  });
}

/** Without what two correct encoders may write differently: empty texts in map entries, and the order of numeric keys. */
function withPlainHeaders(message: NewMessage): NewMessage {
  return { ...message, headers: new Map([...message.headers].map(([key, value]) => [`h${key}`, `v${value}`])) };
}

const anyFacts: fc.Arbitrary<BatchFacts> = fc.record({
  batchId: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  attempt: fc.integer({ min: 1, max: 1_000 }),
  deliveryCount: fc.integer({ min: 1, max: 1_000 }),
  cause: fc.constantFrom<DeliveryCause>("NEW", "RETRY", "TIMEOUT", "DISCONNECT", "RELEASED", "SEEK"),
  lastReason: fc.string({ unit: "grapheme", maxLength: 60 }),
  leaseMs: fc.integer({ min: 0, max: 43_200_000 }),
});

describe("a deliveries frame", () => {
  it("is, byte for byte, what the generated code makes of the same batch", () => {
    const anyPart = fc
      .array(anyMessage().map(withPlainHeaders), { minLength: 1, maxLength: 12 })
      .chain((messages) => fc.tuple(fc.constant(messages), fc.nat(messages.length - 1), fc.nat(messages.length)))
      .map(([messages, firstIndex, count]) => ({
        chunk: storedChunk(1_000, messages),
        firstIndex,
        count: Math.max(1, Math.min(count, messages.length - firstIndex)),
      }));
    fc.assert(
      fc.property(anyFacts, fc.array(anyPart, { minLength: 1, maxLength: 4 }), fc.nat(), (batch, parts, backlogCount) => {
        const frame = new DeliveriesFrame(batch, parts, backlogCount).toBuffer();
        expect(frame.equals(generatedFrame(batch, parts.flatMap(asMessages), backlogCount))).to.equal(true);
      }),
    );
  });

  it("leaves the stored bytes alone and shares none of them", () => {
    const chunk = storedChunk(1, [newMessage(), newMessage()]);
    const before = Buffer.from(chunk.body ?? []);
    const frame = new DeliveriesFrame(facts(), [{ chunk, firstIndex: 0, count: 2 }], 0).toBuffer();
    frame.fill(0);
    expect(chunk.body?.equals(before)).to.equal(true);
  });

  it("copies itself behind what stands in a buffer, as grpc-js asks it to, and says how long it is", () => {
    const frame = new DeliveriesFrame(facts(), [{ chunk: storedChunk(1, [newMessage(), newMessage()]), firstIndex: 0, count: 2 }], 0);
    const target = Buffer.alloc(5 + frame.byteLength + 1, 0xee);
    expect(frame.copy(target, 5)).to.equal(frame.byteLength);
    expect(target.subarray(5, -1).equals(frame.toBuffer())).to.equal(true);
    expect([...target.subarray(0, 5), target[target.length - 1]]).to.deep.equal(Array(6).fill(0xee));
  });

  it("holds the chunks that it is made of, each once", () => {
    const chunk = { ...chunkOf(1, Array(10).fill("a"), 1_000) };
    const next = { ...chunkOf(11, Array(10).fill("a"), 1_000) };
    const parts = [
      { chunk, firstIndex: 2, count: 1 },
      { chunk, firstIndex: 4, count: 1 },
      { chunk: next, firstIndex: 0, count: 1 },
    ];
    expect(new DeliveriesFrame(facts(), parts, 0).heldBytes).to.equal(20_000);
  });

  it("is dense where it is a run of messages, whatever chunks it begins and ends in", () => {
    const large = { bytes: LIMITS.chunkBytesMax / 4, events: Array<string>(4).fill("a") };
    const chunks = [0, 1, 2, 3].map((i) => chunkOf(1 + 4 * i, large.events, large.bytes));
    const run = chunks.map((chunk, i) => ({ chunk, firstIndex: i === 0 ? 3 : 0, count: i === 0 || i === 3 ? 1 : 4 }));
    expect(new DeliveriesFrame(facts(), run, 0).isDense).to.equal(true);
  });

  it("is not where it takes one message of each chunk", () => {
    const chunks = [0, 1, 2].map((i) => chunkOf(1 + 1_024 * i, Array<string>(1_024).fill("a"), LIMITS.chunkBytesMax / 1_024));
    const parts = chunks.map((chunk) => ({ chunk, firstIndex: 7, count: 1 }));
    expect(new DeliveriesFrame(facts(), parts, 0).isDense).to.equal(false);
  });

  it("has no lease under AUTO", () => {
    const chunk = storedChunk(1, [newMessage()]);
    const response = SubscribeResponse.decode(new DeliveriesFrame(facts({ leaseMs: 0 }), [{ chunk, firstIndex: 0, count: 1 }], 0).toBuffer());
    expect(response.frame).to.have.nested.property("value.lease", undefined);
  });

  it("as text has UTF-8 payloads in `text`, and others where they were", () => {
    const chunk = storedChunk(7, [newMessage({ payload: Buffer.from("grüße") }), newMessage({ payload: Buffer.from([0xff, 0x00]) })]);
    const { frame } = SubscribeResponse.decode(deliveriesTextFrame(facts({ batchId: 3 }), [{ chunk, firstIndex: 0, count: 2 }], 5));
    if (frame?.$case !== "deliveries") throw new Error("no deliveries");
    expect(frame.value).to.include({ batchId: 3n, backlogCount: 5n });
    expect(frame.value.messages.map(({ offset: at, text, payload }) => [at, text, payload.toString("hex")])).to.deep.equal([
      [7n, "grüße", ""],
      [8n, "", "ff00"],
    ]);
  });

  it("without a body is a programmer's error, not an empty frame", () => {
    const chunk = { ...storedChunk(1, [newMessage()]), body: undefined };
    expect(() => new DeliveriesFrame(facts(), [{ chunk, firstIndex: 0, count: 1 }], 0)).to.throw("without its body");
  });
});
