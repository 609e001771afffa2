import { expect } from "chai";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import type { ForeignCall } from "./foreign-call.js";
import { bufCurl, type ForeignClient, grpcurl, PythonClient } from "./foreign-client.js";

const BROKER = "tidemark.v1.BrokerService";

interface Received {
  readonly offset: number;
  readonly event: string;
  readonly text: string;
  readonly batchId: string;
  readonly deliveryCount: number;
}

/** Messages of a Subscribe call, until there are `count` of them. */
async function receive(subscription: ForeignCall, count: number): Promise<Received[]> {
  const received: Received[] = [];
  while (received.length < count) {
    const { messages, batchId, deliveryCount } = (await subscription.next("deliveries")) as {
      readonly messages: readonly { readonly offset: string; readonly event: string; readonly payload: string }[];
      readonly batchId: string;
      readonly deliveryCount: number;
    };
    for (const { offset, event, payload } of messages) {
      received.push({ offset: Number(offset), event, text: Buffer.from(payload, "base64").toString(), batchId, deliveryCount });
    }
  }
  return received;
}

async function ack(subscription: ForeignCall, requestId: number, received: readonly Received[]): Promise<Record<string, unknown>> {
  const acks = received.map(({ offset, batchId }) => ({ first: String(offset), batchId }));
  subscription.send({ requestId: String(requestId), settle: { acks } });
  return subscription.next("result");
}

const python = new PythonClient();

for (const client of [grpcurl, bufCurl, python] as readonly ForeignClient[]) {
  describe(`the story of a queue, told by ${client.name}`, () => {
    let dataDir: Awaited<ReturnType<typeof temporaryDataDir>>;
    let server: ServerProcess;

    before(async () => {
      dataDir = await temporaryDataDir();
      server = await ServerProcess.start({ dataDir: dataDir.path });
    });

    after(async () => {
      await server.kill();
      await dataDir.remove();
      if (client === python) python.dispose();
    });

    async function publish(event: string, text: string): Promise<Record<string, unknown>> {
      const call = client.call(server.address, `${BROKER}/Publish`);
      call.send({ queue: "orders", message: { event, text, messageId: `${event}/${text}` } });
      const [response] = await call.finish();
      if (response === undefined) throw new Error("Publish was not answered");
      return response;
    }

    function subscribe(open: object = {}): ForeignCall {
      const call = client.call(server.address, `${BROKER}/Subscribe`);
      call.send({ open: { queue: "orders", subscriber: "billing", events: ["order.*"], startAt: "START_POSITION_EARLIEST", ...open } });
      return call;
    }

    it("delivers what the filter takes, brings back what was not acked, and misses nothing over a kill", async () => {
      let billing = subscribe();
      expect(await billing.next("opened")).to.include({ created: true });

      expect(await publish("order.created", "1001")).to.include({ offset: "1", matchedSubscribers: 1, durability: "DURABILITY_FSYNC" });
      expect(await publish("stock.low", "screws")).to.not.have.property("matchedSubscribers");
      expect(await publish("order.paid", "1001")).to.include({ offset: "3" });

      const first = await receive(billing, 2);
      expect(first.map(({ offset, event, text }) => [offset, event, text])).to.deep.equal([
        [1, "order.created", "1001"],
        [3, "order.paid", "1001"],
      ]);
      expect(await ack(billing, 1, first.slice(0, 1))).to.include({ committedOffset: "2" });
      await billing.kill();

      billing = subscribe();
      expect(await billing.next("opened")).to.include({ committedOffset: "2" });
      expect((await receive(billing, 1))[0]).to.include({ offset: 3, deliveryCount: 2 });
      await billing.finish();

      expect(await publish("order.created", "1002")).to.include({ offset: "4" });
      await server.kill();
      server = await ServerProcess.start({ dataDir: dataDir.path });
      expect(await publish("order.created", "1002")).to.include({ offset: "4", duplicate: true });

      billing = subscribe();
      expect(await billing.next("opened")).to.include({ committedOffset: "2", headOffset: "4", backlogCount: "2" });
      const rest = await receive(billing, 2);
      expect(rest.map(({ offset }) => offset).sort()).to.deep.equal([3, 4]);
      expect(await ack(billing, 1, rest)).to.include({ committedOffset: "4" });
      await billing.finish();

      const nothingLeft = await subscribe({ ackMode: "ACK_MODE_AUTO", stopAtHead: true }).finish();
      expect(nothingLeft.filter((response) => "deliveries" in response)).to.deep.equal([]);
    });

    it("hears why a call was refused", async () => {
      const call = client.call(server.address, `${BROKER}/Publish`);
      call.send({ queue: "orders", message: { event: "not an event" } });
      const { status, errors } = await call.end();
      expect(status).to.not.equal(0);
      expect(errors).to.match(/invalid.?argument/i).and.to.include("not an event");
    });
  });
}
