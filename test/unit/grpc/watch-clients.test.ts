import { credentials, status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { AdminServiceClient, AdminServiceService, WatchClientsRequest, WatchClientsResponse } from "../../../generated/tidemark/v1/admin_service.js";
import { LeaveReason } from "../../../generated/tidemark/v1/client.js";
import { WaitingFor } from "../../../generated/tidemark/v1/subscribe.js";
import type { ClientInfo, ClientNews } from "../../../src/broker/client-api.js";
import { BrokerError } from "../../../src/core/errors.js";
import { wallMs } from "../../../src/core/units.js";
import { GrpcServer } from "../../../src/grpc/server.js";
import { NO_TELEMETRY } from "../../../src/ports/telemetry.js";
import { openJournal } from "../../../src/system/journal.js";
import { until } from "../../support/condition.js";
import { ManualClock } from "../../support/manual-clock.js";
import { RawStream } from "../../support/raw-calls.js";
import { ScriptedBroker } from "./scripted-broker.js";

const DEADLINE_MS = 5_000;

const CLIENT: ClientInfo = {
  sessionId: "s1",
  kind: "STREAM",
  clientId: "worker",
  peer: "127.0.0.1:9",
  queue: "orders",
  subscriber: "billing",
  events: ["order.*"],
  ackMode: "EXPLICIT",
  sharing: "EXCLUSIVE",
  standby: true,
  draining: true,
  flow: { maxMessages: 7, maxBytes: 8, paused: false },
  inFlightCount: 2,
  inFlightBytes: 300,
  backlogCount: 4,
  waitingFor: "LANE",
  connectTimeMs: wallMs(1_000),
  lastFrameTimeMs: wallMs(2_500),
  labels: new Map([["zone", "north"]]),
  userAgent: "grpc-go/1",
};

describe("WatchClients", () => {
  let broker: ScriptedBroker;
  let server: GrpcServer;
  let client: AdminServiceClient;

  beforeEach(async () => {
    broker = new ScriptedBroker();
    server = new GrpcServer({ broker, clock: new ManualClock(), journal: openJournal("silent"), telemetry: NO_TELEMETRY, descriptors: new Uint8Array(), version: "0.0.0" });
    const port = await server.listen("127.0.0.1:0");
    client = new AdminServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
  });

  afterEach(async () => {
    client.close();
    await server.close(0);
  });

  const watch = (request: Partial<WatchClientsRequest> = {}): RawStream =>
    new RawStream(client, AdminServiceService.watchClients.path).write(WatchClientsRequest.encode({ queue: "", subscriber: "", ...request }).finish()).end();

  const changes = (call: RawStream): WatchClientsResponse["change"][] => call.received.map((bytes) => WatchClientsResponse.decode(bytes).change);

  /** The watch that the call has begun; it has these things to tell now. */
  async function tell(...news: ClientNews[]): Promise<void> {
    const { wake } = await until("the watch begins", DEADLINE_MS, () => broker.watches[0]);
    broker.watch.take = () => news.shift();
    wake();
  }

  it("turns everything that is told into an answer, and ends with the broker's error", async () => {
    const call = watch({ queue: "orders", subscriber: "billing" });
    await tell(
      { type: "joined", client: CLIENT },
      { type: "listed", count: 1 },
      { type: "changed", client: { ...CLIENT, waitingFor: undefined, draining: false } },
      { type: "left", client: CLIENT, reason: "DISCONNECTED", detail: "words", leaveTimeMs: wallMs(9_000) },
      { type: "over", error: new BrokerError("DRAINING", "the end", {}, 1_000) },
    );
    expect(await call.ended).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING", details: "the end" });
    expect(broker.watches.map(({ filter }) => filter)).to.deep.equal([{ queue: "orders", subscriber: "billing" }]);
    const [joined, listed, changed, left] = changes(call);
    expect(joined?.$case).to.equal("joined");
    expect(joined).to.have.nested.property("value.client").that.deep.includes({
      ...{ sessionId: "s1", draining: true, inFlightCount: 2n, inFlightBytes: 300n, backlogCount: 4n, waitingFor: WaitingFor.LANE, userAgent: "grpc-go/1" },
      lastFrameTime: { seconds: 2n, nanos: 500_000_000 },
      labels: { zone: "north" },
    });
    expect(listed).to.deep.equal({ $case: "listed", value: { clientCount: 1 } });
    expect(changed).to.have.nested.property("value.client").that.includes({ draining: false, waitingFor: WaitingFor.UNSPECIFIED });
    expect(left).to.have.property("value").that.deep.includes({ reason: LeaveReason.DISCONNECTED, detail: "words", leaveTime: { seconds: 9n, nanos: 0 } });
  });

  it("takes more when it is woken", async () => {
    const call = watch();
    await tell({ type: "joined", client: CLIENT });
    await until("it is told", DEADLINE_MS, () => call.received.length === 1);
    await tell({ type: "listed", count: 1 });
    await until("it is told", DEADLINE_MS, () => call.received.length === 2);
    expect(changes(call).map((change) => change?.$case)).to.deep.equal(["joined", "listed"]);
    call.cancel();
  });

  it("takes nothing while its reader is slow, and goes on when it reads", async () => {
    let taken = 0;
    const client = { ...CLIENT, labels: new Map([["large", "x".repeat(8_000)]]) };
    broker.watch = { take: () => (++taken, { type: "changed", client }), stop: () => undefined };
    const call = watch();
    call.pause();
    (await until("the watch begins", DEADLINE_MS, () => broker.watches[0])).wake();
    const stalled = await until("it stalls", DEADLINE_MS, async () => {
      const before = taken;
      for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
      return taken > 0 && taken === before ? before : undefined;
    });
    expect(stalled).to.be.lessThan(400);
    broker.watch.take = () => undefined;
    call.resume();
    await until("everything that was taken has come", DEADLINE_MS, () => call.received.length === stalled);
    call.cancel();
  });

  it("stops the watch when the caller cancels, or is gone", async () => {
    let stops = 0;
    broker.watch = { take: () => undefined, stop: () => stops++ };
    const call = watch();
    await until("the watch begins", DEADLINE_MS, () => broker.watches.length === 1);
    call.cancel();
    await until("the watch is stopped", DEADLINE_MS, () => stops === 1);
  });

  it("is refused while the server drains", async () => {
    server.drain(new BrokerError("DRAINING", "stopping", {}, 1_000));
    expect(await watch().ended).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    expect(broker.watches).to.deep.equal([]);
  });
});
