import fc from "fast-check";
import type { NewMessage } from "../../src/core/message.js";
import { wallMs } from "../../src/core/units.js";
import type { WallMs } from "../../src/core/units.js";

/** A message as a publisher hands it in; say only what matters to the test. */
export function newMessage(parts: Partial<NewMessage> = {}): NewMessage {
  return { event: "order.created", payload: Buffer.from("{}"), headers: new Map(), messageId: "", orderingKey: "", ...parts };
}

/** Any message that validation lets through, and some text that it would not. */
export function anyMessage(): fc.Arbitrary<NewMessage> {
  const text = fc.string({ unit: "grapheme", maxLength: 80 });
  const headerKey = text.filter((key) => key !== "__proto__");
  return fc.record({
    event: fc.stringMatching(/^[a-z]{1,8}(\.[A-Za-z0-9_-]{1,12}){0,3}$/),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    headers: fc.array(fc.tuple(headerKey, text), { maxLength: 4 }).map((entries) => new Map(entries)),
    messageId: fc.oneof(fc.constant(""), text),
    orderingKey: fc.oneof(fc.constant(""), text),
  });
}

export function anyPublishTime(): fc.Arbitrary<WallMs> {
  return fc.oneof(fc.constantFrom(0, 1, 999, 1_000, 1_764_000_000_000), fc.integer({ min: 0, max: 253_402_300_799_999 })).map(wallMs);
}
