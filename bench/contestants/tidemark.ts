import { fileURLToPath } from "node:url";
import { connect } from "../../src/client/index.js";
import type { TidemarkClient } from "../../src/client/index.js";
import { ACK_BATCH, type ConsumeOptions, type Consumer, type Contestant, type Topic } from "./contestant.js";
import { packageVersion } from "./package-version.js";
import { freePort, Program, throwAwayDirectory } from "./program.js";

const PROGRAM = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));
const EVENT = "bench.published";

/** Tidemark itself, with its TypeScript client. Says both that client and where it listens, for cells that no peer has. */
export interface Tidemark extends Contestant {
  readonly address: string;
  readonly client: TidemarkClient;
}

export async function startTidemark(): Promise<Tidemark> {
  const directory = await throwAwayDirectory("tidemark");
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  const program = await Program.start({ command: process.execPath, args: [PROGRAM, "serve", "--listen", address, "--data", directory.path, "--log-level", "warn"], port });
  const client = connect(address);
  await client.connected();
  return {
    name: "Tidemark",
    versions: `${packageVersion()}, its TypeScript client, grpc-js ${packageVersion("@grpc/grpc-js")}, lmdb ${packageVersion("lmdb")}`,
    durability: "fsync before the answer",
    isDurable: true,
    syncsAlone: false,
    keepsRead: false,
    address,
    client,
    topic: (name) => Promise.resolve(topicOf(client, name)),
    pause: () => {
      program.pause();
    },
    resume: () => {
      program.resume();
    },
    async stop() {
      await client.close();
      await program.stop();
      await directory.remove();
    },
  };
}

/** A queue by its client. Filters and keys are of cells that only Tidemark runs. */
export function topicOf(client: TidemarkClient, queue: string): Topic {
  return {
    publish: (payload) => client.publish(queue, { event: EVENT, payload }),
    // A queue keeps its messages until a first subscriber has settled them, and a new one begins at the oldest.
    register: () => Promise.resolve(),
    consume: (options) => Promise.resolve(consume(client, queue, options)),
    drop: () => client.admin.deleteQueue(queue),
  };
}

function consume(client: TidemarkClient, queue: string, { subscriber, acks, onMessage }: ConsumeOptions): Consumer {
  const subscription = client.subscribe(queue, { subscriber, maxInFlightMessages: 10_000 });
  const loop = async (): Promise<void> => {
    const held = [];
    for await (const delivery of subscription) {
      onMessage(delivery.payload);
      if (acks === "each") delivery.ack();
      else if (held.push(delivery) === ACK_BATCH) for (const each of held.splice(0)) each.ack();
    }
  };
  const over = loop();
  return {
    async stop() {
      await subscription.close();
      await over;
    },
  };
}
