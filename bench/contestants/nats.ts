import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { ACK_BATCH, type ConsumeOptions, type Consumer, type Contestant, NotInstalled, type Topic } from "./contestant.js";
import { packageVersion } from "./package-version.js";
import { freePort, Program, throwAwayDirectory } from "./program.js";

const INSTALL = "go install github.com/nats-io/nats-server/v2@v2.15.1, with $(go env GOPATH)/bin on the path";
/** As many as the server lets wait for an acknowledgement. */
const PENDING_MAX = 10_000;

/** A NATS JetStream server with a file store. `always` syncs before each answer; the default syncs every two minutes. */
export async function startNats(sync: "always" | "default"): Promise<Contestant> {
  const version = serverVersion();
  const directory = await throwAwayDirectory("nats");
  const port = await freePort();
  const config = join(directory.path, "nats.conf");
  const interval = sync === "always" ? "sync_interval: always" : "";
  await writeFile(config, `listen: "127.0.0.1:${port}"\nmax_payload: 8MB\njetstream { store_dir: ${JSON.stringify(directory.path)}\n ${interval} }\n`);
  const program = await Program.start({ command: "nats-server", args: ["-c", config], port });
  const connection = await connect({ servers: `127.0.0.1:${port}`, pingInterval: 3_600_000 });
  const client = jetstream(connection, { timeout: 60_000 });
  const manager = await jetstreamManager(connection, { timeout: 60_000 });
  return {
    name: sync === "always" ? "NATS JetStream, sync always" : "NATS JetStream, default",
    versions: `nats-server ${version}, @nats-io/jetstream ${packageVersion("@nats-io/jetstream")}`,
    durability: sync === "always" ? "fsync before the answer" : "fsync every 2 minutes",
    isDurable: sync === "always",
    keepsRead: true,
    syncsAlone: sync === "always",
    topic: (name) => makeTopic(client, manager, name),
    pause: () => {
      program.pause();
    },
    resume: () => {
      program.resume();
    },
    async stop() {
      await connection.close();
      await program.stop();
      await directory.remove();
    },
  };
}

async function makeTopic(client: JetStreamClient, manager: JetStreamManager, name: string): Promise<Topic> {
  await manager.streams.add({ name, subjects: [name], storage: StorageType.File, retention: RetentionPolicy.Limits, duplicate_window: 0 });
  return {
    publish: (payload) => client.publish(name, payload),
    // The stream keeps everything, and a new consumer begins at the oldest.
    register: () => Promise.resolve(),
    consume: (options) => consume(client, manager, name, options),
    async drop() {
      await manager.streams.delete(name);
    },
  };
}

async function consume(client: JetStreamClient, manager: JetStreamManager, stream: string, { subscriber, acks, onMessage }: ConsumeOptions): Promise<Consumer> {
  const policy = acks === "each" ? AckPolicy.Explicit : AckPolicy.All;
  await manager.consumers.add(stream, { durable_name: subscriber, ack_policy: policy, deliver_policy: DeliverPolicy.All, max_ack_pending: PENDING_MAX });
  const consumer = await client.consumers.get(stream, subscriber);
  const messages = await consumer.consume({ max_messages: 1_000 });
  const loop = async (): Promise<void> => {
    let held = 0;
    for await (const message of messages) {
      onMessage(message.data);
      if (acks === "batch" && ++held < ACK_BATCH) continue;
      message.ack();
      held = 0;
    }
  };
  const over = loop();
  return {
    async stop() {
      await messages.close();
      await over;
    },
  };
}

function serverVersion(): string {
  try {
    return /v([0-9.]+)/.exec(execFileSync("nats-server", ["--version"], { encoding: "utf8" }))?.[1] ?? "unknown";
  } catch (error) {
    throw new NotInstalled(`nats-server is not on the path: ${INSTALL}`, { cause: error });
  }
}
