import { expect } from "chai";
import { Command, CommanderError } from "commander";
import type { QueueChanges } from "../../../src/client/index.js";
import { addChangeFlags, addSettingFlags, settingDetails, settingsJson, settingsSaid } from "../../../src/cli/queue-settings.js";

/** What a command with these flags makes of a line. */
function said(add: (command: Command) => Command, ...line: string[]): QueueChanges {
  const command = add(new Command("queue").exitOverride().configureOutput({ writeErr: () => undefined }));
  return settingsSaid(command.parse(line, { from: "user" }).opts<Record<string, unknown>>());
}
const ofNew = (...line: string[]): QueueChanges => said(addSettingFlags, ...line);
const ofChanged = (...line: string[]): QueueChanges => said(addChangeFlags, ...line);

const CASES: readonly (readonly [flag: string, text: string, setting: string, value: unknown])[] = [
  ["--ack-timeout", "30s", "ackTimeoutMs", 30_000],
  ["--max-attempts", "5", "maxAttempts", 5],
  ["--max-deliveries", "7", "maxDeliveries", 7],
  ["--on-poison", "block-lane", "onPoison", "BLOCK_LANE"],
  ["--on-poison", "dead-letter", "onPoison", "DEAD_LETTER"],
  ["--backoff-min", "0s", "backoffMinMs", 0],
  ["--backoff-max", "2m", "backoffMaxMs", 120_000],
  ["--backoff-factor", "1.5", "backoffFactor", 1.5],
  ["--max-unsettled", "90", "maxUnsettled", 90],
  ["--window-messages", "8", "windowMessages", 8],
  ["--window-bytes", "70000", "windowBytes", 70_000],
  ["--expire-after", "30d", "expireAfterMs", 30 * 86_400_000],
  ["--on-expiry", "dead-letter", "onExpiry", "DEAD_LETTER"],
  ["--on-expiry", "settle", "onExpiry", "SETTLE"],
  ["--dedup-window", "500ms", "dedupWindowMs", 500],
  ["--dedup-ids", "1000", "dedupIdsMax", 1_000],
  ["--retention", "log", "retention", "LOG"],
  ["--retention", "until-acked", "retention", "UNTIL_ACKED"],
  ["--max-age", "7d", "maxAgeMs", 7 * 86_400_000],
  ["--max-bytes", "70000", "maxBytes", 70_000],
  ["--max-messages", "9", "maxMessages", 9],
  ["--when-full", "drop-oldest", "whenFull", "DROP_OLDEST"],
  ["--when-full", "reject-new", "whenFull", "REJECT_NEW"],
];

describe("the flags for the settings of a queue", () => {
  for (const [flag, text, setting, value] of CASES) {
    it(`${flag} ${text} means the same for a new queue and for one that is there`, () => {
      expect(ofNew(flag, text)).to.deep.equal({ [setting]: value });
      expect(ofChanged(flag, text)).to.deep.equal({ [setting]: value });
    });

    it(`${flag} goes back to the server's by inherit, where there is something to go back from (${text})`, () => {
      expect(ofChanged(flag, "inherit")).to.deep.equal({ [setting]: "inherit" });
      expect(() => ofNew(flag, "inherit")).to.throw(CommanderError);
    });
  }

  it("are for a subscriber those that it has, and say where it inherits from", () => {
    const ofSubscriber = (...line: string[]): QueueChanges => said((command) => addChangeFlags(command, "subscriber"), ...line);
    expect(ofSubscriber("--ack-timeout", "5s", "--max-attempts", "inherit")).to.deep.equal({ ackTimeoutMs: 5_000, maxAttempts: "inherit" });
    expect(() => ofSubscriber("--dedup-ids", "5")).to.throw(CommanderError, "unknown option");
    expect(() => ofSubscriber("--ack-timeout", "30")).to.throw(CommanderError, "Or inherit, for what the queue has.");
  });

  it("say nothing when there are none, and go together", () => {
    expect(ofChanged()).to.deep.equal({});
    expect(ofNew("--ack-timeout=1m", "--max-attempts", "3")).to.deep.equal({ ackTimeoutMs: 60_000, maxAttempts: 3 });
  });

  it("refuse what is no value, and say what would be", () => {
    const refused = [["--ack-timeout", "30"], ["--max-attempts", "0"], ["--max-unsettled", "many"], ["--backoff-factor", "x"], ["--on-poison", "drop"], ["--window-bytes", "1.5"], ["--dedup-window", ""]];
    for (const line of refused) {
      expect(() => ofNew(...line), line.join(" ")).to.throw(CommanderError);
      expect(() => ofChanged(...line), line.join(" ")).to.throw(CommanderError, /inherit/);
    }
    expect(() => ofChanged("--ack-timeout", "30")).to.throw(CommanderError, "It must be a time with its unit, such as 500ms, 2s or 1m. Or inherit, for what the server has.");
    expect(() => ofNew("--on-poison", "drop")).to.throw(CommanderError, "Allowed choices are dead-letter, block-lane.");
  });
});

describe("the settings of a queue, shown", () => {
  it("are only those that are there, as flags say them", () => {
    expect(settingDetails({})).to.deep.equal([]);
    expect(settingDetails({ dedupWindowMs: 0, onPoison: "BLOCK_LANE", ackTimeoutMs: 90_000, windowBytes: 2_048, maxUnsettled: 10_000, backoffFactor: 1.5 })).to.deep.equal([
      ["ack timeout", "90s"],
      ["on poison", "block-lane"],
      ["backoff factor", "1.5"],
      ["max unsettled", "10,000"],
      ["window bytes", "2.0 KiB"],
      ["dedup window", "0s"],
    ]);
  });

  it("have the contract's words for programs", () => {
    expect(settingsJson({})).to.deep.equal({});
    expect(settingsJson({ dedupIdsMax: 5, onPoison: "DEAD_LETTER", ackTimeoutMs: 90_000 })).to.deep.equal({ ack_timeout_ms: 90_000, on_poison: "DEAD_LETTER", dedup_ids_max: 5 });
  });
});
