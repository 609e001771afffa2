/** The least grave entry that is written. */
export type JournalLevel = "info" | "warn" | "error" | "silent";

/** What is worth telling an operator, in one line each. Never payloads, never secrets. */
export interface Journal {
  info(message: string, facts?: Readonly<Record<string, unknown>>): void;
  warn(message: string, facts?: Readonly<Record<string, unknown>>): void;
  /** `facts.error`, if there is one, is written with its stack and its cause. */
  error(message: string, facts?: Readonly<Record<string, unknown>>): void;
}
