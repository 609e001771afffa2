import { BrokerError } from "../core/errors.js";
import { EventFilter } from "../core/event-filter.js";
import { invalidField } from "../core/names.js";
import type { Pause } from "../core/subscription/pause.js";
import type { WallMs } from "../core/units.js";
import { changedSettings, checkTogether, otherSetting, settingsInEffect } from "./queue-settings.js";
import type { Ordering } from "./queue-settings.js";
import type { BrokerSettings } from "./settings.js";
import { checkFilter, checkStart } from "./subscriber-claims.js";
import type { SubscriberRecord } from "./subscriber-record.js";
import type { NewSubscriber, SubscriberUpdate } from "./subscriber-api.js";
import { changesText, SUBSCRIBER_FIELDS } from "./subscriber-settings.js";
import type { SubscriberField } from "./subscriber-settings.js";

const PATH = "subscriber.settings";

/** The queue of a subscriber, as far as its settings depend on it. */
export interface SubscriberHome {
  readonly queue: string;
  readonly ordering: Ordering;
  /** What holds for the queue. */
  readonly settings: BrokerSettings;
}

/** A subscriber that an operator makes. INVALID_FIELD, ORDERED_QUEUE_REQUIRED. */
export function newRecord({ queue, ordering, settings }: SubscriberHome, request: NewSubscriber, now: WallMs): SubscriberRecord {
  const { name, events, start, own, paused, resumeTimeMs } = request;
  checkTogether({ queue, ordering, path: PATH }, own, settingsInEffect(settings, own));
  checkResumeTime(paused, resumeTimeMs);
  return { name, events: EventFilter.parse(events).patterns, createTimeMs: now, start, own, pause: pauseUntil(paused, resumeTimeMs, now) };
}

/** What a subscriber is after a change. INVALID_FIELD, ORDERED_QUEUE_REQUIRED. */
export function changedRecord({ queue, ordering, settings }: SubscriberHome, before: SubscriberRecord, pause: Pause | undefined, update: SubscriberUpdate, now: WallMs): SubscriberRecord {
  const own = changedSettings(before.own, update.settings);
  checkTogether({ queue, ordering, path: PATH }, update.settings, settingsInEffect(settings, own));
  const paused = update.paused ?? pause !== undefined;
  checkResumeTime(paused, update.resumeTimeMs);
  const resumeTimeMs = "resumeTimeMs" in update ? update.resumeTimeMs : pause?.resumeTimeMs;
  const events = update.events === undefined ? before.events : EventFilter.parse(update.events).patterns;
  return { ...before, own, events, pause: pauseUntil(paused, resumeTimeMs, now) };
}

/** What an open session is told of a change, one text a kind; empty: nothing of that kind has changed. */
export function changeTexts(before: SubscriberRecord, pause: Pause | undefined, after: SubscriberRecord, queue: BrokerSettings): { readonly settings: string; readonly events: string; readonly pause: string } {
  const [was, is] = [EventFilter.parse(before.events), EventFilter.parse(after.events)];
  return {
    settings: changesText(settingsInEffect(queue, before.own), settingsInEffect(queue, after.own)),
    events: was.equals(is) ? "" : is.takesEverything ? "every event is taken, from what was not looked at yet on" : `events is ${is.patterns.join(", ")}, from what was not looked at yet on`,
    pause: samePause(pause, after.pause) ? "" : pauseText(after.pause),
  };
}

/** A subscriber that is there is what an operator wants to make, or the error says what is otherwise. */
export function checkSame(record: SubscriberRecord, pause: Pause | undefined, request: NewSubscriber): void {
  checkFilter(record, request.events, { field: "subscriber.events", remedy: "change it with UpdateSubscriber" });
  checkStart(record, request.start, { field: "subscriber.start", remedy: "say the same, or seek" });
  const other = otherSetting(record.own, request.own) as SubscriberField | undefined;
  if (other !== undefined) throw exists(request, `${PATH}.${SUBSCRIBER_FIELDS[other]}`, String(request.own[other]), String(record.own[other] ?? "inherited"));
  if (request.paused && pause === undefined) throw exists(request, "subscriber.paused", "true", "false");
  if (request.paused && request.resumeTimeMs !== pause?.resumeTimeMs) throw exists(request, "subscriber.resume_time", timeText(request.resumeTimeMs), timeText(pause?.resumeTimeMs));
}

function exists({ queue, name }: NewSubscriber, field: string, value: string, stored: string): BrokerError {
  return new BrokerError("SUBSCRIBER_EXISTS", `queue ${queue} has a subscriber ${name} already, and its ${field} is ${stored}, not ${value}: change it with UpdateSubscriber`, {
    queue,
    subscriber: name,
    field,
    value,
    stored,
  });
}

function checkResumeTime(paused: boolean, resumeTimeMs: WallMs | undefined): void {
  if (!paused && resumeTimeMs !== undefined) throw invalidField("subscriber.resume_time", timeText(resumeTimeMs), "nothing unless the subscriber is paused");
}

/** A pause whose end has passed is none. */
function pauseUntil(paused: boolean, resumeTimeMs: WallMs | undefined, now: WallMs): Pause | undefined {
  return paused && (resumeTimeMs === undefined || resumeTimeMs > now) ? { resumeTimeMs } : undefined;
}

function samePause(a: Pause | undefined, b: Pause | undefined): boolean {
  return (a === undefined) === (b === undefined) && a?.resumeTimeMs === b?.resumeTimeMs;
}

function pauseText(pause: Pause | undefined): string {
  if (pause === undefined) return "an operator ended the pause";
  return pause.resumeTimeMs === undefined ? "an operator paused the subscriber" : `an operator paused the subscriber until ${timeText(pause.resumeTimeMs)}`;
}

function timeText(time: WallMs | undefined): string {
  return time === undefined ? "unset" : new Date(time).toISOString();
}
