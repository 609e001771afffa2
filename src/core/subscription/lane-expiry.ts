import { MinHeap } from "../min-heap.js";
import { monotonicMs, offset, type MonotonicMs, type Offset } from "../units.js";
import type { BlockedLanes } from "./blocked-lanes.js";
import type { LaneClaims } from "./lane-claims.js";
import type { Lane, Lanes } from "./lanes.js";
import type { LoadedChunk } from "./loaded-chunks.js";
import type { SubscriptionState } from "./subscription-state.js";
import { FRESH, type Trouble } from "./trouble.js";

/**
 * What expires in lanes: as soon as it is the first of its lane it is settled, or leaves for the dead letters and stands in the
 * way until it is there, so that what a lane has settled stays a prefix.
 */
export class LaneExpiry {
  /** What waits for a retry that comes later than its expiry. Stale entries do no harm. */
  private readonly watched = new MinHeap<{ readonly at: MonotonicMs; readonly message: Offset }>(({ at }) => at);

  /** Lanes whose next message has expired while too much is on its way to the dead letters. Stale entries do no harm. */
  private readonly heldUp = new Set<Lane>();

  constructor(
    private readonly state: SubscriptionState,
    private readonly lanes: Lanes,
    private readonly claims: LaneClaims,
    private readonly blocked: BlockedLanes,
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

  /** Settles a message before which nothing of its lane is unsettled, if it has expired and is to be settled; false otherwise. */
  private settles(loaded: LoadedChunk, index: number): boolean {
    if (!loaded.isExpired(index, this.state.wallMs) || this.state.keepsExpired) return false;
    const at = offset(loaded.chunk.first + index);
    this.state.done.remove(at, at);
    this.state.noteExpired(1);
    return true;
  }

  /**
   * The next message of a lane with nothing in flight: it `stays`, and may be handed out; `goes`, since it is settled or leaves for
   * the dead letters; or `waits` behind what leaves.
   * @param trouble if it came back
   */
  passes(lane: Lane, loaded: LoadedChunk, index: number, trouble: Trouble = FRESH): "stays" | "goes" | "waits" {
    const { blocked } = this;
    const at = offset(loaded.chunk.first + index);
    if (blocked.hasExpired(at)) return "goes";
    const isBehind = blocked.expiredIn(lane) > 0;
    if (!isBehind && (this.claims.settles(lane.hash, at) || this.settles(loaded, index))) {
      this.lanes.settleBehind(lane, at);
      return "goes";
    }
    if (!this.buries(lane, loaded, index, trouble)) return isBehind ? "waits" : "stays";
    if (!isBehind) lane.resumeFrom = at;
    return "goes";
  }

  /**
   * Sends a message that is behind in its lane to the dead letters, if it has expired; false otherwise. Nothing of the lane is in
   * flight, and all before it are on their way there.
   */
  private buries(lane: Lane, loaded: LoadedChunk, index: number, trouble: Trouble): boolean {
    const { state } = this;
    if (!state.keepsExpired || !loaded.isExpired(index, state.wallMs)) return false;
    if (state.buriesNoMore) {
      this.heldUp.add(lane);
      return false;
    }
    const at = offset(loaded.chunk.first + index);
    state.done.remove(at, at);
    state.buryExpired(at, trouble);
    this.blocked.expire(lane, at);
    return true;
  }

  /** As `passes`, of a message that was never looked at; false if anything that stays is before it in its lane. */
  passesNew(lane: Lane | undefined, loaded: LoadedChunk, index: number): boolean {
    const { state, lanes } = this;
    if (!loaded.isExpired(index, state.wallMs)) return false;
    if (!state.keepsExpired) return lane === undefined && this.settles(loaded, index);
    if (state.buriesNoMore) return false;
    const leaving = lane === undefined ? 0 : this.blocked.expiredIn(lane);
    if (lane !== undefined && (leaving === 0 || leaving !== lane.behind)) return false;
    const at = offset(loaded.chunk.first + index);
    const own = lane ?? lanes.begin(loaded.chunk.laneHash?.[index] ?? 0n, at, 0);
    lanes.addBehind(own, at);
    return this.buries(own, loaded, index, FRESH);
  }

  /** Lanes that were held up and may go on. */
  takeHeldUp(): readonly Lane[] {
    if (this.heldUp.size === 0 || this.state.buriesNoMore) return [];
    const lanes = [...this.heldUp];
    this.heldUp.clear();
    return lanes;
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
      if (!this.passesNew(this.lanes.get(loaded.chunk.laneHash?.[index] ?? 0n), loaded, index)) return;
      state.next = offset(state.next + 1);
    }
  }
}
