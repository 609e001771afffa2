import { expect } from "chai";
import { Settlement as WireSettlement } from "../../../generated/tidemark/v1/subscribe.js";
import { BrokerError } from "../../../src/core/errors.js";
import { settlement } from "../../../src/grpc/from-wire.js";

const ONE = { first: 1n, last: 0n, batchId: 1n };
const HOURS_12_MS = 43_200_000;

function given(parts: Partial<WireSettlement>): ReturnType<typeof settlement> {
  return settlement({ ...WireSettlement.create(), ...parts });
}

function keptReason(reason: string): string {
  const [reject] = given({ rejects: [{ range: ONE, reason }] }).rejects;
  const [retry] = given({ retries: [{ range: ONE, delay: undefined, reason }] }).retries;
  expect(retry?.reason).to.equal(reject?.reason);
  return reject?.reason ?? "";
}

describe("a settle frame", () => {
  it("takes a verdict without a range as one on nothing", () => {
    const nothing = { first: 0, last: 0, batchId: 0 };
    expect(given({ retries: [{ range: undefined, delay: undefined, reason: "" }] }).retries[0]?.range).to.deep.equal(nothing);
    expect(given({ rejects: [{ range: undefined, reason: "" }] }).rejects[0]?.range).to.deep.equal(nothing);
    expect(given({ extends: [{ range: undefined, lease: undefined }] }).extends[0]?.range).to.deep.equal(nothing);
  });

  for (const [title, time, delayMs, leaseMs] of [
    ["negative", { seconds: -1n, nanos: 0 }, 0, 100],
    ["negative in its nanos", { seconds: 0n, nanos: -1 }, 0, 100],
    ["short", { seconds: 0n, nanos: 1_000_001 }, 2, 100],
    ["within its bounds", { seconds: 30n, nanos: 0 }, 30_000, 30_000],
    ["13 hours", { seconds: 46_800n, nanos: 0 }, HOURS_12_MS, HOURS_12_MS],
    ["beyond every number", { seconds: 2n ** 63n - 1n, nanos: 999_999_999 }, HOURS_12_MS, HOURS_12_MS],
  ] as const) {
    it(`takes a delay or a lease that is ${title} as near as its bounds allow`, () => {
      expect(given({ retries: [{ range: ONE, delay: time, reason: "" }] }).retries[0]?.delayMs).to.equal(delayMs);
      expect(given({ extends: [{ range: ONE, lease: time }] }).extends[0]?.leaseMs).to.equal(leaseMs);
      expect(given({ extendAll: time }).extendAllMs).to.equal(leaseMs);
    });
  }

  it("leaves what is not set to the subscriber", () => {
    expect(given({ retries: [{ range: ONE, delay: undefined, reason: "" }] }).retries[0]?.delayMs).to.equal(undefined);
    expect(given({}).extendAllMs).to.equal(undefined);
  });

  it("cuts a reason over 1 KiB between characters", () => {
    expect(keptReason("x".repeat(1_024))).to.equal("x".repeat(1_024));
    expect(keptReason("x".repeat(5_000))).to.equal("x".repeat(1_024));
    expect(keptReason("ä".repeat(600)), "1,200 bytes").to.equal("ä".repeat(512));
    expect(keptReason(`x${"ä".repeat(600)}`), "a character across the bound").to.equal(`x${"ä".repeat(511)}`);
    expect(keptReason(`xyz${"🙂".repeat(300)}`)).to.equal(`xyz${"🙂".repeat(255)}`);
  });

  it("refuses more than 10,000 ranges", () => {
    const acks = Array.from({ length: 10_001 }, () => ONE);
    expect(() => given({ acks })).to.throw(BrokerError).with.property("reason", "INVALID_FIELD");
  });
});
