import type { Violation } from "./history-checker.js";
import type { HistoryIndex } from "./history-index.js";
import type { Delivered, HistoryEvent } from "./history.js";

/** I5, for every subscriber of an ordered queue. */
export function checkLanes(index: HistoryIndex): Violation[] {
  const books = new Map<string, LaneBooks>();
  for (const event of index.history) {
    if (!("session" in event)) continue;
    const { name } = index.subscriberOf(event.session);
    let book = books.get(name);
    if (book === undefined) books.set(name, (book = new LaneBooks(name, index)));
    book.take(event);
  }
  return [...books.values()].flatMap((book) => book.violations);
}

type SessionEvent = Extract<HistoryEvent, { readonly session: string }>;
type SettleSent = Extract<HistoryEvent, { readonly type: "settle_sent" }>;

/** A frame of verdicts, and the hand-outs that they were about: by the time of the answer there may be later ones. */
interface Settle {
  readonly sent: SettleSent;
  /** The last hand-out of anything before it was sent. */
  readonly place: number;
  readonly handOuts: ReadonlyMap<number, HandOut>;
}

/** The last time that a message of a lane was handed out to a session. */
interface HandOut {
  readonly session: string;
  /** Grows from hand-out to hand-out. */
  readonly place: number;
  /** How many answers its session had had by then. */
  readonly answersBefore: number;
  /**
   * `held`: no verdict was sent. `settled`: an ack or a reject was sent. `leaving`: a retry or release was sent, and may not have
   * arrived yet. `back`: it is not in flight for certain.
   */
  state: "held" | "settled" | "leaving" | "back";
}

interface Lane {
  /** Ascending. */
  readonly offsets: number[];
  /** How many of them, from the first on, are settled for certain. */
  done: number;
}

interface Session {
  /** Undefined: the queue is not ordered. */
  readonly depth: number | undefined;
  answers: number;
  isOver: boolean;
}

/**
 * Watches the lanes of one subscriber: a message is handed out only when every earlier one of its lane is settled, or in flight
 * to the same session within its depth; when one comes back, those behind it are recalled before it comes again; what is
 * confirmed is a prefix.
 *
 * Inside a session all of this is checked frame by frame, because a stream keeps its order. Between sessions a frame may
 * arrive after a later one of another stream, and what was on its way to a stream that broke never arrives, so there:
 *
 * - A message may be at a session for as long as nobody else has certainly had it since: another session that was handed it
 *   later, and has heard an answer after that.
 * - An ack or reject that was sent counts as settled until it is answered as failed: whether the server had it before the
 *   stream broke shows only in what it does next. Of a session that is over it does not count for other sessions any more.
 * - Counts (I4, in the rules of deliveries) are exact when a session breaks off or loses a message to another one, but for what
 *   a recall that nobody saw may have taken back uncounted: a message with one before it in its lane that its session was
 *   handed and had no answer about. When the hand-outs of two lives of the server meet, counts may only not fall: what a crash
 *   takes with it counts in neither number.
 *
 * What cannot be seen: whether a lease had run out when its session ended, for a history has no clock; and the place in a lane
 * of a message that was neither answered nor delivered to anybody.
 */
class LaneBooks {
  readonly violations: Violation[] = [];
  private readonly sessions = new Map<string, Session>();
  /** By offset, then by session: frames of two streams may arrive in another order than they were sent. */
  private readonly handOuts = new Map<number, Map<string, HandOut>>();
  private places = 0;
  private readonly settles = new Map<string, Settle>();
  private readonly laneOf = new Map<number, Lane>();
  private readonly confirmed = new Set<number>();

  constructor(
    private readonly name: string,
    index: HistoryIndex,
  ) {
    const subscriber = index.subscribers.get(name);
    const lanes = new Map<string, Lane>();
    for (const offset of subscriber === undefined ? [] : index.matchingOffsets(subscriber)) {
      const key = index.laneAt(offset);
      const lane = lanes.get(key) ?? { offsets: [], done: 0 };
      lane.offsets.push(offset);
      lanes.set(key, lane);
      this.laneOf.set(offset, lane);
    }
  }

  take(event: SessionEvent): void {
    switch (event.type) {
      case "open_sent":
        this.sessions.set(event.session, { depth: event.laneDepth, answers: 0, isOver: false });
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
        this.end(event.session);
        break;
      case "opened":
      case "committed_seen":
        break;
    }
  }

  private deliver({ session, offset }: Delivered): void {
    const { depth, isOver, answers } = this.session(session);
    if (depth === undefined) return;
    // What was on its way when a client said goodbye was handed out before.
    if (!isOver) {
      this.checkBefore(session, depth, offset);
      this.checkBehind(session, offset, "came again");
    }
    let handOuts = this.handOuts.get(offset);
    if (handOuts === undefined) this.handOuts.set(offset, (handOuts = new Map<string, HandOut>()));
    for (const other of handOuts.values()) {
      // The last acks of a session that is over may not have arrived.
      if (!isOver && this.session(other.session).isOver) other.state = "back";
    }
    handOuts.set(session, { session, place: ++this.places, answersBefore: answers, state: isOver ? "back" : "held" });
  }

  private checkBefore(session: string, depth: number, offset: number): void {
    let held = 0;
    for (const earlier of this.before(offset)) {
      if (this.isSettled(earlier)) continue;
      const here = this.handOuts.get(earlier)?.get(session);
      const isHere = here !== undefined && here.state !== "back" && !this.isElsewhere(earlier, here);
      if (isHere && here.state === "held") held++;
      // Depth 1 is one message after the other, so to be in flight is not enough.
      if (depth > 1 && isHere) continue;
      this.report(`offset ${offset} came in session ${session} before ${earlier} of the same lane, which ${this.where(earlier)}`);
      return;
    }
    if (held >= depth) this.report(`offset ${offset} came in session ${session} as number ${held + 1} of its lane; its depth is ${depth}`);
  }

  private isSettled(offset: number): boolean {
    if (this.confirmed.has(offset)) return true;
    for (const { state } of this.handOuts.get(offset)?.values() ?? []) if (state === "settled") return true;
    return false;
  }

  /** It was handed out again to another session, and that one has had an answer since: the frame cannot just be late. */
  private isElsewhere(offset: number, here: HandOut): boolean {
    for (const other of this.handOuts.get(offset)?.values() ?? []) {
      if (other.place > here.place && other.state === "held" && this.session(other.session).answers > other.answersBefore) return true;
    }
    return false;
  }

  private where(offset: number): string {
    const places = [...(this.handOuts.get(offset)?.values() ?? [])].map(({ session, state }) => `is ${state} in session ${session}`);
    return places.length === 0 ? "was never handed out" : places.join(" and ");
  }

  /** When a message has come back, nothing behind it may be left in flight to its session of what that got through `place`. */
  private checkBehind(session: string, offset: number, why: string, place = this.places): void {
    if (this.handOuts.get(offset)?.has(session) !== true) return;
    for (const later of this.behind(offset)) {
      const handOut = this.handOuts.get(later)?.get(session);
      if (handOut === undefined || handOut.place > place || this.confirmed.has(later) || (handOut.state !== "held" && handOut.state !== "settled")) continue;
      this.report(`offset ${offset} ${why} in session ${session}, and ${later} behind it in its lane was not recalled`);
      return;
    }
  }

  private send(event: SettleSent): void {
    const handOuts = new Map<number, HandOut>();
    for (const offset of event.offsets) {
      const handOut = this.handOuts.get(offset)?.get(event.session);
      if (handOut?.state !== "held") continue;
      handOut.state = event.verdict === "ack" || event.verdict === "reject" ? "settled" : "leaving";
      handOuts.set(offset, handOut);
    }
    this.settles.set(`${event.session} ${event.requestId}`, { sent: event, place: this.places, handOuts });
  }

  private confirm(session: string, requestId: number, failed: ReadonlySet<number>): void {
    this.session(session).answers++;
    const settle = this.settles.get(`${session} ${requestId}`);
    if (settle === undefined || this.session(session).depth === undefined) return;
    const settles = settle.sent.verdict === "ack" || settle.sent.verdict === "reject";
    for (const offset of settle.sent.offsets) {
      const handOut = settle.handOuts.get(offset);
      if (failed.has(offset)) {
        if (handOut !== undefined) handOut.state = "back";
      } else if (settles) {
        this.checkPrefix(session, offset);
        this.confirmed.add(offset);
      } else if (handOut?.state === "leaving") {
        if (this.handOuts.get(offset)?.get(session) === handOut) this.checkBehind(session, offset, "was given back", settle.place);
        handOut.state = "back";
      }
    }
  }

  private checkPrefix(session: string, offset: number): void {
    for (const earlier of this.before(offset)) {
      if (this.isSettled(earlier)) continue;
      this.report(`offset ${offset} was confirmed in session ${session} as settled before ${earlier} of the same lane`);
      return;
    }
  }

  private recall(session: string, offset: number): void {
    const handOut = this.handOuts.get(offset)?.get(session);
    if (handOut !== undefined) handOut.state = "back";
  }

  /** What was held comes back; what was settled may have been, or comes again. */
  private end(session: string): void {
    this.session(session).isOver = true;
    for (const handOuts of this.handOuts.values()) {
      const handOut = handOuts.get(session);
      if (handOut !== undefined && handOut.state !== "settled") handOut.state = "back";
    }
  }

  private session(name: string): Session {
    const session = this.sessions.get(name);
    if (session === undefined) throw new Error(`session ${name} was never opened in this history`);
    return session;
  }

  /** What is before an offset in its lane, but for the prefix that is settled for certain. */
  private *before(offset: number): Iterable<number> {
    const lane = this.laneOf.get(offset);
    if (lane === undefined) return;
    while (lane.done < lane.offsets.length && this.confirmed.has(lane.offsets[lane.done]!)) lane.done++;
    for (let i = lane.done; i < lane.offsets.length && lane.offsets[i]! < offset; i++) yield lane.offsets[i]!;
  }

  /** What was handed out behind an offset in its lane. */
  private *behind(offset: number): Iterable<number> {
    const lane = this.laneOf.get(offset);
    for (let i = lane?.done ?? 0; lane !== undefined && i < lane.offsets.length; i++) {
      const later = lane.offsets[i]!;
      if (later <= offset) continue;
      if (!this.handOuts.has(later)) return;
      yield later;
    }
  }

  private report(text: string): void {
    this.violations.push({ invariant: "I5", text: `${this.name}: ${text}` });
  }
}
