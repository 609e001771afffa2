import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const LINE_MS_MAX = 20_000;

/** A TypeScript program of the tests in a process of its own, read line by line. */
export class ChildLines {
  readonly lines: string[] = [];
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private waiting: (() => void) | undefined;

  constructor(script: URL, args: readonly string[]) {
    this.child = spawn(process.execPath, ["--import=tsx", script.pathname, ...args], { stdio: ["ignore", "pipe", "inherit"] });
    this.exited = once(this.child, "exit");
    if (this.child.stdout === null) throw new Error("the child has no stdout");
    createInterface(this.child.stdout).on("line", (line) => {
      this.lines.push(line);
      this.waiting?.();
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The line at `index`, as soon as it is there; fails after 20 s. */
  async line(index: number): Promise<string> {
    const deadline = Date.now() + LINE_MS_MAX;
    for (;;) {
      const found = this.lines[index];
      if (found !== undefined) return found;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no line ${index} within ${LINE_MS_MAX} ms; so far: ${this.lines.join(" | ")}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.waiting = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Kills the process, if it still lives, and waits for its end. */
  async end(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.exited;
  }
}
