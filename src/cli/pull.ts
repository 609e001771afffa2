import type { Command } from "commander";
import type { Delivery, Pulled, TidemarkClient } from "../client/index.js";
import { durationMs, positiveInteger, runsText } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { deliveryFields, DeliveryView } from "./delivery-view.js";
import { Interrupted, UsageError } from "./failure.js";
import { untilInterrupted } from "./leaving.js";
import type { Output } from "./output.js";
import { counted, durationText } from "./quantity.js";

interface PullFlags {
  readonly subscriber: string;
  readonly max?: number;
  readonly wait?: number;
  readonly lease?: number;
  readonly session?: string;
  readonly ack?: boolean;
  readonly release?: boolean;
}

const EXAMPLES = `
Examples:
  tidemark pull orders -s billing --ack               what is there, up to 100, and done with it
  tidemark pull orders -s billing --wait 30s --ack    the same; wait for a first one
  tidemark pull orders -s billing --max 5             lease five; settle them later, from any terminal:
  tidemark settle <session> --ack 1-4 --retry 5
  tidemark pull orders -s billing --release           look at what comes next, and leave it there
  tidemark pull orders -s billing --ack | jq .payload

Without --ack or --release the messages stay leased until tidemark settle, or until the lease runs out: then they come again. In
a pipe, messages are lines of JSON with the session_id that settles them.`;

/** `tidemark pull`: takes some messages, without a stream. */
export function addPull(program: Command): void {
  program
    .command("pull")
    .summary("take some messages and leave, as a cron job would")
    .description("Lease messages of a queue and write them to standard output, without staying connected.")
    .argument("<queue>", "the queue; it is made if it does not exist")
    .argument("[events...]", "event filters: order.created, order.* (one token), order.** (one or more); default: every event")
    .requiredOption("-s, --subscriber <name>", "a durable name: the broker remembers what it has done")
    .option("-n, --max <number>", "take at most so many (default: 100)", positiveInteger)
    .option("-w, --wait <time>", "wait so long for a first message: 5s, up to 1m (default: not at all)", (text: string) => durationMs(text))
    .option("--lease <time>", "lease them for so long: 30s, 5m (default: the subscriber's, 1m)", (text: string) => durationMs(text))
    .option("--session <session>", "go on with the session of an earlier pull")
    .option("--ack", "acknowledge what was written")
    .option("--release", "give back what was written, uncounted")
    .addHelpText("after", EXAMPLES)
    .action((queue: string, events: string[], flags: PullFlags, command: Command) => {
      if (flags.ack === true && flags.release === true) throw new UsageError("--ack and --release say different things about the same messages; leave one out");
      return withBroker(command, (client, output) => untilInterrupted((signal) => pull(client, output, queue, events, flags, signal)));
    });
}

async function pull(client: TidemarkClient, output: Output, queue: string, events: readonly string[], flags: PullFlags, signal: AbortSignal): Promise<void> {
  const { subscriber, max, wait, lease, session } = flags;
  const pulled = await client.pull(queue, {
    subscriber,
    events,
    signal,
    ...(max !== undefined && { maxMessages: max }),
    ...(wait !== undefined && { waitMs: wait }),
    ...(lease !== undefined && { ackTimeoutMs: lease }),
    ...(session !== undefined && { sessionId: session }),
  }).catch((error: unknown) => {
    throw signal.aborted ? new Interrupted() : error;
  });
  const view = new DeliveryView(output.paint);
  for (const delivery of pulled.deliveries) {
    await output.line(output.isTerminal ? view.lines(delivery, output.columns).join("\n") : JSON.stringify(leasedFields(queue, pulled, delivery)));
    if (flags.ack === true) delivery.ack();
    else if (flags.release === true) delivery.release();
  }
  await pulled.settled();
  if (output.isTerminal) output.note(output.paintNote("dim", whatIsLeft(pulled, flags)));
}

function leasedFields(queue: string, { sessionId }: Pulled, delivery: Delivery): object {
  return { ...deliveryFields(queue, delivery), session_id: sessionId, batch_id: delivery.batchId };
}

/** What a person should know of what was taken, and of what was not. */
function whatIsLeft({ deliveries, sessionId, ackTimeoutMs, backlogCount, created }: Pulled, { ack, release, subscriber }: PullFlags): string {
  const fresh = created ? ` (${subscriber} is new)` : "";
  const more = backlogCount === 0 ? "" : `, ${counted(backlogCount, "more message")} waiting`;
  const [first] = deliveries;
  if (first === undefined) return `nothing came${fresh}${more}`;
  const count = counted(deliveries.length, "message");
  if (ack === true) return `${count} acknowledged${fresh}${more}`;
  if (release === true) return `${count} given back${fresh}${more}`;
  return `${count} leased for ${durationText(ackTimeoutMs)}${fresh}${more} · tidemark settle ${sessionId} --ack ${offsetsText(deliveries)}`;
}

/** Offsets as a flag takes them: `1-3,7`. */
function offsetsText(deliveries: readonly Delivery[]): string {
  const offsets = deliveries.map(({ offset }) => offset).sort((a, b) => a - b);
  const runs: { first: number; last: number }[] = [];
  for (const offset of offsets) {
    const run = runs.at(-1);
    if (run?.last === offset - 1) run.last = offset;
    else runs.push({ first: offset, last: offset });
  }
  return runsText(runs);
}
