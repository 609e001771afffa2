import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;
const OUTPUT_CHARS_MAX = 20_000;
/** As a shell says that a signal ended a program. */
const INTERRUPTED = 130;

/** What to run, and how to see that it is ready. */
export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** A port of the loopback that takes connections when the program is ready. */
  readonly port: number;
  /** It is a program of Node that answers questions over a channel of its own. */
  readonly answers?: boolean;
}

const running = new Set<Program>();
const directories = new Set<string>();

// Each program is the head of a group of its own, so nothing ends it with this process but this process.
process.on("exit", () => {
  for (const program of running) program.kill();
  for (const path of directories) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    process.exit(INTERRUPTED);
  });
}

/** A server under test: a process of its own that can be frozen while others are measured. */
export class Program {
  private output = "";
  private readonly exit: Promise<unknown>;
  private isOver = false;

  private constructor(private readonly child: ChildProcess) {
    running.add(this);
    this.exit = once(child, "close").then(() => {
      this.isOver = true;
      running.delete(this);
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-OUTPUT_CHARS_MAX);
      });
    }
  }

  /** Resolves when the port takes connections. */
  static async start({ command, args, env, cwd, port, answers = false }: ProgramOptions): Promise<Program> {
    const channel = answers ? (["ipc"] as const) : [];
    // A group of its own: scripts that start the server proper are frozen and ended with it.
    const program = new Program(spawn(command, args, { stdio: ["ignore", "pipe", "pipe", ...channel], env: env ?? process.env, cwd, detached: true }));
    const until = performance.now() + START_MS_MAX;
    while (!(await takesConnections(port))) {
      if (program.isOver || performance.now() > until) {
        await program.stop();
        throw new Error(`${command} does not listen on 127.0.0.1:${port}:\n${program.output}`);
      }
      await delay(20);
    }
    return program;
  }

  /** Freezes it, so that it takes nothing of the machine while others are measured. */
  pause(): void {
    this.signal("SIGSTOP");
  }

  resume(): void {
    this.signal("SIGCONT");
  }

  /** Its next answer; one question at a time. */
  async ask(question: string): Promise<unknown> {
    const answer = once(this.child, "message");
    this.child.send(question);
    const [found] = (await answer) as [unknown];
    return found;
  }

  /** Ends it the short way. */
  kill(): void {
    this.signal("SIGKILL");
  }

  /** The same, and waits for its end; its data is thrown away. */
  async stop(): Promise<void> {
    if (this.isOver) return;
    this.kill();
    await Promise.race([this.exit, delay(STOP_MS_MAX, undefined, { ref: false })]);
  }

  /** Of the process that was started; 0 when there is none. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  private signal(signal: NodeJS.Signals): void {
    if (this.child.pid !== undefined && !this.isOver) process.kill(-this.child.pid, signal);
  }
}

/** A port of the loopback that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return address.port;
}

/** A new, empty directory, and what removes it. */
export async function throwAwayDirectory(name: string): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), `tidemark-bench-${name}-`));
  directories.add(path);
  return {
    path,
    async remove() {
      await rm(path, { recursive: true, force: true });
      directories.delete(path);
    },
  };
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}
