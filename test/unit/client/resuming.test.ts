import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { Sharing, type SubscribeRequest } from "../../../generated/tidemark/v1/subscribe.js";
import { BrokerError } from "../../../src/core/errors.js";
import { callStatus } from "../../../src/grpc/status.js";
import { connect, type SubscribeOptions, type SubscriptionEvent, type TidemarkClient } from "../../../src/client/index.js";
import { deliveries, failureOf, leaseLost, opened, ScriptedBroker, settleResult, settles, type SubscribeCall, take, until } from "./scripted-broker.js";

const CAPABILITIES = ["done-at-open", "replace-session"];

describe("a subscription that goes on after a break", () => {
  let broker: ScriptedBroker;
  let client: TidemarkClient;
  let calls: SubscribeCall[];
  let events: SubscriptionEvent[];

  beforeEach(async () => {
    calls = [];
    events = [];
    broker = new ScriptedBroker();
    await broker.start();
    client = connect(broker.address, { patienceMs: 5_000 });
  });

  afterEach(async () => {
    await client.close();
    broker.stop();
  });

  /** Session n is `s<n>` on queue `queueOf(n)`; the first gets these messages in batch 1, each later one message 100 + n. */
  function script(offsets: readonly number[], capabilities = CAPABILITIES): void {
    broker.onSubscribe = (call, session) => {
      calls.push(call);
      call.on("end", () => call.end());
      call.write(opened({ sessionId: `s${session}`, capabilities }));
      call.write(session === 1 ? deliveries(1, offsets) : deliveries(1, [100 + session]));
    };
  }

  const subscribe = (options: SubscribeOptions = {}) => client.subscribe("orders", { subscriber: "billing", onEvent: (event) => events.push(event), ...options });
  const breakStream = (): unknown => calls.at(-1)?.emit("error", { code: status.UNAVAILABLE, details: "gone" });

  function opens(): Extract<SubscribeRequest["frame"], { $case: "open" }>["value"][] {
    return broker.heard.flatMap(({ frame }) => (frame?.$case === "open" ? [frame.value] : []));
  }

  async function openAgain(count: number): Promise<ReturnType<typeof opens>[number]> {
    await until(() => opens().length === count, `open number ${count}`);
    const open = opens().at(-1);
    if (open === undefined) throw new Error("there is none");
    return open;
  }

  /** Answers an open with QUEUE_ID_MISMATCH. */
  function refuse(call: SubscribeCall): void {
    const { code, details, metadata } = callStatus(new BrokerError("QUEUE_ID_MISMATCH", "it was deleted"));
    call.once("data", () => call.emit("error", { code, details, metadata }));
  }

  const doneOf = (open: ReturnType<typeof opens>[number]): string[] => open.done.map(({ first, last }) => `${first}-${last}`);

  it("names its broken session, and what it had acked without hearing that it is on disk", async () => {
    script([1, 2, 3, 5, 6]);
    const subscription = subscribe();
    const held = await take(subscription, 5);
    for (const delivery of held) if (delivery.offset !== 3) delivery.ack();
    await until(() => settles(broker.heard).length > 0, "a settle");
    breakStream();
    const again = await openAgain(2);
    expect(again).to.include({ replacesSessionId: "s1", queueId: "q1" });
    expect(doneOf(again)).to.deep.equal(["1-2", "5-6"]);
    await take(subscription, 1);
    breakStream();
    const third = await openAgain(3);
    expect(third, "what was said is on disk since opened").to.include({ replacesSessionId: "s2", queueId: "" });
    expect(third.done).to.deep.equal([]);
  });

  it("leaves out what the broker has committed, and what did not hold", async () => {
    script([1, 2, 3, 4]);
    const subscription = subscribe();
    const held = await take(subscription, 4);
    for (const delivery of held) delivery.ack();
    await until(() => settles(broker.heard).length > 0, "a settle");
    const lost = settleResult([], [leaseLost(0n, 3, 3, 1)]);
    if (lost.frame?.$case === "result") lost.frame.value.committedOffset = 1n;
    calls[0]?.write(lost);
    await until(() => events.some(({ type }) => type === "settle_failed"), "the failure");
    breakStream();
    expect(doneOf(await openAgain(2))).to.deep.equal(["2-2", "4-4"]);
  });

  it("says no word that the broker would not know", async () => {
    script([1], []);
    const subscription = subscribe();
    const [one] = await take(subscription, 1);
    one?.ack();
    await until(() => settles(broker.heard).length > 0, "a settle");
    breakStream();
    const again = await openAgain(2);
    expect(again).to.include({ replacesSessionId: "", queueId: "" });
    expect(again.done).to.deep.equal([]);
  });

  it("names nothing as done without a name, or when all is done that was sent", async () => {
    script([1]);
    await take(subscribe({ subscriber: "" }), 1).then(([one]) => one?.ack());
    await until(() => settles(broker.heard).length > 0, "a settle");
    breakStream();
    expect((await openAgain(2)).done).to.deep.equal([]);
    await take(subscribe({ acks: "auto" }), 1);
    breakStream();
    const again = await openAgain(4);
    expect(again.done).to.deep.equal([]);
    expect(again.replacesSessionId).to.equal("s3");
  });

  it("begins anew on a queue that was made again, instead of naming offsets of the old one", async () => {
    broker.onSubscribe = (call, session) => {
      calls.push(call);
      call.on("end", () => call.end());
      if (session === 2) {
        refuse(call);
        return;
      }
      call.write(opened({ sessionId: `s${session}`, queueId: `q${session}`, capabilities: CAPABILITIES }));
      call.write(deliveries(1, [session]));
    };
    const subscription = subscribe();
    const [one] = await take(subscription, 1);
    one?.ack();
    await until(() => settles(broker.heard).length > 0, "a settle");
    breakStream();
    expect(await openAgain(2)).to.include({ queueId: "q1" });
    const third = await openAgain(3);
    expect(third).to.include({ queueId: "" });
    expect(third.done).to.deep.equal([]);
    expect((await take(subscription, 1))[0]).to.include({ offset: 3 });
  });

  it("ends when the queue is not the one that the application means", async () => {
    broker.onSubscribe = refuse;
    expect((await failureOf(subscribe({ queueId: "q9" }).next())).reason).to.equal("QUEUE_ID_MISMATCH");
    expect(opens()[0]).to.include({ queueId: "q9" });
  });

  it("says its position until it was open, and leaves it to its acks afterwards", async () => {
    broker.onSubscribe = (call, session) => {
      calls.push(call);
      call.on("end", () => call.end());
      if (session === 1) call.once("data", () => call.emit("error", { code: status.UNAVAILABLE, details: "not yet" }));
      else call.write(opened({ sessionId: `s${session}`, capabilities: CAPABILITIES }));
    };
    const subscription = subscribe({ exclusive: true, queueId: "q1", processedThrough: 7 });
    void subscription.next().catch(() => undefined);
    expect(await openAgain(2)).to.include({ sharing: Sharing.EXCLUSIVE, queueId: "q1", processedThrough: 7n });
    await until(() => events.some(({ type }) => type === "opened"), "an open session");
    breakStream();
    expect(await openAgain(3)).to.include({ sharing: Sharing.EXCLUSIVE, queueId: "q1", processedThrough: undefined });
    await subscription.close();
  });

  it("ends when another session has replaced it", async () => {
    script([1]);
    const subscription = subscribe();
    await take(subscription, 1);
    const next = failureOf(subscription.next());
    const { code, details, metadata } = callStatus(new BrokerError("REPLACED", "the client has come back"));
    calls[0]?.emit("error", { code, details, metadata });
    expect(await next).to.include({ code: "ABORTED", reason: "REPLACED" });
  });
});
