import type { Contestant } from "../contestants/contestant.js";

/** What one run of a cell found, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>;

/** How a figure is read. */
export interface FigureKind {
  readonly name: string;
  readonly unit: "msgs/s" | "calls/s" | "ms" | "messages";
}

/** One thing to measure on one contestant, or on a bare limit of the stack. */
export interface Cell {
  /** Whose column it is. */
  readonly contestant: string;
  /** Called before each run and after it, for a contestant that is frozen while others run. */
  resume(): void;
  pause(): void;
  /** Takes about `ms`, and bounds each thing that it waits for. */
  run(ms: number): Promise<Figures>;
}

/** A row of the results: the same question to everybody who can answer it. */
export interface Measure {
  /** As the tables call it. */
  readonly name: string;
  readonly figures: readonly FigureKind[];
  /** How many times as long as others its cells take; 1 unless said. */
  readonly lasts?: number;
  /** Cells in turn; each of the rounds runs all of them. */
  readonly cells: readonly Cell[];
}

export const RATE: readonly FigureKind[] = [{ name: "perSecond", unit: "msgs/s" }];

/** A cell of a contestant. */
export function cellOf(contestant: Contestant, run: (ms: number) => Promise<Figures>): Cell {
  return {
    contestant: contestant.name,
    resume: () => {
      contestant.resume();
    },
    pause: () => {
      contestant.pause();
    },
    run,
  };
}

/** The cell of a contestant that is not asked, with the reason. */
export function cellNotRun({ name }: Contestant, reason: string): Cell {
  return { contestant: name, resume: () => undefined, pause: () => undefined, run: () => Promise.reject(new Error(reason)) };
}

/** Messages done in the time that has passed since `startedMs` (performance.now). */
export function rate(messages: number, startedMs: number): Figures {
  return { perSecond: (messages * 1_000) / (performance.now() - startedMs) };
}

/** Anything thrown, as an error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error("something was thrown that is no error", { cause: thrown });
}
