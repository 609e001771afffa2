import { OffsetRanges } from "../offset-ranges.js";
import type { SessionId } from "../session.js";
import { offset, type Offset } from "../units.js";
import { Confirmations, type Confirmation } from "./confirmations.js";
import type { DeadLetter } from "./effects.js";
import { LoadedChunks } from "./loaded-chunks.js";
import { ReturnedMessages } from "./returned-messages.js";
import type { SessionState } from "./session-state.js";
import type { SubscriptionSettings } from "./settings.js";

/** A message that has left its lease for the dead letters, but whose copy is not in a commit yet. */
export interface Burial {
  readonly deadLetter: DeadLetter;
  /** The settle that waits for it. */
  readonly confirmation: Confirmation | undefined;
}

/**
 * What the machine knows. Invariant: every matching offset below `next` is settled, or is in `unsettled` and exactly one of:
 * held by a session, ready again or waiting in `returned`, in `burials`.
 */
export class SubscriptionState {
  /** Sessions in the order in which they opened. */
  readonly sessions = new Map<SessionId, SessionState>();
  readonly returned = new ReturnedMessages();
  readonly burials = new Map<Offset, Burial>();
  readonly confirmations = new Confirmations();
  readonly loaded = new LoadedChunks();
  /** The outstanding `load`. */
  loading: Offset | undefined;
  /** Counts every change that a restart must not forget. */
  version = 0;
  durableVersion = 0;
  /** The committed offset. Never goes back. */
  durableFloor: Offset;

  constructor(
    readonly settings: SubscriptionSettings,
    public next: Offset,
    public head: Offset,
    readonly unsettled = new OffsetRanges(),
  ) {
    this.durableFloor = this.floor;
  }

  /** Everything up to it is settled or filtered out, though perhaps not durably. */
  get floor(): Offset {
    return offset((this.unsettled.min ?? this.next) - 1);
  }

  get inFlight(): number {
    let total = 0;
    for (const session of this.sessions.values()) total += session.inFlightMessages;
    return total;
  }

  /** How many more messages may be unsettled. Runs count, so that one long retry does not stop everything. */
  get unsettledRoom(): number {
    return this.settings.maxUnsettled - this.inFlight - this.returned.waitingCount - this.unsettled.runCount;
  }

  /** Notes a change that has to be stored, and says the version that holds it. */
  change(): number {
    return ++this.version;
  }

  /** True when nothing up to `through` is left to hand out. */
  handedOutThrough(through: Offset): boolean {
    return this.next > through && this.returned.groups.every((group) => (group.offsets.min ?? through + 1) > through);
  }
}
