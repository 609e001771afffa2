/** Alternate screen, no cursor, long lines are cut; and all of it back (xterm, ECMA-48). */
const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

/** A key, or what a terminal sends for it. */
export type Key = "quit" | "up" | "down" | "page up" | "page down" | "order";

const KEYS: Readonly<Record<string, Key>> = {
  q: "quit",
  Q: "quit",
  "\u0003": "quit",
  k: "up",
  "\u001b[A": "up",
  "\u001bOA": "up",
  j: "down",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b[5~": "page up",
  "\u001b[6~": "page down",
  " ": "page down",
  s: "order",
};

/** The keys in what came from a terminal: an escape sequence is one, anything else a character. */
const KEY = new RegExp("\u001b[[O][0-9;]*[A-Za-z~]|.", "gsu");

/** The whole terminal, for a program that redraws it. What was there before comes back when it is closed, however the program ends. */
export class Screen {
  private isOpen = false;
  private readonly restore = (): void => {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdout.write(LEAVE);
  };
  private readonly read = (bytes: Buffer): void => {
    for (const [character] of bytes.toString("latin1").matchAll(KEY)) {
      const key = KEYS[character];
      if (key !== undefined) this.onKey(key);
    }
  };

  constructor(
    private readonly onKey: (key: Key) => void,
    private readonly onResize: () => void,
  ) {}

  get columns(): number {
    return process.stdout.columns;
  }

  get rows(): number {
    return process.stdout.rows;
  }

  open(): void {
    this.isOpen = true;
    process.once("exit", this.restore);
    process.stdout.write(ENTER);
    process.stdout.on("resize", this.onResize);
    if (!process.stdin.isTTY) return;
    process.stdin.setRawMode(true);
    process.stdin.on("data", this.read).resume();
  }

  draw(lines: readonly string[]): void {
    if (this.isOpen) process.stdout.write(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join("\r\n")}${CLEAR_BELOW}`);
  }

  close(): void {
    process.stdout.off("resize", this.onResize);
    process.stdin.off("data", this.read).pause();
    process.off("exit", this.restore);
    this.restore();
  }
}
