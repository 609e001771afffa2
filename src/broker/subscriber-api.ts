import type { StartPoint } from "../core/session.js";
import type { Pause } from "../core/subscription/pause.js";
import type { Offset, WallMs } from "../core/units.js";
import type { BrokerSettings } from "./settings.js";
import type { OwnSubscriberSettings, SubscriberSettingChanges } from "./subscriber-settings.js";

/** What an operator says of a subscriber that is made before any client comes. */
export interface NewSubscriber {
  readonly queue: string;
  readonly name: string;
  /** Patterns of its filter; empty: everything. */
  readonly events: readonly string[];
  readonly start: StartPoint;
  readonly own: OwnSubscriberSettings;
  readonly paused: boolean;
  /** When `paused` ends by itself; undefined: it does not. */
  readonly resumeTimeMs: WallMs | undefined;
}

/** A change of a subscriber. A field that is not there stays as it is. */
export interface SubscriberUpdate {
  readonly queue: string;
  readonly name: string;
  readonly events?: readonly string[];
  readonly settings: SubscriberSettingChanges;
  readonly paused?: boolean;
  /** Undefined and there: the pause does not end by itself. */
  readonly resumeTimeMs?: WallMs | undefined;
}

/** A durable subscriber as it is now. */
export interface SubscriberInfo {
  readonly queue: string;
  readonly name: string;
  readonly events: readonly string[];
  /** Where it began, as asked for or by default. */
  readonly start: StartPoint;
  readonly createTimeMs: WallMs;
  readonly committedOffset: Offset;
  readonly backlogCount: number;
  readonly inFlightCount: number;
  readonly waitingRetryCount: number;
  readonly deadLetterCount: number;
  /** Messages that expired before it had settled them, ever, as far as it came to them. */
  readonly expiredCount: number;
  readonly clientCount: number;
  readonly blockedLaneCount: number;
  /** Messages purged or dropped by retention before they were settled or in flight, ever. */
  readonly droppedCount: number;
  /** What it sets itself. */
  readonly own: OwnSubscriberSettings;
  /** What holds for it. */
  readonly settings: BrokerSettings;
  /** Undefined: it is not paused. */
  readonly pause: Pause | undefined;
  /** When the oldest message that it has not settled was published, as far as the batch tells that it was stored with; undefined: there is none. */
  readonly oldestUnsettledTimeMs: WallMs | undefined;
  /** When its last client left; undefined while one is connected, or when it never had one. */
  readonly lastClientTimeMs: WallMs | undefined;
  /** When it is deleted if no client comes; undefined: it is not. */
  readonly expireTimeMs: WallMs | undefined;
}
