/** Stands for anything inside a line, and alone on a line for any lines. */
const ANYTHING = "…";

/**
 * Where the output that a page shows ends in what a terminal showed; undefined when it is not there. Its lines follow one
 * another, each one whole.
 *
 * @param whole nothing else may come before or after them
 */
export function endOfExpected(expected: readonly string[], shown: string, whole: boolean): number | undefined {
  const pattern = expected.map((line) => (line.trim() === ANYTHING ? "(?:.*\\n)*?" : `${linePattern(line)}\\n`)).join("");
  const found = new RegExp(whole ? `^${pattern}$` : `(?:^|(?<=\\n))${pattern}`).exec(withLastLineEnded(shown));
  return found === null ? undefined : Math.min(found.index + found[0].length, shown.length);
}

function linePattern(line: string): string {
  return `${line.trimEnd().split(ANYTHING).map(escaped).join(".*?")}[ \\t]*`;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

/** A program may leave its last line open, as a prompt does. */
function withLastLineEnded(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
