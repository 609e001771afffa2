/** Something that can be repeated for a while and then says how many messages went through. */
export interface Cell {
  readonly name: string;
  /** The cell that this one is measured against; undefined for a yardstick itself. */
  readonly against: string | undefined;
  /** Runs until `until` (performance.now) has passed; answers the number of messages done. */
  run(until: number): Promise<number>;
}

export interface Row {
  readonly name: string;
  readonly against: string | undefined;
  readonly perSecond: readonly number[];
}

/** Runs all cells in turn, round after round, so that a slow moment of the machine hits each of them. */
export async function measure(cells: readonly Cell[], rounds: number, cellMs: number): Promise<Row[]> {
  const rows = cells.map(({ name, against }) => ({ name, against, perSecond: [] as number[] }));
  for (const cell of cells) await cell.run(performance.now() + cellMs / 2);
  for (let round = 0; round < rounds; round++) {
    for (const [i, cell] of cells.entries()) {
      const started = performance.now();
      const messages = await cell.run(started + cellMs);
      rows[i]?.perSecond.push((messages * 1_000) / (performance.now() - started));
    }
  }
  return rows;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** A table in Markdown: median, lowest and highest of the rounds, and the ratio of medians. */
export function table(rows: readonly Row[]): string {
  const medians = new Map(rows.map((row) => [row.name, median(row.perSecond)]));
  const lines = rows.map(({ name, against, perSecond }) => {
    const own = medians.get(name) ?? Number.NaN;
    const other = against === undefined ? undefined : medians.get(against);
    const ratio = other === undefined ? "" : `${(own / other).toFixed(2)} of ${against}`;
    return `| ${name} | ${count(own)} | ${count(Math.min(...perSecond))} – ${count(Math.max(...perSecond))} | ${ratio} |`;
  });
  return ["| what | messages/s, median | lowest – highest | ratio |", "| --- | ---: | ---: | --- |", ...lines].join("\n");
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
