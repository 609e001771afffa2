import type { Clock } from "../ports/clock.js";
import type { Engine } from "../ports/engine.js";
import type { Journal } from "../ports/journal.js";
import type { Random } from "../ports/random.js";
import type { Telemetry } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import type { ClientRegistry } from "./client-registry.js";
import type { Scheduler } from "./scheduler.js";
import type { BrokerSettings } from "./settings.js";
import type { SharedTurns } from "./shared-turns.js";
import type { TailCache } from "./tail-cache.js";

/** What every queue of a broker shares. */
export interface QueueParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly turns: Turns;
  readonly sharedTurns: SharedTurns;
  readonly random: Random;
  readonly journal: Journal;
  readonly telemetry: Telemetry;
  readonly tails: TailCache;
  readonly clients: ClientRegistry;
  readonly settings: BrokerSettings;
}
