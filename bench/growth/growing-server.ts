import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort, Program, throwAwayDirectory } from "../contestants/program.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Until a process that has nothing to do has let go of what starting left. */
const REST_MS = 1_500;
/** A gRPC server that serves nothing, on the same library. */
const BARE = `import { Server, ServerCredentials } from "@grpc/grpc-js";
new Server().bindAsync("127.0.0.1:" + process.argv[1], ServerCredentials.createInsecure(), () => {});`;

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

  get memory(): Memory {
    return memoryOf(this.program);
  }

  /** The same, a moment after it was last asked for anything. */
  async memoryAtRest(): Promise<Memory> {
    await delay(REST_MS);
    return this.memory;
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

/** What a process holds, in MiB. */
export interface Memory {
  /** With the program's own file and others that are mapped. */
  readonly residentMiB: number;
  /** What nobody else could use: mapped pages of the store's file belong to the system's cache. */
  readonly privateMiB: number;
}

/** What a process with a bare gRPC server holds, at rest. */
export async function bareMemoryAtRest(): Promise<Memory> {
  const port = await freePort();
  const program = await Program.start({ command: process.execPath, args: ["--input-type=module", "-e", BARE, String(port)], cwd: ROOT, port });
  await delay(REST_MS);
  const memory = memoryOf(program);
  await program.stop();
  return memory;
}

function run(port: number, directory: string): Promise<Program> {
  const args = [`${ROOT}dist/src/cli/main.js`, "serve", "--listen", `127.0.0.1:${port}`, "--data", directory, "--log-level", "warn"];
  return Program.start({ command: process.execPath, args, port });
}

function memoryOf({ pid }: Program): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mib = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1_024;
  return { residentMiB: mib("VmRSS"), privateMiB: mib("RssAnon") };
}
