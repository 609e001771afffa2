import type { Subscriber } from "../../generated/tidemark/v1/subscriber.js";
import { changedSettings } from "../broker/queue-settings.js";
import type { NewSubscriber, SubscriberUpdate } from "../broker/subscriber-api.js";
import { NOTHING_SET } from "../broker/subscriber-settings.js";
import type { SubscriberSettingChanges } from "../broker/subscriber-settings.js";
import { EventFilter } from "../core/event-filter.js";
import { checkName, invalidField } from "../core/names.js";
import type { StartPoint } from "../core/session.js";
import { wallMs } from "../core/units.js";
import type { WallMs } from "../core/units.js";
import { pathsIn, readFields } from "./field-mask.js";
import type { FieldReader, FieldReaders } from "./field-mask.js";
import { startPoint } from "./open-from-wire.js";
import { settingReadersUnder } from "./subscriber-settings-from-wire.js";
import { wallTimeMs } from "./wire-numbers.js";

const DEFAULT_START: StartPoint = { kind: "earliest" };

/** What a request says of a subscriber, but for its settings. */
type Said = Pick<SubscriberUpdate, "events" | "paused" | "resumeTimeMs">;

const SETTINGS: FieldReaders<Subscriber, SubscriberSettingChanges> = new Map(settingReadersUnder("settings", ({ settings }: Subscriber) => settings));

/** Every field that may be changed besides the settings. What is unset is said here too: it stands for everything, or for no pause. */
const OTHERS: FieldReaders<Subscriber, Said> = new Map<string, FieldReader<Subscriber, Said>>([
  ["events", ({ events }, field) => ({ events: filterPatterns(field, events) })],
  ["paused", ({ paused }) => ({ paused })],
  ["resume_time", ({ resumeTime }, field) => ({ resumeTimeMs: optionalTime(field, resumeTime) })],
]);

const FIELDS: FieldReaders<Subscriber, object> = new Map<string, FieldReader<Subscriber, object>>([...OTHERS, ...SETTINGS]);

/** What CreateSubscriber says of a subscriber. */
export function newSubscriber(wire: Subscriber | undefined): NewSubscriber {
  const subscriber = present(wire);
  return {
    ...named(subscriber),
    events: filterPatterns("subscriber.events", subscriber.events),
    start: startPoint("subscriber", subscriber.start) ?? DEFAULT_START,
    own: changedSettings(NOTHING_SET, readFields(SETTINGS, "subscriber", subscriber)),
    paused: subscriber.paused,
    resumeTimeMs: optionalTime("subscriber.resume_time", subscriber.resumeTime),
  };
}

/** What UpdateSubscriber wants changed. Without a mask, or with an empty one: what is set. */
export function subscriberUpdate(wire: Subscriber | undefined, mask: readonly string[] | undefined): SubscriberUpdate {
  const subscriber = present(wire);
  if (mask !== undefined && mask.length > 0) {
    const paths = pathsIn(FIELDS, mask);
    return { ...named(subscriber), settings: readFields(SETTINGS, "subscriber", subscriber, paths), ...readFields(OTHERS, "subscriber", subscriber, paths) };
  }
  const set = [...(subscriber.events.length > 0 ? ["events"] : []), ...(subscriber.paused ? ["paused"] : []), ...(subscriber.resumeTime === undefined ? [] : ["resume_time"])];
  return { ...named(subscriber), settings: changedSettings(NOTHING_SET, readFields(SETTINGS, "subscriber", subscriber)), ...readFields(OTHERS, "subscriber", subscriber, set) };
}

function present(wire: Subscriber | undefined): Subscriber {
  if (wire === undefined) throw invalidField("subscriber", "", "a subscriber with a queue and a name");
  return wire;
}

function named({ queue, name }: Subscriber): { readonly queue: string; readonly name: string } {
  return { queue: checkName("subscriber.queue", queue), name: checkName("subscriber.name", name) };
}

function filterPatterns(field: string, events: readonly string[]): readonly string[] {
  return EventFilter.parse(events, field).patterns;
}

function optionalTime(field: string, time: Subscriber["resumeTime"]): WallMs | undefined {
  return time === undefined ? undefined : wallMs(wallTimeMs(field, time));
}
