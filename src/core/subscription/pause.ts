import { monotonicMs, type MonotonicMs, type Now, type WallMs } from "../units.js";

/** What an operator says when a subscriber is paused. */
export interface Pause {
  /** When it ends by itself, by the wall clock. Undefined: somebody has to end it. */
  readonly resumeTimeMs: WallMs | undefined;
}

/** A pause that is in force. The wall time is what people are told; the monotonic one is what is obeyed. */
export interface PauseInForce extends Pause {
  /** Infinity: it does not end by itself. */
  readonly resumeAt: MonotonicMs;
}

/** The pause by the clocks of this process; undefined when it is over already. */
export function pauseInForce({ resumeTimeMs }: Pause, now: Now): PauseInForce | undefined {
  if (resumeTimeMs === undefined) return { resumeTimeMs, resumeAt: monotonicMs(Infinity) };
  if (resumeTimeMs <= now.wallMs) return undefined;
  return { resumeTimeMs, resumeAt: monotonicMs(now.monotonicMs + resumeTimeMs - now.wallMs) };
}
