import type { Command } from "commander";
import type { PurgedQueue, QueueInfo, QueueOptions, TidemarkClient } from "../client/index.js";
import { positiveInteger } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { confirm, type ConfirmationFlags } from "./confirmation.js";
import { UsageError } from "./failure.js";
import { type Listing, writeList } from "./listing.js";
import type { Output } from "./output.js";
import { bytesText, counted, countText, timeText } from "./quantity.js";
import { addChangeFlags, addSettingFlags, type QueueSettingFlags, settingDetails, settingsJson, settingsSaid } from "./queue-settings.js";
import { detailLines } from "./table.js";

const EXAMPLES = `
Examples:
  tidemark queue list
  tidemark queue create payments --ordered            messages of one key are done one after the other
  tidemark queue show payments
  tidemark queue update payments --ack-timeout 30s    what its subscribers inherit, from now on
  tidemark queue purge payments --through 4200        drop what is there up to that message
  tidemark queue delete payments --yes
  tidemark queue list --json | jq -r 'select(.message_count > 0).name'`;

const CREATE_EXAMPLES = `
Examples:
  tidemark queue create orders
  tidemark queue create payments --ordered --on-poison block-lane --max-attempts 5
  tidemark queue create mails --ack-timeout 2m --backoff-min 1s --backoff-max 10m
  tidemark queue create audit --retention log --max-age 30d     messages stay for 30 days, whatever is acked

A setting that is left out comes from the server.`;

const UPDATE_EXAMPLES = `
Examples:
  tidemark queue update orders --ack-timeout 30s --max-attempts 5
  tidemark queue update payments --on-poison dead-letter        move what blocks lanes to the dead letters
  tidemark queue update orders --ack-timeout inherit            back to what the server has
  tidemark queue update orders --max-messages 100000            refuse to take more than are worked off

Each setting takes "inherit". Subscribers have a change at once; leases and windows of open streams stay as they are.`;

/** `tidemark queue`: lists, shows, makes, changes and deletes queues. */
export function addQueue(program: Command): void {
  const queue = program.command("queue").summary("list, show, create, update, purge and delete queues").description("Look at queues, make, change, purge and delete them.").addHelpText("after", EXAMPLES);
  queue
    .command("list")
    .summary("all queues with what is in them")
    .description("List all queues by name.")
    .action((_flags: object, command: Command) => withBroker(command, (client, output) => writeList(output, client.admin.queues(), QUEUES)));
  queue
    .command("show")
    .summary("one queue, in full")
    .description("Show one queue.")
    .argument("<queue>", "the queue")
    .action((name: string, _flags: object, command: Command) => withBroker(command, async (client, output) => showQueue(output, await client.admin.queue(name))));
  addCreate(queue);
  addUpdate(queue);
  queue
    .command("purge")
    .summary("drop the messages of a queue, settled or not")
    .description("Drop the messages of a queue, settled or not. Subscribers, dead letters, offsets and what is put off stay. There is no way back.")
    .argument("<queue>", "the queue")
    .option("-t, --through <offset>", "the last offset to drop (default: the last message)", positiveInteger)
    .option("-n, --dry-run", "only say what would be dropped")
    .option("-y, --yes", "do not ask")
    .action((name: string, flags: PurgeFlags, command: Command) => withBroker(command, (client, output) => purgeQueue(client, output, name, flags)));
  queue
    .command("delete")
    .summary("delete a queue with everything in it")
    .description("Delete a queue with its messages, subscribers, dead letters and schedules. There is no way back.")
    .argument("<queue>", "the queue")
    .option("-y, --yes", "do not ask")
    .action((name: string, flags: ConfirmationFlags, command: Command) => withBroker(command, (client, output) => deleteQueue(client, output, name, flags)));
}

function addCreate(queue: Command): void {
  const create = queue
    .command("create")
    .summary("make a queue")
    .description("Make a queue. One that is there with the same ordering and settings is left as it is, which is no failure.")
    .argument("<name>", "up to 128 letters, digits, dots, underscores and hyphens")
    .option("--ordered", "keep the order of messages with the same key, through retries and parallel clients; never changes");
  addSettingFlags(create)
    .addHelpText("after", CREATE_EXAMPLES)
    .action((name: string, flags: QueueSettingFlags & { ordered?: boolean }, command: Command) =>
      withBroker(command, async (client, output) => sayDone(output, await client.admin.createQueue(name, { ...(settingsSaid(flags) as QueueOptions), ordered: flags.ordered === true }))),
    );
}

function addUpdate(queue: Command): void {
  const update = queue
    .command("update")
    .summary("change the settings of a queue")
    .description("Change settings of a queue while it is in use. What is not named stays as it is.")
    .argument("<queue>", "the queue");
  addChangeFlags(update)
    .addHelpText("after", UPDATE_EXAMPLES)
    .action((name: string, flags: QueueSettingFlags, command: Command) => {
      const changes = settingsSaid(flags);
      if (Object.keys(changes).length === 0) throw new UsageError(`nothing to change: name a setting, such as --ack-timeout 30s; "tidemark queue update --help" shows them all`);
      return withBroker(command, async (client, output) => sayDone(output, await client.admin.updateQueue(name, changes)));
    });
}

/** A queue that was made or changed, in one line. */
async function sayDone(output: Output, queue: QueueInfo): Promise<void> {
  const { paint } = output;
  const facts = [queue.ordering.toLowerCase(), ...settingDetails(queue.settings).map((detail) => detail.join(" "))];
  await output.line(output.isTerminal ? `${paint("good", "✔")} ${paint("strong", queue.name)}  ${paint("dim", facts.join(", "))}` : JSON.stringify(queueJson(queue)));
}

interface PurgeFlags extends ConfirmationFlags {
  readonly through?: number;
  readonly dryRun?: boolean;
}

async function purgeQueue(client: TidemarkClient, output: Output, name: string, { through, dryRun = false, yes }: PurgeFlags): Promise<void> {
  const { queueId, subscriberCount, clientCount } = await client.admin.queue(name);
  const counts = await client.admin.purgeQueue(name, { throughOffset: through ?? 0, dryRun: true, queueId });
  const inside = ({ purgedCount, purgedBytes, throughOffset }: PurgedQueue): string =>
    `${counted(purgedCount, "message")}, ${bytesText(purgedBytes)}, of queue ${name}${purgedCount === 0 ? "" : ` up to #${throughOffset}`}`;
  const { paint } = output;
  const say = (purged: PurgedQueue, words: string): Promise<void> => output.line(output.isTerminal ? words : JSON.stringify(purgeJson(name, queueId, dryRun, purged)));
  if (dryRun) {
    await say(counts, `${inside(counts)} would be dropped`);
    return;
  }
  const readers = `${counted(subscriberCount, "subscriber")} with ${counted(clientCount, "client")} connected`;
  // What was shown, and nothing that came meanwhile, nor a queue that was made under its name.
  const exactly = { throughOffset: counts.throughOffset, queueId };
  if (counts.purgedCount > 0) await confirm(output, { ...(yes !== undefined && { yes }) }, `this drops ${inside(counts)}, settled or not, for ${readers}`);
  const purged = counts.purgedCount > 0 ? await client.admin.purgeQueue(name, exactly) : counts;
  await say(purged, `${paint("good", "✔")} ${inside(purged)} dropped`);
}

function purgeJson(queue: string, queueId: string, dryRun: boolean, { purgedCount, purgedBytes, throughOffset }: PurgedQueue): object {
  return { queue, queue_id: queueId, dry_run: dryRun, purged_count: purgedCount, purged_bytes: purgedBytes, through_offset: throughOffset };
}

async function deleteQueue(client: TidemarkClient, output: Output, name: string, flags: ConfirmationFlags): Promise<void> {
  const { queueId, messageCount, subscriberCount, clientCount } = await client.admin.queue(name);
  const inside = `${counted(messageCount, "message")} and ${counted(subscriberCount, "subscriber")}`;
  const connected = clientCount === 0 ? "" : ` (${counted(clientCount, "client")} connected)`;
  await confirm(output, flags, `this deletes the queue ${name} with ${inside}${connected}`);
  // What was shown, and not a queue that was made under its name meanwhile.
  await client.admin.deleteQueue(name, queueId);
  await output.line(output.isTerminal ? `${output.paint("good", "✔")} ${output.paint("strong", name)} is deleted, with ${inside}` : JSON.stringify({ queue: name, queue_id: queueId, deleted: true }));
}

const QUEUES: Listing<QueueInfo> = {
  json: queueJson,
  columns: [
    { title: "QUEUE", tone: "strong", text: ({ name }) => name },
    { title: "ORDER", text: ({ ordering }) => ordering.toLowerCase() },
    { title: "MESSAGES", align: "right", text: ({ messageCount }) => countText(messageCount) },
    { title: "SIZE", align: "right", text: ({ bytes }) => bytesText(bytes) },
    { title: "HEAD", align: "right", tone: "number", text: ({ headOffset }) => `#${headOffset}` },
    { title: "SUBSCRIBERS", align: "right", text: ({ subscriberCount }) => countText(subscriberCount) },
    { title: "CLIENTS", align: "right", text: ({ clientCount }) => countText(clientCount) },
  ],
  none: `no queues so far; "tidemark queue create <name>" makes one, and so does publishing to it`,
};

async function showQueue(output: Output, queue: QueueInfo): Promise<void> {
  if (!output.isTerminal) return output.line(JSON.stringify(queueJson(queue)));
  const { paint } = output;
  const offsets = queue.messageCount === 0 ? "none" : `#${queue.firstOffset} to #${queue.headOffset}`;
  const details: [string, string][] = [
    ["queue", paint("strong", queue.name)],
    ["id", queue.queueId],
    ["order", queue.ordering.toLowerCase()],
    ["messages", `${countText(queue.messageCount)}, ${bytesText(queue.bytes)}`],
    ["offsets", `${paint("number", offsets)}, head #${queue.headOffset}`],
    ...(queue.scheduledCount === 0 ? [] : [["put off", countText(queue.scheduledCount)] as [string, string]]),
    ["subscribers", countText(queue.subscriberCount)],
    ["clients", countText(queue.clientCount)],
    ["durability", queue.durability.toLowerCase()],
    ...settingDetails(queue.settings),
    ["made", timeText(queue.createTime)],
  ];
  return output.line(detailLines(details, paint).join("\n"));
}

function queueJson(queue: QueueInfo): object {
  return {
    name: queue.name,
    queue_id: queue.queueId,
    ordering: queue.ordering,
    ...(queue.createTime !== undefined && { create_time: queue.createTime.toISOString() }),
    first_offset: queue.firstOffset,
    head_offset: queue.headOffset,
    message_count: queue.messageCount,
    bytes: queue.bytes,
    scheduled_count: queue.scheduledCount,
    subscriber_count: queue.subscriberCount,
    client_count: queue.clientCount,
    durability: queue.durability,
    settings: settingsJson(queue.settings),
  };
}
