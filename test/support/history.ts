/**
 * What the programs around one queue saw, in the order in which they saw it: the input of the checker. One process records
 * everything, so places in the list are a total order, and "before" means that the later thing may depend on the earlier.
 *
 * `key` names a message for the test and travels in its payload; `session` is the test's own label of one Subscribe stream.
 */
export type HistoryEvent =
  | { readonly type: "publish_sent"; readonly key: string; readonly event: string; readonly messageId: string }
  | { readonly type: "publish_answered"; readonly key: string; readonly offset: number; readonly duplicate: boolean }
  /** The server said no, and it was not "perhaps". */
  | { readonly type: "publish_refused"; readonly key: string; readonly reason: string }
  /** The connection broke before an answer: stored or not, nobody knows. */
  | { readonly type: "publish_unknown"; readonly key: string }
  | { readonly type: "open_sent"; readonly subscriber: string; readonly session: string; readonly events: readonly string[] }
  | { readonly type: "opened"; readonly session: string; readonly committedOffset: number }
  | Delivered
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
  readonly retriedAttempts: number;
  readonly sessions: number;
  readonly kills: number;
  readonly killsWithUnanswered: number;
}

/** Counts what happened; says nothing about whether it was right. */
export function summarize(history: readonly HistoryEvent[]): HistorySummary {
  const handedOut = new Set<string>();
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
    retriedAttempts: 0,
    sessions: 0,
    kills: 0,
    killsWithUnanswered: 0,
  };
  for (const event of history) {
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
        if (handedOut.has(hand)) summary.redeliveries++;
        if (event.deliveryCount > 1) summary.countedRedeliveries++;
        if (event.attempt > 1) summary.retriedAttempts++;
        handedOut.add(hand);
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
      case "publish_sent":
      case "publish_refused":
      case "publish_unknown":
      case "committed_seen":
      case "session_ended":
        break;
    }
  }
  return summary;
}
