import { connect } from "node:net";
import { status as Code } from "@grpc/grpc-js";
import type { ServiceError } from "@grpc/grpc-js";
import { expect } from "chai";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { DeliveryCause, OpenSession, StartPosition, SubscribeRequest } from "../../generated/tidemark/v1/subscribe.js";
import { until, within } from "../support/condition.js";
import { callEnd, RawStream } from "../support/raw-calls.js";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { payload, Stubs } from "../support/stubs.js";

const DEADLINE_MS = 10_000;
/** What the server promises, and a little for a machine that is busy. */
const STOP_MS_MAX = 10_500;

const HEALTH_WATCH = "/grpc.health.v1.Health/Watch";
/** HealthCheckResponse { status = 1 } with SERVING and NOT_SERVING. */
const SERVING = "0801";
const NOT_SERVING = "0802";

const range = (first: bigint): { first: bigint; last: bigint; batchId: bigint } => ({ first, last: 0n, batchId: 0n });

async function timed<T>(work: Promise<T>): Promise<{ readonly ms: number; readonly value: T }> {
  const start = performance.now();
  const value = await work;
  return { ms: performance.now() - start, value };
}

describe("a stop of the server", () => {
  let server: TestServer;
  let stubs: Stubs;

  async function start(shutdownGraceMs: number): Promise<void> {
    server = await startTestServer({ engine: "memory", shutdownGraceMs });
    stubs = await server.connect();
  }

  afterEach(async () => {
    await server.close();
  });

  it("waits for a consumer that finishes what it holds, and takes its acks", async () => {
    await start(5_000);
    await stubs.publish("orders", { event: "a", body: payload("1") });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "s" });
    const [held] = await stream.receive(1);
    const stopped = timed(server.server.stop());
    const goodbye = await stream.next("goingAway");
    expect(goodbye.grace).to.deep.equal({ seconds: 5n, nanos: 0 });
    expect(goodbye.reconnectAfter?.seconds).to.equal(1n);
    expect((await stream.settle({ acks: [range(held?.offset ?? 0n)] })).failures).to.deep.equal([]);
    expect(callEnd(await stream.ended)).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    expect((await stopped).ms, "it does not sit out the grace").to.be.lessThan(4_000);
  });

  it("gives back, after the grace, what a consumer that never reacts still holds", async () => {
    await start(300);
    await stubs.publish("orders", { event: "a" });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "s" });
    await stream.receive(1);
    const { ms } = await timed(server.server.stop());
    expect(ms).to.be.greaterThan(290).and.lessThan(3_000);
    expect(callEnd(await stream.ended)).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
  });

  it("is not held up by a client that reads nothing", async () => {
    await start(200);
    for (let i = 0; i < 12; i++) await stubs.publish("orders", { event: "a", body: payload("x".repeat(1_000_000)) });
    const stuck = new RawStream(stubs.broker, BrokerServiceService.subscribe.path);
    stuck.pause();
    stuck.write(SubscribeRequest.encode({ requestId: 0n, frame: { $case: "open", value: { ...OpenSession.create(), queue: "orders", subscriber: "s" } } }).finish());
    await until("the stuck client holds something", DEADLINE_MS, async () => (await stubs.subscriber("orders", "s").catch(() => undefined))?.inFlightCount);
    const { ms } = await timed(server.server.stop());
    expect(ms).to.be.lessThan(5_000);
    stuck.cancel();
  });

  it("answers what publishers sent, then tells them, and refuses new work", async () => {
    await start(1_000);
    await stubs.publish("orders", { event: "a" });
    const holder = stubs.subscribe({ queue: "orders", subscriber: "s" });
    await holder.receive(1);
    const publisher = new RawStream(stubs.broker, BrokerServiceService.publishStream.path);
    const watch = new RawStream(stubs.broker, HEALTH_WATCH).write(new Uint8Array()).end();
    await until("health is watched", DEADLINE_MS, () => watch.received.length === 1);
    const idle = new RawStream(stubs.broker, BrokerServiceService.subscribe.path);
    // On the same connection and answered, so the calls before it are known to the server.
    await stubs.publish("orders", { event: "a" });
    const stopped = server.server.stop();
    expect(await publisher.ended).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    expect(await idle.ended).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    await until("health has changed", DEADLINE_MS, () => watch.received.length === 2);
    expect(watch.received.map((bytes) => bytes.toString("hex"))).to.deep.equal([SERVING, NOT_SERVING]);
    const refused = await stubs.publish("orders", { event: "a" }).then(
      () => undefined,
      (error: unknown) => callEnd(error as ServiceError),
    );
    expect(refused).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    const late = stubs.subscribe({ queue: "orders" });
    expect(callEnd(await late.ended)).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    await stopped;
  });

  it("is one stop, however often it is asked for", async () => {
    await start(0);
    const first = server.server.stop();
    expect(server.server.stop()).to.equal(first);
    await first;
    const refused = new Promise<boolean>((resolve) => {
      const socket = connect(Number(server.address.split(":").at(-1)), "127.0.0.1");
      socket.once("connect", () => {
        socket.destroy();
        resolve(false);
      });
      socket.once("error", () => {
        resolve(true);
      });
    });
    expect(await refused, "nobody listens any more").to.equal(true);
  });
}).timeout(30_000);

describe("the process of a server", () => {
  let data: Awaited<ReturnType<typeof temporaryDataDir>>;
  let running: ServerProcess;

  beforeEach(async () => {
    data = await temporaryDataDir();
    running = await ServerProcess.start({ dataDir: data.path });
  });

  afterEach(async () => {
    if (running.running) await running.kill();
    await data.remove();
  });

  async function withStubs<T>(use: (stubs: Stubs) => Promise<T>): Promise<T> {
    const stubs = new Stubs(running.address);
    try {
      await stubs.ready();
      return await use(stubs);
    } finally {
      stubs.close();
    }
  }

  it("ends with 0 within 10 s of SIGTERM though its clients never react, and keeps every promise", async () => {
    await withStubs(async (stubs) => {
      for (let i = 1; i <= 3; i++) await stubs.publish("orders", { event: "a", body: payload(String(i)) });
      const stream = stubs.subscribe({ queue: "orders", subscriber: "s", start: { $case: "startAt", value: StartPosition.EARLIEST } });
      const held = await stream.receive(3);
      await stream.ack(held.slice(0, 1));
      const { ms, value } = await timed(running.stop());
      expect(value, running.lastOutput).to.deep.equal({ code: 0, signal: null });
      expect(ms).to.be.lessThan(STOP_MS_MAX);
    });
    running = await ServerProcess.start({ dataDir: data.path });
    await withStubs(async (stubs) => {
      const stream = stubs.subscribe({ queue: "orders", subscriber: "s" });
      const again = await stream.receive(2);
      expect(again.map(({ offset, deliveryCount }) => [offset, deliveryCount]), "given back by an orderly stop, uncounted").to.deep.equal([[2n, 1], [3n, 1]]);
      expect(again[0]?.cause).to.be.oneOf([DeliveryCause.NEW, DeliveryCause.RELEASED]);
      await stream.cancel();
    });
  });

  it("ends at once at a second signal", async () => {
    await withStubs(async (stubs) => {
      await stubs.publish("orders", { event: "a" });
      const stream = stubs.subscribe({ queue: "orders", subscriber: "s" });
      await stream.receive(1);
      process.kill(running.pid, "SIGTERM");
      await stream.next("goingAway");
      process.kill(running.pid, "SIGINT");
      const { ms, value } = await timed(within("the server ends", DEADLINE_MS, running.exited));
      expect(value.code).to.equal(130);
      expect(ms).to.be.lessThan(2_000);
    });
  });

  it("says in one line where it listens, where the data is, and what an answer is worth", () => {
    const line = running.lastOutput.split("\n").find((each) => each.includes("tidemark serves"));
    expect(JSON.parse(line ?? "{}")).to.deep.include({ address: running.address, dataDirectory: data.path, engine: "lmdb", durability: "FSYNC", version: "0.1.0" });
  });
}).timeout(60_000);
