import { MinHeap } from "../min-heap.js";
import { monotonicMs, offset, type MonotonicMs, type Offset } from "../units.js";
import type { LaneClaims } from "./lane-claims.js";
import type { Lanes } from "./lanes.js";
import type { LoadedChunk } from "./loaded-chunks.js";
import type { SubscriptionState } from "./subscription-state.js";

/** What expires in lanes: it is settled as soon as it is the first of its lane, so that what a lane has settled stays a prefix. */
export class LaneExpiry {
  /** What waits for a retry that comes later than its expiry. Stale entries do no harm. */
  private readonly watched = new MinHeap<{ readonly at: MonotonicMs; readonly message: Offset }>(({ at }) => at);

  constructor(
    private readonly state: SubscriptionState,
    private readonly lanes: Lanes,
    private readonly claims: LaneClaims,
  ) {}

  /** When something that is watched expires. */
  get nextDue(): MonotonicMs | undefined {
    return this.watched.peek()?.at;
  }

  /** What was watched and has expired. */
  *due(now: MonotonicMs): Iterable<Offset> {
    for (let next = this.watched.peek(); next !== undefined && next.at <= now; next = this.watched.peek()) {
      this.watched.pop();
      yield next.message;
    }
  }

  /** A message waits for its retry, and its lane with it; if it expires sooner, the lane goes on then. */
  watch({ chunk }: LoadedChunk, index: number, now: MonotonicMs, dueAt: MonotonicMs): void {
    const expires = chunk.expireTimeMs?.[index] ?? 0;
    const at = monotonicMs(now + expires - this.state.wallMs);
    if (expires !== 0 && at < dueAt) this.watched.push({ at, message: offset(chunk.first + index) });
  }

  /** Settles a message before which nothing of its lane is unsettled, if it has expired; false otherwise. */
  settles(loaded: LoadedChunk, index: number): boolean {
    if (!loaded.isExpired(index, this.state.wallMs)) return false;
    const at = offset(loaded.chunk.first + index);
    this.state.done.remove(at, at);
    this.state.noteExpired(1);
    return true;
  }

  /** Advances over what is not to be handed out, whether or not a session has room. */
  passNew(): void {
    const { state } = this;
    for (;;) {
      this.claims.passNew();
      state.passFiltered();
      const loaded = state.next > state.head ? undefined : state.loaded.find(state.next);
      if (loaded?.chunk.expireTimeMs === undefined) return;
      const index = state.next - loaded.chunk.first;
      if (this.lanes.get(loaded.chunk.laneHash?.[index] ?? 0n) !== undefined || !this.settles(loaded, index)) return;
      state.next = offset(state.next + 1);
    }
  }
}
