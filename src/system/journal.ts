import { isatty } from "node:tty";
import { pino } from "pino";
import type { DestinationStream, Logger } from "pino";
import { PinoPretty } from "pino-pretty";
import type { Journal, JournalLevel } from "../ports/journal.js";

/** File descriptor of standard error. */
const STDERR = 2;

/**
 * A journal on standard error, so that standard output stays the command's own: one line of JSON an entry, or on a terminal one
 * line for people.
 */
export function openJournal(level: JournalLevel): Journal {
  return new PinoJournal(pino({ level, base: {}, serializers: { error: pino.stdSerializers.errWithCause } }, destination()));
}

/** Synchronous: what is logged before the process ends on a failed disk must not be lost in a buffer. */
function destination(): DestinationStream {
  if (!isatty(STDERR)) return pino.destination({ dest: STDERR, sync: true });
  return PinoPretty({ destination: STDERR, sync: true, translateTime: "SYS:HH:MM:ss", singleLine: true, errorLikeObjectKeys: ["error"] });
}

class PinoJournal implements Journal {
  constructor(private readonly logger: Logger) {}

  info(message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.logger.info(facts, message);
  }

  warn(message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.logger.warn(facts, message);
  }

  error(message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.logger.error(facts, message);
  }
}
