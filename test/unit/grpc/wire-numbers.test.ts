import { expect } from "chai";
import fc from "fast-check";
import { BrokerError } from "../../../src/core/errors.js";
import { clampedNumber, duration, durationMs, exactNumber, timestamp, wallTimeMs } from "../../../src/grpc/wire-numbers.js";

const SAFE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

describe("numbers of the wire", () => {
  it("become exact numbers up to 2^53 - 1, and errors above", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        if (value <= SAFE_MAX) expect(BigInt(exactNumber("x", value))).to.equal(value);
        else expect(() => exactNumber("x", value)).to.throw(BrokerError, "x");
      }),
    );
    expect(exactNumber("x", SAFE_MAX)).to.equal(Number.MAX_SAFE_INTEGER);
    expect(() => exactNumber("x", SAFE_MAX + 1n)).to.throw(BrokerError);
  });

  it("are clamped where everything above 2^53 - 1 means the same", () => {
    expect([0n, 7n, SAFE_MAX, SAFE_MAX + 1n, 2n ** 64n - 1n].map(clampedNumber)).to.deep.equal([0, 7, ...Array<number>(3).fill(Number.MAX_SAFE_INTEGER)]);
  });

  it("make durations that come back as they went, to the millisecond", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 43_200_000 }), (ms) => {
        expect(durationMs("x", duration(ms), 0, 43_200_000)).to.equal(ms);
      }),
    );
    expect(durationMs("x", undefined, 100, 200)).to.equal(undefined);
  });

  it("round a duration up, so that no wait gets shorter", () => {
    expect(durationMs("x", { seconds: 1n, nanos: 1 }, 0, 5_000)).to.equal(1_001);
  });

  for (const [title, value] of [
    ["too short", { seconds: 0n, nanos: 99_000_000 }],
    ["too long", { seconds: 2n, nanos: 1 }],
    ["negative", { seconds: -1n, nanos: 0 }],
    ["negative in its nanos", { seconds: 1n, nanos: -1 }],
    ["wrong in its nanos", { seconds: 0n, nanos: 1_000_000_000 }],
    ["beyond every number", { seconds: 2n ** 63n - 1n, nanos: 0 }],
  ] as const) {
    it(`refuse a duration that is ${title}, naming both limits`, () => {
      expect(() => durationMs("ack_timeout", value, 100, 2_000)).to.throw(BrokerError, /ack_timeout .*100 ms to 2000 ms/);
    });
  }

  it("round a time up to whole milliseconds, before 1970 too", () => {
    expect(wallTimeMs("x", { seconds: 1n, nanos: 1 })).to.equal(1_001);
    expect(wallTimeMs("x", { seconds: -1n, nanos: 999_000_000 })).to.equal(-1);
  });

  for (const [title, value] of [
    ["before the year 1", { seconds: -62_135_596_801n, nanos: 0 }],
    ["after the year 9999", { seconds: 253_402_300_800n, nanos: 0 }],
    ["negative in its nanos", { seconds: 1n, nanos: -1 }],
    ["of a whole second of nanos", { seconds: 1n, nanos: 1_000_000_000 }],
  ] as const) {
    it(`refuse a time that is ${title}`, () => {
      expect(() => wallTimeMs("from_time", value)).to.throw(BrokerError, /from_time .*years 1 to 9999/);
    });
  }

  it("make timestamps of whole milliseconds, before 1970 too", () => {
    expect(timestamp(1_500)).to.deep.equal({ seconds: 1n, nanos: 500_000_000 });
    expect(timestamp(-1)).to.deep.equal({ seconds: -1n, nanos: 999_000_000 });
  });
});
