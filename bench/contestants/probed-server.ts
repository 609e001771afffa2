import { fileURLToPath } from "node:url";
import { freePort, Program, throwAwayDirectory } from "./program.js";

const SERVER = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
const PROBE = new URL("loop-probe.mjs", import.meta.url).href;

/** How the event loop of a server was held since it was asked last. */
export interface LoopHolds {
  /** The longest turn, in processor time of its thread. */
  readonly longestCpuMs: number;
  /** The same by the clock: on a busy machine with the time in which others ran. */
  readonly longestMs: number;
  /** Turns that took more than 5 ms of processor time. */
  readonly overSlice: number;
  /** The longest pause of the garbage collector, which is part of its turn. */
  readonly collectionMs: number;
}

/** A Tidemark server that tells how long its event loop was held. */
export class ProbedServer {
  private constructor(
    readonly address: string,
    private readonly program: Program,
    private readonly directory: { readonly path: string; remove(): Promise<void> },
  ) {}

  static async start(): Promise<ProbedServer> {
    const directory = await throwAwayDirectory("fairness");
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const args = ["--import", PROBE, SERVER, "serve", "--listen", address, "--data", directory.path, "--log-level", "warn"];
    return new ProbedServer(address, await Program.start({ command: process.execPath, args, port, answers: true }), directory);
  }

  /** Since it was asked last. */
  async loopHolds(): Promise<LoopHolds> {
    return (await this.program.ask("holds")) as LoopHolds;
  }

  async stop(): Promise<void> {
    await this.program.stop();
    await this.directory.remove();
  }
}
