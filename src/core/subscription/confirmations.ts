import type { SessionId, SettleFailure } from "../session.js";
import type { Offset } from "../units.js";
import type { Effect } from "./effects.js";

/** A settle whose answer waits for the cursor. */
export interface Confirmation {
  readonly session: SessionId;
  readonly requestId: bigint;
  readonly failures: SettleFailure[];
  /** Answered once the cursor is durable at this version … */
  version: number;
  /** … and none of its messages is on its way to the dead letters, or behind another one in its lane. */
  waits: number;
}

/** Answers that are owed. Bounded by what sessions send: their stream is read no faster than its settles are applied. */
export class Confirmations {
  private owed: Confirmation[] = [];

  /** True while a client waits for an answer, so that the cursor is worth a commit of its own. */
  get awaited(): boolean {
    return this.owed.length > 0;
  }

  owes(session: SessionId): boolean {
    return this.owed.some((entry) => entry.session === session);
  }

  add(entry: Confirmation): void {
    this.owed.push(entry);
  }

  /** Nobody is left to answer. */
  forget(session: SessionId): void {
    this.owed = this.owed.filter((entry) => entry.session !== session);
  }

  /** Everything that is durable by now, one effect a session. */
  flush(durableVersion: number, committedOffset: Offset): Effect[] {
    if (this.owed.length === 0) return [];
    const due = new Map<SessionId, { requestIds: bigint[]; failures: SettleFailure[] }>();
    const still: Confirmation[] = [];
    for (const entry of this.owed) {
      if (entry.waits > 0 || entry.version > durableVersion) {
        still.push(entry);
        continue;
      }
      let answer = due.get(entry.session);
      if (answer === undefined) due.set(entry.session, (answer = { requestIds: [], failures: [] }));
      if (entry.requestId !== 0n) answer.requestIds.push(entry.requestId);
      for (const failure of entry.failures) answer.failures.push(failure);
    }
    if (still.length !== this.owed.length) this.owed = still;
    return [...due].map(([session, answer]) => ({ type: "confirm", session, ...answer, committedOffset }));
  }
}
