import { type Command, InvalidArgumentError } from "commander";
import type { PeekFrom, TidemarkClient } from "../client/index.js";
import { positiveInteger } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { UsageError } from "./failure.js";
import { messageFields, MessageView } from "./message-view.js";
import type { Output } from "./output.js";
import { counted } from "./quantity.js";
import { timePoint } from "./time-point.js";

/** A screen or two; who wants more says so. */
const LIMIT_DEFAULT = 100;

interface PeekFlags {
  readonly from?: number;
  readonly since?: Date;
  readonly last?: number;
  readonly limit?: number;
}

const EXAMPLES = `
Examples:
  tidemark peek orders                                the oldest messages
  tidemark peek orders --last 10                      the newest ten
  tidemark peek orders 'order.*' --since 10m          what came in the last ten minutes
  tidemark peek orders --from 4200 --limit 1          one message
  tidemark peek orders --limit 1000000 | jq .payload

Nothing is leased or acknowledged: subscribers do not notice. In a pipe, messages are lines of JSON.`;

/** `tidemark peek`: shows messages and leaves them where they are. */
export function addPeek(program: Command): void {
  program
    .command("peek")
    .summary("look at messages without taking them")
    .description("Show messages of a queue, and leave them where they are.")
    .argument("<queue>", "the queue")
    .argument("[events...]", "event filters: order.created, order.* (one token), order.** (one or more); default: every event")
    .option("--from <offset>", "begin with this offset, or the first message after it (default: the oldest)", offsetFrom0)
    .option("--since <time>", "begin with the first message from this time on: 10m ago, or 2026-11-24T08:30", timePoint)
    .option("--last <number>", "the newest so many that match", positiveInteger)
    .option("-n, --limit <number>", `show at most so many (default: ${LIMIT_DEFAULT}, or what --last says)`, positiveInteger)
    .addHelpText("after", EXAMPLES)
    .action((queue: string, events: string[], flags: PeekFlags, command: Command) => {
      const from = fromOf(flags);
      return withBroker(command, (client, output) => peek(client, output, queue, events, from, flags));
    });
}

function fromOf({ from, since, last }: PeekFlags): PeekFrom | undefined {
  const said = [from !== undefined && "--from", since !== undefined && "--since", last !== undefined && "--last"].filter((flag) => flag !== false);
  if (said.length > 1) throw new UsageError(`${said.join(" and ")} say different places to begin with; leave one out`);
  if (from !== undefined) return { offset: from };
  if (since !== undefined) return { time: since };
  return last === undefined ? undefined : { last };
}

async function peek(client: TidemarkClient, output: Output, queue: string, events: readonly string[], from: PeekFrom | undefined, flags: PeekFlags): Promise<void> {
  const limit = flags.limit ?? flags.last ?? LIMIT_DEFAULT;
  const view = new MessageView(output.paint);
  let count = 0;
  let last = 0;
  for await (const message of client.admin.peek(queue, { events, limit, ...(from !== undefined && { from }) })) {
    await output.line(output.isTerminal ? view.lines(message, output.columns).join("\n") : JSON.stringify(messageFields(queue, message)));
    count++;
    last = message.offset;
  }
  if (count === LIMIT_DEFAULT && flags.limit === undefined && flags.last === undefined) {
    output.note(output.paintNote("warning", `${counted(count, "message")}, and there may be more: go on with --from ${last + 1}, or say how many with --limit`));
  } else if (output.isTerminal) {
    output.note(output.paintNote("dim", count === 0 ? "no such messages" : counted(count, "message")));
  }
}

function offsetFrom0(text: string): number {
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(Number(text))) throw new InvalidArgumentError("It must be an offset, a whole number.");
  return Number(text);
}
