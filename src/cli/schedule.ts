import type { Command } from "commander";
import type { ScheduledInfo } from "../client/index.js";
import { withBroker } from "./broker-work.js";
import { type Listing, writeList } from "./listing.js";
import { messageFields } from "./message-view.js";
import { bytesText, timeText } from "./quantity.js";
import { printableLine } from "./terminal.js";

const EXAMPLES = `
Examples:
  tidemark publish orders reminder.due '{"id":42}' --delay 15m
  tidemark schedule list orders
  tidemark schedule cancel orders 0019ab3f5c2d18-00000000000001`;

/** `tidemark schedule`: the messages of a queue that are put off. */
export function addSchedule(program: Command): void {
  const schedule = program
    .command("schedule")
    .summary("list and cancel messages that are not due yet")
    .description("Look at the messages of a queue that were published for later and are not due yet, and take them back.")
    .addHelpText("after", EXAMPLES);
  schedule
    .command("list")
    .summary("what is put off, by due time")
    .description("List the messages of a queue that are not due yet, by due time.")
    .argument("<queue>", "the queue")
    .action((queue: string, _flags: object, command: Command) =>
      withBroker(command, (client, output) => writeList(output, client.admin.scheduled(queue, { omitPayload: output.isTerminal }), SCHEDULED)),
    );
  schedule
    .command("cancel")
    .summary("take back a message that is not due yet")
    .description("Take back a message that is not due yet. It never comes, and its message id is free at once.")
    .argument("<queue>", "the queue")
    .argument("<id>", "which message, as publish and list show it")
    .action((queue: string, id: string, _flags: object, command: Command) =>
      withBroker(command, async (client, output) => {
        const scheduled = await client.admin.cancelScheduled(queue, id);
        const { paint } = output;
        const due = paint("dim", `was due ${timeText(scheduled.deliverTime)}`);
        const words = `${paint("good", "✔")} ${paint("number", scheduled.scheduleId)} of ${paint("strong", queue)} is cancelled  ${paint("name", printableLine(scheduled.message.event))}  ${due}`;
        await output.line(output.isTerminal ? words : JSON.stringify(scheduledJson(scheduled)));
      }),
    );
}

const SCHEDULED: Listing<ScheduledInfo> = {
  json: scheduledJson,
  columns: [
    { title: "ID", tone: "number", text: ({ scheduleId }) => printableLine(scheduleId) },
    { title: "DUE", text: ({ deliverTime }) => timeText(deliverTime) },
    { title: "EVENT", tone: "name", text: ({ message }) => printableLine(message.event) },
    { title: "SIZE", align: "right", text: ({ payloadBytes }) => bytesText(payloadBytes) },
    { title: "ACCEPTED", text: ({ acceptTime }) => timeText(acceptTime) },
  ],
  none: "nothing is put off",
};

function scheduledJson({ queue, scheduleId, message, deliverTime, acceptTime, payloadBytes }: ScheduledInfo): object {
  return {
    schedule_id: scheduleId,
    ...messageFields(queue, message),
    ...(deliverTime !== undefined && { deliver_time: deliverTime.toISOString() }),
    ...(acceptTime !== undefined && { accept_time: acceptTime.toISOString() }),
    payload_bytes: payloadBytes,
  };
}
