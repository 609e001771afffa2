import type { BatchFacts, SessionId } from "../session.js";
import { offset, type MonotonicMs, type Offset } from "../units.js";
import { BatchDraft } from "./batch-draft.js";
import type { Effect } from "./effects.js";
import type { LoadedChunk } from "./loaded-chunks.js";
import { isSuspect, suspectLimit, type ReturnedGroup, type Trouble } from "./returned-messages.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionState } from "./subscription-state.js";

const FRESH: Trouble = { attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "" };

/**
 * Decides what goes out next, and to whom: first what came back, then what is new, turn by turn among the sessions with
 * room. Asks for a chunk only when a session could take something of it.
 */
export class HandingOut {
  private lastServed: SessionId | undefined;
  /** The session that takes nothing more, so that a suspect can go to it alone. Chosen anew each time. */
  private reserved: SessionState | undefined;

  constructor(private readonly state: SubscriptionState) {}

  run(now: MonotonicMs, effects: Effect[]): void {
    const { state } = this;
    state.returned.release(now);
    this.passFiltered();
    this.reserved = undefined;
    const suspect = this.handOutReturned(now, effects, true);
    const again = this.handOutReturned(now, effects, false);
    const fresh = this.handOutNew(now, effects);
    const wanted = suspect ?? again ?? fresh;
    if (wanted !== undefined && state.loading === undefined) {
      state.loading = wanted;
      effects.push({ type: "load", from: wanted });
    }
    if (state.sessions.size === 0) state.loaded.clear();
    else state.loaded.keep(state.next, [suspect, again].filter((needed) => needed !== undefined));
  }

  /** Advances over messages that the filter does not take; the next one to hand out is then at `next`, or not loaded. */
  private passFiltered(): void {
    const { state } = this;
    for (;;) {
      const loaded = state.next > state.head ? undefined : state.loaded.find(state.next);
      if (loaded === undefined) return;
      const index = loaded.nextTaken(state.next - loaded.chunk.first);
      state.next = offset(loaded.chunk.first + index);
      if (index < loaded.chunk.count) return;
    }
  }

  /** Hands out what came back. Returns the offset whose chunk it lacks, if a session is ready for it. */
  private handOutReturned(now: MonotonicMs, effects: Effect[], suspects: boolean): Offset | undefined {
    const { state } = this;
    let i = 0;
    for (let group = state.returned.groups[i]; group !== undefined; group = state.returned.groups[i]) {
      if (isSuspect(group) !== suspects || group.afterVersion > state.durableVersion) {
        i++;
        continue;
      }
      const session = suspects ? this.idleTaker() : this.nextTaker();
      if (session === undefined) {
        if (suspects) this.reserve();
        return undefined;
      }
      const draft = this.draftReturned(group, session, suspects);
      if (draft.count === 0) return group.offsets.min;
      draft.eachRun((first, last) => state.returned.remove(group, first, last));
      this.send(session, draft, group, suspects, now, effects);
    }
    return undefined;
  }

  private draftReturned(group: ReturnedGroup, session: SessionState, suspect: boolean): BatchDraft {
    const { state } = this;
    const room = suspect ? Math.min(session.messagesRoom, suspectLimit(group)) : session.messagesRoom;
    const draft = new BatchDraft(room, session.settings.maxBatchBytes, session.bytesRoom);
    for (let run = 0; run < group.offsets.runCount; run++) {
      const { first, last } = group.offsets.run(run);
      let loaded: LoadedChunk | undefined;
      for (let at: Offset = first; at <= last; at = offset(at + 1)) {
        if (loaded === undefined || at > loaded.chunk.last) loaded = state.loaded.find(at);
        if (loaded?.chunk.body === undefined || !draft.take(loaded.chunk, at - loaded.chunk.first)) return draft;
      }
    }
    return draft;
  }

  /** Hands out what was never looked at. Returns the offset whose chunk it lacks, if a session is ready for it. */
  private handOutNew(now: MonotonicMs, effects: Effect[]): Offset | undefined {
    const { state } = this;
    while (state.next <= state.head) {
      const room = state.unsettledRoom;
      if (room <= 0) return undefined;
      const loaded = state.loaded.find(state.next);
      const session = this.nextTaker();
      if (session === undefined) return undefined;
      if (loaded === undefined || !loaded.isUsable) return state.next;
      const draft = new BatchDraft(Math.min(session.messagesRoom, room), session.settings.maxBatchBytes, session.bytesRoom);
      this.draftNew(draft);
      if (draft.count === 0) continue;
      draft.eachRun((first, last) => { state.unsettled.add(first, last); });
      this.send(session, draft, FRESH, false, now, effects);
      this.passFiltered();
    }
    return undefined;
  }

  /** Fills a batch from `next` on, across chunks, and moves `next` past what it took or passed over. */
  private draftNew(draft: BatchDraft): void {
    const { state } = this;
    while (state.next <= state.head) {
      const loaded = state.loaded.find(state.next);
      if (loaded === undefined || !loaded.isUsable) return;
      const { chunk } = loaded;
      let index = loaded.nextTaken(state.next - chunk.first);
      while (index < chunk.count) {
        if (!draft.take(chunk, index)) {
          state.next = offset(chunk.first + index);
          return;
        }
        index = loaded.nextTaken(index + 1);
      }
      state.next = offset(chunk.last + 1);
    }
  }

  private send(session: SessionState, draft: BatchDraft, trouble: Trouble, alone: boolean, now: MonotonicMs, effects: Effect[]): void {
    const batch: BatchFacts = {
      batchId: session.nextBatchId,
      attempt: trouble.attempt,
      deliveryCount: trouble.deliveryCount,
      cause: trouble.cause,
      lastReason: trouble.lastReason,
      leaseMs: session.isAuto ? 0 : session.settings.ackTimeoutMs,
    };
    session.handOut(draft.finish(batch, now, alone));
    this.lastServed = session.id;
    effects.push({ type: "deliver", session: session.id, batch, parts: draft.deliveryParts, messages: draft.count, bytes: draft.bytes });
  }

  /** The next session, in turn after the one served last, that may take a batch. */
  private nextTaker(): SessionState | undefined {
    let first: SessionState | undefined;
    let passedLast = false;
    for (const session of this.state.sessions.values()) {
      const mayTake = session !== this.reserved && session.canTake;
      if (mayTake && passedLast) return session;
      if (mayTake) first ??= session;
      if (session.id === this.lastServed) passedLast = true;
    }
    return first;
  }

  /** A session with nothing in flight, for a suspect. */
  private idleTaker(): SessionState | undefined {
    for (const session of this.state.sessions.values()) {
      if (session.inFlightMessages === 0 && session.canTake) return session;
    }
    return undefined;
  }

  /** Keeps the session with the least in flight free of new messages until a suspect can go to it. */
  private reserve(): void {
    for (const session of this.state.sessions.values()) {
      if (session.flow.paused || session.draining || session.finished || session.suspectInFlight) continue;
      if (this.reserved === undefined || session.inFlightMessages < this.reserved.inFlightMessages) this.reserved = session;
    }
  }
}
