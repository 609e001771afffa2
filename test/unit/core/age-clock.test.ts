import { expect } from "chai";
import { AgeClock } from "../../../src/core/age-clock.js";
import { ManualClock } from "../../support/manual-clock.js";

const MINUTE = 60_000;
const YEAR = 365 * 24 * 60 * MINUTE;

describe("The clock by which messages age", () => {
  let clock: ManualClock;
  let age: AgeClock;

  beforeEach(() => {
    clock = new ManualClock();
    age = new AgeClock(clock.now());
  });

  it("is the wall clock, small corrections included", () => {
    clock.advance(5 * MINUTE);
    clock.jumpWall(30_000);
    expect(age.read(clock.now())).to.deep.equal({ wallMs: clock.wall(), leaptMs: 0 });
    clock.jumpWall(-20_000);
    expect(age.read(clock.now()).wallMs).to.equal(clock.wall());
  });

  it("does not follow a leap ahead at once, goes on from before it, and says so", () => {
    const before = clock.wall();
    clock.jumpWall(YEAR);
    expect(age.read(clock.now())).to.deep.equal({ wallMs: before, leaptMs: YEAR });
    clock.advance(MINUTE);
    expect(age.read(clock.now())).to.deep.equal({ wallMs: before + MINUTE, leaptMs: 0 });
  });

  it("believes a leap that has stood for ten minutes, and knows when that will be", () => {
    clock.jumpWall(YEAR);
    age.read(clock.now());
    expect(age.settlesAt).to.equal(clock.monotonic() + 10 * MINUTE);
    clock.advance(10 * MINUTE);
    expect(age.read(clock.now()).wallMs).to.equal(clock.wall());
    expect(age.settlesAt).to.equal(undefined);
  });

  it("has missed nothing when the leap is taken back", () => {
    clock.jumpWall(YEAR);
    age.read(clock.now());
    clock.advance(MINUTE);
    clock.jumpWall(-YEAR);
    expect(age.read(clock.now()).wallMs).to.equal(clock.wall());
    expect(age.settlesAt).to.equal(undefined);
  });

  it("follows a leap back at once", () => {
    clock.jumpWall(-YEAR);
    expect(age.read(clock.now())).to.deep.equal({ wallMs: clock.wall(), leaptMs: 0 });
  });
});
