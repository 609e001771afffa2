import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { within } from "./condition.js";
import { temporaryDataDir } from "./server-process.js";

const PROBED = ["--expose-gc", "--import", new URL("memory-probe.mjs", import.meta.url).href];
const TIDEMARK = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
const ANSWER_MS_MAX = 20_000;

/** What a process has for itself once its garbage is collected. */
export interface Memory {
  /** In JavaScript's heap, and in buffers and native objects that belong to something there. */
  readonly heldBytes: number;
  /** Pages of the process itself; a file that it has mapped is no part of them. */
  readonly privateBytes: number;
}

/** A server that is asked what it holds. */
export class MeasuredServer {
  private constructor(
    private readonly child: ChildProcess,
    readonly address: string,
    private readonly data: Awaited<ReturnType<typeof temporaryDataDir>>,
  ) {}

  static async start(): Promise<MeasuredServer> {
    const data = await temporaryDataDir();
    const args = [TIDEMARK, "serve", "--listen", "127.0.0.1:0", "--data", data.path, "--min-free-disk", "0"];
    const child = spawn(process.execPath, [...PROBED, ...args], { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    const address = new Promise<string>((resolve) => {
      let output = "";
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          output += text;
          const found = /127\.0\.0\.1:[1-9]\d*(?=\D)/.exec(output)?.[0];
          if (found !== undefined) resolve(found);
        });
      }
    });
    try {
      return new MeasuredServer(child, await within("the server says where it listens", ANSWER_MS_MAX, address), data);
    } catch (error) {
      child.kill("SIGKILL");
      await data.remove();
      throw error;
    }
  }

  async memory(): Promise<Memory> {
    const answer = once(this.child, "message");
    this.child.send("memory");
    const [heldBytes] = (await within("the server says what it holds", ANSWER_MS_MAX, answer)) as [number];
    const kib = /RssAnon:\s+(\d+) kB/.exec(await readFile(`/proc/${this.child.pid}/status`, "utf8"))?.[1];
    return { heldBytes, privateBytes: Number(kib) * 1_024 };
  }

  /** Ends it, and removes what it has stored. */
  async end(): Promise<void> {
    const over = once(this.child, "exit");
    if (this.child.kill("SIGKILL")) await over;
    await this.data.remove();
  }
}
