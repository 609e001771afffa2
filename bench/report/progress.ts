import type { Measure } from "../measures/measure.js";

/** Starting, filling and draining come on top of the time that cells are given; this share was seen. */
const BESIDES = 1.3;

/** How far a run has come, and about how long it still takes. */
export class Progress {
  private readonly startedMs = performance.now();
  private readonly wholeMs: number;
  private doneMs = 0;
  private count = 0;

  constructor(
    private readonly measures: readonly Measure[],
    private readonly rounds: number,
    private readonly cellMs: number,
  ) {
    this.wholeMs = measures.reduce((sum, measure) => sum + this.plannedMs(measure), 0);
  }

  /** A line to print before a measure. */
  text({ name }: Measure): string {
    const goneMs = performance.now() - this.startedMs;
    const factor = this.doneMs > this.wholeMs / 10 ? goneMs / this.doneMs : BESIDES;
    const leftMs = (this.wholeMs - this.doneMs) * factor;
    return `[${this.count + 1} of ${this.measures.length}, ${minutes(goneMs)} gone, about ${minutes(leftMs)} left] ${name}`;
  }

  done(measure: Measure): void {
    this.count++;
    this.doneMs += this.plannedMs(measure);
  }

  private plannedMs({ cells, lasts = 1 }: Measure): number {
    return cells.length * lasts * this.cellMs * (this.rounds + 0.5);
  }
}

function minutes(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
