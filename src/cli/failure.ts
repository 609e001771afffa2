import { CommanderError } from "commander";
import { TidemarkError } from "../client/index.js";
import { ReaderGone } from "./output.js";

/** Exit codes of every command. */
export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** The command line cannot mean anything: one line that says why and what would. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A command could not do its work: one line that says why and what to do. Exit code 1. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
}

/** Ctrl-C before anything was done. Exit code 130. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** What the shell hears of a failed command. */
export interface FailureReport {
  readonly exitCode: number;
  /** One line without the program's name; undefined: everything is said already. */
  readonly line: string | undefined;
}

/** Puts a failure into one line and an exit code. An error that no rule foresees keeps its stack: it is a bug to report. */
export function reportOf(error: unknown): FailureReport {
  // Commander has printed its own message; --help and --version come here too, with code 0.
  if (error instanceof CommanderError) return { exitCode: error.exitCode === 0 ? EXIT.ok : EXIT.usage, line: undefined };
  if (error instanceof ReaderGone) return { exitCode: EXIT.ok, line: undefined };
  if (error instanceof Interrupted) return { exitCode: EXIT.interrupted, line: undefined };
  if (error instanceof UsageError) return { exitCode: EXIT.usage, line: error.message };
  if (error instanceof CommandFailure) return { exitCode: EXIT.failure, line: error.message };
  if (error instanceof TidemarkError) return { exitCode: EXIT.failure, line: `${error.message}${adviceOn(error)}` };
  return { exitCode: EXIT.failure, line: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

function adviceOn(error: TidemarkError): string {
  switch (error.reason) {
    case "NOT_CONNECTED":
      return `; start one with "tidemark serve", or name another with --address host:port`;
    case "QUEUE_NOT_FOUND":
      return `; "tidemark queue list" shows those that there are`;
    case "SUBSCRIBER_NOT_FOUND":
      return `; "tidemark subscriber list ${error.metadata.queue ?? "<queue>"}" shows those that there are`;
    case "CHUNK_CORRUPT":
      return `; the server's log says more (${error.reason})`;
    case "OUTCOME_UNKNOWN":
      return "";
    case "SUBSCRIBER_EXISTS":
      return `, which is "tidemark subscriber update" (${error.reason})`;
    case "FILTER_MISMATCH":
      if (error.metadata.field === "subscriber.events") return `, which is "tidemark subscriber update" (${error.reason})`;
      return "; leave the events out to go on with the stored ones, or take another --subscriber";
    case "START_MISMATCH":
      if (error.metadata.field === "subscriber.start") return ` (${error.reason})`;
      return "; leave --from out to go on where the subscriber is, or take another --subscriber";
    default:
      if (error.code === "UNIMPLEMENTED" && error.reason === "") return "; what answers there is no Tidemark broker, or one of another version: name another with --address host:port";
      return error.reason === "" ? ` (${error.code})` : ` (${error.reason})`;
  }
}
