import { pino } from "pino";
import type { Logger } from "pino";
import type { Journal, JournalLevel } from "../ports/journal.js";

/** A journal of one JSON line an entry on standard error, so that standard output stays the command's own. */
export function openJournal(level: JournalLevel): Journal {
  // Synchronous: what is logged before the process ends on a failed disk must not be lost in a buffer.
  return new PinoJournal(pino({ level, base: {}, serializers: { error: pino.stdSerializers.errWithCause } }, pino.destination({ dest: 2, sync: true })));
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
