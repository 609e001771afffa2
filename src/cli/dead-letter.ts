import { type Command, InvalidArgumentError, Option } from "commander";
import type { DeadLetterFilter, DeadLetterInfo, DeadLetterReason, TidemarkClient } from "../client/index.js";
import { positiveInteger } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { CommandFailure } from "./failure.js";
import { type Listing, writeList } from "./listing.js";
import { messageFields, payloadLines } from "./message-view.js";
import type { Output } from "./output.js";
import { bytesText, countText, timeText } from "./quantity.js";
import { detailLines } from "./table.js";
import { printableLine } from "./terminal.js";
import { timePoint } from "./time-point.js";

const REASONS: Readonly<Record<string, DeadLetterReason>> = { rejected: "REJECTED", "max-attempts": "MAX_ATTEMPTS", "max-deliveries": "MAX_DELIVERIES", expired: "EXPIRED" };
/** Of the consumer's words, in a table. */
const DETAIL_COLUMNS = 60;

const EXAMPLES = `
Examples:
  tidemark dead-letter list orders billing
  tidemark dead-letter list orders billing --event 'order.*' --reason rejected --since 1h
  tidemark dead-letter list orders billing --json | jq .payload
  tidemark dead-letter show orders billing 42         one, with its headers and its payload`;

interface ListFlags {
  readonly event?: readonly string[];
  readonly reason?: readonly string[];
  readonly offsets?: DeadLetterFilter["offsets"];
  readonly since?: Date;
  readonly until?: Date;
}

/** `tidemark dead-letter`: shows the messages that a subscriber gave up. */
export function addDeadLetter(program: Command): void {
  const letter = program
    .command("dead-letter")
    .summary("list and show messages that a subscriber gave up")
    .description("Look at the dead letters of a subscriber: messages that it rejected, or tried too often.")
    .addHelpText("after", EXAMPLES);
  letter
    .command("list")
    .summary("the dead letters of a subscriber, and why they are")
    .description("List the dead letters of a subscriber by offset.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .option("-e, --event <patterns...>", "only those of events that match one of these")
    .addOption(new Option("-r, --reason <reasons...>", "only those with one of these reasons").choices(Object.keys(REASONS)))
    .option("--offsets <runs>", "only those of these offsets: 3,10-20", offsetRuns)
    .option("--since <time>", "only those that became one since: 10m ago, or 2026-11-24T08:30", timePoint)
    .option("--until <time>", "only those that became one before", timePoint)
    .action((queue: string, subscriber: string, flags: ListFlags, command: Command) =>
      withBroker(command, (client, output) => {
        // A table has no room for payloads.
        const filter = { ...filterOf(flags), omitPayload: output.isTerminal };
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
}

function filterOf({ event, reason, offsets, since, until }: ListFlags): DeadLetterFilter {
  return {
    ...(event !== undefined && { events: event }),
    ...(reason !== undefined && { reasons: reason.map((name) => REASONS[name]).filter((known) => known !== undefined) }),
    ...(offsets !== undefined && { offsets }),
    ...(since !== undefined && { afterTime: since }),
    ...(until !== undefined && { beforeTime: until }),
  };
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

/** `3,10-20` as runs of offsets. */
function offsetRuns(text: string): DeadLetterFilter["offsets"] {
  return text.split(",").map((run) => {
    const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(run.trim()) ?? [];
    const first = Number(from);
    const last = Number(to);
    if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first < 1 || last < first) throw new InvalidArgumentError("It must be offsets and runs of them, from 1: 3,10-20.");
    return { first, last };
  });
}
