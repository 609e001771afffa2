import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { within } from "../support/condition.js";
import { JsonValues } from "./json-values.js";

const DEADLINE_MS = 15_000;

/** A program that makes one gRPC call: JSON requests go in, JSON responses come out, its exit status is the call's. */
export class ForeignCall {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly exited: Promise<number | null>;
  private readonly values = new JsonValues();
  private readonly responses: Record<string, unknown>[] = [];
  private readonly wakes: (() => void)[] = [];
  private errors = "";

  constructor(command: string, args: readonly string[], cwd?: string) {
    // A process group of its own, because some of these programs are wrappers around the one that calls.
    this.child = spawn(command, args, { detached: true, ...(cwd === undefined ? {} : { cwd }) });
    this.exited = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", resolve);
    });
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.responses.push(...this.values.take(text));
      for (const wake of this.wakes.splice(0)) wake();
    });
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors += text;
    });
    // A program that has ended reads no more; its exit status tells why.
    this.child.stdin.on("error", () => undefined);
  }

  send(request: object): void {
    this.child.stdin.write(`${JSON.stringify(request)}\n`);
  }

  /** Ends the requests; some of these programs make a call with one request only then. */
  halfClose(): void {
    this.child.stdin.end();
  }

  /** The next response that has this field, whichever others come between. */
  async next(field: string): Promise<Record<string, unknown>> {
    const found = async (): Promise<Record<string, unknown>> => {
      for (;;) {
        const at = this.responses.findIndex((response) => field in response);
        if (at !== -1) return this.responses.splice(at, 1)[0]?.[field] as Record<string, unknown>;
        await new Promise<void>((resolve) => {
          this.wakes.push(resolve);
        });
      }
    };
    const over = this.exited.then((status): never => {
      throw new Error(`the program ended with status ${status} before a response with ${field}: ${this.errors}`);
    });
    try {
      return await within(`a response with ${field}: ${this.errors}`, DEADLINE_MS, Promise.race([found(), over]));
    } finally {
      over.catch(() => undefined);
    }
  }

  /** Ends the requests, and waits for the program to end; throws unless the call went well. Answers what was not taken. */
  async finish(): Promise<readonly Record<string, unknown>[]> {
    const { status, errors } = await this.end();
    if (status !== 0) throw new Error(`the program ended with status ${status}: ${errors}`);
    return this.responses;
  }

  /** Ends the requests, and waits for the program to end, however it does. */
  async end(): Promise<{ readonly status: number | null; readonly errors: string }> {
    this.halfClose();
    const status = await within(`the program ends: ${this.errors}`, DEADLINE_MS, this.exited);
    return { status, errors: this.errors };
  }

  /** SIGKILL: the client is gone without a word; one that has ended is left alone. */
  async kill(): Promise<void> {
    const { pid, exitCode, signalCode } = this.child;
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, "SIGKILL");
    await within("the killed program is gone", DEADLINE_MS, this.exited);
  }
}
