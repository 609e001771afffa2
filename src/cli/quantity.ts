/** A count as people read it. */
export function countText(count: number): string {
  return count.toLocaleString("en");
}

/** A count with its noun, which takes an `s` unless it is one. */
export function counted(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** A size with one digit behind the point, in the largest unit that leaves at least 1. */
export function bytesText(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1_024 && unit < UNITS.length - 1) {
    size /= 1_024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit] ?? ""}`;
}

/** Local date and time, to the second. */
export function timeText(time: Date | undefined): string {
  if (time === undefined) return "-";
  const two = (part: number): string => String(part).padStart(2, "0");
  const date = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":")}`;
}

/** Local time of day, to the second. */
export function timeOfDay(time: Date | undefined): string {
  if (time === undefined) return "--:--:--";
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

const TIME_UNITS = [
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
] as const;

/** A time exactly, as a flag takes it, in the largest unit that leaves a whole number: "12h", "90s", "1500ms". */
export function durationText(ms: number): string {
  if (ms === 0) return "0s";
  const [size, unit] = TIME_UNITS.find(([each]) => ms % each === 0) ?? [1, "ms"];
  return `${ms / size}${unit}`;
}

const AGE_UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "m"],
  [1, "s"],
] as const;

/** How long something has been so, in its two largest units: "42s", "3m 5s", "2d 4h". */
export function ageText(since: Date | undefined, now: Date): string {
  if (since === undefined) return "-";
  const seconds = Math.max(0, Math.floor((now.getTime() - since.getTime()) / 1_000));
  const at = AGE_UNITS.findIndex(([size]) => seconds >= size);
  if (at === -1) return "0s";
  const parts: string[] = [];
  let rest = seconds;
  for (const [size, unit] of AGE_UNITS.slice(at, at + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.join(" ");
}
