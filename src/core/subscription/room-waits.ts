import type { Lane } from "./lanes.js";
import type { SessionState } from "./session-state.js";

/** Lanes that would go deeper if the session that holds them had room. */
export class RoomWaits {
  private readonly bySession = new Map<SessionState, Set<Lane>>();

  /** Those that wait for this session. */
  of(session: SessionState): Iterable<Lane> {
    return this.bySession.get(session) ?? [];
  }

  /** @param holder undefined: the lane waits for nobody's room any more */
  set(lane: Lane, holder: SessionState | undefined): void {
    const before = lane.waitsForRoomOf;
    if (before === holder) return;
    lane.waitsForRoomOf = holder;
    if (before !== undefined) {
      const lanes = this.bySession.get(before);
      lanes?.delete(lane);
      if (lanes?.size === 0) this.bySession.delete(before);
    }
    if (holder === undefined) return;
    const lanes = this.bySession.get(holder);
    if (lanes === undefined) this.bySession.set(holder, new Set([lane]));
    else lanes.add(lane);
  }
}
