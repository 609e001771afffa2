import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "./condition.js";

const PROGRAM = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
const SHOW_MS_MAX = 20_000;
/** Of this process alone, so that no terminal of anybody else's is touched. */
const SOCKET = `tidemark-test-${process.pid}`;
/** The prompt says how the command before it ended. */
const PROMPT = /^\[(\d+)\]\$$/;

let opened = 0;

/** A shell in a terminal that a test types into and looks at, as a person would: tmux in between keeps the screen. */
export class TmuxTerminal {
  private constructor(private readonly session: string) {}

  /** Opens a shell in which `tidemark` is the built program and the broker is at this address. */
  static async open(address: string, columns = 120, rows = 30): Promise<TmuxTerminal> {
    if (spawnSync("tmux", ["-V"]).status !== 0) throw new Error("tmux is missing: run \"npm run terminal:tools\", or apt-get install tmux");
    const session = `t${++opened}`;
    const environment = Object.entries({ TIDEMARK_ADDRESS: address, NO_COLOR: "1", HISTFILE: "" }).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
    tmux("-f", "/dev/null", "new-session", "-d", "-s", session, "-x", String(columns), "-y", String(rows), ...environment, "exec env 'PS1=[$?]$ ' bash --noprofile --norc -i");
    const terminal = new TmuxTerminal(session);
    await terminal.prompt();
    terminal.type(`tidemark() { '${process.execPath}' '${PROGRAM}' "$@"; }; clear`);
    await until("the shell is ready", SHOW_MS_MAX, () => terminal.lines.filter((line) => line !== "").length === 1 && terminal.lines[0]?.startsWith("[0]$"));
    return terminal;
  }

  /** Types a line and Enter. */
  type(text: string): void {
    tmux("send-keys", "-t", this.session, "-l", text);
    this.press("Enter");
  }

  /** Presses keys by tmux's names, such as "C-c" and "Down". */
  press(...keys: string[]): void {
    tmux("send-keys", "-t", this.session, ...keys);
  }

  resize(columns: number, rows: number): void {
    tmux("resize-window", "-t", this.session, "-x", String(columns), "-y", String(rows));
  }

  /** What the screen shows, row by row. */
  get lines(): readonly string[] {
    return tmux("capture-pane", "-p", "-t", this.session).split("\n").slice(0, -1);
  }

  get text(): string {
    return this.lines.join("\n");
  }

  /** True while a program has the screen for itself, or hides the cursor. */
  get isTaken(): boolean {
    return tmux("display-message", "-p", "-t", this.session, "#{alternate_on} #{cursor_flag}").trim() !== "0 1";
  }

  /** Waits until the screen shows this; answers the lines. */
  async shows(what: string | RegExp): Promise<readonly string[]> {
    const matches = (text: string): boolean => (typeof what === "string" ? text.includes(what) : what.test(text));
    try {
      return await until(`the screen shows ${what}`, SHOW_MS_MAX, () => matches(this.text) && this.lines);
    } catch (error) {
      throw new Error(`${String(error)}; it shows:\n${this.text}`, { cause: error });
    }
  }

  /** Waits until the shell has its prompt again; answers how the program before it ended. */
  async prompt(): Promise<number> {
    const code = await until("the shell has its prompt again", SHOW_MS_MAX, () => PROMPT.exec(this.lines.filter((line) => line !== "").at(-1)?.trim() ?? "")?.[1]).catch((error: unknown) => {
      throw new Error(`${String(error)}; it shows:\n${this.text}`, { cause: error });
    });
    return Number(code);
  }

  /** Sends a signal to the program that the shell runs. */
  signal(name: NodeJS.Signals): void {
    const shell = tmux("display-message", "-p", "-t", this.session, "#{pane_pid}").trim();
    const children = readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim().split(" ");
    for (const child of children) process.kill(Number(child), name);
  }

  close(): void {
    tmux("kill-session", "-t", this.session);
  }
}

function tmux(...args: string[]): string {
  return execFileSync("tmux", ["-L", SOCKET, ...args], { encoding: "utf8" });
}
