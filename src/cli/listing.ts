import type { Output } from "./output.js";
import { type Column, tableLines } from "./table.js";

/** How one kind of thing is listed. */
export interface Listing<Row> {
  /** For programs: one object a line. */
  readonly json: (row: Row) => object;
  /** For people. */
  readonly columns: readonly Column<Row>[];
  /** Told to people where there is nothing. */
  readonly none: string;
}

/** Writes a list: lines of JSON as they come, or one table. */
export async function writeList<Row>(output: Output, rows: AsyncIterable<Row>, listing: Listing<Row>): Promise<void> {
  if (!output.isTerminal) {
    for await (const row of rows) await output.line(JSON.stringify(listing.json(row)));
    return;
  }
  // A table needs all rows for its widths.
  const all: Row[] = [];
  for await (const row of rows) all.push(row);
  if (all.length === 0) output.note(output.paintNote("dim", listing.none));
  else await output.line(tableLines(listing.columns, all, output.paint).join("\n"));
}
