import type { Paint, Tone } from "./terminal.js";

/** One column of a table: how its head reads, and what each row has there. */
export interface Column<Row> {
  readonly title: string;
  /** Numbers stand on the right. Default: left. */
  readonly align?: "left" | "right";
  readonly tone?: Tone;
  /** One line, safe to print. */
  readonly text: (row: Row) => string;
}

const GAP = "  ";

/** Rows under their heads, columns aligned; the last column is not filled up. */
export function tableLines<Row>(columns: readonly Column<Row>[], rows: readonly Row[], paint: Paint): string[] {
  const texts = rows.map((row) => columns.map((column) => column.text(row)));
  const widths = columns.map(({ title }, i) => texts.reduce((width, cells) => Math.max(width, cells[i]?.length ?? 0), title.length));
  const line = (cells: readonly string[], toneOf: (column: Column<Row>) => Tone): string =>
    columns.map((column, i) => cell(cells[i] ?? "", widths[i] ?? 0, column, i === columns.length - 1, paint, toneOf(column))).join(GAP);
  return [line(columns.map(({ title }) => title), () => "dim"), ...texts.map((cells) => line(cells, ({ tone }) => tone ?? "plain"))];
}

/** One thing described line by line, its labels aligned. */
export function detailLines(details: readonly (readonly [label: string, text: string])[], paint: Paint): string[] {
  const width = details.reduce((most, [label]) => Math.max(most, label.length), 0);
  return details.map(([label, text]) => `${paint("dim", label.padEnd(width))}${GAP}${text}`);
}

function cell<Row>(text: string, width: number, { align }: Column<Row>, isLast: boolean, paint: Paint, tone: Tone): string {
  const fill = " ".repeat(width - text.length);
  if (align === "right") return `${fill}${paint(tone, text)}`;
  return isLast ? paint(tone, text) : `${paint(tone, text)}${fill}`;
}
