import { setTimeout as delay } from "node:timers/promises";
import { type Command, Option } from "commander";
import { type TidemarkClient, TidemarkError } from "../client/index.js";
import { durationMs, type GlobalOptions } from "./arguments.js";
import { withBroker } from "./broker-work.js";
import { untilInterrupted } from "./leaving.js";
import type { Output } from "./output.js";
import { type Key, Screen } from "./screen.js";
import { type Sample, takeSample } from "./top-sample.js";
import { type Departure, topJson, topLines, type TopOrder, topScreen, type TopState } from "./top-view.js";

interface TopFlags {
  readonly queue?: string;
  readonly interval: number;
  readonly once?: boolean;
}

const INTERVAL_MS = 2_000;
const INTERVAL_MS_MIN = 200;
const INTERVAL_MS_MAX = 3_600_000;
/** An answer that takes so long is trouble to be told of. */
const PATIENCE_MS = 5_000;
const DEPARTURES_MAX = 5;

const EXAMPLES = `
Examples:
  tidemark top
  tidemark top --queue orders --interval 500ms
  tidemark top --once                                 one look, no screen
  tidemark top --json | jq -c '.subscribers[] | select(.backlog_count > 1000)'

Keys: q or Ctrl-C quits, s changes the order, arrows or j and k scroll.`;

/** `tidemark top`: what a broker is doing, live. */
export function addTop(program: Command): void {
  program
    .command("top")
    .summary("what the broker is doing, live: queues, subscribers, clients")
    .description("Show queues, subscribers and clients with rates and lag, what hurts first, and who left and why. In a pipe, one JSON object each time.")
    .option("-q, --queue <name>", "only this queue")
    .addOption(new Option("-i, --interval <time>", "how often to look: 500ms, 2s, 1m").argParser((text) => durationMs(text, INTERVAL_MS_MIN, INTERVAL_MS_MAX)).default(INTERVAL_MS, `${INTERVAL_MS / 1_000}s`))
    .option("-1, --once", "look once and leave")
    .addHelpText("after", EXAMPLES)
    .action((flags: TopFlags, command: Command) => {
      const { address } = command.optsWithGlobals<GlobalOptions>();
      return withBroker(command, (client, output) => top(client, output, address, flags));
    });
}

async function top(client: TidemarkClient, output: Output, address: string, flags: TopFlags): Promise<void> {
  const first = await takeSample(client, flags.queue, undefined);
  if (flags.once === true) {
    const state: TopState = { address, now: new Date(), sample: first, trouble: undefined, departures: [], order: "trouble", scrolled: 0 };
    return output.line(output.isTerminal ? topLines(state, output.paint).join("\n") : JSON.stringify(topJson(first)));
  }
  await untilInterrupted((signal, leave) => (output.isTerminal ? new TopLoop(client, output, address, flags, first, leave).run(signal) : writeSamples(client, output, flags, first, signal)));
}

/** Lines of JSON. While the broker is gone there are none. */
async function writeSamples(client: TidemarkClient, output: Output, { queue, interval }: TopFlags, first: Sample, signal: AbortSignal): Promise<void> {
  await output.line(JSON.stringify(topJson(first)));
  let before = first;
  let isAway = false;
  while (await paused(interval, signal)) {
    try {
      before = await takeSample(client, queue, before);
    } catch (error) {
      if (!(error instanceof TidemarkError)) throw error;
      if (!isAway) output.note(`no answer (${error.message}); trying again until it is back`);
      isAway = true;
      continue;
    }
    if (isAway) output.note("connected again");
    isAway = false;
    await output.line(JSON.stringify(topJson(before)));
  }
}

/** The live view: asks, listens, draws. What it draws is made in top-view.ts. */
class TopLoop {
  private readonly screen: Screen;
  private sample: Sample;
  private trouble: TopState["trouble"];
  private askingSince: Date | undefined;
  private departures: readonly Departure[] = [];
  private order: TopOrder = "trouble";
  private scrolled = 0;

  constructor(
    private readonly client: TidemarkClient,
    private readonly output: Output,
    private readonly address: string,
    private readonly flags: TopFlags,
    first: Sample,
    private readonly leave: () => void,
  ) {
    this.sample = first;
    this.screen = new Screen(
      (key) => {
        this.press(key);
      },
      () => {
        this.draw();
      },
    );
  }

  async run(signal: AbortSignal): Promise<void> {
    // Once a second at least, so that the time goes on though no answer comes.
    const clock = setInterval(() => {
      this.noteSilence();
      this.draw();
    }, Math.min(1_000, this.flags.interval));
    this.screen.open();
    try {
      this.draw();
      // An answer that does not come is not waited for.
      await Promise.race([Promise.all([this.ask(signal), this.listen(signal)]), aborted(signal)]);
    } finally {
      clearInterval(clock);
      this.screen.close();
    }
  }

  private async ask(signal: AbortSignal): Promise<void> {
    while (await paused(this.flags.interval, signal)) {
      this.askingSince = new Date();
      try {
        this.sample = await takeSample(this.client, this.flags.queue, this.sample);
        this.trouble = undefined;
      } catch (error) {
        this.fail(error);
      }
      this.askingSince = undefined;
      this.draw();
    }
  }

  /** Who goes, and why. The watch begins again when the broker is back; what went meanwhile is not known. */
  private async listen(signal: AbortSignal): Promise<void> {
    const { queue, interval } = this.flags;
    do {
      try {
        for await (const event of this.client.admin.watchClients({ signal, ...(queue !== undefined && { queue }) })) {
          if (event.type !== "left") continue;
          this.departures = [event, ...this.departures].slice(0, DEPARTURES_MAX);
          this.draw();
        }
      } catch (error) {
        this.fail(error);
        this.draw();
      }
    } while (await paused(interval, signal));
  }

  private fail(error: unknown): void {
    if (!(error instanceof TidemarkError)) throw error;
    this.trouble ??= { since: new Date(), text: error.message };
  }

  private noteSilence(): void {
    const since = this.askingSince;
    if (since !== undefined && Date.now() - since.getTime() > PATIENCE_MS) this.trouble ??= { since, text: "it does not answer" };
  }

  private press(key: Key): void {
    const page = Math.max(1, this.screen.rows - 4);
    const steps: Partial<Record<Key, number>> = { up: -1, down: 1, "page up": -page, "page down": page };
    if (key === "quit") this.leave();
    else if (key === "order") this.order = this.order === "trouble" ? "name" : "trouble";
    else this.scrolled = Math.max(0, this.scrolled + (steps[key] ?? 0));
    this.draw();
  }

  private draw(): void {
    const { address, sample, trouble, departures, order } = this;
    const state: TopState = { address, now: new Date(), sample, trouble, departures, order, scrolled: this.scrolled };
    const { lines, scrolledMax } = topScreen(state, this.screen.columns, this.screen.rows, this.output.paint);
    this.scrolled = Math.min(this.scrolled, scrolledMax);
    this.screen.draw(lines);
  }
}

/** Waits; false, and at once, when it is time to leave. */
async function paused(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { signal });
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const leave = (): void => {
      resolve();
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
}
