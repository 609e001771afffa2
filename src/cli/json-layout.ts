const STEP = "  ";

/**
 * Lays out one JSON object or array over several lines, character for character: nothing is parsed and written again, so that
 * long numbers and odd escapes stay what they are. Undefined if the text is no JSON object or array.
 */
export function layoutJson(text: string): string[] | undefined {
  if (!/^\s*[{[]/.test(text) || !isJson(text)) return undefined;
  const lines: string[] = [];
  let line = "";
  let depth = 0;
  const breakLine = (): void => {
    lines.push(line);
    line = STEP.repeat(depth);
  };
  // Strings whole, then single characters; space between them is the layout's own.
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[^\s"]/g)) {
    const last = line.at(-1) ?? "";
    if (token === "}" || token === "]") {
      depth--;
      if (last === "{" || last === "[") {
        line += token;
      } else {
        breakLine();
        line += token;
      }
      continue;
    }
    if (last === "{" || last === "[" || last === ",") breakLine();
    line += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth++;
  }
  lines.push(line);
  return lines;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
