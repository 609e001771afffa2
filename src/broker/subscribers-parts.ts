import type { QueueTally, Telemetry } from "../ports/telemetry.js";
import type { DriverParts } from "./driver-parts.js";
import type { BrokerSettings } from "./settings.js";
import type { SubscriberRecord } from "./subscriber-record.js";
import type { DriverOwner } from "./driver-owner.js";
import type { SubscriptionDriver } from "./subscription-driver.js";

/** What the subscribers of a queue need of it. */
export interface SubscribersParts extends DriverParts {
  readonly queue: string;
  readonly ordered: boolean;
  /** What holds for the queue when it is opened. */
  readonly settings: BrokerSettings;
  readonly telemetry: Telemetry;
  readonly tally: QueueTally;
  /** Resolves when nothing is being trimmed: the oldest message left then stays in this turn. */
  readonly trimIdle: () => Promise<void>;
  /** A durable subscriber came, went or changed its filter. */
  readonly changed: () => void;
  /** A committed offset may have moved. */
  readonly cursorSaved: () => void;
  readonly sessionOver: DriverOwner<SubscriptionDriver>["sessionOver"];
}

/** One durable subscriber that is loaded. */
export interface DurableSubscriber {
  readonly record: SubscriberRecord;
  readonly driver: SubscriptionDriver;
}

/** A session's subscription, and whether it was made for it. */
export interface Joined {
  readonly driver: SubscriptionDriver;
  readonly created: boolean;
  /** What holds for it now. */
  readonly settings: () => BrokerSettings;
}
