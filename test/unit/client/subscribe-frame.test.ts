import { BinaryReader } from "@bufbuild/protobuf/wire";
import { expect } from "chai";
import fc from "fast-check";
import { Message } from "../../../generated/tidemark/v1/message.js";
import { Deliveries, DeliveryCause, SubscribeResponse, WaitingFor } from "../../../generated/tidemark/v1/subscribe.js";
import type { Delivery } from "../../../src/client/delivery.js";
import { HeldBatch } from "../../../src/client/held-batch.js";
import { readSubscribeFrame } from "../../../src/client/subscribe-frame.js";
import { timestampToDate } from "../../../src/client/wire-time.js";

const session = { settle: () => undefined, settleConfirmed: () => Promise.resolve() };

const encoded = (frame: SubscribeResponse["frame"]): Buffer => Buffer.from(SubscribeResponse.encode({ frame }).finish());
const encodedDeliveries = (value: Deliveries): Buffer => encoded({ $case: "deliveries", value });

/** Decoded by the generated code alone; a byte order mark is text as well. */
function generated(bytes: Buffer): SubscribeResponse["frame"] {
  return SubscribeResponse.decode(new BinaryReader(bytes, (text) => Buffer.from(text).toString("utf8")), bytes.length).frame;
}

const asRead = (delivery: Delivery): unknown => {
  const { offset, event, payload, text, headers, messageId, orderingKey, publishTime, batchId, attempt, deliveryCount, lastReason } = delivery;
  return { offset, event, payload: payload.toString("hex"), text, headers, messageId, orderingKey, publishTime: publishTime?.getTime(), batchId, attempt, deliveryCount, lastReason };
};

const asGenerated = (deliveries: Deliveries): unknown[] =>
  deliveries.messages.map(({ offset, event, payload, headers, messageId, orderingKey, publishTime }) => ({
    offset: Number(offset),
    event,
    payload: payload.toString("hex"),
    text: payload.toString("utf8"),
    headers,
    messageId,
    orderingKey,
    publishTime: publishTime === undefined ? undefined : timestampToDate(publishTime).getTime(),
    batchId: Number(deliveries.batchId),
    attempt: deliveries.attempt,
    deliveryCount: deliveries.deliveryCount,
    lastReason: deliveries.lastReason,
  }));

/** What a client reads, or undefined when it refuses the bytes. */
function read(bytes: Buffer): unknown {
  const { frame } = readSubscribeFrame(bytes);
  return frame?.$case === "deliveries" ? new HeldBatch(session, frame.value).deliveries().map(asRead) : frame;
}

function readByGenerated(bytes: Buffer): unknown {
  const frame = generated(bytes);
  if (frame?.$case !== "deliveries") return frame;
  const { batchId, messages } = frame.value;
  if ([batchId, ...messages.map(({ offset }) => offset)].some((value) => value > Number.MAX_SAFE_INTEGER)) throw new RangeError("beyond what a client can hold");
  return asGenerated(frame.value);
}

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const timestamp = fc.record({ seconds: fc.bigInt({ min: -10n, max: 4_000_000_000n }), nanos: fc.integer({ min: 0, max: 999_999_999 }) });
const message = fc
  .record({
    offset: fc.bigInt({ min: 0n, max: BigInt(Number.MAX_SAFE_INTEGER) }),
    event: text,
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    headers: fc.dictionary(text, text, { maxKeys: 4, noNullPrototype: true }),
    messageId: text,
    orderingKey: text,
    publishTime: fc.option(timestamp, { nil: undefined }),
    expireTime: fc.option(timestamp, { nil: undefined }),
    originOffset: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    text,
  })
  .map((fields): Message => fields);
const deliveries: fc.Arbitrary<Deliveries> = fc.record({
  messages: fc.array(message, { maxLength: 6 }),
  batchId: fc.bigInt({ min: 0n, max: BigInt(Number.MAX_SAFE_INTEGER) }),
  attempt: fc.nat(),
  cause: fc.constantFrom(DeliveryCause.UNRECOGNIZED, DeliveryCause.NEW, DeliveryCause.SEEK),
  lease: fc.option(timestamp, { nil: undefined }),
  backlogCount: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  lastReason: text,
  deliveryCount: fc.nat(),
});

describe("a frame of a Subscribe stream", () => {
  it("has deliveries that read as the generated code decodes them", () => {
    fc.assert(
      fc.property(deliveries, (value) => {
        const bytes = encodedDeliveries(value);
        expect(read(bytes)).to.deep.equal(readByGenerated(bytes));
      }),
      { numRuns: 500 },
    );
  });

  it("is refused or read as the generated code does, whatever happened to its bytes", () => {
    const damage = fc.array(fc.record({ at: fc.nat(), by: fc.integer({ min: 1, max: 255 }), drops: fc.boolean() }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(deliveries, damage, (value, damages) => {
        let bytes = encodedDeliveries(value);
        for (const { at, by, drops } of damages) {
          if (bytes.length === 0) break;
          const place = at % bytes.length;
          if (drops) bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)]);
          else bytes[place] = ((bytes[place] ?? 0) + by) % 256;
        }
        expect(outcome(() => read(bytes))).to.deep.equal(outcome(() => readByGenerated(bytes)));
      }),
      { numRuns: 3_000 },
    );
  });

  it("may have fields that a newer broker added, in messages, beside them and around them", () => {
    const unknown = Buffer.from([0xa2, 0x06, 0x01, 0x78]);
    const plain = Buffer.from(Message.encode(Message.fromPartial({ offset: 7n, event: "order.created", payload: Buffer.from("x") })).finish());
    const field = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]);
    const batch = Buffer.from([0x10, 0x03]);
    const frames = [
      field(Buffer.concat([field(Buffer.concat([plain, unknown])), batch])),
      field(Buffer.concat([field(plain), unknown, batch])),
      field(Buffer.concat([batch, field(plain), unknown])),
      Buffer.concat([field(Buffer.concat([field(plain), batch])), unknown]),
      Buffer.concat([unknown, field(Buffer.concat([field(plain), batch]))]),
    ];
    for (const frame of frames) {
      expect(read(frame)).to.deep.equal(readByGenerated(frame));
      expect(read(frame)).to.have.lengthOf(1);
    }
  });

  it("refuses an offset that a number cannot hold, and says which", () => {
    const bytes = encodedDeliveries(Deliveries.fromPartial({ messages: [{ offset: 2n ** 53n }] }));
    expect(() => read(bytes)).to.throw("offset 9007199254740992 is beyond 9007199254740991");
  });

  it("says of a replayed message where it was first published", () => {
    const origins = [0n, 1n, 127n, 128n, 2n ** 32n, BigInt(Number.MAX_SAFE_INTEGER)];
    const { frame } = readSubscribeFrame(encodedDeliveries(Deliveries.fromPartial({ messages: origins.map((originOffset, i) => ({ offset: BigInt(i + 1), event: "a", originOffset })) })));
    if (frame?.$case !== "deliveries") throw new Error("no deliveries");
    expect(new HeldBatch(session, frame.value).deliveries().map(({ originOffset }) => BigInt(originOffset))).to.deep.equal(origins);
  });

  it("of another kind is what the generated code makes of it", () => {
    const heartbeat = encoded({ $case: "heartbeat", value: { headOffset: 9n, committedOffset: 3n, inFlightCount: 1n, backlogCount: 6n, deadLetterCount: 0n, waitingFor: WaitingFor.FLOW } });
    expect(readSubscribeFrame(heartbeat).frame).to.deep.equal(generated(heartbeat));
    expect(readSubscribeFrame(Buffer.alloc(0)).frame).to.equal(undefined);
  });

  it("holds a payload that is the same at every look and costs no copy", () => {
    const bytes = encodedDeliveries(Deliveries.fromPartial({ messages: [{ offset: 1n, payload: Buffer.from("abc") }], batchId: 1n }));
    const { frame } = readSubscribeFrame(bytes);
    if (frame?.$case !== "deliveries") throw new Error("no deliveries");
    const [delivery] = new HeldBatch(session, frame.value).deliveries();
    expect(delivery?.payload).to.equal(delivery?.payload);
    expect(delivery?.payload.buffer).to.equal(bytes.buffer);
  });
});

/** A refusal counts as one, whatever its words. */
function outcome(f: () => unknown): unknown {
  try {
    return f();
  } catch {
    return "refused";
  }
}
