import type { Command } from "commander";
import type { DeliveryRun, SettledVerdicts, TidemarkClient, Verdicts } from "../client/index.js";
import { durationMs, offsetRuns } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { CommandFailure, UsageError } from "./failure.js";
import type { Output } from "./output.js";
import { counted } from "./quantity.js";

type Runs = readonly DeliveryRun[];

interface SettleFlags {
  readonly ack?: Runs;
  readonly retry?: Runs;
  readonly reject?: Runs;
  readonly release?: Runs;
  readonly extend?: Runs;
  readonly delay?: number;
  readonly reason?: string;
  readonly lease?: number;
}

const EXAMPLES = `
Examples:
  tidemark settle 4f1c… --ack 1-4                     what tidemark pull leased is done
  tidemark settle 4f1c… --ack 1-4 --retry 5 --delay 10m --reason 'no paper'
  tidemark settle 4f1c… --reject 5 --reason 'no such customer'
  tidemark settle 4f1c… --extend 1-100 --lease 1h     more time for what takes longer

The session is that of a pull, or of a stream: tidemark client list shows them, and tidemark explain who holds a message.`;

/** `tidemark settle`: gives verdicts on what a session holds, from any terminal. */
export function addSettle(program: Command): void {
  program
    .command("settle")
    .summary("acknowledge, retry or reject what a session holds")
    .description("Give verdicts on messages that a session holds, and wait until the broker has them on disk.")
    .argument("<session>", "the session that holds the messages")
    .option("--ack <offsets>", "done: 3,10-20", offsetRuns)
    .option("--retry <offsets>", "to be delivered again, as another attempt", offsetRuns)
    .option("--reject <offsets>", "to the dead letters", offsetRuns)
    .option("--release <offsets>", "given back, uncounted", offsetRuns)
    .option("--extend <offsets>", "leased for longer", offsetRuns)
    .option("--delay <time>", "retry not before: 30s, 10m (default: the subscriber's backoff)", (text: string) => durationMs(text))
    .option("--reason <text>", "why they are retried or rejected")
    .option("--lease <time>", "extend by: 5m, 1h (default: the session's lease once more)", (text: string) => durationMs(text))
    .addHelpText("after", EXAMPLES)
    .action((session: string, flags: SettleFlags, command: Command) => {
      const verdicts = verdictsOf(flags);
      return withBroker(command, (client, output) => settle(client, output, session, verdicts));
    });
}

function verdictsOf({ ack = [], retry = [], reject = [], release = [], extend = [], delay, reason, lease }: SettleFlags): Verdicts {
  if ([ack, retry, reject, release, extend].every((runs) => runs.length === 0)) throw new UsageError("say what becomes of which messages: --ack, --retry, --reject, --release or --extend with offsets");
  if (delay !== undefined && retry.length === 0) throw new UsageError("--delay is for what is delivered again; say which with --retry");
  if (reason !== undefined && retry.length + reject.length === 0) throw new UsageError("--reason is for what is retried or rejected; say which with --retry or --reject");
  if (lease !== undefined && extend.length === 0) throw new UsageError("--lease is for what is leased for longer; say which with --extend");
  const why = reason === undefined ? {} : { reason };
  return {
    acks: ack,
    retries: retry.map((run) => ({ ...run, ...why, ...(delay !== undefined && { delayMs: delay }) })),
    rejects: reject.map((run) => ({ ...run, ...why })),
    releases: release,
    extends: extend.map((run) => ({ ...run, ...(lease !== undefined && { leaseMs: lease }) })),
  };
}

async function settle(client: TidemarkClient, output: Output, session: string, verdicts: Verdicts): Promise<void> {
  const settled = await client.settle(session, verdicts);
  if (output.isTerminal) output.note(output.paintNote("dim", `on disk; settled without a gap up to #${settled.committedOffset}`));
  else await output.line(JSON.stringify(settledJson(settled)));
  if (settled.failures.length === 0) return;
  const why = settled.failures.map(({ error }) => error.message).join("; ");
  throw new CommandFailure(`${counted(settled.failures.length, "verdict")} did not hold: ${why}`);
}

function settledJson({ committedOffset, failures }: SettledVerdicts): object {
  return {
    committed_offset: committedOffset,
    ...(failures.length > 0 && { failures: failures.map(({ firstOffset, lastOffset, error }) => ({ first: firstOffset, last: lastOffset, code: error.reason })) }),
  };
}
