/** How a piece of output stands out. */
export type Tone = "plain" | "dim" | "strong" | "good" | "warning" | "bad" | "name" | "number";

/** What switches each tone on and off again (ECMA-48, SGR). */
const STYLES: Readonly<Record<Exclude<Tone, "plain">, readonly [on: number, off: number]>> = {
  dim: [2, 22],
  strong: [1, 22],
  good: [32, 39],
  warning: [33, 39],
  bad: [31, 39],
  name: [36, 39],
  number: [35, 39],
};

/** Paints text, or leaves it alone where nobody sees colours. */
export type Paint = (tone: Tone, text: string) => string;

/** Colours for a terminal, plain text for a pipe. NO_COLOR switches them off, FORCE_COLOR on (unless it is 0). */
export function paintFor(stream: { readonly isTTY?: boolean }, environment: Readonly<Record<string, string | undefined>>): Paint {
  const { NO_COLOR, FORCE_COLOR, TERM } = environment;
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== "" && FORCE_COLOR !== "0";
  const refused = (NO_COLOR !== undefined && NO_COLOR !== "") || FORCE_COLOR === "0" || TERM === "dumb";
  if (!forced && (refused || stream.isTTY !== true)) return (_tone, text) => text;
  return (tone, text) => {
    if (tone === "plain" || text === "") return text;
    const [on, off] = STYLES[tone];
    return `\u001b[${on}m${text}\u001b[${off}m`;
  };
}

/**
 * Text from strangers, safe on a terminal: control characters become visible, so that no message can move the cursor, change
 * the title or hide what follows. Tabs and line ends stay.
 */
export function printable(text: string): string {
  return text.replace(CONTROL, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** The same for a place where one line must stay one line. */
export function printableLine(text: string): string {
  return printable(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

/** A painted line without what stands beyond this many columns. Text is taken for as wide as it has characters. */
export function cutToColumns(line: string, columns: number): string {
  let shown = 0;
  return line.replace(STYLE_OR_CHARACTER, (part) => (part.startsWith("\u001b") || shown++ < columns ? part : ""));
}

const STYLE_OR_CHARACTER = new RegExp("\u001b\\[[0-9;]*m|.", "gsu");

const CONTROL = new RegExp(`[${range(0x00, 0x08)}${range(0x0b, 0x1f)}${range(0x7f, 0x9f)}]`, "g");

function range(first: number, last: number): string {
  return `${String.fromCharCode(first)}-${String.fromCharCode(last)}`;
}
