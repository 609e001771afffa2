import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { AdminServiceService, CreateSubscriberRequest, GetSubscriberRequest, UpdateSubscriberRequest } from "../../generated/tidemark/v1/admin_service.js";
import { OnExpiry, OnPoison, SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import { StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import { Subscriber } from "../../generated/tidemark/v1/subscriber.js";
import { until } from "../support/condition.js";
import { rawUnary } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer } from "../support/stubs.js";

const seconds = (count: number): { seconds: bigint; nanos: number } => ({ seconds: BigInt(count), nanos: 0 });
const OWN: SubscriberSettings = {
  ...SubscriberSettings.create(),
  ackTimeout: seconds(5),
  maxAttempts: 2,
  backoff: { minDelay: seconds(0), maxDelay: seconds(2), factor: 1.5 },
  onPoison: OnPoison.DEAD_LETTER,
  onExpiry: OnExpiry.DEAD_LETTER,
  maxDeliveries: 4,
  maxUnsettled: 90,
  windowMessages: 7,
  windowBytes: 70_000n,
};

describe("control of subscribers", function () {
  this.timeout(60_000);
  let server: StoredServer;

  before(async () => {
    server = await StoredServer.start();
  });

  after(async () => {
    await server.remove();
  });

  async function created(parts: Partial<Subscriber>): Promise<Subscriber> {
    const request = { subscriber: { ...Subscriber.create(), name: "billing", ...parts } };
    const { subscriber } = await answer<{ subscriber: Subscriber | undefined }>((callback) => server.stubs.admin.createSubscriber(request, callback));
    return subscriber ?? Subscriber.create();
  }

  async function updated(parts: Partial<Subscriber>, updateMask?: string[]): Promise<Subscriber> {
    const request = { subscriber: { ...Subscriber.create(), name: "billing", ...parts }, updateMask };
    const { subscriber } = await answer<{ subscriber: Subscriber | undefined }>((callback) => server.stubs.admin.updateSubscriber(request, callback));
    return subscriber ?? Subscriber.create();
  }

  it("makes one before any client comes, keeps what was set through a kill, and hands out what came meanwhile", async () => {
    const queue = "made";
    await server.stubs.publish(queue, { event: "order.created" });
    const said = { queue, events: ["order.*"], settings: OWN, start: { $case: "startAt", value: StartPosition.LATEST } } as const;
    const made = await created({ ...said, events: [...said.events] });
    expect(made).to.deep.include({ ...said, committedOffset: 1n, backlogCount: 0n, clientCount: 0, paused: false });
    for (const event of ["invoice.sent", "order.paid"]) await server.stubs.publish(queue, { event });
    await server.crash();
    expect(await server.stubs.subscriber(queue, "billing")).to.deep.include({ ...said, backlogCount: 1n, effectiveSettings: { ...OWN, expireAfter: seconds(0) } });
    const stream = server.stubs.subscribe({ queue, subscriber: "billing" });
    expect(await stream.next("opened")).to.deep.include({ created: false, ackTimeout: seconds(5), maxAttempts: 2, maxUnsettledCount: 90n, flow: { maxMessages: 7, maxBytes: 70_000n, paused: false } });
    expect((await stream.receive(1)).map(({ offset }) => offset)).to.deep.equal([3n]);
    await stream.cancel();
  });

  it("begins at a time, for whoever makes the subscriber, and takes the same one again after a kill", async () => {
    const queue = "since";
    const { publishTime: before } = await server.stubs.publish(queue, { event: "a" });
    await until("another millisecond", 5_000, () => Date.now() > Number(before?.seconds) * 1_000 + (before?.nanos ?? 0) / 1e6);
    const { publishTime } = await server.stubs.publish(queue, { event: "b" });
    const start = { $case: "startFromTime", value: publishTime ?? seconds(0) } as const;
    expect(await created({ queue, start })).to.deep.include({ start, committedOffset: 1n, backlogCount: 1n });
    const opened = server.stubs.subscribe({ queue, subscriber: "audit", start });
    expect((await opened.receive(1)).map(({ offset }) => offset)).to.deep.equal([2n]);
    await opened.cancel();
    await server.crash();
    for (const subscriber of ["audit", "billing"]) {
      const again = server.stubs.subscribe({ queue, subscriber, start });
      expect(await again.next("opened")).to.include({ created: false });
      expect((await again.receive(1)).map(({ offset }) => offset)).to.deep.equal([2n]);
      await again.cancel();
    }
    const refused = await server.stubs.subscribe({ queue, subscriber: "audit", start: { ...start, value: seconds(7) } }).ended;
    expect([refused.code, refused.details]).to.deep.equal([
      Code.FAILED_PRECONDITION,
      `subscriber audit exists and goes on from its own offset; it began at ${new Date(Number(start.value.seconds) * 1_000 + start.value.nanos / 1e6).toISOString()}, not at 1970-01-01T00:00:07.000Z: leave the start out, or seek`,
    ]);
  });

  it("pauses and resumes a stream that is open, which is told", async () => {
    const queue = "paused";
    await server.stubs.publish(queue, { event: "a" });
    const stream = server.stubs.subscribe({ queue, subscriber: "billing" });
    await stream.next("opened");
    await stream.ack(await stream.receive(1));
    expect((await stream.next("notice")).reason).to.equal("CAUGHT_UP");
    expect(await updated({ queue, paused: true })).to.include({ paused: true, resumeTime: undefined });
    expect(await stream.next("notice")).to.include({ reason: "SETTINGS_CHANGED", detail: "an operator paused the subscriber" });
    await server.stubs.publish(queue, { event: "b" });
    stream.send({ $case: "ping", value: {} });
    expect(await stream.next("heartbeat")).to.include({ waitingFor: 5, backlogCount: 1n });
    const soon = Date.now() + 1_500;
    const resumeTime = { seconds: BigInt(Math.floor(soon / 1_000)), nanos: (soon % 1_000) * 1_000_000 };
    expect(await updated({ queue, resumeTime }, ["resume_time"])).to.deep.include({ paused: true, resumeTime });
    expect((await stream.receive(1)).map(({ event }) => event)).to.deep.equal(["b"]);
    expect(Date.now()).to.be.at.least(soon);
    expect(await server.stubs.subscriber(queue, "billing")).to.include({ paused: false, resumeTime: undefined });
    expect((await updated({ queue, paused: true })).paused).to.equal(true);
    expect((await updated({ queue }, ["paused"])).paused).to.equal(false);
    await stream.cancel();
  });

  it("takes over what a mask names, or without one what is set", async () => {
    const queue = "masked";
    await server.stubs.publish(queue, { event: "a" });
    await created({ queue, events: ["a"], settings: OWN });
    const partly = await updated({ queue, events: ["b"], settings: { ...SubscriberSettings.create(), maxAttempts: 3, maxUnsettled: 1 } }, ["settings.max_attempts", "settings.backoff"]);
    expect(partly).to.deep.include({ events: ["a"], settings: { ...OWN, maxAttempts: 3, backoff: undefined } });
    expect(await updated({ queue, settings: { ...SubscriberSettings.create(), maxUnsettled: 5 } })).to.deep.include({ events: ["a"], settings: { ...OWN, maxAttempts: 3, maxUnsettled: 5, backoff: undefined } });
    expect(await updated({ queue, events: ["b", "b"] })).to.deep.include({ events: ["b"] });
    expect(await updated({ queue }, ["settings", "events"])).to.deep.include({ events: [], settings: undefined });
    expect(await updated({ queue, events: ["c"], paused: true }, ["*"])).to.deep.include({ events: ["c"], paused: true, settings: undefined });
  });

  it("expires when nobody uses it, through a kill, and is there no more", async () => {
    const queue = "expiring";
    await server.stubs.publish(queue, { event: "a" });
    const made = await created({ queue, settings: { ...SubscriberSettings.create(), expireAfter: seconds(2) } });
    expect(made.settings?.expireAfter).to.deep.equal(seconds(2));
    expect(Number(made.expireTime?.seconds)).to.be.within(Number(made.createTime?.seconds) + 1, Number(made.createTime?.seconds) + 3);
    const stream = server.stubs.subscribe({ queue, subscriber: "billing" });
    await stream.next("opened");
    expect(await server.stubs.subscriber(queue, "billing")).to.include({ expireTime: undefined, lastClientTime: undefined });
    await stream.cancel();
    await until("it has left", 5_000, async () => (await server.stubs.subscriber(queue, "billing")).expireTime !== undefined);
    const { lastClientTime, expireTime } = await server.stubs.subscriber(queue, "billing");
    expect(Number(expireTime?.seconds) - Number(lastClientTime?.seconds)).to.be.within(1, 3);
    await server.crash();
    await until("it has expired", 10_000, async () => (await rawUnary(server.stubs.admin, AdminServiceService.getSubscriber.path, Buffer.from(GetSubscriberRequest.encode({ queue, subscriber: "billing" }).finish()))).reason === "SUBSCRIBER_NOT_FOUND");
  });

  describe("refuses", () => {
    const create = (parts: Partial<Subscriber>): readonly ["createSubscriber", Buffer] => [
      "createSubscriber",
      Buffer.from(CreateSubscriberRequest.encode({ subscriber: { ...Subscriber.create(), queue: "bad", name: "billing", ...parts } }).finish()),
    ];
    const update = (parts: Partial<Subscriber>, updateMask: string[] = []): readonly ["updateSubscriber", Buffer] => [
      "updateSubscriber",
      Buffer.from(UpdateSubscriberRequest.encode({ subscriber: { ...Subscriber.create(), queue: "bad", name: "billing", ...parts }, updateMask }).finish()),
    ];
    const own = (parts: Partial<SubscriberSettings>): Partial<Subscriber> => ({ settings: { ...SubscriberSettings.create(), ...parts } });
    const day = seconds(86_400);
    const startAt = (value: StartPosition): Partial<Subscriber> => ({ start: { $case: "startAt", value } });

    before(async () => {
      await server.stubs.publish("bad", { event: "a" });
      await created({ queue: "bad", ...startAt(StartPosition.LATEST), events: ["a"] });
    });

    for (const [what, [method, request], code, reason, field] of [
      ["no subscriber to create", ["createSubscriber", Buffer.alloc(0)], Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber"],
      ["no subscriber to update", ["updateSubscriber", Buffer.alloc(0)], Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber"],
      ["bytes that are no request", ["updateSubscriber", Buffer.from([0xff])], Code.INVALID_ARGUMENT, "UNDECODABLE", undefined],
      ["no queue", create({ queue: "" }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.queue"],
      ["no name", create({ name: "" }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.name"],
      ["a name with a slash", update({ name: "a/b" }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.name"],
      ["a queue that is not there", create({ queue: "none" }), Code.NOT_FOUND, "QUEUE_NOT_FOUND", undefined],
      ["a subscriber that is not there", update({ name: "none" }), Code.NOT_FOUND, "SUBSCRIBER_NOT_FOUND", undefined],
      ["a filter that is none", create({ events: ["a", "b..c"] }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.events[1]"],
      ["65 patterns", update({ events: Array.from({ length: 65 }, (_, i) => `e${i}`) }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.events"],
      ["another filter for one that is there", create({ ...startAt(StartPosition.LATEST), events: ["b"] }), Code.FAILED_PRECONDITION, "FILTER_MISMATCH", "subscriber.events"],
      ["another start for one that is there", create({ events: ["a"] }), Code.FAILED_PRECONDITION, "START_MISMATCH", "subscriber.start"],
      ["another setting for one that is there", create({ ...startAt(StartPosition.LATEST), events: ["a"], ...own({ maxAttempts: 3 }) }), Code.ALREADY_EXISTS, "SUBSCRIBER_EXISTS", "subscriber.settings.max_attempts"],
      ["a start from the future", create(startAt(StartPosition.UNRECOGNIZED)), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.start_at"],
      ["a start beyond the head", create({ name: "far", start: { $case: "startAfterOffset", value: 99n } }), Code.OUT_OF_RANGE, "BEYOND_HEAD", "subscriber.start_after_offset"],
      ["a start at what is no time", create({ name: "far", start: { $case: "startFromTime", value: { seconds: 0n, nanos: 1_000_000_000 } } }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.start_from_time"],
      ["an expire_after of half a second", update(own({ expireAfter: { seconds: 0n, nanos: 500_000_000 } })), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.settings.expire_after"],
      ["an ack_timeout of a day", update(own({ ackTimeout: day })), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.settings.ack_timeout"],
      ["a window of 100,001 messages", update(own({ windowMessages: 100_001 })), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.settings.window_messages"],
      ["2 max_deliveries", update(own({ maxDeliveries: 2 })), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.settings.max_deliveries"],
      ["waits that shrink", update(own({ backoff: { minDelay: seconds(2), maxDelay: seconds(1), factor: 0 } })), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.settings.backoff.max_delay"],
      ["lanes to block where there are none", update(own({ onPoison: OnPoison.BLOCK_LANE })), Code.FAILED_PRECONDITION, "ORDERED_QUEUE_REQUIRED", "subscriber.settings.on_poison"],
      ["an on_expiry from the future", update(own({ onExpiry: OnExpiry.UNRECOGNIZED })), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.settings.on_expiry"],
      ["a resume_time without a pause", update({ resumeTime: day }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.resume_time"],
      ["a resume_time that is no time", update({ paused: true, resumeTime: { seconds: 0n, nanos: -1 } }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber.resume_time"],
      ["a mask with its start", update({}, ["start_at"]), Code.INVALID_ARGUMENT, "INVALID_FIELD", "update_mask"],
      ["a mask with what is output only", update({}, ["committed_offset"]), Code.INVALID_ARGUMENT, "INVALID_FIELD", "update_mask"],
    ] as const) {
      it(what, async () => {
        const refused = await rawUnary(server.stubs.admin, AdminServiceService[method].path, request);
        expect([refused.code, refused.reason, refused.metadata["field"]]).to.deep.equal([code, reason, field]);
      });
    }
  });
});
