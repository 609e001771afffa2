import { expect } from "chai";
import { DeadLetterReason } from "../../../generated/tidemark/v1/dead_letter.js";
import { NoticeReason } from "../../../generated/tidemark/v1/errors.js";
import { ERROR_REASONS } from "../../../src/core/errors.js";
import type { DeadLetter, NoticeReason as SentNotice } from "../../../src/core/subscription/effects.js";
import { enumNamed, repositoryText } from "./descriptor-set.js";

const PREFIX = "ERROR_REASON_";

// By type: a reason that the core sends and the contract lacks does not compile.
const NOTICES: Readonly<Record<SentNotice, NoticeReason>> = {
  CAUGHT_UP: NoticeReason.CAUGHT_UP,
  DEAD_LETTERED: NoticeReason.DEAD_LETTERED,
  TAKEN_OVER: NoticeReason.TAKEN_OVER,
};
const BURIALS: Readonly<Record<DeadLetter["reason"], DeadLetterReason>> = {
  REJECTED: DeadLetterReason.REJECTED,
  MAX_ATTEMPTS: DeadLetterReason.MAX_ATTEMPTS,
  MAX_DELIVERIES: DeadLetterReason.MAX_DELIVERIES,
};

describe("errors.proto", () => {
  const names = enumNamed("ErrorReason").value.map((value) => value.name.slice(PREFIX.length));

  it("lists exactly the reasons that the server answers", () => {
    expect(names.filter((name) => name !== "UNSPECIFIED")).to.have.members(Object.keys(ERROR_REASONS));
  });

  it("says of each reason the status that comes with it", () => {
    const text = repositoryText("proto/tidemark/v1/errors.proto");
    for (const [reason, status] of Object.entries(ERROR_REASONS)) {
      const comment = new RegExp(`((?:  //.*\\n)+)  ${PREFIX}${reason} = `).exec(text)?.[1];
      expect(comment, reason).to.match(new RegExp(`^ {2}// ${status}[.,]`));
    }
  });

  it("has a notice reason for every notice that the core sends", () => {
    for (const [name, number] of Object.entries(NOTICES)) expect(NoticeReason[number]).to.equal(name);
  });

  it("has a dead letter reason for every way into the dead letters", () => {
    for (const [name, number] of Object.entries(BURIALS)) expect(DeadLetterReason[number]).to.equal(name);
  });
});
