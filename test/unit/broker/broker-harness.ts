import { expect } from "chai";
import type { PublishAccepted, PublishFrame, PublishOutcome, Session, SessionSink, HeartbeatFacts } from "../../../src/broker/api.js";
import type { SessionOpened } from "../../../src/broker/session-opened.js";
import { Broker } from "../../../src/broker/broker.js";
import type { PullCall, PullOrder } from "../../../src/broker/pull-api.js";
import { BROKER_DEFAULTS } from "../../../src/broker/settings.js";
import type { BrokerSettings } from "../../../src/broker/settings.js";
import { messageBytes, messageStart } from "../../../src/core/chunk.js";
import { BrokerError } from "../../../src/core/errors.js";
import { decodeMessage } from "../../../src/core/message-codec.js";
import type { StoredMessage } from "../../../src/core/message-codec.js";
import type { NewMessage } from "../../../src/core/message.js";
import { NO_CLAIMS } from "../../../src/core/session.js";
import type { BatchFacts, DeliveryRun, OpenSession, OffsetRun, SettleFailure, Settlement } from "../../../src/core/session.js";
import type { DeliveryPart } from "../../../src/core/subscription/effects.js";
import { offset } from "../../../src/core/units.js";
import { MemoryDisk } from "../../../src/engines/memory/memory-disk.js";
import { MemoryEngine } from "../../../src/engines/memory/memory-engine.js";
import { MemoryFaults } from "../../../src/engines/memory/memory-faults.js";
import type { Random } from "../../../src/ports/random.js";
import { NO_TELEMETRY } from "../../../src/ports/telemetry.js";
import { EventLoopTurns } from "../../../src/system/turns.js";
import { until } from "../../support/condition.js";
import { ManualClock } from "../../support/manual-clock.js";
import { newMessage } from "../../support/messages.js";
import { RecordedJournal } from "../../support/recorded-journal.js";

const DEADLINE_MS = 5_000;
const STEPS_MAX = 1_000;

/** Ids in order: "00…01", "00…02". */
class CountingRandom implements Random {
  private count = 0;

  id(): string {
    return (++this.count).toString(16).padStart(32, "0");
  }
}

/** A broker on a memory engine with a clock that the test drives. */
export class Bench {
  readonly clock = new ManualClock();
  readonly journal = new RecordedJournal();
  readonly random = new CountingRandom();
  readonly disk = new MemoryDisk();
  faults = new MemoryFaults();
  engine = new MemoryEngine(this.disk, this.faults);
  broker: Broker;

  private constructor(private readonly settings: BrokerSettings) {
    this.broker = this.build();
  }

  static async start(settings: Partial<BrokerSettings> = {}): Promise<Bench> {
    const bench = new Bench({ ...BROKER_DEFAULTS, ...settings });
    await bench.broker.start();
    return bench;
  }

  /** Messages of the journal so far. */
  get journalLines(): readonly string[] {
    return this.journal.entries.map(({ message }) => message);
  }

  /** No commit that begins from now on becomes durable. */
  breakDisk(): void {
    if (this.faults.failingCommit === 0) this.faults.failingCommit = this.faults.commits + 1;
  }

  /** A new process over the same disk. The old one is not asked, and writes nothing any more. */
  async crashAndRestart(): Promise<void> {
    this.breakDisk();
    await settled();
    this.faults = new MemoryFaults();
    this.engine = new MemoryEngine(this.disk, this.faults);
    this.broker = this.build();
    await this.broker.start();
  }

  publish(messages: readonly Partial<NewMessage>[], frame: Partial<PublishFrame> = {}): Promise<PublishOutcome> {
    return new Promise((resolve) => {
      this.broker.publish({ queue: "orders", messages: messages.map(newMessage), expectedLastOffset: undefined, independent: false, ...frame }, resolve);
    });
  }

  /** Publishes and expects it to be accepted. */
  async accepted(messages: readonly Partial<NewMessage>[], frame: Partial<PublishFrame> = {}): Promise<PublishAccepted> {
    const outcome = await this.publish(messages, frame);
    if (!outcome.ok) throw outcome.error;
    return outcome;
  }

  /** Publishes and expects it to be refused. */
  async refused(messages: readonly Partial<NewMessage>[], frame: Partial<PublishFrame> = {}): Promise<BrokerError> {
    const outcome = await this.publish(messages, frame);
    if (outcome.ok) throw new Error(`accepted at ${outcome.firstOffset}`);
    return outcome.error;
  }

  /** Publishes this many messages, each with its number as payload, in one batch. */
  async publishMany(count: number, event = "order.created"): Promise<PublishAccepted> {
    return this.accepted(Array.from({ length: count }, (_, i) => ({ event, payload: Buffer.from(String(i)) })));
  }

  async subscribe(open: Partial<OpenSession> = {}): Promise<TestSession> {
    const sink = new RecordingSink();
    const session = await this.broker.openSession({ ...OPEN, ...open }, sink);
    return new TestSession(session, sink);
  }

  /** A pull of a new session, unless it says otherwise. */
  pull(order: Partial<PullOrder> = {}, open: Partial<OpenSession> = {}): PullCall {
    return this.broker.pull({ open: { ...OPEN, kind: "PULL", ...open }, sessionId: "", maxMessages: 100, maxBytes: 1024 * 1024, waitMs: 0, ...order });
  }

  /** Drives the clock until the condition holds, in steps between which everything happens that needs no clock. */
  async advanceUntil(what: string, condition: () => boolean | Promise<boolean>, stepMs = 100): Promise<void> {
    for (let step = 0; step < STEPS_MAX; step++) {
      if (await condition()) return;
      this.clock.advance(stepMs);
      await settled(5);
    }
    throw new Error(`waited ${STEPS_MAX} steps of ${stepMs} ms in vain: ${what}`);
  }

  private build(): Broker {
    const { engine, clock, random, journal, settings } = this;
    return new Broker({ engine, clock, random, journal, settings, turns: new EventLoopTurns(), telemetry: NO_TELEMETRY });
  }
}

export const OPEN: OpenSession = {
  kind: "STREAM",
  queue: "orders",
  subscriber: "billing",
  events: [],
  ackMode: "EXPLICIT",
  flow: { maxMessages: 0, maxBytes: 0, paused: false },
  start: undefined,
  ackTimeoutMs: undefined,
  stop: { kind: "never" },
  textView: false,
  clientId: "test",
  queueId: "",
  heartbeatMs: undefined,
  clientTimeoutMs: undefined,
  maxBatchMessages: 0,
  maxInFlightPerLane: 1,
  maxBatchBytes: 0,
  sharing: "SHARED",
  claims: NO_CLAIMS,
  replacesSessionId: "",
  labels: new Map(),
  peer: "127.0.0.1:1",
  userAgent: "test/1",
};

export interface ReceivedBatch {
  readonly facts: BatchFacts;
  readonly messages: readonly StoredMessage[];
  readonly backlogCount: number;
}

export interface ReceivedResult {
  readonly requestIds: readonly bigint[];
  readonly failures: readonly SettleFailure[];
  readonly committedOffset: number;
}

/** A client's side of a stream: everything the broker said, in order. */
export class RecordingSink implements SessionSink {
  /** Kinds of frames in the order in which they came. */
  readonly frames: string[] = [];
  facts: SessionOpened | undefined;
  readonly batches: ReceivedBatch[] = [];
  readonly results: ReceivedResult[] = [];
  readonly heartbeats: HeartbeatFacts[] = [];
  readonly recalls: DeliveryRun[] = [];
  readonly gaps: { readonly first: number; readonly last: number; readonly matchingCount: number }[] = [];
  readonly notices: { readonly reason: string; readonly detail: string; readonly first: number | undefined }[] = [];
  readonly goneAway: string[] = [];
  ended = false;
  error: BrokerError | undefined;

  opened(facts: SessionOpened): void {
    this.hear("opened");
    this.facts = facts;
  }

  deliver(facts: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): void {
    this.hear("deliveries");
    this.batches.push({ facts, messages: parts.flatMap(messagesOf), backlogCount });
  }

  result(requestIds: readonly bigint[], failures: readonly SettleFailure[], committedOffset: number): void {
    this.hear("result");
    this.results.push({ requestIds, failures, committedOffset });
  }

  heartbeat(facts: HeartbeatFacts): void {
    this.hear("heartbeat");
    this.heartbeats.push(facts);
  }

  recall(ranges: readonly DeliveryRun[]): void {
    this.hear("recall");
    this.recalls.push(...ranges);
  }

  gap(first: number, last: number, matchingCount: number): void {
    this.hear("gap");
    this.gaps.push({ first, last, matchingCount });
  }

  notice(reason: string, detail: string, range: OffsetRun | DeliveryRun | undefined): void {
    this.hear("notice");
    this.notices.push({ reason, detail, first: range?.first });
  }

  goingAway(_graceMs: number, _reconnectAfterMs: number, reason: string): void {
    this.hear("going_away");
    this.goneAway.push(reason);
  }

  end(error: BrokerError | undefined): void {
    this.hear("end");
    this.ended = true;
    this.error = error;
  }

  private hear(frame: string): void {
    expect(this.ended, `${frame} after the end`).to.equal(false);
    this.frames.push(frame);
  }
}

/** An open session and what it has heard. */
export class TestSession {
  private lastRequestId = 0n;
  private lostByClient = false;
  /** By request: the messages that a settle named, as long as its answer is owed. */
  private readonly owed = new Map<bigint, readonly number[]>();

  constructor(
    readonly session: Session,
    readonly heard: RecordingSink,
  ) {}

  get isOver(): boolean {
    return this.lostByClient || this.heard.ended;
  }

  /** The stream breaks. */
  lost(): void {
    this.lostByClient = true;
    this.session.lost();
  }

  /** Sends a final verdict on these messages. */
  sendFor(settlement: Partial<Settlement>, offsets: readonly number[]): void {
    this.owed.set(this.send(settlement), offsets);
  }

  /** Offsets whose final verdict was confirmed since the last call, without a failure. */
  confirmedOffsets(): readonly number[] {
    const confirmed: number[] = [];
    for (const [id, offsets] of this.owed) {
      const result = this.resultOf(id);
      if (result === undefined) continue;
      this.owed.delete(id);
      const failed = result.failures.filter(({ requestId }) => requestId === id);
      for (const offset of offsets) if (!failed.some(({ range }) => range.first <= offset && offset <= range.last)) confirmed.push(offset);
    }
    return confirmed;
  }

  /** Offsets received so far, in the order in which they came. */
  get offsets(): readonly number[] {
    return this.heard.batches.flatMap(({ messages }) => messages.map((message) => message.offset));
  }

  async received(count: number): Promise<readonly number[]> {
    await until(`${count} messages come`, DEADLINE_MS, () => this.offsets.length >= count);
    return this.offsets;
  }

  /** Sends a settle and waits for its result. */
  async settle(settlement: Partial<Settlement>): Promise<ReceivedResult> {
    const requestId = this.send(settlement);
    return until("a result comes", DEADLINE_MS, () => this.resultOf(requestId) ?? false);
  }

  send(settlement: Partial<Settlement>): bigint {
    const requestId = ++this.lastRequestId;
    this.session.settle(requestId, settlementOf(settlement));
    return requestId;
  }

  ack(first: number, last = first): Promise<ReceivedResult> {
    return this.settle({ acks: [run(first, last)] });
  }

  resultOf(requestId: bigint): ReceivedResult | undefined {
    return this.heard.results.find(({ requestIds }) => requestIds.includes(requestId));
  }

  async ended(): Promise<BrokerError | undefined> {
    await until("the stream ends", DEADLINE_MS, () => this.heard.ended);
    return this.heard.error;
  }
}

export function run(first: number, last = first, batchId = 0): DeliveryRun {
  return { first: offset(first), last: offset(last), batchId };
}

export function settlementOf(settlement: Partial<Settlement>): Settlement {
  return { acks: [], ackThroughBatchId: 0, retries: [], rejects: [], releases: [], extends: [], extendAllMs: undefined, ...settlement };
}

/** Lets everything that needs no clock happen. */
export async function settled(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** The BrokerError that a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<BrokerError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

export function messagesOf({ chunk, firstIndex, count }: DeliveryPart): StoredMessage[] {
  return Array.from({ length: count }, (_, i) => {
    const start = messageStart(chunk, firstIndex + i);
    const bytes = chunk.body?.subarray(start, start + messageBytes(chunk, firstIndex + i));
    if (bytes === undefined) throw new Error("delivered without a body");
    return decodeMessage(bytes);
  });
}
