import { Subscriber } from "../../generated/tidemark/v1/subscriber.js";
import { startOf } from "./open-session.js";
import { changedSettings, checkSettings, type SubscriberSettings, wireSettings } from "./queue-settings.js";
import type { SubscribeOptions } from "./subscribe-options.js";
import { dateToTimestamp } from "./wire-time.js";

/** What a subscriber is made with; whatever is left out comes from its queue. */
export interface SubscriberOptions extends SubscriberSettings {
  /** Event filters, as of `subscribe`. Default: every event. */
  readonly events?: readonly string[];
  /** Where it begins, as of `subscribe`. Default: "earliest". */
  readonly from?: NonNullable<SubscribeOptions["from"]>;
  /** True: nothing is delivered until somebody ends the pause, or `resumeTime`. Default: false. */
  readonly paused?: boolean;
  /** When the pause ends by itself. Default: never. */
  readonly resumeTime?: Date;
}

/** What to change of a subscriber. What is left out stays as it is; a setting that is `"inherit"` goes back to the queue's. */
export type SubscriberChanges = { readonly [Name in keyof SubscriberSettings]?: NonNullable<SubscriberSettings[Name]> | "inherit" } & {
  /** Its event filters from what it has not looked at yet on; empty: every event. */
  readonly events?: readonly string[];
  readonly paused?: boolean;
  /** When the pause ends by itself; "never": when somebody ends it. */
  readonly resumeTime?: Date | "never";
};

/** Where the contract has the settings of a queue's subscribers, and those of one subscriber. */
const QUEUE_PATH = "subscriber_defaults.";
const SUBSCRIBER_PATH = "settings.";

/** A subscriber to make. Throws INVALID_FIELD for a setting that cannot be sent. */
export function newSubscriber(queue: string, name: string, { events = [], from, paused = false, resumeTime, ...settings }: SubscriberOptions): Subscriber {
  checkSettings(settings);
  return {
    ...Subscriber.create(),
    ...{ queue, name, paused, events: [...events], settings: wireSettings(settings) },
    start: startOf(from),
    resumeTime: resumeTime === undefined ? undefined : dateToTimestamp(resumeTime),
  };
}

/** Changes as the contract says them: what is in the mask and not in the subscriber goes back. Throws INVALID_FIELD likewise. */
export function subscriberUpdate(queue: string, name: string, { events, paused, resumeTime, ...changes }: SubscriberChanges): { subscriber: Subscriber; updateMask: string[] } {
  const { kept, paths } = changedSettings(changes);
  checkSettings(kept);
  const said = Object.entries({ events, paused, resume_time: resumeTime }).filter(([, value]) => value !== undefined);
  const settingPaths = paths.map((path) => SUBSCRIBER_PATH + path.slice(QUEUE_PATH.length));
  return {
    subscriber: {
      ...Subscriber.create(),
      ...{ queue, name, paused: paused === true, events: [...(events ?? [])], settings: wireSettings(kept) },
      resumeTime: resumeTime === undefined || resumeTime === "never" ? undefined : dateToTimestamp(resumeTime),
    },
    updateMask: [...said.map(([path]) => path), ...settingPaths],
  };
}
