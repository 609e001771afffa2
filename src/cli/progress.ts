import { Presets, SingleBar } from "cli-progress";
import type { Output } from "./output.js";
import { countText } from "./quantity.js";

/** Work that is done sooner shows nothing. */
const SHOWN_AFTER_MS = 500;
const REDRAWS_PER_S = 10;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * How far long work has come, on stderr, for somebody who watches: only where results are for a terminal and stderr is one too,
 * and only once the work has taken a while. It is gone when the work is, and after Ctrl-C, which ends the process as always.
 */
export class Progress {
  private readonly startedMs = performance.now();
  private readonly isSeen: boolean;
  private bar: SingleBar | undefined;
  private count = 0;
  private size = 0;

  /**
   * @param noun what is counted, in the plural: "messages"
   * @param total of the sizes that `advance` is told; undefined when it is not known: then there is a count without a bar
   */
  constructor(
    output: Output,
    private readonly noun: string,
    private readonly total: number | undefined,
  ) {
    this.isSeen = output.isTerminal && process.stderr.isTTY;
  }

  /** One more is done. */
  advance(size: number): void {
    this.count++;
    this.size += size;
    if (!this.isSeen) return;
    const elapsedMs = performance.now() - this.startedMs;
    if (elapsedMs < SHOWN_AFTER_MS) return;
    this.bar ??= this.show();
    const done = Math.min(this.size, this.total ?? this.size);
    this.bar.update(done, { count: countText(this.count), noun: this.noun, rate: countText(Math.round((this.count * 1_000) / elapsedMs)) });
  }

  /** Takes it off the terminal. Idempotent. */
  stop(): void {
    if (this.bar === undefined) return;
    for (const signal of SIGNALS) process.removeListener(signal, this.interrupted);
    this.bar.stop();
    this.bar = undefined;
  }

  private show(): SingleBar {
    const numbers = "{count} {noun}  {rate}/s";
    const bar = new SingleBar(
      {
        format: this.total === undefined ? numbers : `{bar} {percentage}%  ${numbers}`,
        stream: process.stderr,
        fps: REDRAWS_PER_S,
        barsize: 24,
        hideCursor: true,
        clearOnComplete: true,
        // It would take Ctrl-C for itself and let the work go on.
        gracefulExit: false,
      },
      Presets.shades_classic,
    );
    for (const signal of SIGNALS) process.on(signal, this.interrupted);
    bar.start(this.total ?? 1, 0, { count: "0", noun: this.noun, rate: "0" });
    return bar;
  }

  /** Leaves a clean terminal, then lets the signal do what it would have done. */
  private readonly interrupted = (signal: NodeJS.Signals): void => {
    this.stop();
    process.kill(process.pid, signal);
  };
}
