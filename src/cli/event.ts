import type { Command } from "commander";
import type { EventInfo } from "../client/index.js";
import { withBroker } from "./broker-work.js";
import { type Listing, writeList } from "./listing.js";
import { countText, timeText } from "./quantity.js";

/** Named in a table; the others are counted. */
const SUBSCRIBERS_SHOWN = 4;

const EXAMPLES = `
Examples:
  tidemark event list orders
  tidemark event list orders --json | jq -r 'select(.matching_subscribers == []).event'      events that nobody takes`;

/** `tidemark event`: shows which events are in a queue. */
export function addEvent(program: Command): void {
  const event = program.command("event").summary("list the events in a queue, and who takes them").description("Look at the events in a queue.").addHelpText("after", EXAMPLES);
  event
    .command("list")
    .summary("the events in a queue, how many messages there are, and who takes them")
    .description("List the events of the messages that are in a queue, by name.")
    .argument("<queue>", "the queue")
    .action((queue: string, _flags: object, command: Command) => withBroker(command, (client, output) => writeList(output, client.admin.events(queue), EVENTS)));
}

const EVENTS: Listing<EventInfo> = {
  json: (info) => ({
    event: info.event,
    message_count: info.messageCount,
    last_offset: info.lastOffset,
    ...(info.lastPublishTime !== undefined && { last_publish_time: info.lastPublishTime.toISOString() }),
    matching_subscribers: info.matchingSubscribers,
  }),
  columns: [
    { title: "EVENT", tone: "name", text: ({ event }) => event },
    { title: "MESSAGES", align: "right", text: ({ messageCount }) => countText(messageCount) },
    { title: "NEWEST", align: "right", tone: "number", text: ({ lastOffset }) => `#${lastOffset}` },
    { title: "PUBLISHED", text: ({ lastPublishTime }) => timeText(lastPublishTime) },
    { title: "SUBSCRIBERS", text: ({ matchingSubscribers }) => subscribersText(matchingSubscribers) },
  ],
  none: `no messages, so no events; "tidemark publish <queue> <event>" makes some`,
};

function subscribersText(names: readonly string[]): string {
  if (names.length === 0) return "nobody";
  const more = names.length - SUBSCRIBERS_SHOWN;
  return `${names.slice(0, SUBSCRIBERS_SHOWN).join(" ")}${more > 0 ? ` and ${more} more` : ""}`;
}
