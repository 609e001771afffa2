import { expect } from "chai";
import { InvalidArgumentError } from "commander";
import { brokerAddress, durationMs, fromPosition, headerPair, positiveInteger, positiveNumber } from "../../../src/cli/arguments.js";
import { paintFor } from "../../../src/cli/terminal.js";

describe("arguments", () => {
  it("takes the first offset wanted as the start", () => {
    expect(fromPosition("earliest")).to.equal("earliest");
    expect(fromPosition("latest")).to.equal("latest");
    expect(fromPosition("1")).to.deep.equal({ afterOffset: 0 });
    expect(fromPosition("500")).to.deep.equal({ afterOffset: 499 });
    expect(fromPosition("2026-11-24T08:30:00Z")).to.deep.equal({ time: new Date(Date.UTC(2026, 10, 24, 8, 30)) });
    expect(fromPosition("10m")).to.have.property("time").that.is.a("date");
  });

  it("takes addresses of brokers, and says how they are written", () => {
    for (const text of ["127.0.0.1:50051", "broker.example:1", "localhost:65535", "[::1]:50051", "unix:/run/tidemark.sock", "dns:///broker:50051"]) expect(brokerAddress(text)).to.equal(text);
    for (const text of ["", "localhost", "127.0.0.1", "127.0.0.1:0", "host:65536", "host:", ":50051", "::1:50051", "http://localhost:50051", "a b:1", "unix:"]) {
      expect(() => brokerAddress(text), text).to.throw(InvalidArgumentError, "It must be host:port");
    }
  });

  it("takes a time with its unit, within bounds", () => {
    const cases: readonly (readonly [string, number])[] = [["500ms", 500], ["2s", 2_000], ["1.5s", 1_500], ["1m", 60_000], ["1h", 3_600_000]];
    for (const [text, ms] of cases) expect(durationMs(text, 500, 3_600_000), text).to.equal(ms);
    for (const text of ["", "2", "s", "-1s", "1e3ms", "499ms", "2h", "2 s"]) expect(() => durationMs(text, 500, 3_600_000), text).to.throw(InvalidArgumentError);
  });

  it("takes any time where there are no bounds, and names none when it is no time", () => {
    expect(durationMs("0s")).to.equal(0);
    expect(durationMs("9999h")).to.equal(9_999 * 3_600_000);
    expect(() => durationMs("10")).to.throw(InvalidArgumentError, /such as 500ms, 2s or 1m\.$/);
  });

  it("takes a number with or without a fraction, above 0", () => {
    expect([positiveNumber("2"), positiveNumber("1.5")]).to.deep.equal([2, 1.5]);
    for (const text of ["", "0", "0.0", "-1", "1e3", ".5", "1.", "NaN", "9".repeat(400)]) expect(() => positiveNumber(text), text).to.throw(InvalidArgumentError);
  });

  it("refuses what is no start, no count, no header", () => {
    for (const text of ["", "0", "-1", "1.5", "first", "1e3", "9007199254740993", "2026-13-01"]) {
      expect(() => fromPosition(text), text).to.throw(InvalidArgumentError);
      expect(() => positiveInteger(text), text).to.throw(InvalidArgumentError);
    }
    for (const text of ["", "name", "=value"]) expect(() => headerPair(text), text).to.throw(InvalidArgumentError);
  });

  it("gathers headers, with equals signs in their values", () => {
    expect(headerPair("b=x=y", headerPair("a=1"))).to.deep.equal({ a: "1", b: "x=y" });
    expect(headerPair("a=")).to.deep.equal({ a: "" });
  });
});

describe("colours", () => {
  const painted = (isTTY: boolean, environment: Record<string, string>): boolean => paintFor({ isTTY }, environment)("good", "x") !== "x";

  it("are for terminals", () => {
    expect(painted(true, {})).to.equal(true);
    expect(painted(false, {})).to.equal(false);
  });

  it("obey NO_COLOR, FORCE_COLOR and a dumb terminal", () => {
    expect(painted(true, { NO_COLOR: "1" })).to.equal(false);
    expect(painted(true, { TERM: "dumb" })).to.equal(false);
    expect(painted(true, { FORCE_COLOR: "0" })).to.equal(false);
    expect(painted(false, { FORCE_COLOR: "1" })).to.equal(true);
  });
});
