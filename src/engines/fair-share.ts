/** Work whose turn may have to wait. */
export interface Sharing {
  /** About how many bytes it writes. Undefined: little. */
  readonly bytes?: number;
  /** Works of one line stay in their order. Undefined: it is the only one of its line. */
  readonly line?: object;
}

/** Work by when it goes along, both in the order in which it came. */
export interface Shares<Work> {
  readonly now: readonly Work[];
  readonly later: readonly Work[];
}

/**
 * Which works go into the next transaction, so that nobody waits for megabytes of others more than once: all that take no more
 * than an equal share of `bytesMax`, and of the larger ones, in the order in which they came, the first and as many more as fit
 * beside them.
 */
export function fairShares<Work extends Sharing>(works: readonly Work[], bytesMax: number): Shares<Work> {
  if (bytesOf(works) <= bytesMax) return { now: works, later: [] };
  const share = bytesMax / works.length;
  let left = bytesMax - bytesOf(works.filter(({ bytes = 0 }) => bytes <= share));
  let hasLarge = false;
  const now: Work[] = [];
  const later: Work[] = [];
  const waiting = new Set<object>();
  for (const work of works) {
    const { bytes = 0, line } = work;
    const large = bytes > share;
    const goes = (line === undefined || !waiting.has(line)) && (!large || bytes <= left || !hasLarge);
    if (!goes) {
      later.push(work);
      if (line !== undefined) waiting.add(line);
      continue;
    }
    now.push(work);
    if (!large) continue;
    hasLarge = true;
    left -= bytes;
  }
  return { now, later };
}

function bytesOf(works: readonly Sharing[]): number {
  return works.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
}
