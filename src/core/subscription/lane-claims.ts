import { offset, OFFSET_MAX, type Offset } from "../units.js";
import type { Lanes } from "./lanes.js";
import type { SubscriptionState } from "./subscription-state.js";

/**
 * What clients had finished before, as far as lanes allow it: a claim holds only where nothing before it in its lane is
 * unsettled when it is made. Which lane a message is in shows when it is read, so a lane that hands something out before a claim
 * is reached has shown that it is no prefix.
 */
export class LaneClaims {
  /** Lanes that handed something out since. */
  private readonly touched = new Set<bigint>();

  constructor(
    private readonly state: SubscriptionState,
    private readonly lanes: Lanes,
  ) {}

  /** Clients have claimed something: lanes that have something in flight are out of it. */
  made(): void {
    this.touched.clear();
    for (const lane of this.lanes.values()) if (lane.entries.length > 0) this.touched.add(lane.hash);
  }

  /** Advances over what was claimed, while no lane can stand against it. */
  passNew(): void {
    if (this.state.done.isEmpty) this.touched.clear();
    if (this.lanes.isEmpty && this.touched.size === 0) this.state.passDone();
  }

  /** Settles a message of this lane, which has nothing in flight, if it was claimed; false otherwise. */
  settles(hash: bigint, at: Offset): boolean {
    const { state } = this;
    if (!state.done.has(at) || this.touched.has(hash)) return false;
    state.done.remove(at, at);
    state.noteSettled(at);
    state.change();
    return true;
  }

  /** A message goes out: what was claimed behind it in its lane comes again after it. */
  handedOut(hash: bigint, at: Offset): void {
    const { done, settings } = this.state;
    if (done.isEmpty) return;
    done.remove(at, at);
    this.touched.add(hash);
    // So many lanes before the claims are reached: those come again, which does no harm.
    if (this.touched.size > settings.maxUnsettled) done.remove(offset(1), OFFSET_MAX);
  }
}
