import { expect } from "chai";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import type { ForeignCall } from "./foreign-call.js";
import { bufCurl, type ForeignClient, grpcurl, PythonClient } from "./foreign-client.js";

const BROKER = "tidemark.v1.BrokerService";
const ADMIN = "tidemark.v1.AdminService";

interface Received {
  readonly offset: number;
  readonly event: string;
  readonly text: string;
  readonly batchId: string;
  readonly deliveryCount: number;
  readonly attempt: number;
}

/** Messages of a Subscribe call, until there are `count` of them. */
async function receive(subscription: ForeignCall, count: number): Promise<Received[]> {
  const received: Received[] = [];
  while (received.length < count) {
    const { messages, batchId, deliveryCount, attempt } = (await subscription.next("deliveries")) as {
      readonly messages: readonly { readonly offset: string; readonly event: string; readonly payload: string }[];
      readonly batchId: string;
      readonly deliveryCount: number;
      readonly attempt: number;
    };
    for (const { offset, event, payload } of messages) {
      received.push({ offset: Number(offset), event, text: Buffer.from(payload, "base64").toString(), batchId, deliveryCount, attempt });
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
    const calls: ForeignCall[] = [];

    before(async () => {
      dataDir = await temporaryDataDir();
      server = await ServerProcess.start({ dataDir: dataDir.path });
    });

    // What a test that failed leaves running would keep the run from ending.
    afterEach(async () => {
      for (const call of calls.splice(0)) await call.kill();
    });

    after(async () => {
      await server.kill();
      await dataDir.remove();
      if (client === python) python.dispose();
    });

    function start(method: string): ForeignCall {
      const call = client.call(server.address, method);
      calls.push(call);
      return call;
    }

    async function ask(method: string, request: object): Promise<Record<string, unknown>> {
      const call = start(method);
      call.send(request);
      const [response] = await call.finish();
      if (response === undefined) throw new Error(`${method} was not answered`);
      return response;
    }

    const publish = (event: string, text: string) => ask(`${BROKER}/Publish`, { queue: "orders", message: { event, text, messageId: `${event}/${text}` } });

    function subscribe(open: object = {}): ForeignCall {
      const call = start(`${BROKER}/Subscribe`);
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

    it("gets each key of an ordered queue in order, a retry holding up its own alone, over a kill", async () => {
      const { queue } = await ask(`${ADMIN}/CreateQueue`, { queue: { name: "parcels", ordering: "ORDERING_ORDERED" } });
      expect(queue).to.include({ name: "parcels", ordering: "ORDERING_ORDERED" });
      const move = (...parcels: string[]) => ask(`${BROKER}/PublishBatch`, {
        queue: "parcels",
        messages: parcels.map((text) => ({ event: "parcel.moved", orderingKey: text.charAt(0), text, messageId: text })),
      });
      const texts = (received: readonly Received[]): string[] => received.map(({ text }) => text);
      const open = { queue: "parcels", subscriber: "depot", events: [] };
      let depot = subscribe(open);
      await depot.next("opened");
      await move("a1", "b1", "a2", "b2", "c1", "a3");

      const firsts = await receive(depot, 3);
      expect(texts(firsts)).to.deep.equal(["a1", "b1", "c1"]);
      const [a1, ...others] = firsts;
      depot.send({ requestId: "1", settle: { retries: [{ range: { first: "1", batchId: a1!.batchId }, delay: "2s", reason: "the gate is shut" }] } });
      await depot.next("result");
      await ack(depot, 2, others);
      const b2 = await receive(depot, 1);
      expect(texts(b2)).to.deep.equal(["b2"]);
      await ack(depot, 3, b2);
      const again = await receive(depot, 1);
      expect(again[0]).to.include({ text: "a1", attempt: 2, deliveryCount: 1 });
      expect(await ack(depot, 4, again)).to.include({ committedOffset: "2" });
      expect(texts(await receive(depot, 1))).to.deep.equal(["a2"]);
      await depot.kill();

      await move("b3");
      await server.kill();
      server = await ServerProcess.start({ dataDir: dataDir.path });
      await move("a4");
      depot = subscribe(open);
      expect(await depot.next("opened")).to.include({ committedOffset: "2", headOffset: "8", backlogCount: "4" });
      const caughtUp: string[] = [];
      for (let requestId = 1; caughtUp.length < 4; requestId++) {
        const next = await receive(depot, 1);
        caughtUp.push(...texts(next));
        await ack(depot, requestId, next);
      }
      expect(caughtUp.filter((text) => text.startsWith("a"))).to.deep.equal(["a2", "a3", "a4"]);
      expect(caughtUp.filter((text) => text.startsWith("b"))).to.deep.equal(["b3"]);
      expect((await depot.finish()).filter((response) => "deliveries" in response)).to.deep.equal([]);
    });

    it("works without a stream: pulls, settles, and goes on after a kill", async () => {
      const pull = async (more: object = {}) => {
        const pulled = await ask(`${BROKER}/Pull`, { queue: "jobs", subscriber: "nightly", ...more });
        const { batches = [], opened } = pulled as { readonly batches?: readonly { readonly attempt: number; readonly messages: readonly { readonly offset: string; readonly payload: string }[] }[]; readonly opened: { readonly sessionId: string } };
        const texts = batches.flatMap(({ attempt, messages }) => messages.map(({ offset, payload }) => `${offset} ${Buffer.from(payload, "base64").toString()} ${attempt}`));
        return { texts, sessionId: opened.sessionId };
      };
      const settle = (sessionId: string, verdicts: object) => ask(`${BROKER}/Settle`, { sessionId, settle: verdicts });
      await ask(`${BROKER}/PublishBatch`, { queue: "jobs", messages: ["a", "b", "c"].map((text) => ({ event: "job.made", text })) });

      const first = await pull({ maxMessages: 2 });
      expect(first.texts).to.deep.equal(["1 a 1", "2 b 1"]);
      const { result } = await settle(first.sessionId, { acks: [{ first: "1" }, { first: "9" }], retries: [{ range: { first: "2" }, delay: "0s", reason: "busy" }] });
      expect(result).to.deep.include({ committedOffset: "1", failures: [{ range: { first: "9", last: "9" }, code: "SETTLE_FAILURE_CODE_NOT_HELD" }] });

      await server.kill();
      server = await ServerProcess.start({ dataDir: dataDir.path });
      const rest = await pull({ wait: "5s" });
      expect(rest.texts).to.deep.equal(["2 b 2", "3 c 1"]);
      expect((await settle(rest.sessionId, { acks: [{ first: "2", last: "3" }] }))["result"]).to.include({ committedOffset: "3" });
      expect((await pull({ sessionId: rest.sessionId })).texts).to.deep.equal([]);
    });

    it("hears why a call was refused", async () => {
      const call = start(`${BROKER}/Publish`);
      call.send({ queue: "orders", message: { event: "not an event" } });
      const { status, errors } = await call.end();
      expect(status).to.not.equal(0);
      expect(errors).to.match(/invalid.?argument/i).and.to.include("not an event");
    });
  });
}
