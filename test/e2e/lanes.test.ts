import { expect } from "chai";
import { connect, type Delivery, type SubscribeOptions, type Subscription, type SubscriptionEvent, type TidemarkClient } from "../../src/client/index.js";
import { until, within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";

const DEADLINE_MS = 10_000;
const QUEUE = "orders";

describe("an ordered queue with several messages of a key in a client's hands", () => {
  let server: TestServer;
  let client: TidemarkClient;
  let events: SubscriptionEvent[];

  beforeEach(async () => {
    events = [];
    server = await startTestServer();
    client = connect(server.address, { patienceMs: DEADLINE_MS });
    await client.admin.createQueue(QUEUE, { ordered: true });
  });

  afterEach(async () => {
    await client.close();
    await server.close();
  });

  function subscribe(options: SubscribeOptions = {}, by = client): Subscription {
    return by.subscribe(QUEUE, { subscriber: "billing", maxInFlightPerLane: 10, onEvent: (event) => events.push(event), ...options });
  }

  /** Messages 1 to `count` of each key, in turn; the payload is key and number. */
  async function publish(count: number, ...keys: string[]): Promise<void> {
    for (let i = 1; i <= count; i++) {
      for (const key of keys) await client.publish(QUEUE, { event: "order.changed", payload: `${key}${i}`, orderingKey: key });
    }
  }

  async function take(source: Subscription, count: number): Promise<Delivery[]> {
    const taken: Delivery[] = [];
    while (taken.length < count) {
      const result = await within(`delivery ${taken.length + 1} of ${count}`, DEADLINE_MS, source.next());
      if (result.done === true) throw new Error(`the subscription ended after ${taken.length} deliveries`);
      taken.push(result.value);
    }
    return taken;
  }

  /** Works on one message after the other, and notes what was done. */
  async function work(source: Subscription, count: number, done: string[]): Promise<void> {
    while (done.length < count) {
      const [delivery] = await take(source, 1);
      delivery!.ack();
      done.push(delivery!.text);
    }
  }

  const ofKey = (texts: readonly string[], key: string): string[] => texts.filter((text) => text.startsWith(key));

  it("keeps the order of a key for a plain loop that retries, while other keys go on", async () => {
    await publish(20, "a", "b");
    const subscription = subscribe();
    const done: string[] = [];
    const tries = new Map<string, number>();
    while (done.length < 40) {
      const [delivery] = await take(subscription, 1);
      const { text } = delivery!;
      tries.set(text, (tries.get(text) ?? 0) + 1);
      if (text === "a3" && tries.get(text)! < 4) delivery!.retry(20, "not yet");
      else {
        await delivery!.settle({ kind: "ack" });
        done.push(text);
      }
    }
    expect(ofKey(done, "a")).to.deep.equal(Array.from({ length: 20 }, (_, i) => `a${i + 1}`));
    expect(ofKey(done, "b")).to.deep.equal(Array.from({ length: 20 }, (_, i) => `b${i + 1}`));
    expect([...tries].filter(([, count]) => count > 1), "what the loop saw twice").to.deep.equal([["a3", 4]]);
    expect(done.indexOf("b20"), "b does not wait for a").to.be.below(done.indexOf("a20"));
    expect(events.filter(({ type }) => type === "settle_failed")).to.deep.equal([]);
    await until("everything is committed", DEADLINE_MS, async () => (await client.admin.subscriber(QUEUE, "billing")).committedOffset === 40);
  });

  it("recalls what parallel handlers have in hand, and gives it again in order", async () => {
    await publish(10, "a");
    const subscription = subscribe();
    const inHand = await take(subscription, 10);
    inHand[5]!.ack();
    const late = inHand[7]!.settle({ kind: "ack" });
    inHand[2]!.retry(0);
    const lost = await late.then(() => undefined, (error: unknown) => error);
    expect(lost).to.include({ reason: "LEASE_LOST" });
    await until("the recall is told", DEADLINE_MS, () => events.some(({ type }) => type === "recalled"));
    expect(inHand.map(({ isRecalled }) => isRecalled)).to.deep.equal([false, false, false, true, true, false, true, false, true, true]);
    for (const delivery of inHand.slice(0, 2)) delivery.ack();
    const again = await take(subscription, 8);
    expect(again.map(({ text, attempt, cause }) => [text, attempt, cause])).to.deep.equal([["a3", 2, "RETRY"], ...[4, 5, 6, 7, 8, 9, 10].map((i) => [`a${i}`, 1, "RELEASED"])]);
    for (const delivery of again) await delivery.settle({ kind: "ack" });
    expect((await client.admin.subscriber(QUEUE, "billing")).committedOffset).to.equal(10);
  });

  it("gives a key to another client, from its first message on, when a lease runs out", async () => {
    await publish(5, "a");
    const slow = subscribe({ ackTimeoutMs: 300, extendLeases: false });
    const [first, second] = await take(slow, 2);
    const done: string[] = [];
    const quickClient = connect(server.address);
    try {
      const quick = subscribe({}, quickClient);
      const working = work(quick, 5, done);
      await until("the slow client's leases are over", DEADLINE_MS, () => done.length > 0 || second!.isRecalled);
      // From now on it takes nothing more.
      await slow.close();
      await working;
      expect(done).to.deep.equal(["a1", "a2", "a3", "a4", "a5"]);
      expect(first!.isHeld).to.equal(false);
    } finally {
      await quickClient.close();
    }
  });

  it("gives all keys of a client that is gone to the next one, in order", async () => {
    await publish(10, "a", "b");
    const doomedClient = connect(server.address);
    const doomed = subscribe({}, doomedClient);
    const inHand = await take(doomed, 20);
    // The acks of the others of a wait behind a1, and go with the session.
    for (const delivery of inHand.filter(({ text }) => text !== "a1" && text !== "b5")) delivery.ack();
    await until("what b had settled is committed", DEADLINE_MS, async () => (await client.admin.subscriber(QUEUE, "billing")).inFlightCount <= 2);
    await doomedClient.close();
    const subscription = subscribe();
    const done: string[] = [];
    await work(subscription, 16, done);
    expect(ofKey(done, "a")).to.deep.equal(Array.from({ length: 10 }, (_, i) => `a${i + 1}`));
    expect(ofKey(done, "b")).to.deep.equal(["b5", "b6", "b7", "b8", "b9", "b10"]);
  });
});
