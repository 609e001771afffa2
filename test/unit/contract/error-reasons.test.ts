import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { DeadLetterReason } from "../../../generated/tidemark/v1/dead_letter.js";
import { NoticeReason } from "../../../generated/tidemark/v1/errors.js";
import { ERROR_REASONS, RETRIABLE_REASONS } from "../../../src/core/errors.js";
import type { DeadLetter, NoticeReason as SentNotice } from "../../../src/core/subscription/effects.js";
import { errorSites } from "../../support/error-sites.js";
import { enumNamed, repositoryText, ROOT } from "./descriptor-set.js";

const PREFIX = "ERROR_REASON_";

// By type: a reason that the core sends and the contract lacks does not compile.
const NOTICES: Readonly<Record<SentNotice, NoticeReason>> = {
  CAUGHT_UP: NoticeReason.CAUGHT_UP,
  DEAD_LETTERED: NoticeReason.DEAD_LETTERED,
  TAKEN_OVER: NoticeReason.TAKEN_OVER,
  SETTINGS_CHANGED: NoticeReason.SETTINGS_CHANGED,
  LANE_BLOCKED: NoticeReason.LANE_BLOCKED,
  POSITION_MOVED: NoticeReason.POSITION_MOVED,
};
const BURIALS: Readonly<Record<DeadLetter["reason"], DeadLetterReason>> = {
  REJECTED: DeadLetterReason.REJECTED,
  MAX_ATTEMPTS: DeadLetterReason.MAX_ATTEMPTS,
  MAX_DELIVERIES: DeadLetterReason.MAX_DELIVERIES,
  EXPIRED: DeadLetterReason.EXPIRED,
};

/** What errors.proto says of a reason, in one line. */
function commentOn(reason: string): string {
  const comment = new RegExp(`((?: {2}//.*\\n)+) {2}${PREFIX}${reason} = `).exec(repositoryText("proto/tidemark/v1/errors.proto"))?.[1] ?? "";
  return comment.replace(/^ {2}\/\/ /gm, "").trim().replaceAll("\n", " ");
}

describe("errors.proto", () => {
  const names = enumNamed("ErrorReason").value.map((value) => value.name.slice(PREFIX.length));

  it("lists exactly the reasons that the server answers", () => {
    expect(names.filter((name) => name !== "UNSPECIFIED")).to.have.members(Object.keys(ERROR_REASONS));
  });

  it("says of each reason the status that comes with it", () => {
    for (const [reason, status] of Object.entries(ERROR_REASONS)) expect(commentOn(reason), reason).to.match(new RegExp(`^${status}[.,]`));
  });

  it("says of each reason whether RetryInfo comes with it", () => {
    const said = Object.keys(ERROR_REASONS).filter((reason) => /^[A-Z_]+, with RetryInfo\. /.test(commentOn(reason)));
    expect(said).to.have.members([...RETRIABLE_REASONS]);
  });

  it("names the metadata that the errors have", () => {
    const sites = errorSites(fileURLToPath(new URL("src", ROOT)));
    expect(sites.length).to.be.greaterThan(40);
    for (const reason of Object.keys(ERROR_REASONS)) {
      const made = sites.filter((site) => site.reason === reason);
      const keys = new Set(made.flatMap((site) => site.keys ?? []));
      const said = /Metadata: (.*)\.$/.exec(commentOn(reason))?.[1] ?? "";
      const named = [...said.matchAll(/`(\w+)`/g)].map(([, key]) => key);
      if (made.length > 0) expect(named, `${reason}, made at ${made.map(({ place }) => place).join(", ")}`).to.have.members([...keys]);
    }
  });

  it("has a notice reason for every notice that the core sends", () => {
    for (const [name, number] of Object.entries(NOTICES)) expect(NoticeReason[number]).to.equal(name);
  });

  it("has a dead letter reason for every way into the dead letters", () => {
    for (const [name, number] of Object.entries(BURIALS)) expect(DeadLetterReason[number]).to.equal(name);
  });
});
