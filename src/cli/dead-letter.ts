import type { Command } from "commander";
import type { DeadLetterInfo, TidemarkClient } from "../client/index.js";
import { positiveInteger } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { addLetterFilter, letterFilter, type LetterFlags } from "./dead-letter-filter.js";
import { addDeadLetterWork } from "./dead-letter-work.js";
import { CommandFailure } from "./failure.js";
import { type Listing, writeList } from "./listing.js";
import { messageFields, payloadLines } from "./message-view.js";
import type { Output } from "./output.js";
import { bytesText, countText, timeText } from "./quantity.js";
import { detailLines } from "./table.js";
import { printableLine } from "./terminal.js";

/** Of the consumer's words, in a table. */
const DETAIL_COLUMNS = 60;

const EXAMPLES = `
Examples:
  tidemark dead-letter list orders billing
  tidemark dead-letter list orders billing --event 'order.*' --reason rejected --since 1h
  tidemark dead-letter list orders billing --json | jq .payload
  tidemark dead-letter show orders billing 42         one, with its headers and its payload
  tidemark dead-letter replay orders billing          deliver them again, to this subscriber alone
  tidemark dead-letter delete orders billing --offsets 42 --yes`;

/** `tidemark dead-letter`: the messages that a subscriber gave up. */
export function addDeadLetter(program: Command): void {
  const letter = program
    .command("dead-letter")
    .summary("list, show, replay and delete messages that a subscriber gave up")
    .description("Look at the dead letters of a subscriber, messages that it rejected or tried too often; deliver them again, or delete them.")
    .addHelpText("after", EXAMPLES);
  const list = letter
    .command("list")
    .summary("the dead letters of a subscriber, and why they are")
    .description("List the dead letters of a subscriber by offset.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name");
  addLetterFilter(list).action((queue: string, subscriber: string, flags: LetterFlags, command: Command) =>
    withBroker(command, (client, output) => {
      // A table has no room for payloads.
      const filter = { ...letterFilter(flags), omitPayload: output.isTerminal };
      return writeList(output, client.admin.deadLetters(queue, subscriber, filter), LETTERS);
    }),
  );
  letter
    .command("show")
    .summary("one dead letter, in full")
    .description("Show one dead letter: the message, why it was given up, by whom, and when.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .argument("<offset>", "the offset of the message", positiveInteger)
    .action((queue: string, subscriber: string, offset: number, _flags: object, command: Command) =>
      withBroker(command, async (client, output) => showLetter(output, await letterAt(client, queue, subscriber, offset))),
    );
  addDeadLetterWork(letter);
}

async function letterAt(client: TidemarkClient, queue: string, subscriber: string, offset: number): Promise<DeadLetterInfo> {
  let found: DeadLetterInfo | undefined;
  for await (const letter of client.admin.deadLetters(queue, subscriber, { offsets: [{ first: offset, last: offset }] })) found = letter;
  if (found !== undefined) return found;
  throw new CommandFailure(`message #${offset} is no dead letter of ${subscriber}; "tidemark dead-letter list ${queue} ${subscriber}" shows those that there are`);
}

const LETTERS: Listing<DeadLetterInfo> = {
  json: letterJson,
  columns: [
    { title: "OFFSET", align: "right", tone: "number", text: ({ message }) => `#${message.offset}` },
    { title: "EVENT", tone: "name", text: ({ message }) => printableLine(message.event) },
    { title: "REASON", tone: "warning", text: ({ reason }) => reasonText(reason) },
    { title: "ATTEMPTS", align: "right", text: ({ attempts }) => countText(attempts) },
    { title: "DELIVERIES", align: "right", text: ({ deliveries }) => countText(deliveries) },
    { title: "SIZE", align: "right", text: ({ payloadBytes }) => bytesText(payloadBytes) },
    { title: "SINCE", text: ({ deadLetterTime }) => timeText(deadLetterTime) },
    { title: "DETAIL", text: ({ detail }) => shortText(printableLine(detail)) },
  ],
  none: "no such dead letters",
};

async function showLetter(output: Output, letter: DeadLetterInfo): Promise<void> {
  if (!output.isTerminal) return output.line(JSON.stringify(letterJson(letter)));
  const { paint } = output;
  const { message } = letter;
  const details: [string, string][] = [
    ["message", `${paint("number", `#${message.offset}`)} of ${letter.queue}`],
    ["event", paint("name", printableLine(message.event))],
    ["subscriber", paint("strong", letter.subscriber)],
    ["reason", paint("warning", reasonText(letter.reason))],
    ["detail", letter.detail === "" ? "-" : printableLine(letter.detail)],
    ["attempts", countText(letter.attempts)],
    ["deliveries", countText(letter.deliveries)],
    ["held last by", holderText(letter)],
    ["given up", timeText(letter.deadLetterTime)],
    ["published", timeText(message.publishTime)],
    ...(message.messageId === "" ? [] : [["id", printableLine(message.messageId)] as [string, string]]),
    ...(message.orderingKey === "" ? [] : [["key", printableLine(message.orderingKey)] as [string, string]]),
    ...Object.entries(message.headers).map(([name, value]): [string, string] => [`header ${printableLine(name)}`, printableLine(value)]),
    ["payload", bytesText(letter.payloadBytes)],
  ];
  return output.line([...detailLines(details, paint), "", ...payloadLines(message.payload)].join("\n"));
}

function holderText({ holderClientId, holderSessionId }: DeadLetterInfo): string {
  if (holderSessionId === "") return "-";
  return holderClientId === "" ? `session ${holderSessionId}` : `${printableLine(holderClientId)}, session ${holderSessionId}`;
}

function letterJson(letter: DeadLetterInfo): object {
  return {
    ...messageFields(letter.queue, letter.message),
    subscriber: letter.subscriber,
    reason: letter.reason,
    ...(letter.detail !== "" && { detail: letter.detail }),
    attempts: letter.attempts,
    deliveries: letter.deliveries,
    ...(letter.holderSessionId !== "" && { holder_session_id: letter.holderSessionId }),
    ...(letter.holderClientId !== "" && { holder_client_id: letter.holderClientId }),
    ...(letter.deadLetterTime !== undefined && { dead_letter_time: letter.deadLetterTime.toISOString() }),
    payload_bytes: letter.payloadBytes,
  };
}

function reasonText(reason: string): string {
  return reason.toLowerCase().replaceAll("_", " ");
}

function shortText(text: string): string {
  return text.length > DETAIL_COLUMNS ? `${text.slice(0, DETAIL_COLUMNS - 1)}…` : text;
}
