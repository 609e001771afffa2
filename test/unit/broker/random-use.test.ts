import { expect } from "chai";
import type { PublishOutcome } from "../../../src/broker/api.js";
import { EventFilter } from "../../../src/core/event-filter.js";
import type { StoredMessage } from "../../../src/core/message-codec.js";
import type { NewMessage } from "../../../src/core/message.js";
import { offset } from "../../../src/core/units.js";
import { newMessage } from "../../support/messages.js";
import { SeededRandom } from "../../support/seeded-random.js";
import { Bench, run, settled } from "./broker-harness.js";
import type { TestSession } from "./broker-harness.js";

const RUNS = 8;
const STEPS = 250;
const EVENTS: readonly [string, ...string[]] = ["order.created", "order.paid", "invoice.sent", "noise"];
const FILTERS: Readonly<Record<string, readonly string[]>> = { all: [], orders: ["order.*"], invoices: ["invoice.**"], nothing: ["elsewhere"] };
const KEYS = ["", "a", "b", "c"] as const;
const DEPTHS = [1, 2, 10] as const;
/** Of this one a single session works. */
const EXCLUSIVE = "invoices";
const NAMES: readonly [string, ...string[]] = ["all", "orders", "invoices", "nothing"];

/** A message that was sent; `offset` once its publish was accepted. */
interface Sent {
  readonly message: NewMessage;
  offset: number | undefined;
  refused: boolean;
}

/** What one durable subscriber has seen and settled for certain. */
interface Seen {
  readonly delivered: Set<number>;
  /** Offsets whose settle was confirmed: they must never come again. */
  readonly settled: Set<number>;
  readonly sessions: { readonly session: TestSession; batchesRead: number }[];
  /** By ordering key: the last offset whose settle was confirmed. */
  readonly settledOfKey: Map<string, number>;
}

/** Publishes, subscribes, settles, waits and crashes at random, and checks what everybody is promised. */
class RandomUse {
  readonly sent = new Map<string, Sent>();
  readonly seen = new Map<string, Seen>(NAMES.map((name) => [name, { delivered: new Set(), settled: new Set(), sessions: [], settledOfKey: new Map() }]));
  crashes = 0;
  purges = 0;
  /** Nothing up to it may come any more. */
  private purgedThrough = 0;
  /** Asked for, and perhaps done without an answer: nothing up to it has to come. */
  private purgeAskedThrough = 0;
  private count = 0;
  private readonly keyAt = new Map<number, string>();

  constructor(
    readonly bench: Bench,
    private readonly random: SeededRandom,
    private readonly ordering: "UNORDERED" | "ORDERED",
  ) {}

  async begin(): Promise<void> {
    await this.bench.broker.createQueue({ name: "orders", ordering: this.ordering, own: {} });
    for (const name of NAMES) (await this.open(name)).lost();
  }

  async step(): Promise<void> {
    const { random } = this;
    const name = random.pick(NAMES);
    const draw = random.next();
    if (draw < 0.3) this.publish();
    else if (draw < 0.4) await this.open(name);
    else if (draw < 0.75) this.settleSome(name);
    else if (draw < 0.82) this.leave(name);
    else if (draw < 0.96) this.bench.clock.advance(random.between(0, 1_500));
    else if (draw < 0.975) await this.crash();
    else if (draw < 0.985) this.purge();
    await settled(random.between(0, 6));
    this.check();
  }

  /** Everybody reads and acks everything that is left. */
  async finish(): Promise<void> {
    await this.bench.crashAndRestart();
    for (const name of NAMES) {
      await this.open(name);
      await this.bench.advanceUntil(
        `${name} to reach the head`,
        async () => {
          this.check();
          for (const { session } of this.seenBy(name).sessions) session.send({ ackThroughBatchId: session.heard.batches.at(-1)?.facts.batchId ?? 0 });
          const { committedOffset } = await this.bench.broker.getSubscriber("orders", name);
          return committedOffset === (await this.bench.broker.getQueue("orders")).headOffset;
        },
        500,
      );
    }
    await this.bench.advanceUntil("the log to be empty", async () => (await this.bench.broker.getQueue("orders")).messageCount === 0, 500);
  }

  /** Every accepted message was delivered to everybody whose filter takes it. */
  checkNothingMissed(): void {
    for (const name of NAMES) {
      const filter = EventFilter.parse(FILTERS[name] ?? []);
      for (const { message, offset } of this.sent.values()) {
        if (offset !== undefined && offset > this.purgeAskedThrough && filter.matches(message.event)) expect(this.seenBy(name).delivered.has(offset), `${name} missed ${offset}`).to.equal(true);
      }
    }
  }

  private publish(): void {
    const { random } = this;
    const earlier = [...this.sent.values()];
    const again = random.chance(0.15) ? earlier[random.between(0, earlier.length - 1)] : undefined;
    if (again !== undefined) {
      this.send([again]);
      return;
    }
    const fresh = Array.from({ length: random.between(1, 5) }, () => {
      const id = `message-${++this.count}`;
      const entry: Sent = { message: newMessage({ event: random.pick(EVENTS), messageId: id, payload: Buffer.from(id), orderingKey: random.pick(KEYS) }), offset: undefined, refused: false };
      this.sent.set(id, entry);
      return entry;
    });
    this.send(fresh);
  }

  private send(entries: readonly Sent[]): void {
    const accepted = (outcome: PublishOutcome): void => {
      entries.forEach((entry, i) => {
        if (!outcome.ok) entry.refused = true;
        else if (entry.offset === undefined) entry.offset = outcome.firstOffset + i;
        else expect(outcome.firstOffset + i, `${entry.message.messageId} stored twice`).to.equal(entry.offset);
      });
    };
    this.bench.broker.publish({ queue: "orders", messages: entries.map(({ message }) => message), expectedLastOffset: undefined, independent: false }, accepted);
  }

  private async open(name: string): Promise<TestSession> {
    const maxMessages = this.random.between(1, 30);
    const session = await this.bench.subscribe({
      subscriber: name,
      events: FILTERS[name] ?? [],
      ackTimeoutMs: 4_000,
      flow: { maxMessages, maxBytes: 0, paused: false },
      maxInFlightPerLane: this.ordering === "ORDERED" ? this.random.pick(DEPTHS) : 1,
      sharing: name === EXCLUSIVE ? "EXCLUSIVE" : "SHARED",
    });
    this.seenBy(name).sessions.push({ session, batchesRead: 0 });
    return session;
  }

  private leave(name: string): void {
    const entry = this.someSession(name);
    const how = this.random.between(0, 2);
    if (how === 0) entry?.lost();
    else if (how === 1) entry?.session.halfClosed();
    else entry?.session.drain();
  }

  private settleSome(name: string): void {
    const { random } = this;
    const session = this.someSession(name);
    const batch = session?.heard.batches[random.between(Math.max(0, session.heard.batches.length - 4), session.heard.batches.length - 1)];
    if (session === undefined || batch === undefined) return;
    const [first] = batch.messages;
    const last = batch.messages[random.between(0, batch.messages.length - 1)];
    if (first === undefined || last === undefined) return;
    const range = run(first.offset, last.offset, batch.facts.batchId);
    const named = batch.messages.map(({ offset }) => offset).filter((offset) => first.offset <= offset && offset <= last.offset);
    const draw = random.next();
    if (draw < 0.6) session.sendFor({ acks: [range] }, named);
    else if (draw < 0.8) session.send({ retries: [{ range, delayMs: random.between(0, 3_000), reason: "again" }] });
    else if (draw < 0.9) session.sendFor({ rejects: [{ range, reason: "no" }] }, named);
    else session.send({ releases: [range] });
  }

  /** Drops what was accepted so far, or half of it. */
  private purge(): void {
    const last = Math.max(0, ...[...this.sent.values()].map((entry) => entry.offset ?? 0));
    const through = this.random.chance(0.5) ? last : last - Math.floor((last - this.purgedThrough) / 2);
    if (through === 0) return;
    this.purgeAskedThrough = Math.max(this.purgeAskedThrough, through);
    void this.bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(through), dryRun: false }).then(({ throughOffset }) => {
      this.check();
      this.purges++;
      this.purgedThrough = Math.max(this.purgedThrough, throughOffset);
    });
  }

  private async crash(): Promise<void> {
    this.crashes++;
    this.bench.breakDisk();
    // Whatever is asked of it from here on is lost: whoever is told otherwise will see it come again, or miss it.
    this.publish();
    for (const name of NAMES) this.settleSome(name);
    await settled();
    this.check();
    await this.bench.crashAndRestart();
    for (const seen of this.seen.values()) seen.sessions.length = 0;
  }

  /** Looks at everything that was heard since the last look, in order. */
  private check(): void {
    for (const [name, seen] of this.seen) {
      const came: StoredMessage[] = [];
      const filter = EventFilter.parse(FILTERS[name] ?? []);
      for (const entry of seen.sessions) {
        const { heard } = entry.session;
        for (const { messages } of heard.batches.slice(entry.batchesRead)) {
          for (const message of messages) {
            const sent = this.sent.get(message.messageId);
            expect(sent, `phantom at ${message.offset}`).to.not.equal(undefined);
            expect(sent?.refused, `refused, but delivered: ${message.messageId}`).to.equal(false);
            expect(message.payload.toString()).to.equal(message.messageId);
            expect(filter.matches(message.event), `${name} got ${message.event}`).to.equal(true);
            if (sent?.offset !== undefined) expect(message.offset).to.equal(sent.offset);
            expect(seen.settled.has(message.offset), `${name} got ${message.offset} again after it was settled`).to.equal(false);
            expect(message.offset, `${name} got what was purged`).to.be.greaterThan(this.purgedThrough);
            seen.delivered.add(message.offset);
            came.push(message);
          }
        }
        entry.batchesRead = heard.batches.length;
      }
      if (this.ordering === "ORDERED") this.checkLanes(name, seen, came);
      for (const { session } of seen.sessions) for (const offset of session.confirmedOffsets()) this.noteSettled(seen, offset);
    }
  }

  /** What came was never passed by a later one of its key: not seen before it for the first time, nor settled for certain. */
  private checkLanes(name: string, seen: Seen, came: readonly StoredMessage[]): void {
    const filter = EventFilter.parse(FILTERS[name] ?? []);
    for (const { offset: at, orderingKey } of came) {
      this.keyAt.set(at, orderingKey);
      expect(seen.settledOfKey.get(orderingKey) ?? 0, `${name} got ${at} of key "${orderingKey}" after a later one was settled`).to.be.below(at);
      for (const { message, offset: earlier } of this.sent.values()) {
        if (message.orderingKey !== orderingKey || earlier === undefined || earlier >= at || earlier <= this.purgeAskedThrough || !filter.matches(message.event)) continue;
        expect(seen.delivered.has(earlier), `${name} got ${at} before ${earlier}, both of key "${orderingKey}"`).to.equal(true);
      }
    }
  }

  private noteSettled(seen: Seen, at: number): void {
    seen.settled.add(at);
    const key = this.keyAt.get(at) ?? "";
    seen.settledOfKey.set(key, Math.max(at, seen.settledOfKey.get(key) ?? 0));
  }

  private someSession(name: string): TestSession | undefined {
    const open = this.seenBy(name).sessions.filter(({ session }) => !session.isOver);
    return open.length === 0 ? undefined : open[this.random.between(0, open.length - 1)]?.session;
  }

  private seenBy(name: string): Seen {
    const seen = this.seen.get(name);
    if (seen === undefined) throw new Error(`no subscriber ${name}`);
    return seen;
  }
}

describe("A broker under random use and crashes", function () {
  this.timeout(60_000);
  const source = SeededRandom.fromEnvironment();

  for (const ordering of ["UNORDERED", "ORDERED"] as const) {
    it(`keeps its promises on a queue that is ${ordering} (TIDEMARK_SEED=${source.seed})`, async () => {
      let delivered = 0;
      let crashes = 0;
      let purges = 0;
      for (let i = 0; i < RUNS; i++) {
        const use = new RandomUse(await Bench.start({ backoffMinMs: 10, maxAttempts: 4, maxDeliveries: 5 }), source.fork(), ordering);
        await use.begin();
        for (let step = 0; step < STEPS; step++) await use.step();
        await use.finish();
        use.checkNothingMissed();
        for (const { delivered: offsets } of use.seen.values()) delivered += offsets.size;
        crashes += use.crashes;
        purges += use.purges;
      }
      // Not vacuous: much was delivered, and there were crashes and purges.
      expect(delivered).to.be.greaterThan(RUNS * 50);
      expect(crashes).to.be.greaterThan(0);
      expect(purges).to.be.greaterThan(0);
    });
  }
});
