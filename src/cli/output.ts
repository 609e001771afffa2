import { type Paint, paintFor } from "./terminal.js";

/** Where a command writes: results to stdout, everything about them to stderr, so that a pipe carries results alone. */
export class Output {
  /** Results are for a person's eyes, and not for a program. */
  readonly isTerminal: boolean;
  readonly paint: Paint = paintFor(process.stdout, process.env);
  readonly paintNote: Paint = paintFor(process.stderr, process.env);

  /** @param json results are for a program even on a terminal */
  constructor(json: boolean) {
    this.isTerminal = process.stdout.isTTY && !json;
  }

  /** Columns of the terminal; 80 where there is none, or one that does not say. */
  get columns(): number {
    return process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : 80;
  }

  /**
   * Writes a result. Resolves when the system has taken it, so that a slow reader slows the command down and what nobody can
   * read counts as unwritten: then it rejects with ReaderGone.
   */
  line(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      process.stdout.write(`${text}\n`, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(isBrokenPipe(error) ? new ReaderGone() : error);
      });
    });
  }

  /** Writes something about the work. */
  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }
}

/** Nobody reads the results any more (`| head`): the command ends, and that is no failure. */
export class ReaderGone extends Error {
  override readonly name = "ReaderGone";
}

/** Keeps a broken pipe from ending the process at once: `line` tells the command, which can tidy up. */
export function surviveBrokenPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: Error) => {
      if (!isBrokenPipe(error)) throw error;
    });
  }
}

function isBrokenPipe(error: Error): boolean {
  return "code" in error && error.code === "EPIPE";
}
