import type { Command } from "commander";
import type { SubscriberChanges, SubscriberInfo, SubscriberOptions } from "../client/index.js";
import { durationMs, type From, fromPosition } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { UsageError } from "./failure.js";
import type { Output } from "./output.js";
import { timeText } from "./quantity.js";
import { addChangeFlags, addSettingFlags, type QueueSettingFlags, settingDetails, settingsSaid } from "./queue-settings.js";
import { eventsText, subscriberJson } from "./subscriber-view.js";
import { dateAndTime } from "./time-point.js";

const EVENTS_ABOUT = "event filters: order.created, order.* (one token), order.** (one or more)";

const CREATE_EXAMPLES = `
Examples:
  tidemark subscriber create orders billing                         keeps messages for billing from now on, and what is there
  tidemark subscriber create orders billing 'order.*' --from latest
  tidemark subscriber create orders audit --expire-after 30d        deleted when nobody has connected for that long

A setting that is left out comes from the queue.`;

const UPDATE_EXAMPLES = `
Examples:
  tidemark subscriber update orders billing --max-attempts 5 --ack-timeout 30s
  tidemark subscriber update orders billing 'order.*' 'refund.*'    another filter, from what was not looked at yet on
  tidemark subscriber update orders billing --every-event
  tidemark subscriber update orders billing --ack-timeout inherit   back to what the queue has

Connected clients have a change at once; their leases and windows stay as they are until they connect again.`;

const PAUSE_EXAMPLES = `
Examples:
  tidemark subscriber pause orders billing
  tidemark subscriber pause orders billing --for 30m
  tidemark subscriber pause orders billing --until 2026-11-24T08:30`;

/** `tidemark subscriber create`, `update`, `pause` and `resume`. */
export function addSubscriberChanges(subscriber: Command): void {
  addCreate(subscriber);
  addUpdate(subscriber);
  addPause(subscriber);
  subscriber
    .command("resume")
    .summary("deliver to a subscriber again")
    .description("End the pause of a subscriber. One that is not paused stays as it is.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .action((queue: string, name: string, _flags: object, command: Command) => change(command, queue, name, { paused: false }));
}

interface CreateFlags {
  readonly from?: From;
}

function addCreate(subscriber: Command): void {
  const create = subscriber
    .command("create")
    .summary("make a subscriber before any client comes")
    .description("Make a subscriber, so that messages are kept for it before any client comes. One that is there with the same filter, start and settings is left as it is, which is no failure.")
    .argument("<queue>", "the queue; it must be there")
    .argument("<name>", "up to 128 letters, digits, dots, underscores and hyphens")
    .argument("[events...]", `${EVENTS_ABOUT}; default: every event`)
    .option("--from <where>", "where it begins: earliest, latest, an offset, or a time: 10m (ago), 2026-11-24T08:30 (default: earliest)", fromPosition);
  addSettingFlags(create, "subscriber")
    .addHelpText("after", CREATE_EXAMPLES)
    .action((queue: string, name: string, events: string[], flags: QueueSettingFlags & CreateFlags, command: Command) =>
      withBroker(command, async (client, output) =>
        sayDone(output, await client.admin.createSubscriber(queue, name, { ...(settingsSaid(flags) as SubscriberOptions), events, ...(flags.from !== undefined && { from: flags.from }) })),
      ),
    );
}

interface UpdateFlags {
  readonly everyEvent?: boolean;
}

function addUpdate(subscriber: Command): void {
  const update = subscriber
    .command("update")
    .summary("change the filter or the settings of a subscriber")
    .description("Change a subscriber while it is in use. What is not named stays as it is, and so does its position.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .argument("[events...]", `${EVENTS_ABOUT}; in the place of those that it has`)
    .option("--every-event", "take every event");
  addChangeFlags(update, "subscriber")
    .addHelpText("after", UPDATE_EXAMPLES)
    .action((queue: string, name: string, events: string[], flags: QueueSettingFlags & UpdateFlags, command: Command) => {
      const changes = settingsSaid(flags) as SubscriberChanges;
      const filters = events.length > 0 || flags.everyEvent === true;
      if (events.length > 0 && flags.everyEvent === true) throw new UsageError("--every-event and event filters contradict each other: say one of them");
      if (!filters && Object.keys(changes).length === 0) {
        throw new UsageError(`nothing to change: name event filters, or a setting such as --ack-timeout 30s; "tidemark subscriber update --help" shows them all`);
      }
      return change(command, queue, name, { ...changes, ...(filters && { events }) });
    });
}

interface PauseFlags {
  readonly for?: number;
  readonly until?: Date;
}

function addPause(subscriber: Command): void {
  subscriber
    .command("pause")
    .summary("deliver nothing to a subscriber for now")
    .description("Pause a subscriber: nothing is delivered, verdicts are taken, leases run on. Until it is resumed, or for as long as is said.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .option("--for <time>", "how long: 500ms, 30s, 10m, 2h, 1d", (text: string) => durationMs(text, 1))
    .option("--until <time>", "until when: 2026-11-24, 2026-11-24T08:30, 2026-11-24T08:30:00Z", dateAndTime)
    .addHelpText("after", PAUSE_EXAMPLES)
    .action((queue: string, name: string, flags: PauseFlags, command: Command) => {
      if (flags.for !== undefined && flags.until !== undefined) throw new UsageError("--for and --until say the same thing: say one of them");
      const resumeTime = flags.for === undefined ? flags.until : new Date(Date.now() + flags.for);
      if (resumeTime !== undefined && resumeTime.getTime() <= Date.now()) throw new UsageError(`${timeText(resumeTime)} has passed: say a time to come, or leave it out and end the pause with "tidemark subscriber resume"`);
      return change(command, queue, name, { paused: true, resumeTime: resumeTime ?? "never" });
    });
}

function change(command: Command, queue: string, name: string, changes: SubscriberChanges): Promise<void> {
  return withBroker(command, async (client, output) => sayDone(output, await client.admin.updateSubscriber(queue, name, changes)));
}

/** A subscriber that was made or changed, in one line. */
async function sayDone(output: Output, subscriber: SubscriberInfo): Promise<void> {
  const { paint } = output;
  const { name, queue, events, paused, resumeTime, settings } = subscriber;
  const pause = paused ? [resumeTime === undefined ? "paused" : `paused until ${timeText(resumeTime)}`] : [];
  const facts = [eventsText(events), ...pause, ...settingDetails(settings).map((detail) => detail.join(" "))];
  await output.line(output.isTerminal ? `${paint("good", "✔")} ${paint("strong", name)} of ${queue}  ${paint("dim", facts.join(", "))}` : JSON.stringify(subscriberJson(subscriber)));
}
