import { expect } from "chai";
import fc from "fast-check";
import { Deliveries } from "../../../generated/tidemark/v1/subscribe.js";
import { BrokerError } from "../../../src/core/errors.js";
import { LIMITS } from "../../../src/core/limits.js";
import { checkMessageSize, decodeMessage, encodeMessage, patchOffset, storedMessageBytes } from "../../../src/core/message-codec.js";
import type { NewMessage } from "../../../src/core/message.js";
import { OFFSET_MAX, offset, wallMs } from "../../../src/core/units.js";
import { MessageFormatError } from "../../../src/core/wire-format.js";
import { anyMessage, anyPublishTime, newMessage } from "../../support/messages.js";

const TIME = wallMs(1_764_000_000_123);

function decodeOnWire(bytes: Buffer): Deliveries["messages"][number] {
  const { messages } = Deliveries.decode(bytes);
  expect(messages).to.have.length(1);
  return messages[0]!;
}

describe("message codec", () => {
  it("writes what the generated codec reads as one delivered message", () => {
    fc.assert(
      fc.property(anyMessage(), anyPublishTime(), fc.integer({ min: 1, max: OFFSET_MAX }), (message, time, at) => {
        const bytes = encodeMessage(message, time);
        patchOffset(bytes, 0, offset(at));
        const read = decodeOnWire(bytes);
        expect(read.offset).to.equal(BigInt(at));
        expect(read.event).to.equal(message.event);
        expect(read.payload.equals(message.payload)).to.equal(true);
        expect(new Map(Object.entries(read.headers))).to.deep.equal(new Map(message.headers));
        expect(read.messageId).to.equal(message.messageId);
        expect(read.orderingKey).to.equal(message.orderingKey);
        expect(Number(read.publishTime?.seconds) * 1_000 + Number(read.publishTime?.nanos) / 1e6).to.equal(time);
      }),
    );
  });

  it("writes the very bytes that the generated codec writes", () => {
    fc.assert(
      fc.property(anyMessage(), anyPublishTime(), fc.integer({ min: 1, max: OFFSET_MAX }), (message, time, at) => {
        fc.pre([...message.headers].every(([key, value]) => key !== "" && value !== ""));
        fc.pre(![...message.headers.keys()].some((key) => /^\d+$/.test(key)));
        const bytes = encodeMessage(message, time);
        patchOffset(bytes, 0, offset(at));
        expect(Buffer.from(Deliveries.encode(Deliveries.decode(bytes)).finish()).equals(bytes)).to.equal(true);
      }),
    );
  });

  it("reads back what it wrote", () => {
    fc.assert(
      fc.property(anyMessage(), anyPublishTime(), fc.integer({ min: 0, max: OFFSET_MAX }), (message, time, at) => {
        const bytes = encodeMessage(message, time);
        patchOffset(bytes, 0, offset(at));
        const read = decodeMessage(bytes);
        expect(read.payload.equals(message.payload)).to.equal(true);
        expect({ ...read, payload: undefined }).to.deep.equal({
          event: message.event,
          payload: undefined,
          headers: new Map(message.headers),
          messageId: message.messageId,
          orderingKey: message.orderingKey,
          offset: at,
          publishTimeMs: time,
          expireTimeMs: 0,
          originOffset: 0,
        });
      }),
    );
  });

  it("knows the size of a message before writing it", () => {
    for (const payloadBytes of [0, 1, 60, 100, 101, 102, 103, 104, 127, 128, 16_200, 16_384, 2_097_152]) {
      const message = newMessage({ payload: Buffer.alloc(payloadBytes, 7) });
      expect(encodeMessage(message, TIME).length).to.equal(storedMessageBytes(message, TIME));
      expect(decodeMessage(encodeMessage(message, TIME)).payload.length).to.equal(payloadBytes);
    }
  });

  it("gets every length of length right", () => {
    for (let payloadBytes = 0; payloadBytes < 400; payloadBytes++) {
      const message = newMessage({ payload: Buffer.alloc(payloadBytes, 7) });
      expect(decodeOnWire(encodeMessage(message, TIME)).payload.length).to.equal(payloadBytes);
    }
  });

  it("takes a message of exactly 1 MiB as stored and refuses one byte more, naming both sizes", () => {
    const overhead = storedMessageBytes(newMessage({ payload: Buffer.alloc(LIMITS.messageBytesMax - 1_000) }), TIME) - (LIMITS.messageBytesMax - 1_000);
    const largest = newMessage({ payload: Buffer.alloc(LIMITS.messageBytesMax - overhead) });
    expect(checkMessageSize(largest, TIME)).to.equal(LIMITS.messageBytesMax);
    const larger = newMessage({ payload: Buffer.alloc(LIMITS.messageBytesMax - overhead + 1) });
    expect(() => checkMessageSize(larger, TIME))
      .to.throw(BrokerError, /1048577.*1048576/)
      .with.property("reason", "MESSAGE_TOO_LARGE");
  });

  it("reads the expiry and origin of a replayed message and passes over fields that it does not know", () => {
    const wire = Deliveries.encode(
      Deliveries.fromPartial({
        messages: [{ offset: 9n, event: "a", expireTime: { seconds: 5n, nanos: 250_000_000 }, originOffset: 3n, text: "for people" }],
      }),
    ).finish();
    expect(decodeMessage(Buffer.from(wire))).to.include({ offset: 9, expireTimeMs: 5_250, originOffset: 3 });
  });

  it("throws on bytes that are no message, wherever they are cut or changed, or reads them to their end", () => {
    const whole = encodeMessage(newMessage({ headers: new Map([["k", "v"]]), messageId: "id" }), TIME);
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeMessage(whole.subarray(0, length)), `cut at ${length}`).to.throw(MessageFormatError);
    }
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(whole);
        changed[at] = value;
        let read: NewMessage | undefined;
        try {
          read = decodeMessage(changed);
        } catch (error) {
          expect(error).to.be.instanceOf(MessageFormatError);
        }
        if (read !== undefined) expect(read).to.have.property("event");
      }),
    );
  });
});
