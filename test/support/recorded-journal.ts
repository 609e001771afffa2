import type { Journal } from "../../src/ports/journal.js";

/** Keeps what was written, for tests to look at. */
export class RecordedJournal implements Journal {
  readonly entries: { readonly level: "info" | "warn" | "error"; readonly message: string; readonly facts: Readonly<Record<string, unknown>> }[] = [];

  info(message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.entries.push({ level: "info", message, facts });
  }

  warn(message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.entries.push({ level: "warn", message, facts });
  }

  error(message: string, facts: Readonly<Record<string, unknown>> = {}): void {
    this.entries.push({ level: "error", message, facts });
  }
}
