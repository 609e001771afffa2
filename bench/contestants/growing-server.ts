import { fileURLToPath } from "node:url";
import { freePort, Program, throwAwayDirectory } from "./program.js";

const PROGRAM = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));

/** A Tidemark server with its data, which can be started again on what it has stored. */
export class GrowingServer {
  private constructor(
    readonly address: string,
    private readonly port: number,
    private readonly directory: { readonly path: string; remove(): Promise<void> },
    private program: Program,
  ) {}

  static async start(): Promise<GrowingServer> {
    const directory = await throwAwayDirectory("growth");
    const port = await freePort();
    return new GrowingServer(`127.0.0.1:${port}`, port, directory, await run(port, directory.path));
  }

  get pid(): number {
    return this.program.pid;
  }

  /** Kills it and starts it again; resolves with the milliseconds until it took connections. */
  async restart(): Promise<number> {
    await this.program.stop();
    const started = performance.now();
    this.program = await run(this.port, this.directory.path);
    return performance.now() - started;
  }

  async stop(): Promise<void> {
    await this.program.stop();
    await this.directory.remove();
  }
}

function run(port: number, directory: string): Promise<Program> {
  return Program.start({ command: process.execPath, args: [PROGRAM, "serve", "--listen", `127.0.0.1:${port}`, "--data", directory, "--log-level", "warn"], port });
}
