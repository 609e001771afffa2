import type { MonotonicMs, WallMs } from "../units.js";
import type { Trouble } from "./trouble.js";

/** How messages come back without being settled. */
export interface Return extends Trouble {
  /** Not before this version of the cursor is durable: a count that was said must not be forgotten. */
  readonly afterVersion: number;
  /** How many went out together, when that was because one of them is suspect; Infinity otherwise. */
  readonly together: number;
  /** When they may go out again; undefined: at once. The wall time is what is stored, the monotonic one what is obeyed. */
  readonly due: { readonly at: MonotonicMs; readonly wallMs: WallMs } | undefined;
}
