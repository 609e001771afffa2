import { expect } from "chai";
import { decodeQueueRecord, encodeQueueRecord } from "../../../src/broker/queue-record.js";
import type { OwnSettings, SettingChanges } from "../../../src/broker/queue-settings.js";
import { RecordCorrupt } from "../../../src/broker/json-record.js";
import { DEFAULTS } from "../../../src/core/limits.js";
import { wallMs } from "../../../src/core/units.js";
import { until } from "../../support/condition.js";
import { Bench, failure, run, settled } from "./broker-harness.js";

const EVERYTHING: OwnSettings = {
  dedupWindowMs: 5_000,
  dedupIdsMax: 7,
  ackTimeoutMs: 1_000,
  maxAttempts: 2,
  backoffMinMs: 0,
  backoffMaxMs: 9_000,
  backoffFactor: 1.5,
  onPoison: "BLOCK_LANE",
  onExpiry: "DEAD_LETTER",
  maxDeliveries: 3,
  maxUnsettled: 50,
  flowMessages: 4,
  flowBytes: 4_096,
};

const PAUSED = { maxMessages: 0, maxBytes: 0, paused: true };

function update(bench: Bench, changes: SettingChanges, parts: { queueId?: string; ordering?: "ORDERED" | "UNORDERED" } = {}): ReturnType<Bench["broker"]["updateQueue"]> {
  return bench.broker.updateQueue({ name: "orders", queueId: "", ordering: undefined, changes, ...parts });
}

async function made(own: OwnSettings = {}, ordering: "ORDERED" | "UNORDERED" = "ORDERED"): Promise<Bench> {
  const bench = await Bench.start();
  await bench.broker.createQueue({ name: "orders", ordering, own });
  return bench;
}

describe("Settings of a queue", () => {
  it("are kept as they were set, and hold for its subscribers after a restart", async () => {
    const bench = await made(EVERYTHING);
    await bench.crashAndRestart();
    expect((await bench.broker.getQueue("orders")).own).to.deep.equal(EVERYTHING);
    const { heard } = await bench.subscribe();
    expect(heard.facts).to.deep.include({ ackTimeoutMs: 1_000, maxAttempts: 2, maxUnsettled: 50, flow: { maxMessages: 4, maxBytes: 4_096, paused: false } });
    expect((await bench.broker.getSubscriber("orders", "billing")).settings).to.include(EVERYTHING);
  });

  it("are none in a record that was written before there were any", () => {
    const old = Buffer.from(JSON.stringify({ format: 1, id: "a", ordering: "ORDERED", createTimeMs: 5 }));
    expect(decodeQueueRecord("q", old)).to.deep.equal({ name: "q", id: "a", ordering: "ORDERED", createTimeMs: 5, own: {} });
  });

  it("come back from their record, and nothing else does", () => {
    const record = { name: "q", id: "a", ordering: "ORDERED" as const, createTimeMs: wallMs(5), own: EVERYTHING };
    expect(decodeQueueRecord("q", encodeQueueRecord(record))).to.deep.equal(record);
    for (const fields of [{ maxAttempts: "2" }, { maxAttempts: -1 }, { onPoison: "EXPLODE" }, { onExpiry: "EXPLODE" }, { onPoison: 1 }]) {
      const bytes = Buffer.from(JSON.stringify({ format: 1, id: "a", ordering: "ORDERED", createTimeMs: 5, ...fields }));
      expect(() => decodeQueueRecord("q", bytes), JSON.stringify(fields)).to.throw(RecordCorrupt);
    }
  });

  it("make no claim where CreateQueue is repeated without them, and a claim where they are named", async () => {
    const bench = await made({ maxAttempts: 5 });
    await update(bench, { maxUnsettled: 9 });
    for (const own of [{}, { maxAttempts: 5 }, { maxUnsettled: 9 }]) {
      expect((await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own })).own).to.deep.equal({ maxAttempts: 5, maxUnsettled: 9 });
    }
    const refused = await failure(bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: { maxAttempts: 6 } }));
    expect([refused.reason, refused.metadata]).to.deep.equal(["QUEUE_EXISTS", { queue: "orders", field: "queue.subscriber_defaults.max_attempts", value: "6", stored: "5" }]);
    expect((await failure(bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: { flowMessages: 6 } }))).metadata).to.include({ stored: "inherited" });
  });

  it("change field by field, and go back to the server's", async () => {
    const bench = await made({ maxAttempts: 5, ackTimeoutMs: 1_000 });
    expect((await update(bench, { ackTimeoutMs: undefined, flowMessages: 3 })).own).to.deep.equal({ maxAttempts: 5, flowMessages: 3 });
    await bench.crashAndRestart();
    expect((await bench.broker.getQueue("orders")).own).to.deep.equal({ maxAttempts: 5, flowMessages: 3 });
    const { heard } = await bench.subscribe();
    expect(heard.facts).to.deep.include({ ackTimeoutMs: DEFAULTS.ackTimeoutMs, flow: { maxMessages: 3, maxBytes: DEFAULTS.flowBytes, paused: false } });
  });

  it("hold at once for open sessions, which hear what changed; their lease and window stay", async () => {
    const bench = await made({ backoffMinMs: 0, backoffMaxMs: 0 });
    await bench.publishMany(1);
    const worker = await bench.subscribe();
    const ephemeral = await bench.subscribe({ subscriber: "" });
    await worker.received(1);
    await update(bench, { maxAttempts: 1, ackTimeoutMs: 5_000, flowMessages: 2 });
    const words = "ack_timeout is 5000 ms, max_attempts is 1, window_messages is 2";
    for (const { heard } of [worker, ephemeral]) expect(heard.notices.filter(({ reason }) => reason === "SETTINGS_CHANGED").map(({ detail }) => detail)).to.deep.equal([words]);
    await worker.settle({ retries: [{ range: run(1), delayMs: undefined, reason: "no" }] });
    expect(worker.heard.notices.at(-1)).to.deep.include({ reason: "DEAD_LETTERED", detail: "MAX_ATTEMPTS: no" });
    await bench.publishMany(1);
    await worker.received(2);
    expect(worker.heard.batches.at(-1)?.facts.leaseMs).to.equal(DEFAULTS.ackTimeoutMs);
    worker.session.flow({ maxMessages: 0, maxBytes: 0, paused: false });
    expect(bench.broker.listClients("orders", undefined, 9).map(({ flow }) => flow.maxMessages)).to.include(2);
    expect((await bench.subscribe({ subscriber: "late" })).heard.facts).to.deep.include({ ackTimeoutMs: 5_000, maxAttempts: 1 });
  });

  it("that are repeated change nothing, and tell nobody", async () => {
    const bench = await made({ maxAttempts: 5 });
    const { heard } = await bench.subscribe();
    await update(bench, { maxAttempts: 5 });
    await update(bench, { maxAttempts: 5, dedupWindowMs: 9_000 });
    await settled();
    expect(heard.notices.map(({ reason }) => reason)).to.deep.equal(["CAUGHT_UP"]);
  });

  it("are refused where they contradict each other or the queue, and nothing changes", async () => {
    const bench = await made({ backoffMaxMs: 1_000 }, "UNORDERED");
    const { queueId } = await bench.broker.getQueue("orders");
    for (const [changes, parts, reason, field] of [
      [{ backoffMinMs: 2_000 }, {}, "INVALID_FIELD", "queue.subscriber_defaults.backoff.min_delay"],
      [{ backoffMaxMs: 50 }, {}, "INVALID_FIELD", "queue.subscriber_defaults.backoff.max_delay"],
      [{ onPoison: "BLOCK_LANE" }, {}, "ORDERED_QUEUE_REQUIRED", "queue.subscriber_defaults.on_poison"],
      [{ maxAttempts: 3 }, { ordering: "ORDERED" }, "INVALID_FIELD", "queue.ordering"],
      [{ maxAttempts: 3 }, { queueId: "0".repeat(32) }, "QUEUE_ID_MISMATCH", "queue.queue_id"],
    ] as const) {
      const refused = await failure(update(bench, changes, parts));
      expect([refused.reason, refused.metadata["field"]]).to.deep.equal([reason, field]);
    }
    expect((await update(bench, {}, { queueId, ordering: "UNORDERED" })).own).to.deep.equal({ backoffMaxMs: 1_000 });
    expect((await failure(bench.broker.createQueue({ name: "other", ordering: "UNORDERED", own: { onPoison: "BLOCK_LANE" } }))).reason).to.equal("ORDERED_QUEUE_REQUIRED");
    expect((await failure(bench.broker.getQueue("other"))).reason).to.equal("QUEUE_NOT_FOUND");
    expect((await failure(bench.broker.updateQueue({ name: "none", queueId: "", ordering: undefined, changes: {} }))).reason).to.equal("QUEUE_NOT_FOUND");
  });

  it("reach a subscriber that is being made while they change", async () => {
    const bench = await made();
    const [{ session }] = await Promise.all([bench.subscribe({ flow: PAUSED }), update(bench, { maxUnsettled: 11 }), bench.subscribe({ subscriber: "", flow: PAUSED })]);
    expect(session.id).not.to.equal("");
    const { settings } = await bench.broker.getSubscriber("orders", "billing");
    expect(settings.maxUnsettled).to.equal(11);
    await bench.publishMany(20);
    const worker = await bench.subscribe({ maxInFlightPerLane: 100 });
    await worker.received(11);
    await settled();
    expect(worker.offsets).to.have.length(11);
  });

  describe("for deduplication", () => {
    it("forget ids after another time, from now on", async () => {
      const bench = await made({ dedupWindowMs: 1_000 });
      await bench.accepted([{ messageId: "a" }]);
      bench.clock.advance(900);
      expect(await bench.accepted([{ messageId: "a" }])).to.include({ duplicate: true, firstOffset: 1 });
      await update(bench, { dedupWindowMs: 800 });
      expect(await bench.accepted([{ messageId: "a" }])).to.include({ duplicate: false, firstOffset: 2 });
    });

    it("with a window of zero take ids for nothing but a part of the message", async () => {
      const bench = await made({ dedupWindowMs: 0 });
      for (const offset of [1, 2]) expect(await bench.accepted([{ messageId: "a" }])).to.include({ duplicate: false, firstOffset: offset });
      expect(await bench.accepted([{ messageId: "a" }, { messageId: "a" }])).to.include({ duplicate: false, firstOffset: 3 });
      const outcome = await bench.accepted([{ messageId: "a" }, { messageId: "a" }], { independent: true });
      expect(outcome).to.deep.include({ firstOffset: 5, outcomes: [] });
    });

    it("hold after a restart, for what is in the log", async () => {
      const bench = await made({ dedupWindowMs: 600_000 });
      await bench.accepted([{ messageId: "a" }]);
      bench.clock.advance(500_000);
      await bench.crashAndRestart();
      expect(await bench.accepted([{ messageId: "a" }])).to.include({ duplicate: true });
    });
  });

  it("block a lane across a restart, and unblock it when they are set back", async () => {
    const bench = await made({ onPoison: "BLOCK_LANE", maxAttempts: 1 });
    await bench.accepted([{ orderingKey: "a" }, { orderingKey: "b" }, { orderingKey: "a" }]);
    const worker = await bench.subscribe();
    await worker.received(2);
    await worker.settle({ retries: [{ range: run(1), delayMs: 0, reason: "no" }], acks: [run(2)] });
    await until("the notice comes", 2_000, () => worker.heard.notices.some(({ reason }) => reason === "LANE_BLOCKED"));
    await bench.crashAndRestart();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ blockedLaneCount: 1, deadLetterCount: 0, backlogCount: 2 });
    const late = await bench.subscribe();
    expect(late.heard.notices).to.deep.equal([{ reason: "LANE_BLOCKED", detail: "MAX_ATTEMPTS: no", first: 1 }]);
    expect(late.offsets).to.deep.equal([]);
    await update(bench, { onPoison: undefined });
    await late.received(1);
    expect(late.offsets).to.deep.equal([3]);
    expect(await bench.broker.getSubscriber("orders", "billing")).to.include({ blockedLaneCount: 0, deadLetterCount: 1 });
  });
});
