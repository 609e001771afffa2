const FIRST_MS = 100;
const MOST_MS = 5_000;

/**
 * How long to wait before attempt `failures` + 1: 100 ms, doubling to 5 s, of which a random half is taken off, so that
 * the clients of a restarted broker do not come back in step.
 *
 * @param failures consecutive failures so far, 1 or more
 * @param random a number in [0, 1)
 */
export function backoffMs(failures: number, random: number): number {
  const fullMs = Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1));
  return fullMs * (1 - random / 2);
}
