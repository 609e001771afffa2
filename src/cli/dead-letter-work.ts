import type { Command } from "commander";
import type { DeletedLetters, ReplayedLetters, TidemarkClient } from "../client/index.js";
import { positiveInteger } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { confirm, type ConfirmationFlags } from "./confirmation.js";
import { addLetterFilter, letterFilter, type LetterFlags } from "./dead-letter-filter.js";
import type { Output } from "./output.js";
import { Progress } from "./progress.js";
import { counted } from "./quantity.js";

/** Letters that one call takes: between two of them it shows how far the work is, and Ctrl-C ends it. */
const LETTERS_AT_ONCE = 1_000;

const REPLAY_EXAMPLES = `
Examples:
  tidemark dead-letter replay orders billing --dry-run        how many it would be
  tidemark dead-letter replay orders billing --reason max-attempts --since 2h
  tidemark dead-letter replay orders billing --limit 10 --yes

Each comes as a new message at the end of the queue, to this subscriber alone, with its old offset as its origin.`;

interface WorkFlags extends LetterFlags, ConfirmationFlags {
  readonly limit?: number;
  readonly dryRun?: boolean;
}

/** The subcommands that take dead letters off their shelf. */
export function addDeadLetterWork(letter: Command): void {
  const replay = letter.command("replay").summary("deliver dead letters again").description("Deliver dead letters of a subscriber again, to it alone. They are dead letters no more.");
  withWorkFlags(replay, "deliver")
    .addHelpText("after", REPLAY_EXAMPLES)
    .action((queue: string, subscriber: string, flags: WorkFlags, command: Command) => withBroker(command, (client, output) => replayLetters(client, output, queue, subscriber, flags)));
  const remove = letter.command("delete").summary("delete dead letters").description("Delete dead letters of a subscriber. There is no way back.");
  withWorkFlags(remove, "delete").action((queue: string, subscriber: string, flags: WorkFlags, command: Command) =>
    withBroker(command, (client, output) => deleteLetters(client, output, queue, subscriber, flags)),
  );
}

function withWorkFlags(command: Command, verb: string): Command {
  return addLetterFilter(command.argument("<queue>", "the queue").argument("<subscriber>", "its name"))
    .option("-l, --limit <count>", `${verb} at most so many, by offset`, positiveInteger)
    .option("-n, --dry-run", `only say how many it would ${verb}`)
    .option("-y, --yes", "do not ask");
}

async function replayLetters(client: TidemarkClient, output: Output, queue: string, subscriber: string, flags: WorkFlags): Promise<void> {
  const { dryRun = false, limit } = flags;
  const filter = letterFilter(flags);
  const call = (most: number | undefined, dry: boolean): Promise<ReplayedLetters> => client.admin.replayDeadLetters(queue, subscriber, { ...filter, dryRun: dry, ...(most !== undefined && { limit: most }) });
  const wanted = await call(limit, true);
  const letters = `${counted(wanted.replayedCount, "dead letter")} of ${subscriber}`;
  const say = (done: ReplayedLetters, words: string): Promise<void> => output.line(output.isTerminal ? words : JSON.stringify(replayedJson(queue, subscriber, dryRun, done)));
  if (dryRun || wanted.replayedCount === 0) return say(wanted, wanted.replayedCount === 0 ? "no such dead letters" : `${letters} would be delivered again`);
  await confirm(output, flags, `this delivers ${letters} again`, `at the end of queue ${queue}`);
  let done: ReplayedLetters = { ...wanted, replayedCount: 0 };
  await inParts(output, wanted.replayedCount, async (most) => {
    const part = await call(most, false);
    if (part.replayedCount === 0) return 0;
    done = { ...part, firstOffset: done.firstOffset === 0 ? part.firstOffset : done.firstOffset, replayedCount: done.replayedCount + part.replayedCount };
    return part.replayedCount;
  });
  return say(done, `${output.paint("good", "✔")} ${counted(done.replayedCount, "dead letter")} of ${subscriber} will be delivered again, as #${done.firstOffset} to #${done.lastOffset} of ${queue}`);
}

async function deleteLetters(client: TidemarkClient, output: Output, queue: string, subscriber: string, flags: WorkFlags): Promise<void> {
  const { dryRun = false, limit } = flags;
  const filter = letterFilter(flags);
  const call = (most: number | undefined, dry: boolean): Promise<DeletedLetters> => client.admin.deleteDeadLetters(queue, subscriber, { ...filter, dryRun: dry, ...(most !== undefined && { limit: most }) });
  const wanted = await call(limit, true);
  const letters = `${counted(wanted.deletedCount, "dead letter")} of ${subscriber}`;
  const say = (done: DeletedLetters, words: string): Promise<void> => output.line(output.isTerminal ? words : JSON.stringify(deletedJson(queue, subscriber, dryRun, done)));
  if (dryRun || wanted.deletedCount === 0) return say(wanted, wanted.deletedCount === 0 ? "no such dead letters" : `${letters} would be deleted`);
  await confirm(output, flags, `this deletes ${letters} of queue ${queue}`);
  let done: DeletedLetters = { ...wanted, deletedCount: 0 };
  await inParts(output, wanted.deletedCount, async (most) => {
    const part = await call(most, false);
    done = { ...part, deletedCount: done.deletedCount + part.deletedCount };
    return part.deletedCount;
  });
  return say(done, `${output.paint("good", "✔")} ${counted(done.deletedCount, "dead letter")} of ${subscriber} deleted`);
}

/** Works until so many are done, as many as were shown, or there are no more. */
async function inParts(output: Output, total: number, part: (most: number) => Promise<number>): Promise<void> {
  const progress = new Progress(output, "dead letters", total);
  try {
    for (let left = total; left > 0; ) {
      const done = await part(Math.min(left, LETTERS_AT_ONCE));
      if (done === 0) return;
      left -= done;
      for (let i = 0; i < done; i++) progress.advance(1);
    }
  } finally {
    progress.stop();
  }
}

function replayedJson(queue: string, subscriber: string, dryRun: boolean, { replayedCount, remainingCount, firstOffset, lastOffset }: ReplayedLetters): object {
  return { queue, subscriber, dry_run: dryRun, replayed_count: replayedCount, remaining_count: remainingCount, first_offset: firstOffset, last_offset: lastOffset };
}

function deletedJson(queue: string, subscriber: string, dryRun: boolean, { deletedCount, remainingCount }: DeletedLetters): object {
  return { queue, subscriber, dry_run: dryRun, deleted_count: deletedCount, remaining_count: remainingCount };
}
