import { InvalidArgumentError } from "commander";
import { pointInTime } from "./time-point.js";

/** What every command that talks to a broker takes. */
export interface GlobalOptions {
  readonly address: string;
  /** Results as JSON on a terminal too. */
  readonly json: boolean;
}

/** A scheme that gRPC resolves by itself; then what follows is its business. */
const RESOLVED = /^(unix|unix-abstract|dns|ipv4|ipv6):(?!$)/;

/** Where a broker is: `host:port`, `[ipv6]:port`, `unix:path`, or another address that gRPC can resolve. */
export function brokerAddress(text: string): string {
  if (RESOLVED.test(text)) return text;
  const port = /^(?:[^\s:[\]/]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(text)?.[1];
  if (port === undefined || Number(port) < 1 || Number(port) > 65_535) throw new InvalidArgumentError("It must be host:port, [ipv6]:port or unix:path, such as 127.0.0.1:50051.");
  return text;
}

/** A whole number of at least 1, as an option's value. */
export function positiveInteger(text: string): number {
  const number = Number(text);
  if (!/^[0-9]+$/.test(text) || number < 1 || !Number.isSafeInteger(number)) throw new InvalidArgumentError("It must be a whole number from 1.");
  return number;
}

const MS_OF: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time with its unit, in milliseconds. Without bounds, where the broker judges it. */
export function durationMs(text: string, minMs = 0, maxMs = Number.MAX_SAFE_INTEGER): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(number) * (MS_OF[unit] ?? NaN);
  const bounds = maxMs === Number.MAX_SAFE_INTEGER ? "" : `, from ${minMs} ms to ${maxMs} ms`;
  if (!(ms >= minMs && ms <= maxMs)) throw new InvalidArgumentError(`It must be a time with its unit, such as 500ms, 2s or 1m${bounds}.`);
  return ms;
}

/** A number above 0, as an option's value. */
export function positiveNumber(text: string): number {
  const number = Number(text);
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text) || !(number > 0 && number < Infinity)) throw new InvalidArgumentError("It must be a number above 0, such as 1.5.");
  return number;
}

/** Where to begin: by name, at the first offset that is wanted, or at a time. */
export type From = "earliest" | "latest" | { readonly afterOffset: number } | { readonly time: Date };

export function fromPosition(text: string): From {
  if (text === "earliest" || text === "latest") return text;
  if (/^[0-9]+$/.test(text) && Number(text) >= 1 && Number.isSafeInteger(Number(text))) return { afterOffset: Number(text) - 1 };
  const time = pointInTime(text);
  if (time === undefined) throw new InvalidArgumentError("It must be earliest, latest, the offset of the first message wanted, from 1, or when that was published: how long ago (10m, 2h, 1d) or a time (2026-11-24T08:30).");
  return { time };
}

/** Gathers `name=value` pairs of an option that may be repeated. */
export function headerPair(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("It must be name=value.");
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
}

/** Runs of offsets as `offsetRuns` reads them. */
export function runsText(runs: readonly { readonly first: number; readonly last: number }[]): string {
  return runs.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(",");
}

/** `3,10-20` as runs of offsets. */
export function offsetRuns(text: string): { readonly first: number; readonly last: number }[] {
  return text.split(",").map((run) => {
    const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(run.trim()) ?? [];
    const first = Number(from);
    const last = Number(to);
    if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first < 1 || last < first) throw new InvalidArgumentError("It must be offsets and runs of them, from 1: 3,10-20.");
    return { first, last };
  });
}
