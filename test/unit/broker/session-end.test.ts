import { expect } from "chai";
import { endWith, isGraceful, plainEnd } from "../../../src/broker/session-end.js";
import type { LeaveReason } from "../../../src/broker/session-end.js";
import type { ErrorReason } from "../../../src/core/errors.js";
import { anyError } from "../../support/any-error.js";

const CASES: readonly (readonly [ErrorReason, LeaveReason])[] = [
  ["QUEUE_DELETED", "QUEUE_DELETED"],
  ["SUBSCRIBER_DELETED", "SUBSCRIBER_DELETED"],
  ["DRAINING", "SERVER_STOPPING"],
  ["CLIENT_TIMEOUT", "CLIENT_TIMEOUT"],
  ["DISCONNECTED", "DISCONNECTED"],
  ["ALREADY_OPEN", "CLIENT_ERROR"],
  ["UNKNOWN_FRAME", "CLIENT_ERROR"],
  ["INVALID_FIELD", "CLIENT_ERROR"],
  ["SUBSCRIPTION_MOVED", "SERVER_ERROR"],
  ["CHUNK_CORRUPT", "SERVER_ERROR"],
  ["INTERNAL", "SERVER_ERROR"],
];

describe("the end of a session", () => {
  for (const [error, reason] of CASES) {
    it(`with the error ${error} is told as ${reason}, in the words of the error`, () => {
      expect(endWith(anyError(error))).to.deep.include({ reason, detail: "words" });
    });
  }

  it("without an error has no words", () => {
    expect(plainEnd("DRAINED")).to.deep.equal({ reason: "DRAINED", detail: "", error: undefined });
  });

  it("counts against its messages unless it was in order", () => {
    const orderly: LeaveReason[] = ["HALF_CLOSED", "DRAINED", "STOP_REACHED", "SERVER_STOPPING", "QUEUE_DELETED", "SUBSCRIBER_DELETED"];
    const not: LeaveReason[] = ["CANCELLED", "CONNECTION_LOST", "CLIENT_TIMEOUT", "DISCONNECTED", "CLIENT_ERROR", "SERVER_ERROR"];
    expect(orderly.filter(isGraceful)).to.deep.equal(orderly);
    expect(not.filter(isGraceful)).to.deep.equal([]);
  });
});
