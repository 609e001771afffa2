/** Cuts a text that arrives in pieces into the JSON objects that stand in it back to back, however they are laid out. */
export class JsonValues {
  private text = "";
  private scanned = 0;
  private depth = 0;
  private inString = false;
  private escaped = false;

  /** Takes a piece; answers the objects that are complete now. */
  take(piece: string): Record<string, unknown>[] {
    this.text += piece;
    const complete: Record<string, unknown>[] = [];
    for (; this.scanned < this.text.length; this.scanned++) {
      if (!this.closesValue(this.text.charAt(this.scanned))) continue;
      const start = this.text.indexOf("{");
      complete.push(JSON.parse(this.text.slice(start, this.scanned + 1)) as Record<string, unknown>);
      this.text = this.text.slice(this.scanned + 1);
      this.scanned = -1;
    }
    return complete;
  }

  private closesValue(char: string): boolean {
    if (this.inString) {
      if (this.escaped) this.escaped = false;
      else if (char === "\\") this.escaped = true;
      else if (char === '"') this.inString = false;
      return false;
    }
    if (char === '"' && this.depth > 0) this.inString = true;
    else if (char === "{") this.depth++;
    else if (char === "}" && this.depth > 0) return --this.depth === 0;
    return false;
  }
}
