import { execFileSync } from "node:child_process";
import { Redis } from "ioredis";
import { ACK_BATCH, type ConsumeOptions, type Consumer, type Contestant, NotInstalled, type Topic } from "./contestant.js";
import { packageVersion } from "./package-version.js";
import { freePort, Program, throwAwayDirectory } from "./program.js";

const INSTALL = "apt-get install redis-server";
const READ_AT_ONCE = 100;
const BLOCK_MS = 100;
/** Acknowledgements on their way, before no more is read. */
const ACKS_UNANSWERED_MAX = 10_000;
const FIELD = "payload";

/** Redis Streams with an append-only file that is synced before each answer. */
export async function startRedis(): Promise<Contestant> {
  const version = serverVersion();
  const directory = await throwAwayDirectory("redis");
  const port = await freePort();
  const args = ["--bind", "127.0.0.1", "--port", String(port), "--dir", directory.path, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0"];
  const program = await Program.start({ command: "redis-server", args, port });
  const redis = new Redis({ host: "127.0.0.1", port });
  return {
    name: "Redis Streams, appendfsync always",
    versions: `redis ${version}, ioredis ${packageVersion("ioredis")}`,
    durability: "fsync before the answer",
    isDurable: true,
    syncsAlone: false,
    keepsRead: true,
    topic: (name) => Promise.resolve(topicOf(redis, port, name)),
    pause: () => {
      program.pause();
    },
    resume: () => {
      program.resume();
    },
    async stop() {
      redis.disconnect();
      await program.stop();
      await directory.remove();
    },
  };
}

function topicOf(redis: Redis, port: number, name: string): Topic {
  return {
    publish: (payload) => redis.xadd(name, "*", FIELD, payload),
    async register(subscriber) {
      await redis.xgroup("CREATE", name, subscriber, "0", "MKSTREAM");
    },
    consume: (options) => Promise.resolve(consume(port, name, options)),
    async drop() {
      await redis.del(name);
    },
  };
}

/** A stream's entries as the client returns them for buffers: id, then field and value in turn. */
type Entry = readonly [id: Buffer, fields: readonly Buffer[]];

function consume(port: number, stream: string, { subscriber, acks, onMessage }: ConsumeOptions): Consumer {
  // A blocking read needs a connection of its own; acknowledgements do not wait for it on another.
  const reader = new Redis({ host: "127.0.0.1", port });
  const acker = new Redis({ host: "127.0.0.1", port });
  let stopping = false;
  const loop = async (): Promise<void> => {
    const pending = new Set<Promise<unknown>>();
    const held: Buffer[] = [];
    const send = (ids: Buffer[]): void => {
      const sent: Promise<unknown> = acker.xack(stream, subscriber, ...ids).finally(() => pending.delete(sent));
      pending.add(sent);
    };
    while (!stopping) {
      const found = (await reader.callBuffer("XREADGROUP", "GROUP", subscriber, "one", "COUNT", READ_AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", stream, ">")) as
        | readonly (readonly [stream: Buffer, entries: readonly Entry[]])[]
        | null;
      for (const [id, fields] of found?.[0]?.[1] ?? []) {
        onMessage(fields[1] ?? Buffer.alloc(0));
        if (acks === "each") send([id]);
        else if (held.push(id) === ACK_BATCH) send(held.splice(0));
      }
      if (pending.size >= ACKS_UNANSWERED_MAX) await Promise.race(pending);
    }
    if (held.length > 0) send(held);
    await Promise.all(pending);
  };
  const over = loop();
  return {
    async stop() {
      stopping = true;
      await over;
      reader.disconnect();
      acker.disconnect();
    },
  };
}

function serverVersion(): string {
  try {
    return /v=([0-9.]+)/.exec(execFileSync("redis-server", ["--version"], { encoding: "utf8" }))?.[1] ?? "unknown";
  } catch (error) {
    throw new NotInstalled(`redis-server is not on the path: ${INSTALL}`, { cause: error });
  }
}
