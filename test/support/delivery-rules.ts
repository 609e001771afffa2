import type { Violation } from "./history-checker.js";
import type { HistoryIndex } from "./history-index.js";
import type { Delivered, HistoryEvent, Verdict } from "./history.js";
import { OpenHandOuts } from "./open-hand-outs.js";

/** I3, I4 and I7: what one subscriber is promised. */
export function checkDeliveries(index: HistoryIndex): Violation[] {
  const ledgers = new Map<string, Ledger>();
  for (const subscriber of index.subscribers.values()) {
    ledgers.set(subscriber.name, new Ledger(subscriber.name, index.matchingOffsets(subscriber), new OpenHandOuts((offset) => index.laneAt(offset))));
  }
  let kills = 0;
  for (const event of index.history) {
    if (event.type === "server_killed") kills++;
    if (!("session" in event)) continue;
    ledgers.get(index.subscriberOf(event.session).name)?.take(event, kills);
  }
  for (const ledger of ledgers.values()) ledger.finish();
  return [...ledgers.values()].flatMap((ledger) => ledger.violations);
}

type SessionEvent = Extract<HistoryEvent, { readonly session: string }>;
type SettleSent = Extract<HistoryEvent, { readonly type: "settle_sent" }>;

/** The last time that one message was handed out, and what was said about it since. */
interface HandOut {
  readonly delivered: Delivered;
  /** Which life of the server handed it out; undefined when that is not certain. */
  readonly life: number | undefined;
  verdict: Verdict | undefined;
  /** It went back uncounted, whatever its session said. */
  recalled: boolean;
}

/** Keeps the books of one subscriber while its history passes by. */
class Ledger {
  readonly violations: Violation[] = [];
  private readonly lastHandOut = new Map<number, HandOut>();
  private readonly handOuts = new Map<number, number>();
  private readonly retriesSent = new Map<number, number>();
  /** Offsets for which an ack or a reject was sent: only these may be passed by the committed offset. */
  private readonly settleSent = new Set<number>();
  private readonly settleConfirmed = new Set<number>();
  private readonly settles = new Map<string, SettleSent>();
  private readonly gracefulEnds = new Set<string>();
  /** They may hold several messages of a lane. */
  private readonly deepSessions = new Set<string>();
  private readonly killsWhenOpening = new Map<string, number>();
  /** By session. A frame may arrive after the kill of who sent it, so what counts is when its session opened. */
  private readonly lives = new Map<string, number>();
  private readonly lastCommittedIn = new Map<string, number>();
  private readonly highestWhenOpening = new Map<string, number>();
  private highestCommitted = 0;
  private abruptEnds = 0;
  /** Index into `matching`: everything before it has had an ack or a reject sent. */
  private floor = 0;

  constructor(
    private readonly name: string,
    private readonly matching: readonly number[],
    private readonly open: OpenHandOuts,
  ) {}

  take(event: SessionEvent, kills: number): void {
    this.open.take(event);
    switch (event.type) {
      case "open_sent":
        if ((event.laneDepth ?? 1) > 1) this.deepSessions.add(event.session);
        this.killsWhenOpening.set(event.session, kills);
        this.highestWhenOpening.set(event.session, this.highestCommitted);
        break;
      case "opened":
        if (this.killsWhenOpening.get(event.session) === kills) this.lives.set(event.session, kills);
        this.checkCommittedOnOpen(event.session, event.committedOffset);
        this.seeCommitted(event.session, event.committedOffset);
        break;
      case "committed_seen":
        this.seeCommitted(event.session, event.committedOffset);
        break;
      case "delivered":
        this.deliver(event);
        break;
      case "recalled":
        for (const offset of event.offsets) this.recall(event.session, offset);
        break;
      case "settle_sent":
        this.send(event);
        break;
      case "settle_confirmed":
        this.confirm(event.session, event.requestId, new Set(event.failed));
        break;
      case "session_ended":
        if (event.graceful) this.gracefulEnds.add(event.session);
        else this.abruptEnds++;
        break;
    }
  }

  /** The run was drained: nothing that matches may be left without a settle. */
  finish(): void {
    const missing = this.matching.find((offset) => !this.settleSent.has(offset));
    if (missing !== undefined) {
      this.report("I4", `offset ${missing} was never settled, and the subscriber is said to be drained`);
    }
  }

  private deliver(event: Delivered): void {
    const { offset } = event;
    if (this.settleConfirmed.has(offset)) {
      this.report("I3", `offset ${offset} came again in session ${event.session}, although its settle was confirmed`);
    }
    const before = this.lastHandOut.get(offset);
    // What was on its way to a client that said goodbye went back uncounted, and another one may have it already.
    const isLate = before !== undefined && this.gracefulEnds.has(event.session);
    if (before !== undefined && !isLate) this.checkCounts(before, event);
    this.checkUpperBounds(event);
    if (!isLate) this.lastHandOut.set(offset, { delivered: event, life: this.lives.get(event.session), verdict: undefined, recalled: false });
    this.handOuts.set(offset, (this.handOuts.get(offset) ?? 0) + 1);
  }

  private checkCounts(before: HandOut, event: Delivered): void {
    const { delivered, verdict } = before;
    const said = `offset ${event.offset}: attempt ${delivered.attempt}, delivery ${delivered.deliveryCount} is followed by attempt ${event.attempt}, delivery ${event.deliveryCount}`;
    if (event.attempt < delivered.attempt || event.deliveryCount < delivered.deliveryCount) {
      this.report("I4", `${said}: a count fell`);
      return;
    }
    // What a crash interrupted may be missing in the counts, so only hand-outs by one life of the server are compared exactly.
    if (before.life === undefined || before.life !== this.lives.get(event.session)) return;
    // A recall goes uncounted. In its own session it arrives before what comes again; another session may be faster, and to one
    // that broke off it may never come. But nothing is recalled for a message of its lane that is known to be through there.
    if (before.recalled) return;
    if (event.session !== delivered.session && this.deepSessions.has(delivered.session) && this.open.anyBefore(delivered)) return;
    const graceful = this.gracefulEnds.has(delivered.session);
    if (verdict === undefined && !graceful && event.deliveryCount === delivered.deliveryCount) {
      this.report("I4", `${said}: a hand-out without a verdict was not counted`);
    }
    if (verdict === "retry" && event.attempt === delivered.attempt && event.deliveryCount === delivered.deliveryCount) {
      this.report("I4", `${said}: a retry was not counted`);
    }
  }

  private checkUpperBounds(event: Delivered): void {
    const retries = this.retriesSent.get(event.offset) ?? 0;
    if (event.attempt > 1 + retries) {
      this.report("I4", `offset ${event.offset} came as attempt ${event.attempt} after ${retries} retries`);
    }
    // A session that broke may have been handed something that never arrived.
    const handOuts = (this.handOuts.get(event.offset) ?? 0) + this.abruptEnds;
    if (event.deliveryCount > 1 + handOuts) {
      this.report("I4", `offset ${event.offset} came as delivery ${event.deliveryCount} after at most ${handOuts} hand-outs`);
    }
  }

  private recall(session: string, offset: number): void {
    const handOut = this.lastHandOut.get(offset);
    if (handOut?.delivered.session === session) handOut.recalled = true;
  }

  private send(event: SettleSent): void {
    this.settles.set(`${event.session} ${event.requestId}`, event);
    for (const offset of event.offsets) {
      if (event.verdict === "ack" || event.verdict === "reject") this.settleSent.add(offset);
      if (event.verdict === "retry") this.retriesSent.set(offset, (this.retriesSent.get(offset) ?? 0) + 1);
      const handOut = this.lastHandOut.get(offset);
      if (handOut?.delivered.session === event.session) handOut.verdict ??= event.verdict;
    }
  }

  private confirm(session: string, requestId: number, failed: ReadonlySet<number>): void {
    const settle = this.settles.get(`${session} ${requestId}`);
    if (settle === undefined) {
      this.report("I4", `request ${requestId} of session ${session} was answered, but never sent or answered twice`);
      return;
    }
    this.settles.delete(`${session} ${requestId}`);
    if (settle.verdict !== "ack" && settle.verdict !== "reject") return;
    for (const offset of settle.offsets) {
      if (!failed.has(offset)) this.settleConfirmed.add(offset);
    }
  }

  private checkCommittedOnOpen(session: string, committed: number): void {
    const before = this.highestWhenOpening.get(session) ?? 0;
    if (committed < before) {
      this.report("I7", `session ${session} opened at committed offset ${committed}, after ${before} had been told`);
    }
  }

  private seeCommitted(session: string, committed: number): void {
    const before = this.lastCommittedIn.get(session) ?? 0;
    if (committed < before) this.report("I7", `in session ${session} the committed offset went back from ${before} to ${committed}`);
    this.lastCommittedIn.set(session, committed);
    this.highestCommitted = Math.max(this.highestCommitted, committed);
    while (this.floor < this.matching.length && this.settleSent.has(this.matching[this.floor]!)) this.floor++;
    const unsettled = this.matching[this.floor];
    if (unsettled !== undefined && unsettled <= committed) {
      this.report("I4", `committed offset ${committed} in session ${session} passes offset ${unsettled}, which nobody had settled`);
      this.floor++;
    }
  }

  private report(invariant: Violation["invariant"], text: string): void {
    this.violations.push({ invariant, text: `${this.name}: ${text}` });
  }
}
