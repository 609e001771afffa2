import type { ClientDuplexStream } from "@grpc/grpc-js";
import { credentials, Metadata, status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { BrokerServiceClient, BrokerServiceService } from "../../../generated/tidemark/v1/broker_service.js";
import { NewMessage } from "../../../generated/tidemark/v1/message.js";
import { PublishStreamRequest } from "../../../generated/tidemark/v1/publish.js";
import type { PublishResult, PublishStreamResponse } from "../../../generated/tidemark/v1/publish.js";
import { BrokerError } from "../../../src/core/errors.js";
import type { NewMessage as Judged } from "../../../src/core/message.js";
import { GrpcServer } from "../../../src/grpc/server.js";
import { offset } from "../../../src/core/units.js";
import { NO_TELEMETRY } from "../../../src/ports/telemetry.js";
import { SystemClock } from "../../../src/system/clock.js";
import { openJournal } from "../../../src/system/journal.js";
import { until, within } from "../../support/condition.js";
import { ScriptedBroker, stored } from "./scripted-broker.js";
import type { PendingPublish } from "./scripted-broker.js";

const DEADLINE_MS = 5_000;

const message = (event = "a", messageId = ""): NewMessage => NewMessage.fromPartial({ event, messageId });

describe("PublishStream", () => {
  let broker: ScriptedBroker;
  let server: GrpcServer;
  let client: BrokerServiceClient;
  let call: ClientDuplexStream<PublishStreamRequest, PublishStreamResponse>;
  let responses: PublishResult[][];
  let ended: Promise<{ code: number; details: string }>;

  beforeEach(async () => {
    broker = new ScriptedBroker();
    server = new GrpcServer({ broker, clock: new SystemClock(), journal: openJournal("silent"), telemetry: NO_TELEMETRY, descriptors: new Uint8Array(), version: "0.0.0" });
    const port = await server.listen("127.0.0.1:0");
    client = new BrokerServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
    open(client.publishStream());
  });

  afterEach(async () => {
    client.close();
    await server.close(0);
  });

  function open(opened: typeof call): void {
    call = opened;
    responses = [];
    ended = new Promise((resolve) => {
      call.on("status", resolve);
    });
    call.on("error", () => undefined);
    call.on("data", ({ results }: PublishStreamResponse) => {
      responses.push(results);
    });
  }

  function send(parts: Partial<PublishStreamRequest>): void {
    call.write({ ...PublishStreamRequest.create(), queue: "orders", messages: [message()], ...parts });
  }

  const results = (): PublishResult[] => responses.flat();

  async function published(count: number): Promise<PendingPublish[]> {
    return until(`${count} frames reach the broker`, DEADLINE_MS, () => broker.published.length >= count && broker.published);
  }

  async function answered(count: number): Promise<PublishResult[]> {
    return until(`${count} results`, DEADLINE_MS, () => results().length >= count && results());
  }

  const fail = (pending: PendingPublish | undefined): void => {
    pending?.done({ ok: false, error: new BrokerError("MESSAGE_ID_REUSED", "the id is known", {}) });
  };

  it("hands on every frame at once and answers in the order of the frames, whatever the order of the broker", async () => {
    for (const requestId of [5n, 5n, 0n]) send({ requestId });
    const pending = await published(3);
    pending[2]?.done(stored(30));
    pending[1]?.done(stored(20));
    pending[0]?.done(stored(10));
    const all = await answered(3);
    expect(all.map(({ requestId, firstOffset }) => [requestId, firstOffset])).to.deep.equal([[5n, 10n], [5n, 20n], [0n, 30n]]);
    expect(responses, "one response for all that one turn settled").to.have.length(1);
  });

  it("answers a refused frame with code, reason and the time after which to try again, and goes on", async () => {
    send({ requestId: 1n });
    send({ requestId: 2n });
    const pending = await published(2);
    pending[0]?.done({ ok: false, error: new BrokerError("DISK_FULL", "no room", {}, 1_500) });
    pending[1]?.done(stored(1));
    const [failed, fine] = await answered(2);
    expect(failed).to.deep.include({ requestId: 1n, code: Code.UNAVAILABLE, reason: "DISK_FULL", detail: "no room", retryAfter: { seconds: 1n, nanos: 500_000_000 } });
    expect(fine).to.include({ requestId: 2n, code: 0, firstOffset: 1n });
  });

  it("answers a frame that does not validate without asking the broker", async () => {
    send({ requestId: 1n, queue: ".bad" });
    send({ requestId: 2n, messages: [] });
    send({ requestId: 3n, messages: [message("a"), message("no such..event")] });
    const all = await answered(3);
    expect(all.map(({ code, reason }) => [code, reason])).to.deep.equal(Array(3).fill([Code.INVALID_ARGUMENT, "INVALID_FIELD"]));
    expect(all[2]?.detail).to.contain("messages[1].event");
    expect(broker.published).to.have.length(0);
  });

  it("lets a bad message of an independent frame fail alone", async () => {
    send({ requestId: 1n, independent: true, messages: [message("bad..one"), message("a"), message("b"), message("also bad"), message("c")] });
    const [pending] = await published(1);
    expect((pending?.frame.messages as readonly Judged[]).map(({ event }) => event)).to.deep.equal(["a", "b", "c"]);
    pending?.done(stored(7, { outcomes: [{ index: 1, offset: offset(3), duplicate: true, error: undefined }] }));
    const [result] = await answered(1);
    expect(result).to.include({ code: 0, firstOffset: 7n });
    expect(result?.outcomes.map(({ index, offset: at, duplicate, reason }) => [index, at, duplicate, reason])).to.deep.equal([
      [0, 0n, false, "INVALID_FIELD"],
      [2, 3n, true, ""],
      [3, 0n, false, "INVALID_FIELD"],
    ]);
  });

  it("does not ask the broker when nothing of an independent frame is valid", async () => {
    send({ requestId: 1n, independent: true, messages: [message("bad..one")] });
    const [result] = await answered(1);
    expect(result).to.deep.include({ code: 0, firstOffset: 0n, publishTime: undefined });
    expect(result?.outcomes).to.have.length(1);
    expect(broker.published).to.have.length(0);
  });

  it("after a failure with halt_on_failure aborts later frames until one says resume", async () => {
    send({ requestId: 1n, haltOnFailure: true });
    send({ requestId: 2n });
    send({ requestId: 3n, queue: "another" });
    send({ requestId: 4n, resume: true });
    send({ requestId: 5n });
    const [first] = await published(1);
    expect(broker.published, "nothing overtakes a frame that may halt").to.have.length(1);
    fail(first);
    const pending = await published(3);
    for (const { done } of pending.slice(1)) done(stored(1));
    const all = await answered(5);
    expect(all.map(({ requestId, reason }) => [requestId, reason])).to.deep.equal([
      [1n, "MESSAGE_ID_REUSED"],
      [2n, "HALTED"],
      [3n, "HALTED"],
      [4n, ""],
      [5n, ""],
    ]);
    expect(all[1]?.code).to.equal(Code.ABORTED);
  });

  it("halts when one message of an independent frame fails, and not when one is a duplicate", async () => {
    const halting = { haltOnFailure: true, independent: true };
    send({ ...halting, requestId: 1n });
    send({ ...halting, requestId: 2n });
    send({ requestId: 3n });
    (await published(1))[0]?.done(stored(1, { outcomes: [{ index: 0, offset: offset(1), duplicate: true, error: undefined }] }));
    (await published(2))[1]?.done(stored(0, { outcomes: [{ index: 0, offset: offset(0), duplicate: false, error: new BrokerError("MESSAGE_ID_REUSED", "x") }] }));
    expect((await answered(3)).map(({ reason }) => reason)).to.deep.equal(["", "", "HALTED"]);
  });

  it("stops reading while a queue has no room, and reads on when it has", async () => {
    broker.hasRoom = false;
    send({ requestId: 1n });
    send({ requestId: 2n });
    await until("the stream waits for room", DEADLINE_MS, () => broker.waitingForRoom.length === 1);
    expect(broker.published).to.have.length(1);
    broker.hasRoom = true;
    broker.waitingForRoom[0]?.();
    await published(2);
  });

  it("stops reading while too many bytes are unanswered, and stalls the client instead of gathering memory", async () => {
    const big = NewMessage.fromPartial({ event: "a", body: { $case: "payload", value: Buffer.alloc(1_000_000) } });
    let writable = true;
    for (let i = 0; i < 60; i++) writable = call.write({ ...PublishStreamRequest.create(), queue: "orders", messages: [big], requestId: BigInt(i) });
    expect(writable).to.equal(false);
    // Eight MiB and one frame are let in; what is answered makes room again.
    await published(9);
    expect(broker.published.length).to.be.lessThan(12);
    for (let i = 0; i < 60; i++) (await published(i + 1))[i]?.done(stored(i + 1));
    expect((await answered(60)).map(({ requestId }) => requestId)).to.deep.equal(Array.from({ length: 60 }, (_, i) => BigInt(i)));
  });

  it("after half-close answers what it got, then ends with OK", async () => {
    send({ requestId: 1n });
    call.end();
    (await published(1))[0]?.done(stored(1));
    expect((await within("the stream ends", DEADLINE_MS, ended)).code).to.equal(Code.OK);
    expect(results()).to.have.length(1);
  });

  it("ends with INVALID_ARGUMENT behind the results when bytes are no frame", async () => {
    client.close();
    client = new BrokerServiceClient(client.getChannel().getTarget(), credentials.createInsecure());
    const raw = client.makeBidiStreamRequest<Buffer, PublishStreamResponse>(
      BrokerServiceService.publishStream.path,
      (bytes) => bytes,
      (bytes) => BrokerServiceService.publishStream.responseDeserialize(bytes),
      new Metadata(),
      {},
    );
    open(raw as unknown as typeof call);
    raw.write(Buffer.from(PublishStreamRequest.encode({ ...PublishStreamRequest.create(), queue: "orders", messages: [message()] }).finish()));
    raw.write(Buffer.from([0xff, 0xff, 0xff]));
    (await published(1))[0]?.done(stored(1));
    const { code, details } = await within("the stream ends", DEADLINE_MS, ended);
    expect(code).to.equal(Code.INVALID_ARGUMENT);
    expect(details).to.contain("PublishStreamRequest");
    expect(results()).to.have.length(1);
  });

  it("when the server drains answers what was taken and ends with the reason", async () => {
    send({ requestId: 1n });
    const [pending] = await published(1);
    server.drain(new BrokerError("DRAINING", "the server stops", {}, 1_000));
    pending?.done(stored(1));
    expect(await within("the stream ends", DEADLINE_MS, ended)).to.include({ code: Code.UNAVAILABLE, details: "the server stops" });
    expect(results()).to.have.length(1);
  });

  it("survives a client that cancels before its answers", async () => {
    send({ requestId: 1n });
    const [pending] = await published(1);
    call.cancel();
    await within("the stream ends", DEADLINE_MS, ended);
    pending?.done(stored(1));
    open(client.publishStream());
    send({ requestId: 2n });
    (await published(2))[1]?.done(stored(2));
    await answered(1);
  });
});
