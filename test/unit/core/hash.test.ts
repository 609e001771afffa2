import { createHash } from "node:crypto";
import { expect } from "chai";
import { fingerprint, laneHash, messageIdHash } from "../../../src/core/hash.js";
import { newMessage } from "../../support/messages.js";

function sha256Start(...parts: readonly (string | Buffer)[]): bigint {
  const digest = createHash("sha256");
  for (const part of parts) {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    digest.update(length).update(bytes);
  }
  return digest.digest().readBigUInt64LE(0);
}

describe("hashes", () => {
  it("keep 0 for a message without ordering key or id", () => {
    expect(laneHash("")).to.equal(0n);
    expect(messageIdHash("")).to.equal(0n);
  });

  it("are the first 64 bits of SHA-256, since they are stored", () => {
    expect(laneHash("customer-7")).to.equal(createHash("sha256").update("customer-7").digest().readBigUInt64LE(0));
    expect(messageIdHash("é")).to.equal(createHash("sha256").update("é").digest().readBigUInt64LE(0));
  });

  for (const bytes of [0, 1, 4_000, 4_096, 5_000, 100_000]) {
    it(`fingerprint event, ordering key and a payload of ${bytes} bytes, each with its length`, () => {
      const message = newMessage({ event: "a.b", orderingKey: "ké", payload: Buffer.alloc(bytes, 3) });
      expect(fingerprint(message)).to.equal(sha256Start("a.b", "ké", Buffer.alloc(bytes, 3)));
    });
  }

  it("tell apart messages whose parts only flow together alike", () => {
    const one = newMessage({ event: "ab", orderingKey: "c", payload: Buffer.from("d") });
    const other = newMessage({ event: "a", orderingKey: "bc", payload: Buffer.from("d") });
    expect(fingerprint(one)).not.to.equal(fingerprint(other));
  });

  it("leave headers and id out of the fingerprint", () => {
    const one = newMessage({ headers: new Map([["traceparent", "1"]]), messageId: "x" });
    expect(fingerprint(one)).to.equal(fingerprint(newMessage()));
  });
});
