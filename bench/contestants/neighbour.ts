import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("neighbour-program.ts", import.meta.url));

/** What a neighbour is told: with which act, and for one that only keeps a processor busy, how much of it. */
export interface NeighbourOrder {
  readonly what: "prepare" | "start" | "stop";
  readonly act: string;
  readonly cpuShare: number;
}

export interface NeighbourAnswer {
  readonly failure: string | undefined;
  /** Of one processor, since it was last started. */
  readonly cpuShare: number;
}

/** Somebody who uses the same broker, in a process of its own. */
export class Neighbour {
  private constructor(private readonly child: ChildProcess) {}

  static start(address: string): Neighbour {
    const args = ["--import", "tsx", PROGRAM, address];
    return new Neighbour(spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] }));
  }

  /** Resolves when it has obeyed. */
  async order(order: NeighbourOrder): Promise<NeighbourAnswer> {
    const answered = once(this.child, "message");
    this.child.send(order);
    const [answer] = (await answered) as [NeighbourAnswer];
    if (answer.failure !== undefined) throw new Error(`a neighbour could not ${order.what} ${order.act}: ${answer.failure}`);
    return answer;
  }

  async leave(): Promise<void> {
    const over = once(this.child, "exit");
    if (this.child.kill("SIGKILL")) await over;
  }
}
