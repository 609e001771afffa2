import { InvalidArgumentError } from "commander";

/** What every command that talks to a broker takes. */
export interface GlobalOptions {
  readonly address: string;
  /** Results as JSON on a terminal too. */
  readonly json: boolean;
}

/** A whole number of at least 1, as an option's value. */
export function positiveInteger(text: string): number {
  const number = Number(text);
  if (!/^[0-9]+$/.test(text) || number < 1 || !Number.isSafeInteger(number)) throw new InvalidArgumentError("It must be a whole number from 1.");
  return number;
}

const MS_OF: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A time with its unit, in milliseconds. */
export function durationMs(text: string, minMs: number, maxMs: number): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(number) * (MS_OF[unit] ?? NaN);
  if (!(ms >= minMs && ms <= maxMs)) throw new InvalidArgumentError(`It must be a time with its unit, such as 500ms, 2s or 1m, from ${minMs} ms to ${maxMs} ms.`);
  return ms;
}

/** Where to begin: by name, or at the first offset that is wanted. */
export type From = "earliest" | "latest" | { readonly afterOffset: number };

export function fromPosition(text: string): From {
  if (text === "earliest" || text === "latest") return text;
  if (!/^[0-9]+$/.test(text) || Number(text) < 1 || !Number.isSafeInteger(Number(text))) {
    throw new InvalidArgumentError("It must be earliest, latest, or the offset of the first message wanted, from 1.");
  }
  return { afterOffset: Number(text) - 1 };
}

/** Gathers `name=value` pairs of an option that may be repeated. */
export function headerPair(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("It must be name=value.");
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
}
