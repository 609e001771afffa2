import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { connect, type SubscriberInfo, type TidemarkClient } from "../../src/client/index.js";
import { until, within } from "../support/condition.js";
import { StoredServer } from "../support/stored-server.js";

const CONSUMER = fileURLToPath(new URL("crashing-consumer.mjs", import.meta.url));
const QUEUE = "poisoned";
const COUNT = 10_000;
const MAX_DELIVERIES = 20;
/** In the middle of what is in flight, so that it has neighbours on either side. */
const KILLER = 5_000;
/** In the middle of the counts, which a restart must not forget. */
const RESTART_AFTER = 9;
const LIFE_MS_MAX = 60_000;

describe("a message that kills its consumer", function () {
  this.timeout(5 * 60_000);

  let server: StoredServer;
  let client: TidemarkClient;
  let consumer: ChildProcess | undefined;

  beforeEach(async () => {
    server = await StoredServer.start();
    client = connect(server.address);
  });

  afterEach(async () => {
    consumer?.kill("SIGKILL");
    await client.close();
    await server.remove();
  });

  /** @param hold how many messages it wants in hand before it begins to work */
  function startConsumer(hold: number): Promise<unknown[]> {
    consumer = spawn(process.execPath, [CONSUMER, server.address, QUEUE, "worker", String(hold)], { stdio: ["ignore", "inherit", "inherit"] });
    return within("the consumer ends", LIFE_MS_MAX, once(consumer, "exit"));
  }

  async function restartServer(): Promise<void> {
    await client.close();
    await server.restart();
    client = connect(server.address);
  }

  const worker = (): Promise<SubscriberInfo> => client.admin.subscriber(QUEUE, "worker");

  for (const kind of ["unordered", "ordered"] as const) {
    it(`is dead-lettered after ${MAX_DELIVERIES} crashes with ${COUNT} in flight on an ${kind} queue, and nothing else is`, async () => {
      await client.admin.createQueue(QUEUE, { ordered: kind === "ordered", maxUnsettled: 2 * COUNT });
      await client.admin.createSubscriber(QUEUE, "worker");
      const publish = (_: unknown, i: number): Promise<unknown> =>
        client.publish(QUEUE, { event: "work", orderingKey: `key-${i}`, payload: i === KILLER ? "killer" : "work" });
      await Promise.all(Array.from({ length: COUNT }, publish));

      for (let crashes = 0; crashes < MAX_DELIVERIES; crashes++) {
        // All of it is in flight for the first two crashes; then the consumer works at what comes.
        const [, signal] = await startConsumer(crashes < 2 ? COUNT : 1);
        expect(signal, `life ${crashes + 1}`).to.equal("SIGKILL");
        if (crashes === RESTART_AFTER) await restartServer();
      }
      const lastLife = startConsumer(1);
      await until("the rest is done", LIFE_MS_MAX, async () => {
        const { committedOffset, clientCount } = await worker();
        return committedOffset === COUNT && clientCount === 1;
      });
      consumer?.kill("SIGTERM");
      expect(await lastLife).to.deep.equal([0, null]);

      const letters = [];
      for await (const { message, reason, deliveries } of client.admin.deadLetters(QUEUE, "worker")) letters.push([message.payload.toString(), reason, deliveries]);
      expect(letters).to.deep.equal([["killer", "MAX_DELIVERIES", MAX_DELIVERIES]]);
      const { backlogCount, inFlightCount } = await worker();
      expect([backlogCount, inFlightCount]).to.deep.equal([0, 0]);
    });
  }
});
