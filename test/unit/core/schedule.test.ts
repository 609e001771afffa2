import { expect } from "chai";
import { LIMITS } from "../../../src/core/limits.js";
import { dueTime, Schedule } from "../../../src/core/schedule.js";
import { monotonicMs, wallMs } from "../../../src/core/units.js";
import type { Now } from "../../../src/core/units.js";

const WALL = Date.UTC(2026, 0, 1);

/** Both clocks, the wall's counted from the start of the test. */
function at(monotonic: number, wall = monotonic): Now {
  return { monotonicMs: monotonicMs(monotonic), wallMs: wallMs(WALL + wall) };
}

const due = (ms: number): ReturnType<typeof wallMs> => wallMs(WALL + ms);

describe("the due time of a message", () => {
  const now = due(0);

  it("is so long after now, or the time that was named, be it past", () => {
    expect(dueTime({ delayMs: 1_500 }, now)).to.equal(now + 1_500);
    expect(dueTime({ deliverTimeMs: due(7) }, now)).to.equal(due(7));
    expect(dueTime({ deliverTimeMs: due(-7) }, now)).to.equal(due(-7));
  });

  it("is at most 365 days ahead, and the error names field, value and limit", () => {
    const furthest = LIMITS.scheduleAheadMsMax;
    expect(dueTime({ deliverTimeMs: due(furthest) }, now)).to.equal(due(furthest));
    expect(() => dueTime({ deliverTimeMs: due(furthest + 1) }, now)).to.throw(/message.deliver_time is "2027-01-01T00:00:00.001Z"; allowed: up to 365 days from now/);
    expect(() => dueTime({ delayMs: furthest + 1 }, now)).to.throw(/message.delay is "31536000001 ms"; allowed: 0 to 31536000000 ms/);
  });
});

describe("a schedule", () => {
  it("has nothing to look for while nothing is put off", () => {
    const schedule = new Schedule();
    expect(schedule.nextLook(at(0))).to.equal(undefined);
    expect(schedule.begin(at(0))).to.equal(false);
  });

  it("looks when the earliest message is due", () => {
    const schedule = new Schedule();
    schedule.accepted(due(3_000));
    schedule.accepted(due(2_000));
    schedule.accepted(due(5_000));
    expect(schedule.nextLook(at(500))).to.equal(2_000);
    expect(schedule.begin(at(1_999))).to.equal(false);
    expect(schedule.begin(at(2_000))).to.equal(true);
  });

  it("looks again after ten seconds at the latest, so that a jump of the wall clock is noticed", () => {
    const schedule = new Schedule();
    schedule.accepted(due(3_600_000));
    expect(schedule.nextLook(at(100))).to.equal(10_100);
    expect(schedule.begin(at(10_100, 3_600_000))).to.equal(true);
  });

  it("waits on when the wall clock was set back", () => {
    const schedule = new Schedule();
    schedule.accepted(due(1_000));
    expect(schedule.begin(at(1_000, -500))).to.equal(false);
    expect(schedule.nextLook(at(1_000, -500))).to.equal(2_500);
  });

  it("never looks in the past", () => {
    const schedule = new Schedule();
    schedule.accepted(due(-1_000));
    expect(schedule.nextLook(at(42, 42))).to.equal(42);
  });

  it("moves one thing at a time, and goes on with the earliest of what was left and what came meanwhile", () => {
    const schedule = new Schedule();
    schedule.accepted(due(10));
    expect(schedule.begin(at(10))).to.equal(true);
    schedule.accepted(due(20));
    expect(schedule.nextLook(at(30))).to.equal(undefined);
    expect(schedule.begin(at(30))).to.equal(false);
    schedule.moved(due(40));
    expect(schedule.nextLook(at(15))).to.equal(20);
  });

  it("is empty when all of it was moved", () => {
    const schedule = new Schedule();
    schedule.accepted(due(10));
    schedule.begin(at(10));
    schedule.moved(undefined);
    expect(schedule.nextLook(at(10))).to.equal(undefined);
  });

  it("tries again what was refused, not before the time that it was told", () => {
    const schedule = new Schedule();
    schedule.accepted(due(10));
    schedule.begin(at(10));
    schedule.refused(due(10), monotonicMs(500));
    expect(schedule.nextLook(at(20))).to.equal(500);
    expect(schedule.begin(at(499))).to.equal(false);
    expect(schedule.begin(at(500))).to.equal(true);
  });
});
