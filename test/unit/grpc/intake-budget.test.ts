import { Duplex } from "node:stream";
import { expect } from "chai";
import { NewMessage } from "../../../generated/tidemark/v1/message.js";
import { PublishStreamRequest } from "../../../generated/tidemark/v1/publish.js";
import type { RawCall } from "../../../src/grpc/call-flow.js";
import { PublishStreamCall } from "../../../src/grpc/publish-stream.js";
import { IntakeBudget } from "../../../src/grpc/intake-budget.js";
import { NO_TELEMETRY } from "../../../src/ports/telemetry.js";
import { openJournal } from "../../../src/system/journal.js";
import { ScriptedBroker } from "./scripted-broker.js";

const KIB = 1024;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

describe("IntakeBudget", () => {
  it("is spent by bytes", () => {
    const budget = new IntakeBudget();
    expect([budget.spend(300 * KIB, 0), budget.spend(300 * KIB, 0)]).to.deep.equal([false, true]);
  });

  it("is spent by messages, however small they are", () => {
    const budget = new IntakeBudget();
    let messages = 0;
    while (!budget.spend(0, 1_000)) messages += 1_000;
    expect(messages).to.be.within(5_000, 10_000);
  });

  it("calls back in the next turn, with a new budget, everybody who waited", async () => {
    const budget = new IntakeBudget();
    const called: string[] = [];
    budget.spend(1_024 * KIB, 0);
    for (const name of ["a", "b"]) budget.whenRenewed(() => called.push(name));
    expect(called).to.deep.equal([]);
    await nextTurn();
    expect([called, budget.spend(100 * KIB, 0)]).to.deep.equal([["a", "b"], false]);
  });

  it("takes more than its size once, and is whole again after that", async () => {
    const budget = new IntakeBudget();
    expect(budget.spend(4_096 * KIB, 1_000)).to.equal(true);
    await nextTurn();
    expect(budget.spend(400 * KIB, 0)).to.equal(false);
  });

  it("makes streams take in what has gathered over several turns, each a frame at least", async () => {
    const broker = new ScriptedBroker();
    const context = { broker, journal: openJournal("silent"), telemetry: NO_TELEMETRY, turn: new IntakeBudget() };
    const frame = (queue: string): Buffer => {
      const messages = Array.from({ length: 1_000 }, () => NewMessage.fromPartial({ event: "a" }));
      return Buffer.from(PublishStreamRequest.encode({ ...PublishStreamRequest.create(), queue, messages }).finish());
    };
    const stream = (): Duplex => {
      const call = new Duplex({ objectMode: true, read: () => undefined, write: (_chunk, _encoding, done) => done() });
      new PublishStreamCall(call as unknown as RawCall, context, () => undefined);
      return call;
    };
    const greedy = stream();
    const modest = stream();
    for (let i = 0; i < 40; i++) greedy.push(frame("greedy"));
    modest.push(frame("modest"));
    const perTurn: number[] = [];
    for (let seen = 0; seen < 41; seen = broker.published.length) {
      await nextTurn();
      perTurn.push(broker.published.length - seen);
      if (perTurn.length === 1) expect(broker.published.some(({ frame: { queue } }) => queue === "modest")).to.equal(true);
    }
    // With 5 bytes and the cost of a message each, eight frames make a turn.
    expect(perTurn).to.deep.equal([9, 8, 8, 8, 8]);
  });
});
