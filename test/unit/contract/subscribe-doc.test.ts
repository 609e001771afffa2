import { createFileRegistry, create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { expect } from "chai";
import { ERROR_REASONS } from "../../../src/core/errors.js";
import type { DeliveryRun, Settlement } from "../../../src/core/session.js";
import { range, SubscriptionHarness } from "../../support/subscription-harness.js";
import { enumNamed, FILES, repositoryText } from "./descriptor-set.js";

const TEXT = repositoryText("docs/subscribe.md");
const REGISTRY = createFileRegistry(create(FileDescriptorSetSchema, { file: [...FILES] }));
const FRAMES = { client: "SubscribeRequest", server: "SubscribeResponse" } as const;

/** The JSON blocks of one side. */
function examples(side: keyof typeof FRAMES): string[] {
  return [...TEXT.matchAll(new RegExp(`\`\`\`json ${side}\\n([^]*?)\`\`\``, "g"))].map(([, block = ""]) => block);
}

/** The cells of the table under a heading, header and rule left out. */
function tableUnder(heading: string): string[][] {
  const lines = (TEXT.split(`\n${heading}\n`)[1] ?? "").split("\n");
  const first = lines.findIndex((line) => line.startsWith("|"));
  const rows: string[][] = [];
  for (let i = first + 2; lines[i]?.startsWith("|") === true; i++) {
    const cells = (lines[i] ?? "").split("|").slice(1, -1);
    rows.push(cells.map((cell) => cell.trim()));
  }
  return rows;
}

const VERDICTS: readonly ((named: DeliveryRun) => Partial<Settlement>)[] = [
  (named) => ({ acks: [named] }),
  (named) => ({ retries: [{ range: named, delayMs: 3_600_000, reason: "" }] }),
  (named) => ({ rejects: [{ range: named, reason: "" }] }),
  (named) => ({ releases: [named] }),
  (named) => ({ extends: [{ range: named, leaseMs: 5_000 }] }),
];

/** A session that was handed `messages` messages, one a batch. */
function session(messages = 1): SubscriptionHarness {
  const harness = new SubscriptionHarness();
  harness.publishMany(messages);
  harness.open("a", { maxBatchMessages: 1, flow: { maxMessages: 10_000, maxBytes: 1_000_000, paused: false } });
  return harness;
}

function after(...given: readonly Partial<Settlement>[]): () => readonly [SubscriptionHarness, DeliveryRun] {
  return () => {
    const harness = session();
    for (const settlement of given) harness.settle("a", settlement);
    return [harness, range(1, 1, 1)];
  };
}

/** How to bring a delivery into each state of the table, and the range that names it. */
const STATES: Readonly<Record<string, () => readonly [SubscriptionHarness, DeliveryRun]>> = {
  "is held by this session": after(),
  "was acked": after({ acks: [range(1, 1, 1)] }),
  "was retried": after({ retries: [{ range: range(1, 1, 1), delayMs: 3_600_000, reason: "" }] }),
  "was rejected": after({ rejects: [{ range: range(1, 1, 1), reason: "" }] }),
  "was released": after({ releases: [range(1, 1, 1)] }),
  "ran out of its lease": () => {
    const harness = session();
    harness.pass(10_000);
    return [harness, range(1, 1, 1)];
  },
  "was held when it was purged": () => {
    const harness = session();
    harness.purge(1);
    return [harness, range(1, 1, 1)];
  },
  "never was in that batch": () => [session(2), range(2, 2, 1)],
  "is of a batch not sent yet": () => [session(), range(1, 1, 2)],
  "is of a finished batch before the last 1,024": () => {
    const harness = session(1_100);
    harness.ack("a", 1, 1_100);
    return [harness, range(1, 1, 1)];
  },
};

function answerTo(harness: SubscriptionHarness, settlement: Partial<Settlement>): string {
  harness.settle("a", settlement, 7n);
  const answers = harness.effects.filter((effect) => effect.type === "confirm").filter(({ requestIds }) => requestIds.includes(7n));
  expect(answers, "answers").to.have.length(1);
  return answers[0]?.failures.map(({ code }) => code).join(" ") || "ok";
}

describe("docs/subscribe.md", () => {
  for (const side of ["client", "server"] as const) {
    const schema = REGISTRY.getMessage(`tidemark.v1.${FRAMES[side]}`);
    if (schema === undefined) throw new Error(`the descriptor set has no ${FRAMES[side]}`);

    it(`shows every ${side} frame as JSON that the contract takes`, () => {
      const kinds = new Set<string>();
      for (const example of examples(side)) {
        const json = JSON.parse(example) as Record<string, JsonValue>;
        fromJson(schema, json, { registry: REGISTRY, ignoreUnknownFields: false });
        for (const kind of Object.keys(json)) kinds.add(kind);
      }
      const all = schema.fields.filter((field) => field.oneof !== undefined).map((field) => field.jsonName);
      expect([...kinds].filter((kind) => kind !== "requestId")).to.have.members(all);
    });
  }

  it("has a row for every state of a delivery that the cases below know", () => {
    expect(tableUnder("## Verdicts against states").map(([state]) => state)).to.have.members(Object.keys(STATES));
  });

  for (const [state = "", ...answers] of tableUnder("## Verdicts against states")) {
    it(`is right about verdicts on a delivery that ${state}`, () => {
      const answered = VERDICTS.map((verdict) => {
        const [harness, named] = (STATES[state] ?? after())();
        return answerTo(harness, verdict(named));
      });
      expect(answered).to.deep.equal(answers);
    });
  }

  it("names each error with its status", () => {
    let status = "";
    const rows = tableUnder("## Errors that end the stream").map(([first = "", reason = ""]) => {
      if (first !== "") status = first.replaceAll("`", "");
      return [reason.replaceAll("`", ""), status] as const;
    });
    expect(rows.length).to.be.greaterThan(15);
    const table: Readonly<Record<string, string>> = ERROR_REASONS;
    for (const [reason, said] of rows) expect(table[reason], reason).to.equal(said);
  });

  it("explains every reason to wait and every notice", () => {
    for (const { name, number } of [...enumNamed("WaitingFor").value, ...enumNamed("NoticeReason").value]) {
      if (number !== 0) expect(TEXT).to.include(`\`${name.replace(/^NOTICE_REASON_/, "")}\``);
    }
  });
});
