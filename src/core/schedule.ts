import { LIMITS } from "./limits.js";
import { invalidField } from "./names.js";
import { monotonicMs, wallMs } from "./units.js";
import type { MonotonicMs, Now, WallMs } from "./units.js";

/** When a publisher wants its message to be due. */
export type When = { readonly delayMs: number } | { readonly deliverTimeMs: WallMs };

/** When a message is due by the wall clock; INVALID_FIELD further ahead than LIMITS.scheduleAheadMsMax. A time that has passed is an answer. */
export function dueTime(when: When, now: WallMs): WallMs {
  const due = "delayMs" in when ? now + when.delayMs : when.deliverTimeMs;
  if (due - now <= LIMITS.scheduleAheadMsMax) return wallMs(due);
  const days = `${LIMITS.scheduleAheadMsMax / (24 * 3_600_000)} days`;
  if ("delayMs" in when) throw invalidField("message.delay", `${when.delayMs} ms`, `0 to ${LIMITS.scheduleAheadMsMax} ms, which is ${days}`);
  throw invalidField("message.deliver_time", shownTime(due), `up to ${days} from now, which is ${shownTime(now)} here`);
}

function shownTime(time: number): string {
  return new Date(time).toISOString();
}

/**
 * When a queue has to look at what is put off. It knows the earliest due time and nothing else of it:
 *
 *     empty ── accepted ──> waiting ── due ──> moving ── moved ──> waiting, or empty
 *                              ^                  |
 *                              └──── refused ─────┘
 *
 * Due times are of the wall clock, which may jump; whoever waits for it waits by the other one. So it looks again after
 * LIMITS.scheduleLookMs at the latest, and a jump is noticed within that time. A jump back puts nothing that was moved back.
 */
export class Schedule {
  private earliest: WallMs | undefined;
  private moving = false;
  /** What was due was refused; not before this time again. */
  private notBefore = monotonicMs(-Infinity);

  /** A message is put off, durably. */
  accepted(due: WallMs): void {
    if (this.earliest === undefined || due < this.earliest) this.earliest = due;
  }

  /** When to look; undefined: nothing is put off, or what is due is being moved. Not in the past. */
  nextLook({ monotonicMs: now, wallMs: wall }: Now): MonotonicMs | undefined {
    if (this.earliest === undefined || this.moving) return undefined;
    const wait = Math.min(Math.max(this.earliest - wall, 0), LIMITS.scheduleLookMs);
    return monotonicMs(Math.max(now + wait, this.notBefore));
  }

  /** Whether something is due and may be moved. If so it is being moved from now on. */
  begin({ monotonicMs: now, wallMs: wall }: Now): boolean {
    if (this.earliest === undefined || this.moving || this.earliest > wall || now < this.notBefore) return false;
    this.moving = true;
    this.earliest = undefined;
    return true;
  }

  /**
   * What was due has been moved.
   * @param earliest due time of the first that is left, as it was found; undefined: none. What was accepted meanwhile counts too
   */
  moved(earliest: WallMs | undefined): void {
    this.moving = false;
    if (earliest !== undefined) this.accepted(earliest);
  }

  /** Something that is due could not be moved now. */
  refused(earliest: WallMs, notBefore: MonotonicMs): void {
    this.moved(earliest);
    this.notBefore = notBefore;
  }
}
