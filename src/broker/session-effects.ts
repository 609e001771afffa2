import type { Effect } from "../core/subscription/effects.js";
import type { LiveSession } from "./live-session.js";

/** What a subscription says to one session that is open. */
export type SessionEffect = Extract<Effect, { type: "deliver" | "recall" | "confirm" | "gap" | "notice" | "finish_session" }>;

/** Passes on what a subscription says to a session, unless that is over. */
export function tellSession(session: LiveSession | undefined, effect: SessionEffect): void {
  switch (effect.type) {
    case "deliver":
      session?.deliver(effect.batch, effect.parts);
      return;
    case "recall":
      session?.recall(effect.ranges, effect.cause);
      return;
    case "confirm":
      session?.confirm(effect.requestIds, effect.failures, effect.committedOffset);
      return;
    case "gap":
      session?.gap(effect.first, effect.last, effect.matchingCount);
      return;
    case "notice":
      session?.notice(effect.reason, effect.detail, effect.range);
      return;
    case "finish_session":
      session?.finish();
      return;
  }
}
