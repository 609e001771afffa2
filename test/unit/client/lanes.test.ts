import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { connect, type SubscribeOptions, type Subscription, type SubscriptionEvent, type TidemarkClient } from "../../../src/client/index.js";
import {
  deliveries,
  failureOf,
  leaseLost,
  notice,
  opened,
  recall,
  ScriptedBroker,
  settleResult,
  settles,
  type SubscribeCall,
  take,
  until,
} from "./scripted-broker.js";

/** Odd offsets are of one key, even ones of another. */
const byParity = (offset: number): string => (offset % 2 === 1 ? "odd" : "even");

describe("a subscription of an ordered queue", () => {
  let broker: ScriptedBroker;
  let client: TidemarkClient;
  let events: SubscriptionEvent[];
  let calls: SubscribeCall[];

  beforeEach(async () => {
    events = [];
    calls = [];
    broker = new ScriptedBroker();
    broker.onSubscribe = (call) => {
      calls.push(call);
      call.on("end", () => call.end());
      call.write(opened({ ordered: true }));
    };
    await broker.start();
    client = connect(broker.address, { patienceMs: 5_000 });
  });

  afterEach(async () => {
    await client.close();
    broker.stop();
  });

  function subscribe(options: SubscribeOptions = {}): Subscription {
    return client.subscribe("orders", { maxInFlightPerLane: 10, onEvent: (event) => events.push(event), ...options });
  }

  /** Offsets that wait for the application, up to a marker that is sent last. */
  async function seen(subscription: Subscription, marker = 99): Promise<number[]> {
    write(deliveries(marker, [marker], () => "marker"));
    const offsets: number[] = [];
    for (;;) {
      const [delivery] = await take(subscription, 1);
      if (delivery!.offset === marker) return offsets;
      offsets.push(delivery!.offset);
    }
  }

  function write(...frames: Parameters<SubscribeCall["write"]>[0][]): void {
    for (const frame of frames) calls.at(-1)!.write(frame);
  }

  async function lastRequest(count: number): Promise<bigint> {
    await until(() => settles(broker.heard).length >= count, `${count} settles`);
    return settles(broker.heard).at(-1)!.requestId;
  }

  async function noticed(reason: string): Promise<void> {
    write(notice(reason));
    await until(() => events.some((event) => event.type === "notice" && event.reason === reason), reason);
  }

  /** A subscription that has been handed these, and the first of them taken. */
  async function begun(offsets: readonly number[], options: SubscribeOptions = {}) {
    const before = calls.length;
    const subscription = subscribe(options);
    const first = take(subscription, 1);
    await until(() => calls.length > before, "a stream");
    write(deliveries(1, offsets, byParity));
    return { subscription, first: (await first)[0]! };
  }

  it("asks for the depth that it is told, and for the broker's own when it is told none", async () => {
    await begun([1]);
    await begun([1], { maxInFlightPerLane: 0 });
    const depths = broker.heard.flatMap(({ frame }) => (frame?.$case === "open" ? [frame.value.maxInFlightPerLane] : []));
    expect(depths).to.deep.equal([10, 0]);
  });

  it("hands out nothing behind a message that the application retries, but goes on with other keys", async () => {
    const { subscription, first } = await begun([1, 2, 3, 4, 5]);
    first.retry(0);
    const [two, four] = await take(subscription, 2);
    expect([two!.offset, four!.offset]).to.deep.equal([2, 4]);
    const request = await lastRequest(1);
    expect(request, "a retry that holds others back is answered").to.not.equal(0n);
    // The hand-out of 7 was on its way before the retry arrived.
    write(deliveries(2, [7], byParity), recall(3, 5, 1), recall(7, 7, 2), deliveries(3, [1], byParity), deliveries(4, [3, 5, 7], byParity), settleResult([request], []));
    expect(await seen(subscription)).to.deep.equal([1, 3, 5, 7]);
  });

  it("hands out what is behind when it is not recalled, as after a last attempt", async () => {
    const { subscription, first } = await begun([1, 2, 3, 5]);
    first.retry(0);
    const request = await lastRequest(1);
    write(settleResult([request], []));
    expect(await seen(subscription)).to.deep.equal([2, 3, 5]);
  });

  it("waits for every answer when two messages of a key were given back", async () => {
    const { subscription, first } = await begun([1, 3, 5, 7]);
    const [third] = await take(subscription, 1);
    third!.release();
    const late = await lastRequest(1);
    first.release();
    const early = await lastRequest(2);
    write(recall(5, 7, 1), settleResult([late], []), recall(3, 7, 1), deliveries(2, [1, 3, 5, 7], byParity));
    await noticed("ONE_ANSWER");
    write(settleResult([early], []));
    expect(await seen(subscription)).to.deep.equal([1, 3, 5, 7]);
  });

  it("marks what the application had in hand as recalled, says so, and takes no verdict on it", async () => {
    const { subscription, first } = await begun([1, 2, 3, 5]);
    const [two, three] = await take(subscription, 2);
    write({ ...recall(3, 5, 1) });
    await until(() => events.some(({ type }) => type === "recalled"), "the event");
    const event = events.find((each) => each.type === "recalled");
    expect(event).to.deep.include({ cause: "RETRY", deliveries: [three] });
    expect([first, two!, three!].map(({ isHeld, isRecalled }) => [isHeld, isRecalled])).to.deep.equal([[true, false], [true, false], [false, true]]);
    expect(await failureOf(three!.settle({ kind: "ack" }))).to.include({ code: "FAILED_PRECONDITION", reason: "LEASE_LOST" });
    three!.ack();
    expect(events.at(-1)).to.deep.include({ type: "settle_failed", firstOffset: 3, lastOffset: 3 });
    expect(settles(broker.heard), "nothing was sent").to.deep.equal([]);
    expect(await seen(subscription), "what nobody saw is dropped").to.deep.equal([]);
  });

  it("rejects an ack that was on its way when the recall came", async () => {
    const { subscription, first } = await begun([1, 3]);
    const [third] = await take(subscription, 1);
    const acked = failureOf(third!.settle({ kind: "ack" }));
    const request = await lastRequest(1);
    write(recall(3, 3, 1), settleResult([request], [leaseLost(request, 3, 3, 1)]));
    expect(await acked).to.include({ reason: "LEASE_LOST" });
    expect(first.isHeld).to.equal(true);
  });

  it("does not hold back anything on a queue without order", async () => {
    broker.onSubscribe = (call) => {
      calls.push(call);
      call.write(opened());
    };
    const { subscription, first } = await begun([1, 3]);
    first.retry(0);
    expect(await seen(subscription)).to.deep.equal([3]);
    expect(await lastRequest(1)).to.equal(0n);
  });

  it("comes back, when it has no name, before what was recalled though it had been acked", async () => {
    const { subscription, first } = await begun([1, 3]);
    const [third] = await take(subscription, 1);
    third!.ack();
    await lastRequest(1);
    first.retry(0);
    await lastRequest(2);
    write(recall(3, 3, 1), deliveries(2, [1], byParity));
    const again = take(subscription, 1);
    write(settleResult([1n, 2n], []));
    (await again)[0]!.ack();
    await lastRequest(3);
    calls.at(-1)!.emit("error", { code: status.UNAVAILABLE, details: "gone" });
    await until(() => calls.length === 2, "another stream");
    const starts = () => broker.heard.flatMap(({ frame }) => (frame?.$case === "open" ? [frame.value.start] : []));
    await until(() => starts().length === 2, "its open");
    expect(starts().at(-1)).to.deep.equal({ $case: "startAfterOffset", value: 2n });
  });
});
