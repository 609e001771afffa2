import { expect } from "chai";
import fc from "fast-check";
import { EventFilter } from "../../src/core/event-filter.js";
import type { Claims } from "../../src/core/session.js";
import { offset } from "../../src/core/units.js";
import { range, SETTINGS, SubscriptionHarness } from "../support/subscription-harness.js";

const SESSIONS = ["a", "b", "c"];
/** Request ids from here on are of acks that the oracle itself sends after a purge. */
const LATE_ACK = 1_000_000n;
const EVENTS = ["order.created", "order.paid", "user.joined"];

type Action =
  | { do: "publish"; messages: { event: number; lane: number }[] }
  | { do: "open"; session: number; window: number; auto: boolean; batch: number; depth: number; claims: "none" | "through" | "done"; from: number; count: number }
  | { do: "drain"; session: number }
  | { do: "end"; session: number; graceful: boolean }
  | { do: "settle"; session: number; verdict: "ack" | "retry" | "reject" | "release" | "extend" | "through"; from: number; count: number; named: boolean }
  | { do: "flow"; session: number; window: number; paused: boolean }
  | { do: "transport"; session: number; ready: boolean }
  | { do: "pass"; ms: number }
  | { do: "saved" }
  | { do: "purge"; behindHead: number }
  | { do: "crash" };

const session = fc.nat({ max: SESSIONS.length - 1 });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const), messages: fc.array(fc.record({ event: fc.nat({ max: 2 }), lane: fc.nat({ max: 3 }) }), { minLength: 1, maxLength: 12 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("open" as const), session, window: fc.integer({ min: 1, max: 20 }), auto: fc.boolean(), batch: fc.integer({ min: 1, max: 8 }), depth: fc.constantFrom(1, 2, 5, 1_000), claims: fc.constantFrom("none" as const, "none" as const, "through" as const, "done" as const), from: fc.nat({ max: 60 }), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drain" as const), session }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), session, graceful: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("settle" as const),
      session,
      verdict: fc.constantFrom("ack" as const, "retry" as const, "reject" as const, "release" as const, "extend" as const, "through" as const, "ack" as const),
      from: fc.nat({ max: 40 }),
      count: fc.integer({ min: 1, max: 12 }),
      named: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("flow" as const), session, window: fc.integer({ min: 1, max: 20 }), paused: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("transport" as const), session, ready: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1, 60, 500, 5_000, 20_000) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("saved" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("purge" as const), behindHead: fc.nat({ max: 15 }) }) },
);

function offsetsOf(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

/** What clients have seen and been told, and what that forbids from then on. */
class Oracle {
  readonly windows = new Map<string, number>();
  readonly depths = new Map<string, number>();
  private readonly autos = new Set<string>();
  readonly draining = new Set<string>();
  /** What clients said that they had done, which they need not see. */
  readonly claimed = new Set<number>();
  private readonly unready = new Map<string, number[]>();
  /** Confirmed as settled: never to be seen again. */
  readonly settledForGood = new Set<number>();
  private readonly toldCounts = new Map<number, { attempt: number; deliveries: number }>();
  private readonly unconfirmed = new Map<bigint, number[]>();
  private seen = 0;
  /** What had been purged before the deliveries that are looked at next. */
  private purgedWhenSeen = 0;
  private effectsSeen = 0;
  private committed = 0;
  /** A purge or a claim ended inside what lanes have behind: how many of these are left is only bounded from then on. */
  private lanesAreBounded = false;
  private lateAcks = 0n;

  constructor(
    private readonly harness: SubscriptionHarness,
    readonly exclusive: boolean,
  ) {}

  opened(id: string, window: number, auto: boolean): void {
    this.draining.delete(id);
    this.windows.set(id, window);
    if (auto) this.autos.add(id);
    else this.autos.delete(id);
  }

  isAuto(id: string): boolean {
    return this.autos.has(id);
  }

  /** A settle was sent; what of it the machine took is settled for good once confirmed. */
  sent(requestId: bigint, offsets: number[]): void {
    this.unconfirmed.set(requestId, offsets);
  }

  /** A session claims these; those that must be settled are, for good, when it is ready. */
  claims(id: string, offsets: readonly number[], settled: boolean): void {
    for (const at of offsets) this.claimed.add(at);
    this.lanesAreBounded = true;
    this.unready.set(id, settled ? [...offsets] : []);
  }

  /** The process died: nobody heard of what it had not confirmed. */
  crashed(): void {
    this.unready.clear();
  }

  /** Of an exclusive subscription one session works, and only it holds messages. */
  checkWorkers(open: ReadonlySet<string>): void {
    if (!this.exclusive) return;
    const workers = [...open].filter((id) => !this.harness.machine.standsBy(id));
    const able = [...open].filter((id) => !this.draining.has(id));
    expect(workers.length, `of ${[...open].join()} there work ${workers.join()}`).to.be.within(able.length > 0 ? 1 : 0, 1);
    for (const [id, runs] of this.harness.machine.census().held) if (runs.length > 0) expect(workers).to.include(id);
  }

  /** A purge through an offset: says what every session is owed, and checks that it gets it. */
  purged(through: number, purge: () => void): void {
    const { harness } = this;
    const before = harness.machine.census();
    const within = (runs: readonly { first: number; last: number }[]): number[] => runs.flatMap(({ first, last }) => offsetsOf(first, Math.min(last, through)));
    const lost = [...within(before.ready), ...within(before.waiting), ...harness.matching(before.next, through)];
    if (through < before.next - 1) this.lanesAreBounded = true;
    const heard = harness.effects.length;
    purge();
    for (const [id, runs] of before.held) this.ackLate(id, within(runs));
    const gaps = harness.effects.slice(heard).flatMap((effect) => (effect.type === "gap" ? [effect] : []));
    for (const { first, last, matchingCount } of gaps) expect(matchingCount, "what is told of as lost").to.be.at.most(harness.settings.ordered ? last - first + 1 : lost.length);
    // In lanes a gap knows less than this, and of what clients had finished nothing is lost.
    if (harness.settings.ordered || this.claimed.size > 0) return;
    // Whoever was not told yet that its session is open begins behind the purge.
    const started = [...before.held.keys()].filter((id) => harness.started.has(id));
    expect(gaps.map(({ session }) => session), "who hears of the purge").to.deep.equal(lost.length === 0 ? [] : started);
    for (const { first, last, matchingCount } of gaps) {
      expect(first, "where the gap begins").to.be.at.most(Math.min(...lost));
      expect({ last, matchingCount }).to.deep.equal({ last: through, matchingCount: lost.length });
    }
  }

  /** An ack of what was purged while in flight: no failure. */
  private ackLate(id: string, offsets: number[]): void {
    if (offsets.length > 0 && !this.isAuto(id)) this.harness.settle(id, { acks: offsets.map((at) => range(at)) }, LATE_ACK + ++this.lateAcks);
  }

  check(): void {
    this.checkDeliveries();
    this.checkPurged();
    this.checkConfirmations();
    this.checkCensus();
    this.checkWindows();
  }

  private checkDeliveries(): void {
    for (; this.seen < this.harness.received.length; this.seen++) {
      const received = this.harness.received[this.seen];
      if (received === undefined) continue;
      for (const at of received.offsets) {
        expect(at, "beyond the head").to.be.at.most(this.harness.head);
        expect(this.harness.settings.filter.matches(this.harness.eventAt(at)), `offset ${at} is not for this filter`).to.equal(true);
        expect(this.settledForGood.has(at), `offset ${at} came again after its settle was confirmed`).to.equal(false);
        expect(at, "purged, and delivered all the same").to.be.greaterThan(this.purgedWhenSeen);
        const told = this.toldCounts.get(at);
        if (told !== undefined) {
          expect(received.batch.attempt, `attempt of ${at} went back`).to.be.at.least(told.attempt);
          expect(received.batch.deliveryCount, `delivery count of ${at} went back`).to.be.at.least(told.deliveries);
        }
        this.toldCounts.set(at, { attempt: received.batch.attempt, deliveries: received.batch.deliveryCount });
      }
    }
  }

  /** Of what was purged nothing is left but burials, and what in a lane waits behind one. */
  private checkPurged(): void {
    const { purgedThrough } = this.harness;
    this.purgedWhenSeen = purgedThrough;
    const { next, ready, waiting, held } = this.harness.machine.census();
    expect(next).to.be.greaterThan(purgedThrough);
    for (const { first } of [...ready, ...waiting, ...[...held.values()].flat()]) expect(first, "purged, and still to come").to.be.greaterThan(purgedThrough);
  }

  private checkConfirmations(): void {
    for (; this.effectsSeen < this.harness.effects.length; this.effectsSeen++) {
      const effect = this.harness.effects[this.effectsSeen];
      if (effect?.type === "session_ready") for (const at of this.unready.get(effect.session) ?? []) this.settledForGood.add(at);
      if (effect?.type !== "confirm") continue;
      expect(effect.failures.filter(({ requestId }) => requestId > LATE_ACK), "a late ack failed").to.deep.equal([]);
      for (const id of effect.requestIds) {
        const failed = effect.failures.filter((failure) => failure.requestId === id);
        for (const at of this.unconfirmed.get(id) ?? []) {
          if (!failed.some(({ range: { first, last } }) => first <= at && at <= last)) this.settledForGood.add(at);
        }
        this.unconfirmed.delete(id);
      }
    }
  }

  private checkCensus(): void {
    if (this.harness.settings.ordered) this.checkLanes();
    else this.checkPlaces();
    const { committedOffset } = this.harness.machine.counts();
    expect(committedOffset, "the committed offset went back").to.be.at.least(this.committed);
    this.committed = committedOffset;
  }

  /** What a lane has settled is a prefix; what is left of it is handed out or counted. */
  private checkLanes(): void {
    const census = this.harness.machine.census();
    const held = new Map([...census.held].map(([id, runs]) => [id, new Set(runs.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i)))]));
    const inLanes = new Set<number>();
    for (const { hash, first, handedOut, behind } of census.lanes) {
      const isLeft = (at: number): boolean => at > this.harness.purgedThrough || handedOut.some((held) => held === at);
      const left = this.matching().filter((at) => this.harness.laneAt(at) === hash && at >= first && at < census.next && isLeft(at));
      if (behind === Infinity) expect(left.length, `lane ${hash}`).to.be.at.least(handedOut.length);
      else if (this.lanesAreBounded) expect(left.length, `lane ${hash}`).to.be.at.most(handedOut.length + behind);
      else expect(left.length, `lane ${hash}`).to.equal(handedOut.length + behind);
      expect(left.slice(0, handedOut.length), `lane ${hash} hands out in order`).to.deep.equal(handedOut);
      for (const at of handedOut) inLanes.add(at);
      const holders = [...held].filter(([, offsets]) => handedOut.some((at) => offsets.has(at)));
      expect(holders.length, `sessions that hold lane ${hash}`).to.be.at.most(1);
      for (const [id] of holders) expect(handedOut.length).to.be.at.most(this.depths.get(id) ?? 0);
    }
    for (const offsets of held.values()) for (const at of offsets) expect(inLanes.has(at), `${at} is held outside its lane`).to.equal(true);
    for (const at of this.settledForGood) expect(inLanes.has(at), `${at} is settled and handed out`).to.equal(false);
    const lags = new Map(census.lanes.map(({ hash, first }) => [hash, first as number]));
    for (const at of this.settledForGood) expect(at, "a lane settled out of order").to.be.below(lags.get(this.harness.laneAt(at)) ?? Infinity);
  }

  private matching(): number[] {
    return this.harness.matching(1, this.harness.head);
  }

  private checkPlaces(): void {
    const census = this.harness.machine.census();
    const places = new Map<number, string>();
    const put = (runs: readonly { first: number; last: number }[], place: string): void => {
      for (const { first, last } of runs) {
        for (let at = first; at <= last; at++) {
          expect(places.has(at), `${at} is ${places.get(at) ?? ""} and ${place}`).to.equal(false);
          places.set(at, place);
        }
      }
    };
    for (const [id, runs] of census.held) put(runs, `held by ${id}`);
    put(census.ready, "ready");
    put(census.waiting, "waiting");
    put(census.burying.map((at) => ({ first: at, last: at })), "burying");
    const unsettled = census.unsettled.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
    expect([...places.keys()].sort((a, b) => a - b)).to.deep.equal(unsettled);
    for (const at of unsettled) expect(at).to.be.below(census.next);
    if (unsettled[0] !== undefined) expect(this.harness.machine.counts().committedOffset).to.be.below(unsettled[0]);
  }

  private checkWindows(): void {
    for (const [id, window] of this.windows) {
      if (!this.isAuto(id)) expect(this.harness.machine.inFlight(id), `window of ${id}`).to.be.at.most(window);
    }
  }
}

function perform(harness: SubscriptionHarness, oracle: Oracle, step: Action, requestId: bigint, open: Set<string>): void {
  const id = "session" in step ? (SESSIONS[step.session] ?? "") : "";
  switch (step.do) {
    case "publish":
      harness.publishInLanes(...step.messages.map(({ event, lane }) => [EVENTS[event] ?? "", lane] as const));
      return;
    case "open":
      if (open.has(id)) return;
      oracle.opened(id, step.window, step.auto);
      oracle.depths.set(id, step.auto ? Infinity : step.depth);
      harness.open(
        id,
        {
          ackMode: step.auto ? "AUTO" : "EXPLICIT",
          flow: { maxMessages: step.window, maxBytes: 1_000, paused: false },
          maxBatchMessages: step.batch,
          maxInFlightPerLane: step.depth,
          sharing: oracle.exclusive ? "EXCLUSIVE" : "SHARED",
        },
        claimsOf(harness, oracle, id, step, open),
      );
      open.add(id);
      return;
    case "drain":
      if (!open.has(id)) return;
      oracle.draining.add(id);
      harness.step({ type: "drain_requested", session: id });
      return;
    case "end":
      if (open.delete(id)) harness.end(id, step.graceful);
      return;
    case "settle":
      if (open.has(id)) settle(harness, oracle, id, step, requestId);
      return;
    case "flow":
      // A window may shrink below what is in flight; only growth is checked.
      oracle.windows.set(id, Math.max(step.window, oracle.windows.get(id) ?? 0));
      harness.step({ type: "flow_changed", session: id, flow: { maxMessages: step.window, maxBytes: 1_000, paused: step.paused } });
      return;
    case "transport":
      harness.step({ type: "transport_changed", session: id, ready: step.ready });
      return;
    case "pass":
      harness.pass(step.ms);
      return;
    case "saved":
      harness.finishBurying();
      harness.finishSaving();
      return;
    case "crash":
      harness.crash();
      oracle.crashed();
      open.clear();
      return;
    case "purge": {
      const through = harness.head - step.behindHead;
      if (through < 1) return;
      oracle.purged(through, () => { harness.purge(through); });
      return;
    }
  }
}

/** What a client may claim at this moment; it never says less than was settled. */
function claimsOf(harness: SubscriptionHarness, oracle: Oracle, id: string, step: Extract<Action, { do: "open" }>, open: ReadonlySet<string>): Partial<Claims> {
  const { machine, head } = harness;
  if (step.claims === "through" && oracle.exclusive) {
    const through = Math.max(Math.min(step.from, head), machine.settledThrough);
    const works = [...open].every((other) => machine.standsBy(other));
    oracle.claims(id, works ? Array.from({ length: through }, (_, i) => i + 1) : [], true);
    return { processedThrough: offset(through) };
  }
  const last = Math.min(head, step.from + step.count);
  if (step.claims !== "done" || step.from === 0 || last < step.from) return {};
  const held = [...machine.census().held.values()].flat();
  const burying = machine.census().burying;
  const done = Array.from({ length: last - step.from + 1 }, (_, i) => step.from + i);
  const free = done.filter((at) => !burying.includes(offset(at)) && !held.some((run) => run.first <= at && at <= run.last));
  // In lanes it depends on what is before them.
  oracle.claims(id, free, !harness.settings.ordered);
  return { done: [{ first: offset(step.from), last: offset(last) }] };
}

function settle(harness: SubscriptionHarness, oracle: Oracle, id: string, step: Extract<Action, { do: "settle" }>, requestId: bigint): void {
  const batch = harness.received.findLast((received) => received.session === id);
  if (step.verdict === "through") {
    harness.settle(id, { ackThroughBatchId: batch?.batch.batchId ?? 1 }, requestId);
    return;
  }
  const first = Math.max(1, (batch?.offsets[0] ?? 1) + step.from - 5);
  const target = range(first, first + step.count - 1, step.named ? (batch?.batch.batchId ?? 0) : 0);
  const held = new Set(harness.machine.census().held.get(id)?.flatMap((run) => Array.from({ length: run.last - run.first + 1 }, (_, i) => run.first + i)));
  const mine = target.batchId === 0 ? held : new Set(batch?.offsets.filter((at) => held.has(at)));
  if (step.verdict === "ack" || step.verdict === "reject") {
    oracle.sent(requestId, [...mine].filter((at) => at >= target.first && at <= target.last));
  }
  harness.settle(
    id,
    {
      acks: step.verdict === "ack" ? [target] : [],
      retries: step.verdict === "retry" ? [{ range: target, delayMs: undefined, reason: "busy" }] : [],
      rejects: step.verdict === "reject" ? [{ range: target, reason: "bad" }] : [],
      releases: step.verdict === "release" ? [target] : [],
      extends: step.verdict === "extend" ? [{ range: target, leaseMs: 15_000 }] : [],
    },
    requestId,
  );
}

/** One healthy consumer until nothing is left. */
function drain(harness: SubscriptionHarness, oracle: Oracle, open: Set<string>): void {
  harness.diskIsFast = true;
  harness.buriesLate = false;
  harness.finishBurying();
  for (const id of open) harness.end(id, true);
  while (harness.isSaving) harness.finishSaving();
  harness.open("drain", { maxInFlightPerLane: 2, sharing: oracle.exclusive ? "EXCLUSIVE" : "SHARED" });
  let seen = harness.received.length;
  for (let turn = 0; turn < 2_000 && harness.machine.counts().committedOffset < harness.head; turn++) {
    for (; seen < harness.received.length; seen++) {
      const batch = harness.received[seen];
      if (batch?.session !== "drain") continue;
      for (const at of batch.offsets) harness.settle("drain", { acks: [range(at, at, batch.batch.batchId)] });
    }
    if (seen === harness.received.length) harness.pass(1_000);
  }
}

describe("the subscription machine, whatever happens", function () {
  this.timeout(60_000);
  const RUNS = Number(process.env["TIDEMARK_RUNS"] ?? 400);
  const seed = Number(process.env["TIDEMARK_SEED"] ?? Date.now() % 0x7fffffff);

  for (const ordered of [false, true]) {
    for (const patterns of [[], ["order.*"], ["user.joined"]]) {
      const what = ordered ? "keeps every lane in order" : "keeps every message in one place";
      it(`${what} and settles all of them in the end, with the filter [${patterns.join()}] (seed ${seed})`, () => {
        const settings = { ...SETTINGS, ordered, filter: EventFilter.parse(patterns), maxUnsettled: 30 };
        fc.assert(
          fc.property(fc.array(action, { maxLength: 60, size: "max" }), fc.boolean(), fc.boolean(), fc.boolean(), (actions, diskIsFast, exclusive, buriesLate) => {
            const harness = new SubscriptionHarness(settings, diskIsFast);
            harness.buriesLate = buriesLate;
            checkHistory(harness, exclusive, actions);
          }),
          { seed, numRuns: RUNS },
        );
      });
    }
  }
});

function checkHistory(harness: SubscriptionHarness, exclusive: boolean, actions: readonly Action[]): void {
  const oracle = new Oracle(harness, exclusive);
  const open = new Set<string>();
  actions.forEach((step, i) => {
    perform(harness, oracle, step, BigInt(i + 1), open);
    const { held } = harness.machine.census();
    for (const id of open) if (!held.has(id)) open.delete(id);
    oracle.check();
    oracle.checkWorkers(open);
  });
  drain(harness, oracle, open);
  oracle.check();
  const matching = harness.matching(harness.purgedThrough + 1, harness.head);
  expect(harness.machine.counts().committedOffset).to.equal(offset(harness.head));
  const buried = harness.deadLetters.map((letter) => letter.offset as number);
  expect(new Set(buried).size, "a dead letter was copied twice").to.equal(buried.length);
  const seen = new Set(harness.offsetsReceived());
  expect(matching.filter((at) => !seen.has(at) && !oracle.claimed.has(at)), "never delivered").to.deep.equal([]);
}
