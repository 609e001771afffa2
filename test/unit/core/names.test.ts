import { expect } from "chai";
import { BrokerError } from "../../../src/core/errors.js";
import { checkClientId, checkEvent, checkHeaders, checkLabels, checkName, checkText, invalidField } from "../../../src/core/names.js";

function refusal(check: () => unknown): BrokerError {
  try {
    check();
  } catch (error) {
    expect(error).to.be.instanceOf(BrokerError);
    return error as BrokerError;
  }
  throw new Error("it was accepted");
}

describe("names and fields", () => {
  describe("a queue or subscriber name", () => {
    for (const name of ["a", "orders", "Orders.v2_x-1", "_", "0", "x".repeat(128)]) {
      it(`may be ${name.slice(0, 20)}`, () => {
        expect(checkName("queue", name)).to.equal(name);
      });
    }

    for (const name of ["", ".a", "-a", "a b", "a/b", "ä", "a\n", "a*", "x".repeat(129), "__proto__ "]) {
      it(`may not be ${JSON.stringify(name.slice(0, 20))}`, () => {
        const error = refusal(() => checkName("queue", name));
        expect(error.reason).to.equal("INVALID_FIELD");
        expect(error.metadata).to.include({ field: "queue" });
        expect(error.metadata["limit"]).to.contain("128");
      });
    }
  });

  it("a client id may be empty, and may start with a dot", () => {
    expect(checkClientId("client_id", "")).to.equal("");
    expect(checkClientId("client_id", ".worker-1")).to.equal(".worker-1");
    expect(refusal(() => checkClientId("client_id", "a b")).reason).to.equal("INVALID_FIELD");
    expect(refusal(() => checkClientId("client_id", "x".repeat(129))).reason).to.equal("INVALID_FIELD");
  });

  for (const [event, why] of [
    ["", "empty"],
    ["a..b", "an empty token"],
    [".a", "a leading dot"],
    ["order.*", "a wildcard"],
    [Array(17).fill("a").join("."), "17 tokens"],
    ["a".repeat(257), "257 bytes"],
    ["ö", "a letter that is no ASCII"],
  ] as const) {
    it(`an event is refused for ${why}`, () => {
      expect(refusal(() => checkEvent("message.event", event)).metadata["field"]).to.equal("message.event");
    });
  }

  it("an event is accepted at its limits", () => {
    for (const event of ["a", "order.created", Array(16).fill("a").join("."), "a".repeat(256)]) expect(checkEvent("event", event)).to.equal(event);
  });

  it("a text is measured in bytes of UTF-8", () => {
    expect(checkText("message_id", "ä".repeat(128), 256)).to.have.length(128);
    const error = refusal(() => checkText("message_id", "ä".repeat(129), 256));
    expect(error.metadata["limit"]).to.contain("258");
  });

  describe("headers", () => {
    it("come back as a map", () => {
      expect([...checkHeaders("headers", [["a", "1"], ["b", ""]])]).to.deep.equal([["a", "1"], ["b", ""]]);
      expect(checkHeaders("headers", []).size).to.equal(0);
    });

    it("are refused when there are too many, too large, nameless or the broker's own", () => {
      const many = Array.from({ length: 65 }, (_, i) => [`h${i}`, ""] as const);
      expect(refusal(() => checkHeaders("headers", many)).metadata["value"]).to.equal("65 entries");
      expect(refusal(() => checkHeaders("headers", [["a", "x".repeat(8192)]])).metadata["value"]).to.equal("8193 bytes");
      expect(refusal(() => checkHeaders("headers", [["", "x"]])).metadata["limit"]).to.equal("entries with a name");
      expect(refusal(() => checkHeaders("headers", [["Tidemark-X", "x"]])).metadata["limit"]).to.contain("tidemark-");
    });

    it("unlike labels may not use the broker's prefix", () => {
      expect(checkLabels("labels", [["tidemark-x", "1"]]).size).to.equal(1);
    });
  });

  it("an error shows a long value shortened, never cut inside a character", () => {
    const error = invalidField("queue", "😀".repeat(500), "less");
    const value = error.metadata["value"] ?? "";
    expect([...value]).to.have.length(100);
    expect(Buffer.from(value).toString()).to.equal(value);
    expect(error.message).to.contain("queue").and.contain("less");
  });
});
