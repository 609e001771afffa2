import { connect as connectHttp2 } from "node:http2";
import { credentials, status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { BrokerServiceClient, BrokerServiceService } from "../../../generated/tidemark/v1/broker_service.js";
import { AckMode, OpenSession, Settlement, SubscribeRequest, SubscribeResponse, WaitingFor } from "../../../generated/tidemark/v1/subscribe.js";
import type { Chunk } from "../../../src/core/chunk.js";
import { BrokerError } from "../../../src/core/errors.js";
import { LIMITS } from "../../../src/core/limits.js";
import { encodeMessage } from "../../../src/core/message-codec.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { GrpcServer } from "../../../src/grpc/server.js";
import { NO_TELEMETRY } from "../../../src/ports/telemetry.js";
import { openJournal } from "../../../src/system/journal.js";
import { chunkOf } from "../../support/chunk-builder.js";
import { until } from "../../support/condition.js";
import { ManualClock } from "../../support/manual-clock.js";
import { newMessage } from "../../support/messages.js";
import { RawStream } from "../../support/raw-calls.js";
import { ScriptedBroker } from "./scripted-broker.js";

const DEADLINE_MS = 5_000;
const CANCELS = 50;

const BATCH = { batchId: 1, attempt: 1, deliveryCount: 1, cause: "NEW", lastReason: "", leaseMs: 1_000 } as const;

/** One stored message with a payload of this size, ready to be sent. */
function stored(payloadBytes: number): Parameters<ScriptedBroker["sessions"][number]["sink"]["deliver"]>[1] {
  const body = encodeMessage(newMessage({ payload: Buffer.alloc(payloadBytes, "x") }), wallMs(1_000));
  return [{ chunk: { ...chunkOf(1, ["a"]), ends: Uint32Array.of(body.length), body }, firstIndex: 0, count: 1 }];
}

function frame(value: NonNullable<SubscribeRequest["frame"]>, requestId = 0n): Uint8Array {
  return SubscribeRequest.encode({ requestId, frame: value }).finish();
}

function open(parts: Partial<OpenSession> = {}): Uint8Array {
  return frame({ $case: "open", value: { ...OpenSession.create(), queue: "orders", ...parts } });
}

describe("Subscribe", () => {
  let broker: ScriptedBroker;
  let clock: ManualClock;
  let server: GrpcServer;
  let client: BrokerServiceClient;

  beforeEach(async () => {
    broker = new ScriptedBroker();
    clock = new ManualClock();
    server = new GrpcServer({ broker, clock, journal: openJournal("silent"), telemetry: NO_TELEMETRY, descriptors: new Uint8Array(), version: "0.0.0" });
    const port = await server.listen("127.0.0.1:0");
    client = new BrokerServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
  });

  afterEach(async () => {
    client.close();
    await server.close(0);
  });

  const stream = (): RawStream => new RawStream(client, BrokerServiceService.subscribe.path);

  async function session(index = 0): Promise<ScriptedBroker["sessions"][number]> {
    return until("the session opens", DEADLINE_MS, () => broker.sessions[index]);
  }

  async function called(name: string, index = 0): Promise<readonly unknown[]> {
    const { calls } = await session(index);
    return until(`${name} is called`, DEADLINE_MS, () => calls.find(([called]) => called === name));
  }

  it("hands the broker a checked open with defaults filled in, and where it came from", async () => {
    stream().write(open({ events: ["a.*"], labels: { zone: "north" } }));
    const { open: opened } = await session();
    expect(opened).to.deep.include({
      queue: "orders",
      subscriber: "",
      events: ["a.*"],
      ackMode: "EXPLICIT",
      flow: { maxMessages: 0, maxBytes: 0, paused: false },
      start: undefined,
      ackTimeoutMs: undefined,
      stop: { kind: "never" },
      maxBatchMessages: 100,
      maxBatchBytes: 1024 * 1024,
      labels: new Map([["zone", "north"]]),
    });
    expect(opened.peer).to.match(/^127\.0\.0\.1:\d+$/);
    expect(opened.userAgent).to.match(/^grpc-node-js\/\d/);
  });

  it("cuts what a client's library says of itself", async () => {
    const agent = new BrokerServiceClient(client.getChannel().getTarget(), credentials.createInsecure(), { "grpc.primary_user_agent": "x".repeat(1_000) });
    new RawStream(agent, BrokerServiceService.subscribe.path).write(open());
    expect((await session()).open.userAgent).to.equal("x".repeat(256));
    agent.close();
  });

  it("keeps frames that follow the open until there is a session", async () => {
    let allow: () => void = () => undefined;
    broker.mayOpen = new Promise((resolve) => {
      allow = resolve;
    });
    const call = stream().write(open()).write(frame({ $case: "flow", value: { maxMessages: 7, maxBytes: 2n ** 64n - 1n, paused: true } }));
    call.write(frame({ $case: "settle", value: { ...Settlement.create(), ackThroughBatchId: 3n } }, 9n)).write(frame({ $case: "drain", value: {} }));
    call.write(frame({ $case: "ping", value: {} })).end();
    allow();
    await called("ping");
    await until("the end of the stream is there", DEADLINE_MS, () => clock.pendingCount === 1);
    clock.advance(50);
    await called("halfClosed");
    const { calls } = await session();
    expect(calls.map(([name]) => name)).to.deep.equal(["flow", "settle", "drain", "ping", "finishing", "halfClosed"]);
    expect(calls[0]?.[1]).to.deep.equal({ maxMessages: 7, maxBytes: 64 * 1024 * 1024, paused: true });
    expect(calls[1]?.[1]).to.equal(9n);
    expect(calls[1]?.[2]).to.deep.include({ ackThroughBatchId: 3 });
  });

  it("turns every word of the broker into a frame, in order", async () => {
    const call = stream().write(open());
    const { sink } = await session();
    sink.deliver(BATCH, stored(3), 5);
    sink.result([4n, 2n ** 64n - 1n], [{ requestId: 4n, range: { first: offset(1), last: offset(2), batchId: 3 }, code: "LEASE_LOST" }], offset(9));
    sink.heartbeat({ headOffset: offset(3), committedOffset: offset(2), inFlightCount: 1, backlogCount: 0, deadLetterCount: 7, waitingFor: "FLOW" });
    sink.gap(offset(1), offset(4), 2);
    sink.notice("CAUGHT_UP", "words", { first: offset(1), last: offset(1) });
    sink.goingAway(2_500, 1_000, "stop");
    sink.end(undefined);
    expect((await call.ended).code).to.equal(Code.OK);
    const frames = call.received.map((bytes) => SubscribeResponse.decode(bytes).frame);
    expect(frames.map((each) => each?.$case)).to.deep.equal(["deliveries", "result", "heartbeat", "gap", "notice", "goingAway"]);
    expect(frames[1]).to.have.nested.property("value.requestIds").that.deep.equals([4n, 2n ** 64n - 1n]);
    expect(frames[2]).to.have.nested.property("value.waitingFor", WaitingFor.FLOW);
    expect(frames[4]).to.have.nested.property("value.range").that.deep.equals({ first: 1n, last: 1n, batchId: 0n });
    expect(frames[5]).to.have.nested.property("value.grace").that.deep.equals({ seconds: 2n, nanos: 500_000_000 });
  });

  it("ends with the broker's error behind the last frame", async () => {
    const call = stream().write(open());
    const { sink } = await session();
    sink.gap(offset(1), offset(1), 0);
    sink.end(new BrokerError("DISCONNECTED", "an operator said so"));
    expect(await call.ended).to.include({ code: Code.ABORTED, reason: "DISCONNECTED", details: "an operator said so" });
    expect(call.received).to.have.length(1);
    expect((await session()).calls, "the broker knows that it is over").to.deep.equal([]);
  });

  it("takes a cancelled stream for lost, not for half-closed, although it ends first", async () => {
    for (let i = 0; i < CANCELS; i++) {
      const call = stream().write(open());
      const { sink } = await session(i);
      sink.deliver(BATCH, stored(10), 0);
      await until("the delivery is there", DEADLINE_MS, () => call.received.length > 0);
      call.cancel();
    }
    await until("every session has ended", DEADLINE_MS, () => broker.sessions.every(({ calls }) => calls.length > 0));
    clock.advance(1_000);
    expect(broker.sessions.map(({ calls }) => calls)).to.deep.equal(Array(CANCELS).fill([["lost", "CANCELLED"]]));
  }).timeout(30_000);

  it("takes the end of the client's side for a half-close when no reset follows for a second", async () => {
    stream().write(open()).end();
    const { calls } = await session();
    await until("the end of the stream is there", DEADLINE_MS, () => clock.pendingCount === 1);
    clock.advance(50);
    await called("finishing");
    clock.advance(1_000);
    await called("halfClosed");
    expect(calls).to.deep.equal([["finishing"], ["halfClosed"]]);
  });

  it("takes a stream for cancelled whose client stalls between the end of its side and the reset", async () => {
    const call = stream().write(open());
    const { calls } = await session();
    call.end();
    await until("the end of the stream is there", DEADLINE_MS, () => clock.pendingCount === 1);
    clock.advance(50);
    await called("finishing");
    clock.advance(999);
    call.cancel();
    await called("lost");
    clock.advance(1_000);
    expect(calls).to.deep.equal([["finishing"], ["lost", "CANCELLED"]]);
    expect(clock.pendingCount).to.equal(0);
  });

  it("tells the broker that a stream broke with its connection", async () => {
    const connection = connectHttp2(`http://${client.getChannel().getTarget().replace("dns:", "")}`);
    const call = connection.request({ ":method": "POST", ":path": BrokerServiceService.subscribe.path, "content-type": "application/grpc", te: "trailers" });
    call.on("error", () => undefined);
    const request = open();
    call.write(Buffer.from([0, 0, 0, 0, request.length, ...request]));
    await session();
    connection.destroy();
    expect(await called("lost")).to.deep.equal(["lost", "CONNECTION_LOST"]);
  });

  it("gives up on a client that does not say open within 10 s", async () => {
    const call = stream();
    await until("the call is there", DEADLINE_MS, () => clock.pendingCount === 1);
    clock.advance(9_999);
    clock.advance(1);
    expect(await call.ended).to.include({ code: Code.ABORTED, reason: "OPEN_TIMEOUT" });
  });

  it("forgets the open timeout once there is an open", async () => {
    const call = stream().write(open());
    const { sink } = await session();
    expect(clock.pendingCount).to.equal(0);
    sink.end(undefined);
    expect((await call.ended).code).to.equal(Code.OK);
  });

  it("asks the broker to stop while the client does not read, and to go on when it does", async () => {
    const call = stream().write(open());
    const { sink, calls } = await session();
    call.pause();
    let sent = 0;
    const transport = (): unknown[] => calls.filter(([name]) => name === "transportChanged").map(([, ready]) => ready);
    while (transport().length === 0) {
      expect(sent++, "batches until the transport is full").to.be.lessThan(16);
      sink.deliver({ ...BATCH, batchId: sent }, stored(500_000), 0);
    }
    expect(transport()).to.deep.equal([false]);
    call.resume();
    await until("the transport has room", DEADLINE_MS, () => transport().length === 2);
    expect(transport()).to.deep.equal([false, true]);
    await until("every batch came", DEADLINE_MS, () => call.received.length === sent);
  });

  describe("counts for a client that does not read the chunks that its frames hold", () => {
    /** How many frames of one small message each are taken behind a first one that fills the connection. */
    async function framesTaken(chunkOfFrame: (i: number) => Chunk): Promise<number> {
      const call = stream().write(open());
      const { sink, calls } = await session();
      call.pause();
      sink.deliver(BATCH, stored(200_000), 0);
      let sent = 0;
      while (!calls.some(([name]) => name === "transportChanged")) {
        expect(sent++, "frames until the transport is full").to.be.lessThan(16);
        sink.deliver({ ...BATCH, batchId: 1 + sent }, [{ chunk: chunkOfFrame(sent), firstIndex: sent, count: 1 }], 0);
      }
      call.resume();
      await until("every batch came", DEADLINE_MS, () => call.received.length === 1 + sent);
      return sent;
    }
    const bytesEach = LIMITS.chunkBytesMax / 100;
    const chunkFrom = (first: number): Chunk => {
      const body = encodeMessage(newMessage({ payload: Buffer.alloc(bytesEach - 40) }), wallMs(1_000));
      return { ...chunkOf(first, Array<string>(100).fill("a"), body.length), body: Buffer.concat(Array<Buffer>(100).fill(body)) };
    };

    it("all of them, where each frame is of another one", async () => {
      const taken = await framesTaken((i) => chunkFrom(1 + 100 * i));
      expect(taken * LIMITS.chunkBytesMax).to.be.within(1.5 * 1_024 * 1_024, 2.5 * 1_024 * 1_024);
    });

    it("one of them once, where all frames are of it", async () => {
      const chunk = chunkFrom(1);
      expect(await framesTaken(() => chunk)).to.be.greaterThan(10);
    });
  });

  it("confirms under AUTO, and only there, what the transport took", async () => {
    stream().write(open({ ackMode: AckMode.AUTO }));
    stream().write(open());
    const auto = await session(0);
    const explicit = await session(1);
    const sessions = [auto, explicit].sort((a) => (a.open.ackMode === "AUTO" ? -1 : 1));
    for (const { sink } of sessions) sink.deliver({ ...BATCH, batchId: 8 }, stored(10), 0);
    await until("AUTO is taken", DEADLINE_MS, () => sessions[0]?.calls.some(([name, batchId]) => name === "taken" && batchId === 8));
    expect(sessions[1]?.calls).to.deep.equal([]);
  });

  it("stops reading from a client that leaves answers unread without end", async () => {
    const call = stream().write(open());
    const { sink, calls } = await session();
    call.pause();
    const detail = "x".repeat(1_000);
    for (let i = 0; i < 1_500; i++) sink.notice("CAUGHT_UP", detail, undefined);
    call.write(frame({ $case: "drain", value: {} }));
    call.resume();
    await called("drain");
    expect(calls.filter(([name]) => name === "drain")).to.have.length(1);
    await until("every notice came", DEADLINE_MS, () => call.received.length === 1_500);
  });

  it("ends a stream whose frame cannot be made with INTERNAL, without telling why", async () => {
    const call = stream().write(open());
    const { sink } = await session();
    sink.deliver(BATCH, [{ chunk: { ...chunkOf(1, ["a"]), body: undefined }, firstIndex: 0, count: 1 }], 0);
    const end = await call.ended;
    expect(end).to.include({ code: Code.INTERNAL, reason: "INTERNAL" });
    expect(end.details).not.to.contain("chunk");
    expect((await called("failed"))[1]).to.include({ reason: "INTERNAL" });
  });

  it("drops the session that opens after its client has gone", async () => {
    let allow: () => void = () => undefined;
    broker.mayOpen = new Promise((resolve) => {
      allow = resolve;
    });
    const call = stream().write(open());
    await until("the open is with the broker", DEADLINE_MS, () => broker.opens === 1);
    call.cancel();
    await call.ended;
    // The server hears of it a moment later; a call of another stream comes behind it on the same connection.
    await stream().write(frame({ $case: "ping", value: {} })).ended;
    allow();
    await called("lost");
  });

  it("refuses new streams, and those without a session, while the server drains", async () => {
    const waiting = stream();
    await until("the call is there", DEADLINE_MS, () => clock.pendingCount === 1);
    server.drain(new BrokerError("DRAINING", "stopping", {}, 1_000));
    expect(await waiting.ended).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    expect(await stream().write(open()).ended).to.include({ code: Code.UNAVAILABLE, reason: "DRAINING" });
    expect(broker.sessions).to.have.length(0);
  });
});
