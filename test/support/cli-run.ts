import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect } from "chai";

const PROGRAM = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));

/** How a run of the program ended, and all that it wrote. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** The environment of the tests without what is for their own: to the program it would be settings that there are not. */
function outerEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TIDEMARK_")));
}

/** One run of the built program, in a pipe on all sides. */
export class CliRun {
  out = "";
  err = "";
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;

  constructor(args: readonly string[], input: string | undefined, environment: Record<string, string>) {
    this.child = spawn(process.execPath, [PROGRAM, ...args], { env: { ...outerEnvironment(), ...environment } });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.out += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.err += text));
    // A program that ends before it has read its input is no failure of the test.
    this.child.stdin?.on("error", (error) => (this.err += `(stdin: ${error.message})`));
    if (input !== undefined) this.child.stdin?.end(input);
    this.ended = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, signal) => resolve({ code, signal, out: this.out, err: this.err }));
    });
  }

  /** The lines of JSON so far. */
  get lines(): Record<string, unknown>[] {
    return this.out
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

/** The lines of JSON of a run with these arguments, which must succeed and say nothing else. */
export function rowsOf(args: readonly string[], { code, out, err }: Ended): Record<string, unknown>[] {
  expect([code, err], args.join(" ")).to.deep.equal([0, ""]);
  return out === "" ? [] : out.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
}
