import type { Command } from "commander";
import { connect, type Delivery, type SubscribeOptions, type Subscription, type SubscriptionEvent } from "../client/index.js";
import { type From, fromPosition, type GlobalOptions, positiveInteger } from "./arguments.js";
import { deliveryJson, DeliveryView } from "./delivery-view.js";
import { UsageError } from "./failure.js";
import { untilInterrupted } from "./leaving.js";
import { Output } from "./output.js";

interface SubscribeFlags {
  readonly subscriber?: string;
  readonly exclusive?: boolean;
  readonly from?: From;
  readonly count?: number;
  readonly untilHead?: boolean;
  readonly ack: boolean;
  readonly laneDepth?: number;
}

const EXAMPLES = `
Examples:
  tidemark subscribe orders                           new messages, as they come
  tidemark subscribe orders --from earliest           all that are there, then new ones
  tidemark subscribe orders --from 10m                those of the last ten minutes, then new ones
  tidemark subscribe orders 'order.*' --subscriber billing
                                                      go on where billing left off
  tidemark subscribe orders --subscriber ledger --exclusive
                                                      one at a time: stand by while another one works
  tidemark subscribe orders --subscriber billing --no-ack --count 5
                                                      look at the next five, leave them where they are
  tidemark subscribe orders --from earliest --until-head | jq .payload

Each message is acknowledged once it is written. In a pipe, messages are lines of JSON.`;

/** `tidemark subscribe`: shows messages and acknowledges them. */
export function addSubscribe(program: Command): void {
  program
    .command("subscribe")
    .summary("show messages as they come, and acknowledge them")
    .description("Subscribe to a queue and write each message to standard output. Ctrl-C leaves.")
    .argument("<queue>", "the queue; it is made if it does not exist")
    .argument("[events...]", "event filters: order.created, order.* (one token), order.** (one or more); default: every event")
    .option("-s, --subscriber <name>", "a durable name: the broker remembers what it has read")
    .option("-x, --exclusive", "let one client of the subscriber work at a time: the others stand by and take over; needs --subscriber")
    .option("--from <where>", "where a new subscriber begins: earliest, latest, an offset, or a time: 10m (ago), 2026-11-24T08:30 (default: earliest with a name, latest without)", fromPosition)
    .option("-n, --count <number>", "leave after so many messages", positiveInteger)
    .option("-u, --until-head", "leave when everything that is there now has come")
    .option("--lane-depth <number>", "of an ordered queue, hold so many messages of one ordering key at once (default: 1)", positiveInteger)
    .option("--no-ack", "leave the messages unread for the subscriber: they come again")
    .addHelpText("after", EXAMPLES)
    .action(async (queue: string, events: string[], flags: SubscribeFlags, command: Command) => {
      if (flags.exclusive === true && flags.subscriber === undefined) throw new UsageError("--exclusive is for a durable name that several clients use; say which with --subscriber");
      if (!flags.ack && flags.untilHead === true) {
        throw new UsageError("--until-head waits until all messages are acknowledged and cannot go with --no-ack; use --count");
      }
      await subscribe(command.optsWithGlobals<GlobalOptions>(), queue, events, flags);
    });
}

async function subscribe({ address, json }: GlobalOptions, queue: string, events: readonly string[], flags: SubscribeFlags): Promise<void> {
  const output = new Output(json);
  const client = connect(address, { patienceMs: 0, clientId: "tidemark-cli" });
  await untilInterrupted(async (signal) => {
    try {
      await client.connected();
      const notes = new Notes(output, queue, flags);
      const onEvent = (event: SubscriptionEvent): void => {
        notes.tell(event);
        // Everything that was there at the start has come.
        if (flags.untilHead === true && event.type === "notice" && event.reason === "CAUGHT_UP") subscription.drain();
      };
      const subscription = client.subscribe(queue, optionsOf(events, flags, signal, onEvent));
      const count = await show(subscription, output, queue, flags);
      notes.left(count);
    } finally {
      await client.close();
    }
  });
}

function optionsOf(
  events: readonly string[],
  flags: SubscribeFlags,
  signal: AbortSignal,
  onEvent: (event: SubscriptionEvent) => void,
): SubscribeOptions {
  return {
    events,
    signal,
    onEvent,
    ...(flags.subscriber !== undefined && { subscriber: flags.subscriber }),
    ...(flags.exclusive === true && { exclusive: true }),
    ...(flags.from !== undefined && { from: flags.from }),
    ...(flags.laneDepth !== undefined && { maxInFlightPerLane: flags.laneDepth }),
    // No more than will be shown: what else came would have to be given back.
    ...(flags.count !== undefined && { maxInFlightMessages: flags.count }),
  };
}

/** Writes deliveries until the subscription ends or the count is reached. Answers how many. */
async function show(subscription: Subscription, output: Output, queue: string, flags: SubscribeFlags): Promise<number> {
  const view = new DeliveryView(output.paint);
  let count = 0;
  for await (const delivery of subscription) {
    await write(delivery, output, queue, view);
    if (flags.ack) delivery.ack();
    count++;
    if (count === flags.count) break;
  }
  return count;
}

async function write(delivery: Delivery, output: Output, queue: string, view: DeliveryView): Promise<void> {
  const lines = output.isTerminal ? view.lines(delivery, output.columns) : [deliveryJson(queue, delivery)];
  await output.line(lines.join("\n"));
}

/** What this command brings about itself. */
const EXPECTED_NOTICES: ReadonlySet<string> = new Set(["CAUGHT_UP", "HALF_CLOSED_EXPLICIT"]);

/** What a person should know beside the messages, on stderr. In a pipe only what went wrong. */
class Notes {
  private greeted = false;
  /** The connection is gone, and that was said. */
  private away = false;

  constructor(
    private readonly output: Output,
    private readonly queue: string,
    private readonly flags: SubscribeFlags,
  ) {}

  tell(event: SubscriptionEvent): void {
    const { paintNote: paint } = this.output;
    switch (event.type) {
      case "opened":
        if (this.greeted) this.output.note(paint("good", "connected again"));
        else if (this.output.isTerminal) this.output.note(this.greeting(event));
        if (event.standby && this.output.isTerminal) this.output.note(paint("dim", "standing by: another client of this subscriber works; its messages come here when it is gone"));
        this.greeted = true;
        this.away = false;
        break;
      case "reconnecting":
        if (!this.away) this.output.note(paint("warning", `the connection broke (${event.cause.message}); trying again until it is back`));
        this.away = true;
        break;
      case "going_away":
        this.output.note(paint("warning", "the broker is stopping; trying again until it is back"));
        this.away = true;
        break;
      case "gap":
        this.output.note(
          paint("warning", `messages #${event.firstOffset} to #${event.lastOffset} are gone before they were read (${event.matchingCount} for this subscriber)`),
        );
        break;
      case "settle_failed":
        this.output.note(paint("warning", event.error.message));
        break;
      case "notice":
        if (event.reason === "TAKEN_OVER") {
          if (this.output.isTerminal) this.output.note(paint("good", "taken over: the client that worked has gone"));
        } else if (!EXPECTED_NOTICES.has(event.reason)) this.output.note(paint("dim", `${event.reason.toLowerCase().replaceAll("_", " ")}: ${event.detail}`));
        break;
      case "heartbeat":
      case "recalled":
        // The messages come again, and show why.
        break;
    }
  }

  left(count: number): void {
    if (!this.output.isTerminal) return;
    // Over the ^C that the terminal shows.
    this.output.note(`\r${this.output.paintNote("dim", count === 1 ? "1 message" : `${count.toLocaleString("en")} messages`)}`);
  }

  private greeting(event: Extract<SubscriptionEvent, { type: "opened" }>): string {
    const { paintNote: paint } = this.output;
    const { subscriber, from, count, untilHead } = this.flags;
    const who = subscriber === undefined ? "" : ` as ${paint("strong", subscriber)}${event.created ? " (new)" : ""}`;
    const waiting = event.backlogCount === 0 ? "nothing waiting" : `${event.backlogCount.toLocaleString("en")} waiting`;
    const hint = subscriber === undefined && from === undefined ? ", only new messages (--from earliest for all)" : "";
    const leave = count === undefined && untilHead !== true ? paint("dim", " · Ctrl-C leaves") : "";
    return `${paint("good", "●")} ${paint("strong", this.queue)}${who}${paint("dim", ` · ${waiting}${hint}`)}${leave}`;
  }
}
