import type { Command } from "commander";
import type { SubscriberInfo, TidemarkClient } from "../client/index.js";
import { withBroker } from "./broker-work.js";
import { confirm, type ConfirmationFlags } from "./confirmation.js";
import { type Listing, writeList } from "./listing.js";
import type { Output } from "./output.js";
import { counted, countText, timeText } from "./quantity.js";
import { settingDetails } from "./queue-settings.js";
import { addSubscriberChanges } from "./subscriber-change.js";
import { addSubscriberSeek } from "./subscriber-seek.js";
import { clientsText, eventsText, subscriberJson } from "./subscriber-view.js";
import { detailLines } from "./table.js";

const EXAMPLES = `
Examples:
  tidemark subscriber list orders
  tidemark subscriber create orders billing 'order.*'
  tidemark subscriber update orders billing --max-attempts 5
  tidemark subscriber pause orders billing --for 30m
  tidemark subscriber seek orders billing --to-time 2h
  tidemark subscriber show orders billing
  tidemark subscriber delete orders billing --yes`;

/** `tidemark subscriber`: lists, shows, makes, changes, pauses, moves and deletes the durable subscribers of a queue. */
export function addSubscriber(program: Command): void {
  const subscriber = program
    .command("subscriber")
    .summary("list, show, create, update, pause, resume, seek and delete subscribers")
    .description("Look at the durable subscribers of a queue, make, change, pause, move and delete them. Subscribing under a name makes one too.")
    .addHelpText("after", EXAMPLES);
  subscriber
    .command("list")
    .summary("the subscribers of a queue, and how far they are")
    .description("List the durable subscribers of a queue by name.")
    .argument("<queue>", "the queue")
    .action((queue: string, _flags: object, command: Command) => withBroker(command, (client, output) => writeList(output, client.admin.subscribers(queue), SUBSCRIBERS)));
  subscriber
    .command("show")
    .summary("one subscriber, in full")
    .description("Show one subscriber.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .action((queue: string, name: string, _flags: object, command: Command) =>
      withBroker(command, async (client, output) => showSubscriber(output, await client.admin.subscriber(queue, name))),
    );
  addSubscriberChanges(subscriber);
  addSubscriberSeek(subscriber);
  subscriber
    .command("delete")
    .summary("delete a subscriber with its position")
    .description("Delete a subscriber with its position and its dead letters. Its clients are disconnected. There is no way back.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .option("-y, --yes", "do not ask")
    .action((queue: string, name: string, flags: ConfirmationFlags, command: Command) =>
      withBroker(command, (client, output) => deleteSubscriber(client, output, queue, name, flags)),
    );
}

async function deleteSubscriber(client: TidemarkClient, output: Output, queue: string, name: string, flags: ConfirmationFlags): Promise<void> {
  const { backlogCount, inFlightCount, waitingRetryCount, deadLetterCount, clientCount } = await client.admin.subscriber(queue, name);
  const unsettled = counted(backlogCount + inFlightCount + waitingRetryCount, "unsettled message");
  const connected = clientCount === 0 ? "" : ` (${counted(clientCount, "client")} connected)`;
  await confirm(output, flags, `this deletes the subscriber ${name} of ${queue} with ${unsettled} and ${counted(deadLetterCount, "dead letter")}${connected}`);
  await client.admin.deleteSubscriber(queue, name);
  await output.line(output.isTerminal ? `${output.paint("good", "✔")} ${output.paint("strong", name)} is deleted from ${queue}` : JSON.stringify({ queue, subscriber: name, deleted: true }));
}

const SUBSCRIBERS: Listing<SubscriberInfo> = {
  json: subscriberJson,
  columns: [
    { title: "SUBSCRIBER", tone: "strong", text: ({ name }) => name },
    { title: "COMMITTED", align: "right", tone: "number", text: ({ committedOffset }) => `#${committedOffset}` },
    { title: "BACKLOG", align: "right", text: ({ backlogCount }) => countText(backlogCount) },
    { title: "IN FLIGHT", align: "right", text: ({ inFlightCount }) => countText(inFlightCount) },
    { title: "RETRYING", align: "right", text: ({ waitingRetryCount }) => countText(waitingRetryCount) },
    { title: "DEAD", align: "right", text: ({ deadLetterCount }) => countText(deadLetterCount) },
    { title: "BLOCKED", align: "right", text: ({ blockedLaneCount }) => countText(blockedLaneCount) },
    { title: "CLIENTS", align: "right", text: ({ clientCount }) => countText(clientCount) },
    { title: "EVENTS", tone: "name", text: ({ events }) => eventsText(events) },
  ],
  none: `no subscribers; "tidemark subscribe <queue> --subscriber <name>" makes one`,
};

async function showSubscriber(output: Output, subscriber: SubscriberInfo): Promise<void> {
  if (!output.isTerminal) return output.line(JSON.stringify(subscriberJson(subscriber)));
  const { paint } = output;
  const details: [string, string][] = [
    ["subscriber", paint("strong", subscriber.name)],
    ["queue", subscriber.queue],
    ["events", paint("name", eventsText(subscriber.events))],
    ["committed", paint("number", `#${subscriber.committedOffset}`)],
    ["backlog", countText(subscriber.backlogCount)],
    ["in flight", countText(subscriber.inFlightCount)],
    ["retrying", countText(subscriber.waitingRetryCount)],
    ["dead letters", countText(subscriber.deadLetterCount)],
    ...(subscriber.expiredCount === 0 ? [] : [["expired", countText(subscriber.expiredCount)] as [string, string]]),
    ["blocked lanes", countText(subscriber.blockedLaneCount)],
    ["dropped", countText(subscriber.droppedCount)],
    ["clients", clientsText(subscriber)],
    ...(subscriber.paused ? [["paused", subscriber.resumeTime === undefined ? "until it is resumed" : `until ${timeText(subscriber.resumeTime)}`] as [string, string]] : []),
    ...settingDetails(subscriber.effectiveSettings),
    ["made", timeText(subscriber.createTime)],
    ...(subscriber.expireTime === undefined ? [] : [["expires", `${timeText(subscriber.expireTime)}, if no client comes`] as [string, string]]),
  ];
  return output.line(detailLines(details, paint).join("\n"));
}
