import { type Command, InvalidArgumentError } from "commander";
import type { SeekTarget, SoughtSubscriber, SubscriberPosition, TidemarkClient } from "../client/index.js";
import { runsText } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { confirm, type ConfirmationFlags } from "./confirmation.js";
import { UsageError } from "./failure.js";
import type { Output } from "./output.js";
import { counted, timeText } from "./quantity.js";
import { timePoint } from "./time-point.js";

const EXAMPLES = `
Examples:
  tidemark subscriber seek orders billing --earliest --dry-run      how many messages would come again
  tidemark subscriber seek orders billing --to-time 2h
  tidemark subscriber seek orders billing --to-offset 500           500 is the next one
  tidemark subscriber seek orders billing --latest --yes            only what is published from now on
  tidemark subscriber seek orders billing --to-position 120,125-130 back to where it was, as an earlier seek said

What is passed over may be gone soon after: messages that every subscriber has done with are not kept. Clients stay connected;
what they hold is taken from them.`;

interface SeekFlags extends ConfirmationFlags {
  readonly earliest?: boolean;
  readonly latest?: boolean;
  readonly toOffset?: number;
  readonly toTime?: Date;
  readonly toPosition?: SubscriberPosition;
  readonly dryRun?: boolean;
}

/** `tidemark subscriber seek`: moves a subscriber, and says how to undo it. */
export function addSubscriberSeek(subscriber: Command): void {
  subscriber
    .command("seek")
    .summary("move a subscriber back or ahead")
    .description("Move a subscriber: what lies ahead of the new place comes, again if need be, and what lies before it does not. Its dead letters stay.")
    .argument("<queue>", "the queue")
    .argument("<subscriber>", "its name")
    .option("--earliest", "to the oldest message that is there")
    .option("--latest", "past the newest one")
    .option("--to-offset <offset>", "so that this offset is the next one", nextOffset)
    .option("--to-time <time>", "to the first message published then or later: 10m, 2h (ago), 2026-11-24T08:30", timePoint)
    .option("--to-position <position>", "to where it was: the committed offset, and what was settled beyond it", positionOf)
    .option("-n, --dry-run", "only say what it would do")
    .option("-y, --yes", "do not ask")
    .addHelpText("after", EXAMPLES)
    .action((queue: string, name: string, flags: SeekFlags, command: Command) => {
      const target = targetOf(flags);
      return withBroker(command, (client, output) => seek(client, output, queue, name, target, flags));
    });
}

async function seek(client: TidemarkClient, output: Output, queue: string, name: string, target: SeekTarget, flags: SeekFlags): Promise<void> {
  const { dryRun = false } = flags;
  const wanted = await client.admin.seekSubscriber(queue, name, target, { dryRun: true });
  if (!dryRun) await confirm(output, flags, `this moves ${name} of ${queue} ${wayText(wanted, target)}: ${effectText(wanted, "will come")}`, "and what it holds is taken from its clients");
  const done = dryRun ? wanted : await client.admin.seekSubscriber(queue, name, target);
  if (!output.isTerminal) return output.line(JSON.stringify(soughtJson(queue, name, dryRun, done)));
  const { paint } = output;
  if (dryRun) return output.line(`${paint("strong", name)} of ${queue} would be moved ${wayText(done, target)}: ${effectText(done, "would come")}`);
  await output.line(`${paint("good", "✔")} ${paint("strong", name)} of ${queue} is moved ${wayText(done, target)}: ${effectText(done, "come")}`);
  return output.line(paint("dim", `back, while the messages are there: tidemark subscriber seek ${queue} ${name} --to-position ${positionText(done.previousPosition)}`));
}

function targetOf({ earliest, latest, toOffset, toTime, toPosition }: SeekFlags): SeekTarget {
  const said: SeekTarget[] = [];
  if (earliest === true) said.push("earliest");
  if (latest === true) said.push("latest");
  if (toOffset !== undefined) said.push({ afterOffset: toOffset - 1 });
  if (toTime !== undefined) said.push({ time: toTime });
  if (toPosition !== undefined) said.push({ restore: toPosition });
  const [target] = said;
  if (target === undefined || said.length > 1) throw new UsageError("say one place to go to: --earliest, --latest, --to-offset, --to-time or --to-position");
  return target;
}

function nextOffset(text: string): number {
  const number = Number(text);
  if (!/^[0-9]+$/.test(text) || number < 1 || !Number.isSafeInteger(number)) throw new InvalidArgumentError("It must be the offset of the first message wanted, from 1.");
  return number;
}

/** A position as `positionText` writes it. */
function positionOf(text: string): SubscriberPosition {
  const [committed = "", ...runs] = text.split(",");
  const settled = runs.map((run) => {
    const [first = "", last = first] = run.split("-");
    return { first: Number(first), last: Number(last) };
  });
  if (!/^\d+(,\d+(-\d+)?)*$/.test(text) || ![Number(committed), ...settled.flatMap(({ first, last }) => [first, last])].every(Number.isSafeInteger)) {
    throw new InvalidArgumentError("It must be a position as a seek says it, such as 120 or 120,125-130,140.");
  }
  return { committedOffset: Number(committed), settled };
}

function positionText({ committedOffset, settled }: SubscriberPosition): string {
  return settled.length === 0 ? String(committedOffset) : `${committedOffset},${runsText(settled)}`;
}

function wayText({ previousPosition: from, position: to }: SoughtSubscriber, target: SeekTarget): string {
  const when = typeof target === "object" && "time" in target ? ` (${timeText(target.time)})` : "";
  return `from #${from.committedOffset} to #${to.committedOffset}${when}`;
}

function effectText({ repeatedCount, skippedCount }: SoughtSubscriber, come: string): string {
  return `${counted(repeatedCount, "message")} ${come} again, ${counted(skippedCount, "unread message")} passed over`;
}

function soughtJson(queue: string, subscriber: string, dryRun: boolean, { previousPosition, position, repeatedCount, skippedCount }: SoughtSubscriber): object {
  return { queue, subscriber, dry_run: dryRun, previous_position: positionText(previousPosition), position: positionText(position), repeated_count: repeatedCount, skipped_count: skippedCount };
}
