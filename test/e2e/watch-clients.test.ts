import { connect as connectHttp2, constants as HTTP2 } from "node:http2";
import { status as Code } from "@grpc/grpc-js";
import type { ClientReadableStream, StatusObject } from "@grpc/grpc-js";
import { expect } from "chai";
import { WatchClientsRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { WatchClientsResponse } from "../../generated/tidemark/v1/admin_service.js";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { LeaveReason } from "../../generated/tidemark/v1/client.js";
import type { Client, ClientLeft } from "../../generated/tidemark/v1/client.js";
import { AckMode, OpenSession, Sharing, SubscribeRequest, WaitingFor } from "../../generated/tidemark/v1/subscribe.js";
import { CliRun } from "../support/cli-run.js";
import { until, within } from "../support/condition.js";
import { callEnd } from "../support/raw-calls.js";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { answer, payload, Stubs } from "../support/stubs.js";

const DEADLINE_MS = 10_000;

/** One WatchClients call and all that it told. */
class Watch {
  readonly changes: NonNullable<WatchClientsResponse["change"]>[] = [];
  readonly ended: Promise<StatusObject>;
  private readonly call: ClientReadableStream<WatchClientsResponse>;

  constructor(stubs: Stubs, request: Partial<WatchClientsRequest> = {}) {
    this.call = stubs.admin.watchClients({ ...WatchClientsRequest.create(), ...request });
    this.call.on("data", ({ change }: WatchClientsResponse) => {
      if (change !== undefined) this.changes.push(change);
    });
    this.call.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      this.call.on("status", resolve);
    });
  }

  pause(): void {
    this.call.pause();
  }

  resume(): void {
    this.call.resume();
  }

  cancel(): void {
    this.call.cancel();
  }

  async listed(): Promise<this> {
    await until("the sessions of the start are complete", DEADLINE_MS, () => this.changes.some(({ $case }) => $case === "listed"));
    return this;
  }

  left(clientId: string): Promise<ClientLeft> {
    return until(`${clientId} has left`, DEADLINE_MS, () => {
      for (const change of this.changes) if (change.$case === "left" && change.value.client?.clientId === clientId) return change.value;
      return undefined;
    });
  }

  /** What was told, in short. */
  get told(): readonly string[] {
    return this.changes.map((change) => (change.$case === "listed" ? `listed ${change.value.clientCount}` : `${change.$case} ${change.value.client?.clientId ?? ""}`));
  }
}

describe("who is connected, live", () => {
  let server: TestServer;
  let stubs: Stubs;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory", shutdownGraceMs: 2_000 });
    stubs = await server.connect();
  });

  afterEach(async () => {
    await server.close();
  });

  it("tells who is there, who comes, what changes and who goes, and why", async () => {
    const early = stubs.subscribe({ queue: "orders", subscriber: "billing", clientId: "early" });
    await early.next("opened");
    const watch = await new Watch(stubs).listed();
    const late = stubs.subscribe({ queue: "orders", subscriber: "billing", clientId: "late" });
    await late.next("opened");
    await until("late is told", DEADLINE_MS, () => watch.told.includes("joined late"));
    late.send({ $case: "flow", value: { maxMessages: 3, maxBytes: 0n, paused: true } });
    await until("the new window is told", DEADLINE_MS, () => watch.told.includes("changed late"));
    expect(watch.changes.at(-1)).to.have.nested.property("value.client.flow").that.deep.includes({ maxMessages: 3, paused: true });
    await late.halfClose();
    const before = Date.now();
    await early.cancel();
    expect((await watch.left("late")).reason).to.equal(LeaveReason.HALF_CLOSED);
    const left = await watch.left("early");
    expect(left.reason).to.equal(LeaveReason.CANCELLED);
    expect(Number(left.leaveTime?.seconds)).to.be.within(Math.floor(before / 1_000) - 1, before / 1_000 + 10);
    expect(watch.told.slice(0, 3)).to.deep.equal(["joined early", "listed 1", "joined late"]);
    watch.cancel();
  });

  it("names the mistake of a client that got an error, the words of the operator, and what was deleted", async () => {
    const watch = await new Watch(stubs).listed();
    const wrong = stubs.subscribe({ queue: "orders", clientId: "wrong" });
    await wrong.next("opened");
    wrong.send({ $case: "open", value: { ...OpenSession.create(), queue: "orders" } });
    expect(await watch.left("wrong")).to.include({ reason: LeaveReason.CLIENT_ERROR }).and.have.property("detail").that.contains("a second subscriber needs a stream of its own");
    const stuck = stubs.subscribe({ queue: "orders", clientId: "stuck" });
    const { sessionId } = await stuck.next("opened");
    await answer((callback) => stubs.admin.disconnectClient({ sessionId, reason: "it hangs" }, callback));
    expect(await watch.left("stuck")).to.include({ reason: LeaveReason.DISCONNECTED, detail: "it hangs" });
    const orphan = stubs.subscribe({ queue: "orders", subscriber: "s", clientId: "orphan" });
    await orphan.next("opened");
    await answer((callback) => stubs.admin.deleteSubscriber({ queue: "orders", subscriber: "s" }, callback));
    expect(await watch.left("orphan")).to.include({ reason: LeaveReason.SUBSCRIBER_DELETED });
    const stopped = stubs.subscribe({ queue: "orders", clientId: "stopped", ackMode: AckMode.AUTO, stop: { $case: "stopAtHead", value: true } });
    await stopped.ended;
    expect(await watch.left("stopped")).to.include({ reason: LeaveReason.STOP_REACHED });
    watch.cancel();
  });

  it("tells a broken connection from a cancelled call", async () => {
    const watch = await new Watch(stubs).listed();
    const connection = connectHttp2(`http://${server.address}`);
    const calls = ["a", "b"].map((clientId) => {
      const call = connection.request({ ":method": "POST", ":path": BrokerServiceService.subscribe.path, "content-type": "application/grpc", te: "trailers" });
      call.on("error", () => undefined);
      const open = SubscribeRequest.encode({ requestId: 0n, frame: { $case: "open", value: { ...OpenSession.create(), queue: "orders", clientId } } }).finish();
      call.write(Buffer.from([0, 0, 0, 0, open.length, ...open]));
      return call;
    });
    await until("both are there", DEADLINE_MS, () => watch.told.length === 3);
    calls[0]?.close(HTTP2.NGHTTP2_CANCEL);
    expect((await watch.left("a")).reason).to.equal(LeaveReason.CANCELLED);
    connection.destroy();
    expect((await watch.left("b")).reason).to.equal(LeaveReason.CONNECTION_LOST);
    watch.cancel();
  });

  it("can be of one subscriber alone", async () => {
    const watch = await new Watch(stubs, { queue: "orders", subscriber: "billing" }).listed();
    for (const open of [{ queue: "mail", subscriber: "billing" }, { queue: "orders" }, { queue: "orders", subscriber: "billing" }]) {
      const stream = stubs.subscribe({ ...open, clientId: `${open.queue}-${open.subscriber ?? ""}` });
      await stream.next("opened");
      await stream.cancel();
    }
    await watch.left("orders-billing");
    expect(new Set(watch.told.map((told) => told.split(" ")[1]))).to.deep.equal(new Set(["0", "orders-billing"]));
    watch.cancel();
  });

  it("gives a watcher that reads late every end, and of those who stayed the newest state", async () => {
    const labels = { large: "x".repeat(8_000) };
    const watch = await new Watch(stubs).listed();
    watch.pause();
    const stayed = stubs.subscribe({ queue: "orders", clientId: "stayed", labels });
    await stayed.next("opened");
    for (let i = 0; i < 120; i++) {
      const stream = stubs.subscribe({ queue: "orders", clientId: `c${i}`, labels });
      await stream.next("opened");
      stayed.send({ $case: "flow", value: { maxMessages: i + 1, maxBytes: 0n, paused: true } });
      stream.send({ $case: "drain", value: {} });
      await stream.ended;
    }
    watch.resume();
    await watch.left("c119");
    const ends = watch.told.filter((told) => told.startsWith("left"));
    expect(ends).to.deep.equal(Array.from({ length: 120 }, (_, i) => `left c${i}`));
    const newest = await until("the newest window is told", DEADLINE_MS, () => {
      const states = watch.changes.flatMap((change) => (change.$case === "changed" && change.value.client?.clientId === "stayed" ? [change.value.client] : []));
      return states.at(-1)?.flow?.maxMessages === 120 && states;
    });
    expect(newest.length).to.be.lessThan(120);
    watch.cancel();
  });

  it("tells of the sessions that end with the server, then ends with DRAINING, and holds nothing up", async () => {
    const stream = stubs.subscribe({ queue: "orders", clientId: "last" });
    await stream.next("opened");
    const watch = await new Watch(stubs).listed();
    const unread = await new Watch(stubs).listed();
    unread.pause();
    const startMs = performance.now();
    await server.server.stop();
    expect(performance.now() - startMs).to.be.lessThan(4_000);
    expect((await watch.left("last")).reason).to.equal(LeaveReason.SERVER_STOPPING);
    expect(callEnd(await watch.ended)).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    expect(watch.told).to.deep.equal(["joined last", "listed 1", "left last"]);
  });

  it("shows in a list of clients what each of them holds, waits for, and which library it has", async () => {
    for (let i = 0; i < 5; i++) await stubs.publish("orders", { event: "a", body: payload("12345") });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "s", clientId: "busy", flow: { maxMessages: 2, maxBytes: 0n, paused: false } });
    await stream.receive(2);
    const list = async (): Promise<Client | undefined> =>
      (await answer<{ clients: Client[] }>((callback) => stubs.admin.listClients({ queue: "orders", subscriber: "s", pageSize: 0, pageToken: "" }, callback))).clients[0];
    const client = await list();
    expect(client).to.include({ inFlightCount: 2n, backlogCount: 3n, waitingFor: WaitingFor.FLOW, draining: false, standby: false, sharing: Sharing.SHARED, principal: "" });
    expect(client?.inFlightBytes).to.equal(((await stubs.queue("orders")).bytes / 5n) * 2n);
    expect(client?.userAgent).to.match(/^grpc-node-js\//);
    expect(Number(client?.lastFrameTime?.seconds)).to.be.closeTo(Date.now() / 1_000, 10);
    stream.send({ $case: "drain", value: {} });
    await until("it drains", DEADLINE_MS, async () => (await list())?.draining);
    await stream.cancel();
  });

  it("shows of a queue its sessions, its dead letters, and when it was last published to", async () => {
    await stubs.publish("orders", { event: "a" });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "s" });
    const [message] = await stream.receive(1);
    await stream.settle({ rejects: [{ range: { first: message?.offset ?? 0n, last: 0n, batchId: 1n }, reason: "no" }] });
    const queue = await stubs.queue("orders");
    expect(queue).to.include({ clientCount: 1, deadLetterCount: 1n });
    expect(Number(queue.lastPublishTime?.seconds)).to.be.closeTo(Date.now() / 1_000, 10);
    await stream.cancel();
  });
}).timeout(30_000);

describe("who is connected to a server of its own", () => {
  it("is told, and that a client which was killed is lost and not gone by itself", async () => {
    const data = await temporaryDataDir();
    const server = await ServerProcess.start({ dataDir: data.path });
    const stubs = new Stubs(server.address);
    try {
      await stubs.ready();
      const watch = await new Watch(stubs).listed();
      const run = new CliRun(["subscribe", "orders", "--subscriber", "billing"], undefined, { TIDEMARK_ADDRESS: server.address });
      await until("it is told", DEADLINE_MS, () => watch.told.includes("joined tidemark-cli"));
      run.child.kill("SIGKILL");
      expect((await watch.left("tidemark-cli")).reason).to.equal(LeaveReason.CONNECTION_LOST);
      await within("the client is gone", DEADLINE_MS, run.ended);
      expect(await server.stop()).to.deep.equal({ code: 0, signal: null });
      expect(callEnd(await watch.ended)).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    } finally {
      stubs.close();
      if (server.running) await server.kill();
      await data.remove();
    }
  }).timeout(40_000);
});
