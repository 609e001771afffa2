import { InvalidArgumentError } from "commander";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const AGO = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
const TIME = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:?\d{2})?)?$/;

/**
 * A point in time as an option's value: how long ago (`90s`, `10m`, `2h`, `1d`), or a date with or without a time, local unless it
 * names a zone.
 */
export function timePoint(text: string): Date {
  const time = pointInTime(text);
  if (time === undefined) throw new InvalidArgumentError("It must be how long ago (90s, 10m, 2h, 1d) or a time (2026-11-24, 2026-11-24T08:30, 2026-11-24T08:30:00Z).");
  return time;
}

/** The same where it may be something else; undefined: it is no such time. */
export function pointInTime(text: string): Date | undefined {
  const [, amount, unit = ""] = AGO.exec(text) ?? [];
  if (amount !== undefined) return valid(new Date(Date.now() - Number(amount) * (UNIT_MS[unit] ?? NaN)));
  const [, date, time = "00:00", zone = ""] = TIME.exec(text) ?? [];
  return date === undefined ? undefined : valid(new Date(`${date}T${time}${zone}`));
}

/** A date with or without a time, local unless it names a zone, as an option's value. */
export function dateAndTime(text: string): Date {
  const [, date, time = "00:00", zone = ""] = TIME.exec(text) ?? [];
  const found = new Date(date === undefined ? NaN : `${date}T${time}${zone}`);
  if (Number.isNaN(found.getTime())) throw new InvalidArgumentError("It must be a time (2026-11-24, 2026-11-24T08:30, 2026-11-24T08:30:00Z).");
  return found;
}

function valid(time: Date): Date | undefined {
  return Number.isNaN(time.getTime()) ? undefined : time;
}
