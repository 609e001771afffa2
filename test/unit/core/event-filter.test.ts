import { expect } from "chai";
import { BrokerError } from "../../../src/core/errors.js";
import { EventFilter } from "../../../src/core/event-filter.js";

describe("EventFilter", () => {
  const cases: [pattern: string, event: string, taken: boolean][] = [
    ["order.created", "order.created", true],
    ["order.created", "order.created.late", false],
    ["order.created", "Order.created", false],
    ["order.*", "order.created", true],
    ["order.*", "order", false],
    ["order.*", "order.created.late", false],
    ["*.created", "order.created", true],
    ["*.created", "order.paid", false],
    ["*", "order", true],
    ["*", "order.created", false],
    ["order.**", "order.created", true],
    ["order.**", "order.created.late", true],
    ["order.**", "order", false],
    ["**", "anything.at.all", true],
    ["a.*.**", "a.b.c", true],
    ["a.*.**", "a.b", false],
  ];
  for (const [pattern, event, taken] of cases) {
    it(`${pattern} ${taken ? "takes" : "passes over"} ${event}`, () => {
      const filter = EventFilter.parse([pattern]);
      expect(filter.matches(event)).to.equal(taken);
      expect(filter.matches(event), "the remembered answer").to.equal(taken);
    });
  }

  it("takes everything when it names nothing", () => {
    expect(EventFilter.parse([]).takesEverything).to.equal(true);
    expect(EventFilter.parse([]).matches("x.y")).to.equal(true);
  });

  it("takes what any of its patterns takes", () => {
    const filter = EventFilter.parse(["a.*", "b"]);
    expect(["a.x", "b", "c"].map((event) => filter.matches(event))).to.deep.equal([true, true, false]);
  });

  it("compares as a set", () => {
    expect(EventFilter.parse(["b", "a", "a"]).equals(EventFilter.parse(["a", "b"]))).to.equal(true);
    expect(EventFilter.parse(["a"]).equals(EventFilter.parse(["a", "b"]))).to.equal(false);
  });

  it("knows every way to say everything as the same", () => {
    expect(EventFilter.parse([]).equals(EventFilter.parse(["a", "**"]))).to.equal(true);
    expect(EventFilter.parse([]).equals(EventFilter.parse(["a"]))).to.equal(false);
  });

  for (const [pattern, problem] of [
    ["", "empty"],
    ["a..b", "tokens"],
    ["**.a", "only at the end"],
    ["a.b*", "tokens"],
    ["a b", "tokens"],
    [Array.from({ length: 17 }, () => "x").join("."), "17 tokens"],
    ["x".repeat(257), "256 bytes"],
  ] as const) {
    it(`refuses ${JSON.stringify(pattern.slice(0, 20))}, naming field, value and why`, () => {
      let thrown: unknown;
      try {
        EventFilter.parse(["ok", pattern]);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).to.be.instanceOf(BrokerError);
      const error = thrown as BrokerError;
      expect(error.status).to.equal("INVALID_ARGUMENT");
      expect(error.metadata["field"]).to.equal("events[1]");
      expect(error.metadata["value"]).to.equal(pattern);
      expect(error.message).to.contain(problem);
    });
  }
});
