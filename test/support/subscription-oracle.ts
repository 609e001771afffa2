import { expect } from "chai";
import { range, type SubscriptionHarness } from "./subscription-harness.js";

/** Request ids from here on are of late acks. */
const LATE_ACK = 1_000_000n;

/** Where a message of a subscription can be, once the subscription has looked at it. */
export const PLACES = ["settled", "in flight", "waiting for its delay", "ready again", "blocked", "moving to the dead letters"] as const;
/** Beside those: a verdict that waits for its lane, and a message that no session had room for yet. */
type Place = (typeof PLACES)[number] | "decided" | "behind";
/** How often a message was seen in each place. */
export type Sightings = Map<Place, number>;

/** What clients have seen and been told, and what that forbids from then on. */
export class Oracle {
  readonly windows = new Map<string, number>();
  readonly depths = new Map<string, number>();
  private readonly autos = new Set<string>();
  readonly draining = new Set<string>();
  /** What clients said that they had done, which they need not see. */
  readonly claimed = new Set<number>();
  private readonly unready = new Map<string, number[]>();
  /** Confirmed as settled: never to be seen again. */
  readonly settledForGood = new Set<number>();
  private readonly delivered = new Set<number>();
  private readonly toldCounts = new Map<number, { attempt: number; deliveries: number }>();
  private readonly unconfirmed = new Map<bigint, number[]>();
  private seen = 0;
  /** What had been purged before the deliveries that are looked at next. */
  private purgedWhenSeen = 0;
  /** A purge or a claim ended inside what lanes have behind: how many of these are left is only bounded from then on. */
  private lanesAreBounded = false;
  private lateAcks = 0n;
  private effectsSeen = 0;
  private committed = 0;

  constructor(
    private readonly harness: SubscriptionHarness,
    readonly exclusive: boolean,
    private readonly sightings: Sightings,
  ) {}

  opened(id: string, window: number, auto: boolean): void {
    this.draining.delete(id);
    this.unready.delete(id);
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

  /** What was confirmed as settled beyond an offset, as runs. */
  settledBeyond(after: number): { first: number; last: number }[] {
    return single([...this.settledForGood].filter((at) => at > after).sort((a, b) => a - b));
  }

  /** An operator moves the subscriber: what was confirmed before holds no more, but for what counts as settled there. */
  moved(after: number, settled: readonly { readonly first: number; readonly last: number }[], move: () => void): void {
    const stays = new Set(this.harness.settings.ordered ? [] : offsetsIn(settled));
    for (const at of this.settledForGood) if (at > after && !stays.has(at)) this.settledForGood.delete(at);
    for (const at of [...offsetsIn([{ first: 1, last: after }]), ...offsetsIn(settled)]) this.claimed.add(at);
    this.unconfirmed.clear();
    this.unready.clear();
    this.toldCounts.clear();
    // In lanes it depends on what is before them.
    this.lanesAreBounded ||= settled.length > 0;
    this.committed = Math.min(this.committed, after);
    const heard = this.harness.effects.length;
    const { held } = this.harness.machine.census();
    move();
    const recalled = this.harness.effects.slice(heard).flatMap((effect) => (effect.type === "recall" && effect.cause === "SEEK" ? effect.ranges : []));
    const inHand = [...held].flatMap(([id, runs]) => (this.isAuto(id) ? [] : offsetsIn(runs)));
    // Whoever is leaving hears nothing any more.
    expect(inHand, "what is told of as lost").to.include.members(offsetsIn(recalled));
    const told = new Set(offsetsIn(settled));
    const { committedOffset } = this.harness.machine.counts();
    expect(this.harness.matching(after + 1, committedOffset).filter((at) => !told.has(at) && !this.harness.hasExpired(at)), "what retention might take of what comes again").to.deep.equal([]);
  }

  /** Of an exclusive subscription one session works, and only it holds messages. */
  checkWorkers(open: ReadonlySet<string>): void {
    if (!this.exclusive) return;
    const workers = [...open].filter((id) => !this.harness.machine.standsBy(id));
    const able = [...open].filter((id) => !this.draining.has(id));
    const holders = [...this.harness.machine.census().held].flatMap(([id, runs]) => (runs.length > 0 ? [id] : []));
    const leaving = holders.some((id) => !open.has(id));
    expect(workers.length, `of ${[...open].join()} there work ${workers.join()}`).to.be.within(able.length > 0 && !leaving ? 1 : 0, 1);
    // Nobody else holds anything before whoever is over has given everything back.
    for (const id of holders) if (leaving) expect(open.has(id), `${id} works while another one leaves`).to.equal(false);
    else expect(workers).to.include(id);
  }

  /** A purge through an offset: says what every session is owed, and checks that it gets it. */
  purged(through: number, purge: () => void): void {
    const { harness } = this;
    const before = harness.machine.census();
    const within = (runs: readonly { first: number; last: number }[]): number[] => runs.flatMap(({ first, last }) => offsetsIn([{ first, last: Math.min(last, through) }]));
    const lost = [...within(before.ready), ...within(before.waiting), ...before.blocked.filter((at) => at <= through), ...harness.matching(before.next, through)];
    if (through < before.next - 1) this.lanesAreBounded = true;
    const heard = harness.effects.length;
    const started = [...before.held.keys()].filter((id) => harness.started.has(id));
    purge();
    // A purge also frees who waited for one that was leaving: the first of them hears what nobody was there to hear.
    if (started.length === 0) started.push(...[...before.held.keys()].filter((id) => harness.started.has(id)).slice(0, 1));
    for (const [id, runs] of before.held) this.ackLate(id, within(runs));
    const gaps = harness.effects.slice(heard).flatMap((effect) => (effect.type === "gap" ? [effect] : []));
    for (const { first, last, matchingCount } of gaps) expect(matchingCount, "what is told of as lost").to.be.at.most(harness.settings.ordered ? last - first + 1 : lost.length);
    // In lanes a gap knows less than this, and of what clients had finished nothing is lost.
    if (harness.settings.ordered || this.claimed.size > 0) return;
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
        this.delivered.add(at);
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
    const { next, ready, waiting, blocked, held } = this.harness.machine.census();
    expect(next).to.be.greaterThan(purgedThrough);
    for (const { first } of [...ready, ...waiting, ...single(blocked), ...[...held.values()].flat()]) expect(first, "purged, and still to come").to.be.greaterThan(purgedThrough);
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
    else this.checkUnsettled();
    this.checkPlaces();
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
    for (const at of census.blocked) {
      const lane = census.lanes.find(({ hash }) => hash === this.harness.laneAt(at));
      expect([lane?.first, lane?.handedOut], `the lane that ${at} blocks`).to.deep.equal([at, []]);
    }
    if (this.harness.settings.onPoison !== "BLOCK_LANE") expect(census.blocked, "blocked without BLOCK_LANE").to.deep.equal([]);
    for (const offsets of held.values()) for (const at of offsets) expect(inLanes.has(at), `${at} is held outside its lane`).to.equal(true);
    for (const at of this.settledForGood) expect(inLanes.has(at), `${at} is settled and handed out`).to.equal(false);
    const lags = new Map(census.lanes.map(({ hash, first }) => [hash, first as number]));
    for (const at of this.settledForGood) {
      // Of what was purged no verdict waits for the one before it.
      if (at > this.harness.purgedThrough) expect(at, "a lane settled out of order").to.be.below(lags.get(this.harness.laneAt(at)) ?? Infinity);
    }
  }

  matching(): number[] {
    return this.harness.matching(1, this.harness.head);
  }

  /** Every message that was looked at is in exactly one place, and nothing else is in any. */
  private checkPlaces(): void {
    const census = this.harness.machine.census();
    const places = new Map<number, Place>();
    const put = (runs: readonly { first: number; last: number }[], place: Place): void => {
      for (const at of offsetsIn(runs)) {
        expect(places.get(at), `${at} is ${place} and also`).to.equal(undefined);
        places.set(at, place);
      }
    };
    for (const runs of census.held.values()) put(runs, "in flight");
    put(census.ready, "ready again");
    put(census.waiting, "waiting for its delay");
    put(single(census.blocked), "blocked");
    put(single(census.burying), "moving to the dead letters");
    const unsettled = new Set(this.harness.settings.ordered ? this.leftInLanes() : offsetsIn(census.unsettled));
    // A purge settles what blocked its lane, though the copy of it is still on its way.
    const isLeaving = (at: number, place: Place): boolean => place === "moving to the dead letters" && at <= this.harness.purgedThrough;
    for (const [at, place] of places) expect(unsettled.has(at) || isLeaving(at, place), `${at} is settled and ${place}`).to.equal(true);
    // Of a lane that was cut off it is not known how much is behind.
    if (!this.lanesAreBounded) expect(this.harness.machine.counts().unsettled, "unsettled").to.equal(unsettled.size);
    const handedOut = new Set(census.lanes.flatMap((lane) => lane.handedOut as readonly number[]));
    for (const at of this.matching()) {
      if (at >= census.next) break;
      const place = places.get(at) ?? (!unsettled.has(at) ? "settled" : handedOut.has(at) ? "decided" : "behind");
      if (place === "settled") expect(this.delivered.has(at) || this.claimed.has(at) || this.harness.hasExpired(at) || at <= this.harness.purgedThrough, `${at} is settled and was never delivered`).to.equal(true);
      if (place === "behind") expect(this.harness.settings.ordered, `${at} is nowhere`).to.equal(true);
      this.sightings.set(place, (this.sightings.get(place) ?? 0) + 1);
    }
    expect(this.harness.machine.counts()).to.include({ blockedLanes: census.blocked.length, inFlight: offsetsIn([...census.held.values()].flat()).length });
  }

  private leftInLanes(): number[] {
    const { lanes, next, burying } = this.harness.machine.census();
    const firsts = new Map(lanes.map(({ hash, first }) => [hash, first as number]));
    const out = new Set<number>([...lanes.flatMap(({ handedOut }) => handedOut), ...burying]);
    return this.matching().filter((at) => at < next && at >= (firsts.get(this.harness.laneAt(at)) ?? Infinity) && (at > this.harness.purgedThrough || out.has(at)));
  }

  private checkUnsettled(): void {
    const { unsettled, next } = this.harness.machine.census();
    const [first] = unsettled;
    for (const at of offsetsIn(unsettled)) expect(at).to.be.below(next);
    if (first !== undefined) expect(this.harness.machine.counts().committedOffset).to.be.below(first.first);
  }

  private checkWindows(): void {
    for (const [id, window] of this.windows) {
      if (!this.isAuto(id)) expect(this.harness.machine.inFlight(id), `window of ${id}`).to.be.at.most(window);
    }
  }
}

function offsetsIn(runs: readonly { readonly first: number; readonly last: number }[]): number[] {
  return runs.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
}

function single(offsets: readonly number[]): { first: number; last: number }[] {
  return offsets.map((at) => ({ first: at, last: at }));
}
