import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { within } from "./condition.js";

const PROGRAM = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
const START_MS_MAX = 20_000;
const STOP_MS_MAX = 15_000;
const OUTPUT_CHARS_MAX = 20_000;

export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ServerProcessOptions {
  readonly dataDir: string;
  /** An address to come back to; otherwise any free port of the loopback. */
  readonly listen?: string;
  /** A program that runs the server, such as strace with its options. It must keep the process id that it was given. */
  readonly wrapper?: readonly string[];
}

/** The environment of the tests without what is for their own: the server would take it for settings that there are not. */
function outerEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TIDEMARK_")));
}

/** `tidemark serve` as its own process, from the built files: what a user runs. */
export class ServerProcess {
  readonly pid: number;
  readonly exited: Promise<ServerExit>;
  private isOver = false;

  private constructor(
    private readonly child: ChildProcess,
    /** `host:port` that it listens on. */
    readonly address: string,
    private readonly output: () => string,
    exited: Promise<ServerExit>,
  ) {
    if (child.pid === undefined) throw new Error("the server has no process id");
    this.pid = child.pid;
    this.exited = exited;
    void exited.then(() => {
      this.isOver = true;
    });
  }

  /** Resolves when the server says that it listens. */
  static async start(options: ServerProcessOptions): Promise<ServerProcess> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run "npm run build" first`);
    const serve = [process.execPath, PROGRAM, "serve", "--listen", options.listen ?? "127.0.0.1:0", "--data", options.dataDir];
    const [command = process.execPath, ...args] = [...(options.wrapper ?? []), ...serve];
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: outerEnvironment() });

    let output = "";
    const exited = new Promise<ServerExit>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        resolve({ code, signal });
      });
    });
    const listening = new Promise<string>((resolve) => {
      const take = (text: string): void => {
        output = (output + text).slice(-OUTPUT_CHARS_MAX);
        const address = /127\.0\.0\.1:[1-9]\d*(?=\D)/.exec(output);
        if (address !== null) resolve(address[0]);
      };
      child.stdout.setEncoding("utf8").on("data", take);
      child.stderr.setEncoding("utf8").on("data", take);
    });
    const died = exited.then(({ code, signal }) => {
      throw new Error(`the server ended (${signal ?? code}) before it listened:\n${output}`);
    });
    try {
      const address = await within("the server says where it listens", START_MS_MAX, Promise.race([listening, died]));
      return new ServerProcess(child, address, () => output, exited);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    } finally {
      // When it listened first, its end is told by `exited` alone.
      died.catch(() => undefined);
    }
  }

  get running(): boolean {
    return !this.isOver;
  }

  /** The last lines that it wrote, for a failing test to show. */
  get lastOutput(): string {
    return this.output();
  }

  /** SIGKILL: no chance to finish anything. Resolves when the process is gone. */
  async kill(): Promise<ServerExit> {
    this.child.kill("SIGKILL");
    return within("the killed server is gone", STOP_MS_MAX, this.exited);
  }

  /** SIGTERM: a graceful stop. Resolves with how it ended. */
  async stop(): Promise<ServerExit> {
    this.child.kill("SIGTERM");
    return within(`the server stops\n${this.output()}`, STOP_MS_MAX, this.exited);
  }
}

/** A new, empty data directory, and what removes it. */
export async function temporaryDataDir(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "tidemark-"));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}
