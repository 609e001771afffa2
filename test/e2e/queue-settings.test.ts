import { status as Code } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { expect } from "chai";
import { Ordering, Queue, Retention, RetentionMode, WhenFull } from "../../generated/tidemark/v1/queue.js";
import type { ServerInfo } from "../../generated/tidemark/v1/server_info.js";
import { OnExpiry, OnPoison, SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import { DEFAULTS } from "../../src/core/limits.js";
import { callEnd } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer } from "../support/stubs.js";

const seconds = (count: number): { seconds: bigint; nanos: number } => ({ seconds: BigInt(count), nanos: 0 });
const PAUSED = { maxMessages: 0, maxBytes: 0n, paused: true };
const SETTINGS: SubscriberSettings = {
  ...SubscriberSettings.create(),
  ackTimeout: seconds(5),
  maxAttempts: 1,
  backoff: { minDelay: seconds(0), maxDelay: seconds(2), factor: 1.5 },
  onPoison: OnPoison.BLOCK_LANE,
  onExpiry: OnExpiry.DEAD_LETTER,
  maxDeliveries: 4,
  maxUnsettled: 90,
  windowMessages: 7,
  windowBytes: 70_000n,
};

describe("settings of a queue, and lanes that poison blocks", function () {
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  async function created(parts: Partial<Queue>): Promise<Queue> {
    const { queue } = await answer<{ queue: Queue | undefined }>((callback) => server.stubs.admin.createQueue({ queue: { ...Queue.create(), name: "orders", ...parts } }, callback));
    return queue ?? Queue.create();
  }

  async function updated(parts: Partial<Queue>, updateMask?: string[]): Promise<Queue> {
    const request = { queue: { ...Queue.create(), name: "orders", ...parts }, updateMask };
    const { queue } = await answer<{ queue: Queue | undefined }>((callback) => server.stubs.admin.updateQueue(request, callback));
    return queue ?? Queue.create();
  }

  it("answers what is set, keeps it through a kill, and gives it to subscribers", async () => {
    const set = { ordering: Ordering.ORDERED, dedupWindow: seconds(9), dedupIdsMax: 500n, subscriberDefaults: SETTINGS };
    expect(await created(set)).to.deep.include(set);
    expect((await created({ ordering: Ordering.ORDERED })).subscriberDefaults).to.deep.equal(SETTINGS);
    await server.crash();
    expect(await server.stubs.queue("orders")).to.deep.include(set);
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
    expect(await stream.next("opened")).to.deep.include({ ackTimeout: seconds(5), maxAttempts: 1, maxUnsettledCount: 90n, flow: { maxMessages: 7, maxBytes: 70_000n, paused: false } });
    expect((await server.stubs.subscriber("orders", "billing")).effectiveSettings).to.deep.equal({ ...SETTINGS, expireAfter: seconds(0) });
    await stream.cancel();
  });

  it("says of every subscriber what it has from the server, as GetServerInfo does", async () => {
    await server.stubs.publish("plain", { event: "a" });
    const stream = server.stubs.subscribe({ queue: "plain", subscriber: "s", flow: PAUSED });
    await stream.next("opened");
    const { server: info } = await answer<{ server: ServerInfo | undefined }>((callback) => server.stubs.admin.getServerInfo({}, callback));
    expect(info?.subscriberDefaults).to.deep.include({ maxAttempts: DEFAULTS.maxAttempts, onPoison: OnPoison.DEAD_LETTER, onExpiry: OnExpiry.SETTLE, windowMessages: DEFAULTS.flowMessages });
    expect((await server.stubs.subscriber("plain", "s")).effectiveSettings).to.deep.equal(info?.subscriberDefaults);
    expect(await server.stubs.queue("plain")).to.deep.include({ subscriberDefaults: undefined, dedupWindow: undefined, dedupIdsMax: 0n });
    await stream.cancel();
  });

  it("takes over what a mask names, or without one what is set", async () => {
    await created({ ordering: Ordering.ORDERED, dedupWindow: seconds(9), subscriberDefaults: SETTINGS });
    const partly = await updated({ dedupWindow: seconds(1), subscriberDefaults: { ...SubscriberSettings.create(), maxAttempts: 3, maxUnsettled: 5 } }, ["subscriber_defaults.max_attempts", "subscriber_defaults.backoff"]);
    expect(partly).to.deep.include({ dedupWindow: seconds(9), subscriberDefaults: { ...SETTINGS, maxAttempts: 3, backoff: undefined } });
    const set = await updated({ dedupWindow: seconds(2), subscriberDefaults: { ...SubscriberSettings.create(), maxUnsettled: 5 } });
    expect(set).to.deep.include({ dedupWindow: seconds(2), subscriberDefaults: { ...SETTINGS, maxAttempts: 3, maxUnsettled: 5, backoff: undefined } });
    expect(await updated(set)).to.deep.equal(set);
    expect(await updated({ subscriberDefaults: undefined }, ["subscriber_defaults"])).to.deep.include({ dedupWindow: seconds(2), subscriberDefaults: undefined });
    expect(await updated({}, ["*"])).to.deep.include({ dedupWindow: undefined, subscriberDefaults: undefined });
  });

  it("takes for said what holds anyway: never to expire is a setting, and so is to settle what expires", async () => {
    const said = { ...SubscriberSettings.create(), expireAfter: seconds(0), onExpiry: OnExpiry.SETTLE };
    expect(await created({ subscriberDefaults: said })).to.deep.include({ subscriberDefaults: said });
  });

  it("says of retention what holds, in every field, and takes it back as it was answered", async () => {
    const plain = await created({ retention: { ...Retention.create(), mode: RetentionMode.UNTIL_ACKED } });
    expect(plain.retention).to.deep.equal({ mode: RetentionMode.UNTIL_ACKED, maxAge: undefined, maxBytes: 0n, maxMessages: 0n, whenFull: WhenFull.REJECT_NEW });
    const log = await updated({ retention: { ...Retention.create(), mode: RetentionMode.LOG, maxAge: seconds(60), maxMessages: 5n } }, ["retention"]);
    expect(log.retention).to.deep.equal({ mode: RetentionMode.LOG, maxAge: seconds(60), maxBytes: 0n, maxMessages: 5n, whenFull: WhenFull.DROP_OLDEST });
    expect(await updated({ retention: { ...Retention.create(), maxBytes: 9n } }, ["retention.max_bytes", "retention.max_age"])).to.deep.include({
      retention: { ...log.retention, maxAge: undefined, maxBytes: 9n },
    });
    expect(await updated(log)).to.deep.include({ retention: { ...log.retention, maxBytes: 9n } });
    expect((await updated({}, ["retention"])).retention).to.deep.equal(plain.retention);
  });

  it("refuses another incarnation, and a queue that is there with other settings", async () => {
    await created({ subscriberDefaults: { ...SubscriberSettings.create(), maxAttempts: 3 } });
    const refusals = await Promise.all([updated({ queueId: "0".repeat(32), dedupIdsMax: 1n }), created({ dedupIdsMax: 1n }), updated({ ordering: Ordering.ORDERED, dedupIdsMax: 1n })].map((work) => work.then(() => undefined, (error: unknown) => callEnd(error as ServiceError))));
    expect(refusals.map((refused) => [refused?.code, refused?.reason, refused?.metadata["field"]])).to.deep.equal([
      [Code.FAILED_PRECONDITION, "QUEUE_ID_MISMATCH", "queue.queue_id"],
      [Code.ALREADY_EXISTS, "QUEUE_EXISTS", "queue.dedup_ids_max"],
      [Code.INVALID_ARGUMENT, "INVALID_FIELD", "queue.ordering"],
    ]);
  });

  it("tells open streams of a change, and obeys it at once", async () => {
    await created({});
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
    await stream.next("opened");
    await server.stubs.publish("orders", { event: "a" });
    const [first] = await stream.receive(1);
    expect((await stream.next("notice")).reason).to.equal("CAUGHT_UP");
    await updated({ subscriberDefaults: { ...SubscriberSettings.create(), maxAttempts: 1 } });
    expect(await stream.next("notice")).to.include({ reason: "SETTINGS_CHANGED", detail: "max_attempts is 1" });
    await stream.settle({ retries: [{ range: { first: 1n, last: 0n, batchId: first?.batchId ?? 0n }, delay: seconds(0), reason: "no" }] });
    expect(await stream.next("notice")).to.include({ reason: "DEAD_LETTERED", detail: "MAX_ATTEMPTS: no" });
    await stream.cancel();
  });

  it("holds a lane up behind poison, through a kill, until somebody decides by hand", async () => {
    await created({ ordering: Ordering.ORDERED, subscriberDefaults: SETTINGS });
    for (const orderingKey of ["a", "b", "a", "b"]) await server.stubs.publish("orders", { event: "paid", orderingKey });
    const worker = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
    await worker.receive(2);
    const byHand = (first: bigint): { range: { first: bigint; last: bigint; batchId: bigint }; reason: string } => ({ range: { first, last: 0n, batchId: 0n }, reason: "ticket 7" });
    await worker.settle({ retries: [1n, 2n].map((first) => ({ ...byHand(first), range: { first, last: first, batchId: 1n }, delay: undefined })) });
    await worker.next("notice");
    await server.crash();

    const operator = server.stubs.subscribe({ queue: "orders", subscriber: "billing", flow: PAUSED });
    for (const offset of [1n, 2n]) expect(await operator.next("notice")).to.deep.include({ reason: "LANE_BLOCKED", detail: "MAX_ATTEMPTS: ticket 7", range: { first: offset, last: offset, batchId: 0n } });
    expect(await server.stubs.subscriber("orders", "billing")).to.include({ blockedLaneCount: 2n, deadLetterCount: 0n });
    const again = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
    await again.next("opened");
    expect((await operator.settle({ rejects: [byHand(1n)] })).failures).to.deep.equal([]);
    expect((await again.receive(1)).map(({ offset }) => offset)).to.deep.equal([3n]);
    expect((await operator.settle({ retries: [{ ...byHand(2n), delay: seconds(0) }] })).failures).to.deep.equal([]);
    const [second] = await again.receive(1);
    expect(second).to.include({ offset: 2n, attempt: 2, deliveryCount: 1 });
    expect(await server.stubs.subscriber("orders", "billing")).to.include({ blockedLaneCount: 0n, deadLetterCount: 1n });
    await again.ack(second === undefined ? [] : [second]);
    expect((await again.receive(1)).map(({ offset }) => offset)).to.deep.equal([4n]);
    await Promise.all([operator.cancel(), again.cancel()]);
  });
});
