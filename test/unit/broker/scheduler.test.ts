import { expect } from "chai";
import { Scheduler } from "../../../src/broker/scheduler.js";
import { monotonicMs } from "../../../src/core/units.js";
import { ManualClock } from "../../support/manual-clock.js";

describe("Scheduler", () => {
  function build(): { clock: ManualClock; scheduler: Scheduler; rung: string[] } {
    const clock = new ManualClock();
    return { clock, scheduler: new Scheduler(clock), rung: [] };
  }

  it("rings alarms in the order of their times, not of their making", () => {
    const { clock, scheduler, rung } = build();
    const late = scheduler.alarm(() => rung.push("late"));
    const soon = scheduler.alarm(() => rung.push("soon"));
    late.set(monotonicMs(clock.monotonic() + 200));
    soon.set(monotonicMs(clock.monotonic() + 100));
    clock.advance(100);
    expect(rung).to.deep.equal(["soon"]);
    clock.advance(100);
    expect(rung).to.deep.equal(["soon", "late"]);
  });

  it("rings an alarm that was moved at its new time only", () => {
    const { clock, scheduler, rung } = build();
    const start = clock.monotonic();
    const alarm = scheduler.alarm(() => rung.push(`at ${clock.monotonic() - start}`));
    alarm.set(monotonicMs(start + 100));
    alarm.set(monotonicMs(start + 300));
    clock.advance(200);
    expect(rung).to.deep.equal([]);
    alarm.set(monotonicMs(start + 250));
    clock.advance(200);
    expect(rung).to.deep.equal(["at 250"]);
  });

  it("does not ring an alarm that was cleared", () => {
    const { clock, scheduler, rung } = build();
    const alarm = scheduler.alarm(() => rung.push("rung"));
    alarm.set(monotonicMs(clock.monotonic() + 10));
    alarm.clear();
    clock.advance(50);
    expect(rung).to.deep.equal([]);
    expect(alarm.isSet).to.equal(false);
  });

  it("lets an alarm set itself again while it rings", () => {
    const { clock, scheduler } = build();
    let count = 0;
    const alarm = scheduler.alarm(() => {
      count++;
      alarm.set(monotonicMs(clock.monotonic() + 10));
    });
    alarm.set(monotonicMs(clock.monotonic() + 10));
    clock.advance(55);
    expect(count).to.equal(5);
  });

  it("asks the clock for one call, however many alarms there are", () => {
    const { clock, scheduler, rung } = build();
    for (let i = 0; i < 1_000; i++) scheduler.alarm(() => rung.push("x")).set(monotonicMs(clock.monotonic() + 1 + (i % 7)));
    expect(clock.pendingCount).to.equal(1);
    clock.advance(10);
    expect(rung).to.have.length(1_000);
    expect(clock.pendingCount).to.equal(0);
  });

  it("still rings what is set after many others were cleared", () => {
    const { clock, scheduler, rung } = build();
    const kept = scheduler.alarm(() => rung.push("kept"));
    kept.set(monotonicMs(clock.monotonic() + 500));
    const again = scheduler.alarm(() => rung.push("again"));
    for (let i = 0; i < 2_000; i++) {
      const gone = scheduler.alarm(() => rung.push("gone"));
      gone.set(monotonicMs(clock.monotonic() + 100 + i));
      gone.clear();
      again.set(monotonicMs(clock.monotonic() + 5_000));
      if (i % 2 === 0) again.clear();
    }
    again.set(monotonicMs(clock.monotonic() + 600));
    clock.advance(10_000);
    expect(rung).to.deep.equal(["kept", "again"]);
  });

  it("keeps no call on the clock after stop", () => {
    const { clock, scheduler } = build();
    scheduler.alarm(() => undefined).set(monotonicMs(clock.monotonic() + 10));
    scheduler.stop();
    expect(clock.pendingCount).to.equal(0);
  });
});
