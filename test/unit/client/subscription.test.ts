import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { AckMode, StartPosition, type SubscribeRequest, type SubscribeResponse } from "../../../generated/tidemark/v1/subscribe.js";
import { connect, type SubscriptionEvent, type TidemarkClient } from "../../../src/client/index.js";
import {
  ackRanges,
  deliveries,
  extensions,
  failureOf,
  leaseLost,
  opened,
  recall,
  ScriptedBroker,
  settleResult,
  settles,
  type SubscribeCall,
  take,
  until,
} from "./scripted-broker.js";

describe("subscription", () => {
  let broker: ScriptedBroker;
  let client: TidemarkClient;
  let events: SubscriptionEvent[];
  let calls: SubscribeCall[];
  const onEvent = (event: SubscriptionEvent): number => events.push(event);
  const types = (): string[] => events.map((event) => event.type);

  beforeEach(async () => {
    events = [];
    calls = [];
    broker = new ScriptedBroker();
    await broker.start();
    client = connect(broker.address, { patienceMs: 5_000 });
  });

  afterEach(async () => {
    await client.close();
    broker.stop();
  });

  /** Each session gets `opened` and these frames; a half-close is answered with OK. */
  function script(...frames: SubscribeResponse[]): void {
    broker.onSubscribe = (call) => {
      calls.push(call);
      call.on("end", () => call.end());
      for (const frame of [opened(), ...frames]) call.write(frame);
    };
  }

  function opens(): Extract<SubscribeRequest["frame"], { $case: "open" }>["value"][] {
    return broker.heard.flatMap(({ frame }) => (frame?.$case === "open" ? [frame.value] : []));
  }

  /** Waits for as long as another subscription takes to prolong a lease of this length several times. */
  async function severalLeases(ackTimeoutMs: number): Promise<void> {
    const other = new ScriptedBroker();
    other.onSubscribe = (call) => {
      call.on("end", () => call.end());
      call.write(opened({ ackTimeoutMs }));
      call.write(deliveries(1, [1]));
    };
    await other.start();
    const holder = connect(other.address);
    await take(holder.subscribe("orders"), 1);
    await until(() => extensions(other.heard) >= 4, "extensions of another subscription");
    await holder.close();
    other.stop();
  }

  /** Waits for as long as it takes to find a stream with this heartbeat dead. */
  async function silenceNoticed(heartbeatMs: number): Promise<void> {
    const other = new ScriptedBroker();
    other.onSubscribe = (call) => {
      call.on("end", () => call.end());
      call.write(opened({ heartbeatMs }));
    };
    await other.start();
    const watcher = connect(other.address);
    await new Promise<void>((resolve, reject) => {
      const subscription = watcher.subscribe("orders", { onEvent: (event) => event.type === "reconnecting" && resolve() });
      subscription.next().catch(reject);
    });
    await watcher.close();
    other.stop();
  }

  it("opens when iteration starts, as the options say", async () => {
    script(deliveries(1, [5]));
    const subscription = client.subscribe("orders", {
      subscriber: "billing",
      events: ["order.*"],
      from: "earliest",
      maxInFlightMessages: 50,
      ackTimeoutMs: 1_500,
      stop: { afterMessages: 3 },
    });
    expect(broker.heard).to.deep.equal([]);
    const [delivery] = await take(subscription, 1);
    expect(delivery).to.include({ offset: 5, event: "order.created", text: "#5", attempt: 1, deliveryCount: 1, cause: "NEW", isHeld: true });
    expect(opens()).to.have.length(1);
    expect(opens()[0]).to.deep.include({
      queue: "orders",
      subscriber: "billing",
      events: ["order.*"],
      ackMode: AckMode.EXPLICIT,
      start: { $case: "startAt", value: StartPosition.EARLIEST },
      flow: { maxMessages: 50, maxBytes: 0n, paused: false },
      ackTimeout: { seconds: 1n, nanos: 500_000_000 },
      stop: { $case: "stopAfterMessages", value: 3n },
    });
  });

  it("sends the acks of one turn as ranges in one frame", async () => {
    script(deliveries(1, [1, 2, 4, 8]), deliveries(2, [9, 10]));
    const all = await take(client.subscribe("orders"), 6);
    for (const delivery of all) if (delivery.offset !== 4) delivery.ack();
    await until(() => settles(broker.heard).length > 0, "a settle");
    expect(ackRanges(broker.heard)).to.deep.equal(["1-2@1", "8-8@1", "9-10@2"]);
    expect(settles(broker.heard)).to.have.length(1);
  });

  it("resolves a settle when the broker confirms it, and rejects those that failed", async () => {
    script(deliveries(3, [1, 2]));
    const [one, two] = await take(client.subscribe("orders"), 2);
    const confirmed = one!.settle({ kind: "ack" });
    const lost = failureOf(two!.settle({ kind: "retry", delayMs: 10 }));
    await until(() => settles(broker.heard).length > 0, "a settle");
    const { requestId } = settles(broker.heard)[0]!;
    expect(requestId).to.not.equal(0n);
    calls.at(-1)?.write(settleResult([requestId], [leaseLost(requestId, 2, 0, 3)]));
    await confirmed;
    expect(await lost).to.include({ code: "FAILED_PRECONDITION", reason: "LEASE_LOST" });
  });

  it("tells of a settle that failed though nobody waited for it", async () => {
    script(deliveries(1, [1]), settleResult([], [{ ...leaseLost(0n, 1, 4, 1), code: 99 as never }]));
    await take(client.subscribe("orders", { onEvent }), 1);
    await until(() => types().includes("settle_failed"), "the event");
    const event = events.find(({ type }) => type === "settle_failed");
    expect(event).to.include({ firstOffset: 1, lastOffset: 4 });
  });

  it("passes over frames, enum values and causes that it does not know", async () => {
    const strange = deliveries(1, [1]);
    if (strange.frame?.$case === "deliveries") strange.frame.value.cause = 77 as never;
    script({ frame: undefined }, strange, { frame: { $case: "heartbeat", value: { headOffset: 1n, committedOffset: 0n, inFlightCount: 1n, backlogCount: 0n, deadLetterCount: 0n, waitingFor: 55 as never } } });
    const [delivery] = await take(client.subscribe("orders", { onEvent }), 1);
    expect(delivery!.cause).to.equal("UNRECOGNIZED");
    await until(() => types().includes("heartbeat"), "a heartbeat");
    expect(events.find(({ type }) => type === "heartbeat")).to.include({ waitingFor: "UNRECOGNIZED" });
  });

  it("prolongs the leases of what the application holds, and stops when it holds nothing", async () => {
    broker.onSubscribe = (call) => {
      call.on("end", () => call.end());
      call.write(opened({ ackTimeoutMs: 90 }));
      call.write(deliveries(1, [1]));
    };
    const [delivery] = await take(client.subscribe("orders"), 1);
    await until(() => extensions(broker.heard) >= 3, "three extensions");
    expect(settles(broker.heard)[0]?.settle.extendAll).to.deep.equal({ seconds: 0n, nanos: 90_000_000 });
    delivery!.ack();
    await until(() => ackRanges(broker.heard).length === 1, "the ack");
    const before = extensions(broker.heard);
    await severalLeases(90);
    expect(extensions(broker.heard)).to.equal(before);
  });

  it("leaves leases alone when it is told to", async () => {
    broker.onSubscribe = (call) => {
      call.on("end", () => call.end());
      call.write(opened({ ackTimeoutMs: 60 }));
      call.write(deliveries(1, [1]));
    };
    await take(client.subscribe("orders", { extendLeases: false }), 1);
    await severalLeases(60);
    expect(settles(broker.heard)).to.deep.equal([]);
  });

  it("reconnects after a break with the same open, and takes settles of the old session for lost", async () => {
    broker.onSubscribe = (call, session) => {
      call.on("end", () => call.end());
      call.write(opened());
      call.write(deliveries(1, [session]));
    };
    const subscription = client.subscribe("orders", { subscriber: "billing", onEvent });
    const [first] = await take(subscription, 1);
    broker.stop();
    await until(() => types().includes("reconnecting"), "the break");
    await broker.start();
    const [second] = await take(subscription, 1);
    expect(second!.offset).to.equal(2);
    expect(opens()[1]).to.deep.equal(opens()[0]);
    expect(first!.isHeld).to.equal(false);
    expect((await failureOf(first!.settle({ kind: "ack" }))).reason).to.equal("LEASE_LOST");
    first!.ack();
    expect(types().at(-1)).to.equal("settle_failed");
  });

  it("goes on behind what is done when it has no name, on the same incarnation of the queue", async () => {
    const cuts: (() => void)[] = [];
    broker.onSubscribe = (call, session) => {
      call.on("end", () => call.end());
      call.write(opened({ committedOffset: 3 }));
      if (session === 1) call.write(deliveries(1, [4, 5, 6, 7]));
      cuts.push(() => call.emit("error", { code: status.UNAVAILABLE, details: "gone" }));
    };
    const subscription = client.subscribe("orders", { onEvent });
    const [four, five, , seven] = await take(subscription, 4);
    four!.ack();
    five!.ack();
    seven!.ack();
    await until(() => ackRanges(broker.heard).length === 2, "the acks");
    cuts[0]!();
    const next = subscription.next();
    await until(() => opens().length === 2, "another session");
    expect(opens()[0]).to.include({ start: undefined, queueId: "" });
    expect(opens()[1]).to.deep.include({ start: { $case: "startAfterOffset", value: 5n }, queueId: "q1" });
    await subscription.close();
    expect((await next).done).to.equal(true);
  });

  it("takes a stream for dead that is silent for three heartbeats", async () => {
    broker.onSubscribe = (call, session) => {
      call.on("end", () => call.end());
      call.write(opened({ heartbeatMs: session === 1 ? 40 : 15_000 }));
      if (session === 2) call.write(deliveries(1, [1]));
    };
    const [delivery] = await take(client.subscribe("orders", { subscriber: "s", onEvent }), 1);
    expect(delivery!.offset).to.equal(1);
    const event = events.find(({ type }) => type === "reconnecting");
    expect(event?.type === "reconnecting" && event.cause.code).to.equal("UNAVAILABLE");
  });

  it("ends with the broker's error when trying again cannot help", async () => {
    broker.onSubscribe = (call) => call.emit("error", { code: status.FAILED_PRECONDITION, details: "other events" });
    const subscription = client.subscribe("orders", { subscriber: "s" });
    expect(await failureOf(subscription.next())).to.include({ code: "FAILED_PRECONDITION", message: "other events" });
    expect((await subscription.next()).done).to.equal(true);
  });

  it("ends without an error when what it was asked for is reached", async () => {
    broker.onSubscribe = (call) => {
      call.write(opened());
      call.write(deliveries(1, [1, 2]));
      call.end();
    };
    const offsets: number[] = [];
    for await (const delivery of client.subscribe("orders", { acks: "auto", stop: "at_head" })) offsets.push(delivery.offset);
    expect(offsets).to.deep.equal([1, 2]);
  });

  it("gives back what is held when the loop is left, and waits for the broker's OK", async () => {
    let halfClosed = false;
    broker.onSubscribe = (call) => {
      call.on("end", () => {
        halfClosed = true;
        call.end();
      });
      call.write(opened());
      call.write(deliveries(1, [1, 2, 3]));
    };
    for await (const delivery of client.subscribe("orders")) {
      delivery.ack();
      if (delivery.offset === 2) break;
    }
    expect(halfClosed).to.equal(true);
    expect(ackRanges(broker.heard)).to.deep.equal(["1-2@1"]);
  });

  it("ends the iteration when its signal aborts", async () => {
    script(deliveries(1, [1]));
    const abort = new AbortController();
    const offsets: number[] = [];
    for await (const delivery of client.subscribe("orders", { signal: abort.signal })) {
      offsets.push(delivery.offset);
      abort.abort();
    }
    expect(offsets).to.deep.equal([1]);
    const never = client.subscribe("orders", { signal: abort.signal });
    expect((await never.next()).done).to.equal(true);
  });

  it("follows a broker that goes away: gives back what nobody saw, drains, comes back later", async () => {
    broker.onSubscribe = (call, session) => {
      call.on("end", () => call.end());
      call.write(opened());
      if (session === 2) return void call.write(deliveries(1, [9]));
      call.write(deliveries(1, [1, 2, 3]));
      call.write({ frame: { $case: "goingAway", value: { grace: { seconds: 5n, nanos: 0 }, reconnectAfter: { seconds: 0n, nanos: 50_000_000 }, reason: "restart" } } });
      call.on("data", (frame: SubscribeRequest) => {
        if (frame.frame?.$case === "settle" && frame.frame.value.acks.length > 0) call.end();
      });
    };
    const subscription = client.subscribe("orders", { subscriber: "s", onEvent });
    const [first] = await take(subscription, 1);
    await until(() => broker.heard.some(({ frame }) => frame?.$case === "drain"), "a drain");
    expect(settles(broker.heard)[0]?.settle.releases).to.deep.equal([{ first: 2n, last: 3n, batchId: 1n }]);
    first!.ack();
    const [again] = await take(subscription, 1);
    expect(again!.offset).to.equal(9);
    const reconnecting = events.find((event) => event.type === "reconnecting");
    expect(reconnecting?.type === "reconnecting" && reconnecting.delayMs).to.be.at.least(50);
  });

  it("does not hand out what was recalled before the application saw it", async () => {
    script(deliveries(1, [1, 2, 3]), recall(2, 2, 1), { frame: { $case: "notice", value: { reason: "AFTER_RECALL", detail: "", range: undefined } } });
    const subscription = client.subscribe("orders", { onEvent });
    const [first] = await take(subscription, 1);
    await until(() => types().includes("notice"), "what follows the recall");
    const [third] = await take(subscription, 1);
    expect([first!.offset, third!.offset]).to.deep.equal([1, 3]);
  });

  it("stops reading an AUTO stream while the application is behind, and loses nothing of it", async () => {
    const total = 5_000;
    broker.onSubscribe = (call) => {
      call.write(opened({ heartbeatMs: 40 }));
      for (let offset = 1; offset <= total; offset += 100) {
        call.write(deliveries(offset, Array.from({ length: 100 }, (_, i) => offset + i)));
      }
      call.end();
    };
    const subscription = client.subscribe("orders", { acks: "auto", stop: "at_head", onEvent });
    const [first] = await take(subscription, 1);
    expect(first!.offset).to.equal(1);
    // Until a stream that is read and silent would have been taken for dead, which one that this side paused is not.
    await silenceNoticed(40);
    let last = 1;
    for await (const delivery of subscription) {
      expect(delivery.offset).to.equal(last + 1);
      last = delivery.offset;
    }
    expect(last).to.equal(total);
    expect(types()).to.not.include("reconnecting");
  });
});
