/**
 * What the programs around one queue saw, in the order in which they saw it: the input of the checker. One process records
 * everything, so places in the list are a total order, and "before" means that the later thing may depend on the earlier.
 *
 * `key` names a message for the test and travels in its payload; `session` is the test's own label of one Subscribe stream.
 */
export type HistoryEvent =
  /** `lane`: the ordering key, if it has one. */
  | { readonly type: "publish_sent"; readonly key: string; readonly event: string; readonly messageId: string; readonly lane?: string }
  | { readonly type: "publish_answered"; readonly key: string; readonly offset: number; readonly duplicate: boolean }
  /** The server said no, and it was not "perhaps". */
  | { readonly type: "publish_refused"; readonly key: string; readonly reason: string }
  /** The connection broke before an answer: stored or not, nobody knows. */
  | { readonly type: "publish_unknown"; readonly key: string }
  /** `laneDepth`: on an ordered queue, how many messages of a lane it may hold. */
  | { readonly type: "open_sent"; readonly subscriber: string; readonly session: string; readonly events: readonly string[]; readonly laneDepth?: number }
  | { readonly type: "opened"; readonly session: string; readonly committedOffset: number }
  | Delivered
  /** The server took back what it had handed out. */
  | { readonly type: "recalled"; readonly session: string; readonly offsets: readonly number[] }
  | {
      readonly type: "settle_sent";
      readonly session: string;
      readonly requestId: number;
      readonly verdict: Verdict;
      readonly offsets: readonly number[];
    }
  | {
      readonly type: "settle_confirmed";
      readonly session: string;
      readonly requestId: number;
      /** Offsets that the server named in a failure of this request. */
      readonly failed: readonly number[];
    }
  | { readonly type: "committed_seen"; readonly session: string; readonly committedOffset: number }
  /** `graceful`: by half-close or drain, so that what was held goes back uncounted. */
  | { readonly type: "session_ended"; readonly session: string; readonly graceful: boolean }
  /** `unanswered`: publishes that were on their way when the signal was sent. */
  | { readonly type: "server_killed"; readonly unanswered: number };

export interface Delivered {
  readonly type: "delivered";
  readonly session: string;
  readonly offset: number;
  readonly key: string;
  readonly event: string;
  readonly attempt: number;
  readonly deliveryCount: number;
}

export type Verdict = "ack" | "reject" | "retry" | "release";

/** Figures that show whether a run had anything to find. */
export interface HistorySummary {
  readonly answered: number;
  /** Answers that only the second or a later try got, as a duplicate: a kill fell between commit and answer. */
  readonly answeredAsDuplicate: number;
  readonly confirmedAcks: number;
  readonly deliveries: number;
  readonly redeliveries: number;
  readonly countedRedeliveries: number;
  /** Messages that came with a count before a kill and again after it. */
  readonly countsOverKills: number;
  readonly retriedAttempts: number;
  readonly sessions: number;
  readonly kills: number;
  readonly killsWithUnanswered: number;
  readonly recalls: number;
  /** Of an ordered queue: hand-outs of a message of the same lane as one that its session still held. */
  readonly deepHandOuts: number;
  /** Lanes of a subscriber in which a message came again. */
  readonly lanesWithRedeliveries: number;
}

/** Counts what happened; says nothing about whether it was right. */
export function summarize(history: readonly HistoryEvent[]): HistorySummary {
  const handedOut = new Map<string, { readonly deliveryCount: number; readonly kills: number }>();
  const subscriberOf = new Map<string, string>();
  const answeredKeys = new Set<string>();
  const acks = new Map<string, number>();
  const summary = {
    answered: 0,
    answeredAsDuplicate: 0,
    confirmedAcks: 0,
    deliveries: 0,
    redeliveries: 0,
    countedRedeliveries: 0,
    countsOverKills: 0,
    retriedAttempts: 0,
    sessions: 0,
    kills: 0,
    killsWithUnanswered: 0,
    recalls: 0,
  };
  const lanes = new LaneCounts();
  for (const event of history) {
    lanes.take(event);
    switch (event.type) {
      case "publish_answered":
        summary.answered++;
        if (event.duplicate && !answeredKeys.has(event.key)) summary.answeredAsDuplicate++;
        answeredKeys.add(event.key);
        break;
      case "open_sent":
        subscriberOf.set(event.session, event.subscriber);
        break;
      case "opened":
        summary.sessions++;
        break;
      case "delivered": {
        const hand = `${subscriberOf.get(event.session) ?? ""} ${event.offset}`;
        summary.deliveries++;
        const before = handedOut.get(hand);
        if (before !== undefined) summary.redeliveries++;
        if (before !== undefined && before.deliveryCount > 1 && before.kills < summary.kills) summary.countsOverKills++;
        if (event.deliveryCount > 1) summary.countedRedeliveries++;
        if (event.attempt > 1) summary.retriedAttempts++;
        handedOut.set(hand, { deliveryCount: event.deliveryCount, kills: summary.kills });
        break;
      }
      case "settle_sent":
        if (event.verdict === "ack") acks.set(`${event.session} ${event.requestId}`, event.offsets.length);
        break;
      case "settle_confirmed":
        summary.confirmedAcks += Math.max(0, (acks.get(`${event.session} ${event.requestId}`) ?? 0) - event.failed.length);
        break;
      case "server_killed":
        summary.kills++;
        if (event.unanswered > 0) summary.killsWithUnanswered++;
        break;
      case "recalled":
        summary.recalls++;
        break;
      case "publish_sent":
      case "publish_refused":
      case "publish_unknown":
      case "committed_seen":
      case "session_ended":
        break;
    }
  }
  return { ...summary, deepHandOuts: lanes.deepHandOuts, lanesWithRedeliveries: lanes.withRedeliveries.size };
}

/** Counts what happens in the lanes of an ordered queue. */
class LaneCounts {
  deepHandOuts = 0;
  readonly withRedeliveries = new Set<string>();
  private readonly laneOf = new Map<string, string>();
  private readonly subscriberOf = new Map<string, string>();
  private readonly came = new Set<string>();
  /** What each session holds of each lane. */
  private readonly held = new Map<string, Map<string, Set<number>>>();

  take(event: HistoryEvent): void {
    if (event.type === "publish_sent") this.laneOf.set(event.key, event.lane ?? "");
    else if (event.type === "open_sent" && event.laneDepth !== undefined) this.subscriberOf.set(event.session, event.subscriber);
    else if (event.type === "settle_sent" || event.type === "recalled") this.leave(event.session, event.offsets);
    else if (event.type === "delivered") this.deliver(event);
  }

  private deliver({ session, offset, key }: Delivered): void {
    const subscriber = this.subscriberOf.get(session);
    if (subscriber === undefined) return;
    const lane = this.laneOf.get(key) ?? "";
    if (this.came.has(`${subscriber} ${offset}`)) this.withRedeliveries.add(`${subscriber} ${lane}`);
    this.came.add(`${subscriber} ${offset}`);
    let lanes = this.held.get(session);
    if (lanes === undefined) this.held.set(session, (lanes = new Map<string, Set<number>>()));
    const held = lanes.get(lane) ?? new Set<number>();
    if (held.size > 0) this.deepHandOuts++;
    lanes.set(lane, held.add(offset));
  }

  private leave(session: string, offsets: readonly number[]): void {
    for (const held of this.held.get(session)?.values() ?? []) {
      for (const offset of offsets) held.delete(offset);
    }
  }
}
