import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { until, within } from "../support/condition.js";
import { endOfExpected } from "./expected-output.js";

/** For one command, on a machine that has other things to do as well. */
const COMMAND_MS_MAX = 30_000;
/** For what a program shows while it runs. */
const OUTPUT_MS_MAX = 20_000;
const END_MS_MAX = 15_000;
const COLUMNS = 120;

/** Prompts that no eye sees and no program prints: an operating system command (OSC) of their own. */
const READY = "\u001b]5005;ready;";
const MORE = "\u001b]5005;more;";
const PROMPT_END = "\u0007";
const PROMPT = new RegExp(`${escapedPrompt(READY)}(?<pid>\\d+);(?<status>\\d+)${PROMPT_END}|${escapedPrompt(MORE)}${PROMPT_END}`, "g");

/** An interactive bash in a terminal of its own, so that programs show what they show to people and Ctrl-C is Ctrl-C. */
export class Terminal {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly exited: Promise<number | null>;
  private raw = "";
  private shellPid = 0;
  /** How far `raw` was looked through for prompts. */
  private promptsAt = 0;
  /** Where in `raw` the last command or key was. */
  private shownFrom = 0;
  /** How much of `shown` a page has shown already. */
  private matchedChars = 0;

  private constructor(environment: NodeJS.ProcessEnv, directory: string) {
    const shell = "bash --noprofile --norc --noediting -i";
    this.child = spawn("script", ["--quiet", "--return", "--flush", "--command", shell, "/dev/null"], {
      cwd: directory,
      env: { ...environment, TERM: "xterm-256color", NO_COLOR: "1", PS1: "", PS2: "", HISTFILE: "", SHELL: "/bin/bash" },
      detached: true,
    });
    this.exited = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", resolve);
    });
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => (this.raw += text));
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => (this.raw += text));
    // A shell that has ended reads no more; whoever waits for its answer hears of it.
    this.child.stdin.on("error", () => undefined);
  }

  static async open(environment: NodeJS.ProcessEnv, directory: string): Promise<Terminal> {
    if (spawnSync("script", ["--version"]).status !== 0) throw new Error(`the program "script" is missing: apt-get install bsdutils`);
    const terminal = new Terminal(environment, directory);
    terminal.write(`stty -echo rows 40 columns ${COLUMNS}; PS1='\\[\\e]5005;ready;$$;$?\\a\\]' PS2='\\[\\e]5005;more;\\a\\]'\n`);
    await terminal.prompt("the shell is ready");
    terminal.forget();
    return terminal;
  }

  /** What was shown since the last command or key, as a person reads it. */
  get shown(): string {
    return asRead(this.raw.slice(this.shownFrom));
  }

  /**
   * Types commands line by line. Each of them has to end with 0, the last one with `exitStatus`; with `stays` the last one goes
   * on when this returns.
   */
  async run(commands: string, { stays, exitStatus }: { readonly stays: boolean; readonly exitStatus: number }): Promise<void> {
    this.forget();
    const lines = commands.split("\n");
    for (const [i, line] of lines.entries()) {
      this.write(`${line}\n`);
      const isLast = i === lines.length - 1;
      if (isLast && stays) return this.started(line);
      const status = await this.prompt(line);
      const wanted = isLast ? exitStatus : 0;
      if (status !== undefined && status !== wanted) throw new Error(`"${line}" ended with status ${status} and not ${wanted}:\n${this.shown}`);
      if (isLast && status === undefined) throw new Error(`"${line}" is no whole command`);
    }
  }

  /** Types lines into the program that runs. */
  type(text: string): void {
    this.forget();
    this.write(`${text}\n`);
  }

  /** Presses a key that ends the program that runs. */
  async end(key: string, exitStatus: number): Promise<void> {
    this.forget();
    this.write(key);
    const status = await this.prompt("the program ends");
    if (status !== exitStatus) throw new Error(`the program ended with status ${status} and not ${exitStatus}:\n${this.shown}`);
  }

  /**
   * Fails unless these lines are shown, behind those that were expected before. Waits for them, unless they are the `whole` of
   * what a command has left behind.
   *
   * @param asOnPage puts what is shown into the words of the page
   */
  async expect(lines: readonly string[], whole: boolean, asOnPage: (text: string) => string): Promise<void> {
    const rest = (): string => asOnPage(this.shown).slice(this.matchedChars);
    const end = await until("the output", whole ? 0 : OUTPUT_MS_MAX, () => endOfExpected(lines, rest(), whole)).catch((error: unknown) => {
      throw new Error(`the page shows\n${lines.join("\n")}\n\nand the terminal\n${rest()}`, { cause: error });
    });
    this.matchedChars += end;
  }

  /** Ends the shell and all that it started. */
  async close(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      // To whatever runs in front, then to the shell.
      this.write("\u0003");
      this.write("\u0004");
      this.child.stdin.end();
    }
    try {
      await within("the terminal closes", END_MS_MAX, this.exited);
    } catch (error) {
      if (this.child.pid !== undefined) process.kill(-this.child.pid, "SIGKILL");
      throw error;
    }
  }

  private write(text: string): void {
    this.child.stdin.write(text);
  }

  private forget(): void {
    this.shownFrom = this.raw.length;
    this.matchedChars = 0;
  }

  /** Waits until the program that a line names runs, or is over already. A key pressed before that ends nothing: the shell drops it. */
  private async started(line: string): Promise<void> {
    await until(`${line}: it starts`, COMMAND_MS_MAX, () => this.nextPrompt() !== null || runsProgram(this.shellPid));
  }

  private nextPrompt(): RegExpExecArray | null {
    PROMPT.lastIndex = this.promptsAt;
    return PROMPT.exec(this.raw);
  }

  /** Waits for the shell's next prompt. Answers the status of what ended, undefined where it asks for more lines. */
  private async prompt(what: string): Promise<number | undefined> {
    const found = until(`${what}: the prompt comes back`, COMMAND_MS_MAX, () => {
      const match = this.nextPrompt();
      if (match === null) return false;
      this.promptsAt = PROMPT.lastIndex;
      const { pid, status } = match.groups ?? {};
      if (pid !== undefined) this.shellPid = Number(pid);
      return { status: status === undefined ? undefined : Number(status) };
    });
    try {
      return (await found).status;
    } catch (error) {
      throw new Error(`${what}: the command does not end:\n${this.shown}`, { cause: error });
    }
  }
}

/**
 * Whether a program has taken the terminal from a shell. The copy of the shell that becomes the program has the shell's own handler
 * of Ctrl-C until then.
 */
function runsProgram(shellPid: number): boolean {
  const stat = readFileSync(`/proc/${shellPid}/stat`, "utf8");
  // tpgid of proc_pid_stat(5), the sixth field behind the name: the process group that the terminal's keys go to.
  const foreground = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[5]);
  return foreground !== shellPid && programOf(foreground) !== programOf(shellPid);
}

function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    // It has ended: its prompt is about to come.
    return undefined;
  }
}

/** Text without what moves cursors and paints, with what a carriage return was written over. */
function asRead(raw: string): string {
  return stripVTControlCharacters(raw.replace(PROMPT, "").replaceAll("\r\n", "\n"))
    .split("\n")
    .map((line) => line.split("\r").reduce((under, over) => over + under.slice(over.length)))
    .join("\n");
}

function escapedPrompt(text: string): string {
  return text.replace("]", "\\]");
}
