import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { connect, type TidemarkClient } from "../../../src/client/index.js";
import { failureOf, ScriptedBroker, stored, until } from "./scripted-broker.js";

describe("publisher", () => {
  let broker: ScriptedBroker;
  let client: TidemarkClient;
  let head = 0;

  beforeEach(async () => {
    head = 0;
    broker = new ScriptedBroker();
    broker.onPublish = (frame, call) => {
      call.write(stored(frame, head + 1));
      head += frame.messages.length;
    };
    await broker.start();
    client = connect(broker.address, { patienceMs: 5_000 });
  });

  afterEach(async () => {
    await client.close();
    broker.stop();
  });

  it("sends what one turn publishes as one independent frame a queue", async () => {
    await client.connected();
    const published = await Promise.all(["a", "b", "a", "a", "b"].map((queue) => client.publish(queue, { event: "e" })));
    expect(broker.published.map((frame) => [frame.queue, frame.messages.length, frame.independent])).to.deep.equal([
      ["a", 3, true],
      ["b", 2, true],
    ]);
    expect(published.map(({ offset }) => offset)).to.deep.equal([1, 4, 2, 3, 5]);
  });

  it("sends together what the continuations of one answer publish", async () => {
    const publishTwice = async (): Promise<void> => {
      await client.publish("a", { event: "e" });
      await client.publish("a", { event: "e" });
    };
    await Promise.all(Array.from({ length: 50 }, publishTwice));
    expect(broker.published.map((frame) => frame.messages.length)).to.deep.equal([50, 50]);
  });

  it("keeps a bounded number of frames in flight and gathers the rest", async () => {
    const answers: (() => void)[] = [];
    broker.onPublish = (frame, call) => answers.push(() => call.write(stored(frame, 1)));
    const all: Promise<unknown>[] = [];
    for (let turn = 0; turn < 40; turn++) {
      all.push(client.publish("a", { event: "e" }));
      // The first ones gather until the stream is open; from then on each turn is a frame until the window is full.
      await until(() => broker.published.length > 0 || turn === 0, "an open stream");
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => answers.length === 16, "a full window");
    const sent = broker.published.reduce((sum, frame) => sum + frame.messages.length, 0);
    broker.onPublish = (frame, call) => call.write(stored(frame, 1));
    for (const answer of answers) answer();
    await Promise.all(all);
    expect(sent).to.be.below(40);
    expect(broker.published.slice(16).map((frame) => frame.messages.length)).to.deep.equal([40 - sent]);
  });

  it("makes a producer that does not wait for answers wait for room", async () => {
    let held = 0;
    const answers: (() => void)[] = [];
    broker.onPublish = (frame, call) => {
      held += frame.messages.length;
      answers.push(() => call.write(stored(frame, 1)));
    };
    const payload = Buffer.alloc(512 * 1024);
    const all: Promise<unknown>[] = [];
    let blocked = false;
    for (let i = 0; i < 64 && !blocked; i++) {
      all.push(client.publish("a", { event: "e", payload }));
      const room = client.publishable();
      blocked = await Promise.race([room.then(() => false), new Promise<boolean>((resolve) => setTimeout(() => resolve(true), 50))]);
    }
    expect(blocked, "blocked after 8 MiB in flight and 8 MiB waiting").to.equal(true);
    expect(all.length).to.be.within(30, 36);
    const room = client.publishable();
    broker.onPublish = (frame, call) => call.write(stored(frame, 1));
    for (const answer of answers) answer();
    await room;
    await Promise.all(all);
    expect(held).to.be.below(all.length);
  });

  it("leaves messages without an id as outcome unknown when the stream breaks, and sends those with one again", async () => {
    let breaks = 0;
    broker.onPublish = (frame, call) => {
      if (breaks++ === 0) call.emit("error", { code: status.UNAVAILABLE, details: "gone" });
      else call.write(stored(frame, 7));
    };
    const named = client.publish("a", { event: "e", messageId: "m1" });
    const unnamed = client.publish("a", { event: "e" });
    const error = await failureOf(unnamed);
    expect(error).to.include({ code: "UNAVAILABLE", reason: "OUTCOME_UNKNOWN" });
    expect((await named).offset).to.equal(7);
    expect(broker.published.map((frame) => frame.messages.map((message) => message.messageId))).to.deep.equal([["m1", ""], ["m1"]]);
  });

  it("never makes up a message id", async () => {
    await client.publish("a", { event: "e" });
    expect(broker.published[0]?.messages[0]?.messageId).to.equal("");
  });

  it("waits for a broker that is being restarted", async () => {
    await client.publish("a", { event: "e" });
    broker.stop();
    const later = client.publish("a", { event: "e", messageId: "m2" });
    await broker.start();
    expect((await later).offset).to.equal(2);
  });

  it("fails as not connected, and not as unknown, when nothing was ever sent", async () => {
    broker.stop();
    const impatient = connect(broker.address, { patienceMs: 0 });
    const error = await failureOf(impatient.publish("a", { event: "e" }));
    expect(error).to.include({ code: "UNAVAILABLE", reason: "NOT_CONNECTED" });
    await impatient.close();
  });

  it("fails with the broker's own words when it refuses the call", async () => {
    broker.onPublish = (_frame, call) => call.emit("error", { code: status.PERMISSION_DENIED, details: "not you" });
    const error = await failureOf(client.publish("a", { event: "e", messageId: "m3" }));
    expect(error).to.include({ code: "PERMISSION_DENIED", message: "not you" });
  });

  it("waits for missing answers at close, and takes nothing after it", async () => {
    const last = client.publish("a", { event: "e" });
    await client.close();
    expect((await last).offset).to.equal(1);
    expect((await failureOf(client.publish("a", { event: "e" }))).reason).to.equal("CLIENT_CLOSED");
  });
});
