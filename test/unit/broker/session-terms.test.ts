import { expect } from "chai";
import { effectiveFlow } from "../../../src/broker/session-terms.js";
import { BROKER_DEFAULTS } from "../../../src/broker/settings.js";
import { DEFAULTS, LIMITS } from "../../../src/core/limits.js";

const flow = (maxMessages: number, maxBytes: number): unknown => {
  const { paused, ...window } = effectiveFlow({ maxMessages, maxBytes, paused: false }, BROKER_DEFAULTS);
  expect(paused).to.equal(false);
  return window;
};

describe("a flow window", () => {
  it("is never wider than what the server holds in flight", () => {
    expect(flow(LIMITS.flowMessagesMax + 1, LIMITS.flowBytesMax + 1)).to.deep.equal({ maxMessages: LIMITS.flowMessagesMax, maxBytes: LIMITS.flowBytesMax });
    expect(flow(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)).to.deep.equal({ maxMessages: LIMITS.flowMessagesMax, maxBytes: LIMITS.flowBytesMax });
  });

  it("is what was asked for up to the bound itself", () => {
    expect(flow(LIMITS.flowMessagesMax, LIMITS.flowBytesMax)).to.deep.equal({ maxMessages: LIMITS.flowMessagesMax, maxBytes: LIMITS.flowBytesMax });
    expect(flow(1, 1)).to.deep.equal({ maxMessages: 1, maxBytes: 1 });
  });

  it("is the server's default where nothing was asked for", () => {
    expect(flow(0, 0)).to.deep.equal({ maxMessages: DEFAULTS.flowMessages, maxBytes: DEFAULTS.flowBytes });
  });
});
