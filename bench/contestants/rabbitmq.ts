import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { connect } from "amqplib";
import type { ChannelModel, ConfirmChannel } from "amqplib";
import { ACK_BATCH, type ConsumeOptions, type Consumer, type Contestant, NotInstalled, type Topic } from "./contestant.js";
import { packageVersion } from "./package-version.js";
import { freePort, Program, throwAwayDirectory } from "./program.js";

const INSTALL = "apt-get install rabbitmq-server";
/** The script behind Debian's wrapper, which would change the user. */
const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const PREFETCH = 1_000;

/** RabbitMQ with quorum queues, one node: a publisher's confirm comes after the fsync of the log. */
export async function startRabbitmq(): Promise<Contestant> {
  if (!existsSync(SERVER)) throw new NotInstalled(`${SERVER} is not there: ${INSTALL}`);
  const directory = await throwAwayDirectory("rabbitmq");
  const [port, distributionPort, epmdPort] = [await freePort(), await freePort(), await freePort()];
  const env = {
    ...process.env,
    HOME: directory.path,
    RABBITMQ_NODENAME: `bench${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: directory.path,
    RABBITMQ_LOG_BASE: directory.path,
    RABBITMQ_LOGS: "-",
    RABBITMQ_ENABLED_PLUGINS_FILE: `${directory.path}/enabled_plugins`,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
  };
  const program = await Program.start({ command: SERVER, args: [], env, port });
  // Heartbeats would end the connection of a server that is frozen.
  const connection = await connect({ hostname: "127.0.0.1", port, heartbeat: 0 });
  const publisher = await connection.createConfirmChannel();
  const { version } = connection.connection.serverProperties as { readonly version: string };
  return {
    name: "RabbitMQ quorum queue",
    versions: `rabbitmq ${version}, amqplib ${packageVersion("amqplib")}`,
    durability: "fsync before the answer",
    isDurable: true,
    syncsAlone: false,
    keepsRead: false,
    topic: (name) => makeTopic(connection, publisher, name),
    pause: () => {
      program.pause();
    },
    resume: () => {
      program.resume();
    },
    async stop() {
      await connection.close();
      await program.stop();
      execFileSync("epmd", ["-port", String(epmdPort), "-kill"], { env, stdio: "ignore" });
      await directory.remove();
    },
  };
}

async function makeTopic(connection: ChannelModel, publisher: ConfirmChannel, name: string): Promise<Topic> {
  await publisher.assertExchange(name, "fanout", { durable: true });
  const queues: string[] = [];
  const register = async (subscriber: string): Promise<void> => {
    const queue = `${name}.${subscriber}`;
    if (queues.includes(queue)) return;
    await publisher.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
    await publisher.bindQueue(queue, name, "");
    queues.push(queue);
  };
  return {
    publish: (payload) => confirmed(publisher, name, payload),
    register,
    consume: (options) => consume(connection, `${name}.${options.subscriber}`, options),
    async drop() {
      for (const queue of queues) await publisher.deleteQueue(queue);
      await publisher.deleteExchange(name);
    },
  };
}

/** Publishes to an exchange; resolves with the broker's confirm. */
function confirmed(publisher: ConfirmChannel, exchange: string, payload: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    publisher.publish(exchange, "", payload, { persistent: true }, (error: unknown) => {
      if (error === null || error === undefined) resolve();
      else reject(error instanceof Error ? error : new Error("the broker refused a message"));
    });
  });
}

async function consume(connection: ChannelModel, queue: string, { acks, onMessage }: ConsumeOptions): Promise<Consumer> {
  const channel = await connection.createChannel();
  await channel.prefetch(PREFETCH);
  let held = 0;
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message === null) return;
    onMessage(message.content);
    if (acks === "batch" && ++held < ACK_BATCH) return;
    channel.ack(message, acks === "batch");
    held = 0;
  });
  return {
    async stop() {
      await channel.cancel(consumerTag);
      await channel.close();
    },
  };
}
