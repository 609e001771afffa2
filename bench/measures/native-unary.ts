import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { PublishRequest } from "../../generated/tidemark/v1/publish.js";
import { NotInstalled } from "../contestants/contestant.js";
import { throwAwayDirectory } from "../contestants/program.js";
import type { Tidemark } from "../contestants/tidemark.js";
import type { Limits } from "../limits/limits.js";
import { cellOf, type Cell, type Figures } from "./measure.js";

const INSTALL = "apt-get install nghttp2-client";
const PATH = "/tidemark.v1.BrokerService/Publish";
const CALLS_AT_ONCE = 64;
const run = promisify(execFile);

/** The server's own share of a unary call: the load comes from h2load, which costs a fraction of a Node client. */
export function nativeCell(tidemark: Tidemark, payload: Buffer): Cell {
  return cellOf(tidemark, (ms) => h2load(tidemark.address, payload, ms));
}

/** The same load on the bare echo. */
export function nativeEchoCell(limits: Limits, payload: Buffer): Cell {
  return { ...limits.echo(CALLS_AT_ONCE, payload), run: (ms) => h2load(limits.address, payload, ms) };
}

async function h2load(address: string, payload: Buffer, ms: number): Promise<Figures> {
  const directory = await throwAwayDirectory("h2load");
  try {
    const message = PublishRequest.encode(PublishRequest.fromPartial({ queue: "native", message: { event: "bench.published", body: { $case: "payload", value: payload } } })).finish();
    const frame = Buffer.alloc(5 + message.length);
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, 5);
    const file = join(directory.path, "frame");
    await writeFile(file, frame);
    const seconds = Math.max(1, Math.round(ms / 1_000));
    const args = ["-D", String(seconds), "-c", "1", "-m", String(CALLS_AT_ONCE), "-t", "1", "-d", file, "-H", "content-type: application/grpc", "-H", "te: trailers", `http://${address}${PATH}`];
    const { stdout } = await run("h2load", args).catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") throw new NotInstalled(`h2load is not on the path: ${INSTALL}`, { cause: error });
      throw error;
    });
    const perSecond = Number(/finished in [^,]+, ([0-9.]+) req\/s/.exec(stdout)?.[1]);
    const failed = Number(/([0-9]+) failed/.exec(stdout)?.[1]);
    if (!(perSecond > 0) || failed > 0) throw new Error(`h2load reports:\n${stdout}`);
    return { perSecond };
  } finally {
    await directory.remove();
  }
}
