import { type Command, Option } from "commander";
import type { DeadLetterFilter, DeadLetterReason } from "../client/index.js";
import { offsetRuns } from "./arguments.js";
import { timePoint } from "./time-point.js";

const REASONS: Readonly<Record<string, DeadLetterReason>> = { rejected: "REJECTED", "max-attempts": "MAX_ATTEMPTS", "max-deliveries": "MAX_DELIVERIES", expired: "EXPIRED" };

/** Which dead letters a command line means. */
export interface LetterFlags {
  readonly event?: readonly string[];
  readonly reason?: readonly string[];
  readonly offsets?: DeadLetterFilter["offsets"];
  readonly since?: Date;
  readonly until?: Date;
}

/** Gives a command the flags that choose dead letters. */
export function addLetterFilter(command: Command): Command {
  return command
    .option("-e, --event <patterns...>", "only those of events that match one of these")
    .addOption(new Option("-r, --reason <reasons...>", "only those with one of these reasons").choices(Object.keys(REASONS)))
    .option("--offsets <runs>", "only those of these offsets: 3,10-20", offsetRuns)
    .option("--since <time>", "only those that became one since: 10m ago, or 2026-11-24T08:30", timePoint)
    .option("--until <time>", "only those that became one before", timePoint);
}

/** What these flags say, by the names of the client. */
export function letterFilter({ event, reason, offsets, since, until }: LetterFlags): DeadLetterFilter {
  return {
    ...(event !== undefined && { events: event }),
    ...(reason !== undefined && { reasons: reason.map((name) => REASONS[name]).filter((known) => known !== undefined) }),
    ...(offsets !== undefined && { offsets }),
    ...(since !== undefined && { afterTime: since }),
    ...(until !== undefined && { beforeTime: until }),
  };
}
