import { spawnSync } from "node:child_process";
import { expect } from "chai";
import { until } from "../support/condition.js";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { payload, Stubs } from "../support/stubs.js";
import { GRPCURL, grpcurl as streaming, needTool } from "./foreign-client.js";
import { JsonValues } from "./json-values.js";

describe("a person with grpcurl at a prompt", () => {
  let dataDir: Awaited<ReturnType<typeof temporaryDataDir>>;
  let server: ServerProcess;

  before(async () => {
    needTool(GRPCURL);
    dataDir = await temporaryDataDir();
    server = await ServerProcess.start({ dataDir: dataDir.path });
  });

  after(async () => {
    await server.kill();
    await dataDir.remove();
  });

  /** What it prints; throws with what it complains about. */
  function grpcurl(data: object | undefined, ...args: readonly string[]): string {
    const [target = "", ...more] = args;
    const body = data === undefined ? [] : ["-d", JSON.stringify(data)];
    const { status, stdout, stderr } = spawnSync(GRPCURL, ["-plaintext", ...body, server.address, target, ...more], { encoding: "utf8", timeout: 15_000 });
    if (status !== 0) throw new Error(`grpcurl ended with status ${status}: ${stderr}`);
    return stdout;
  }

  /** One answer of the AdminService. */
  function admin(rpc: string, request: object): Record<string, unknown> {
    return JSON.parse(grpcurl(request, `tidemark.v1.AdminService/${rpc}`)) as Record<string, unknown>;
  }

  it("lists the services", () => {
    const services = grpcurl(undefined, "list").trim().split("\n");
    expect(services).to.include.members(["tidemark.v1.BrokerService", "tidemark.v1.AdminService", "grpc.health.v1.Health"]);
  });

  it("reads the contract", () => {
    expect(grpcurl(undefined, "describe", "tidemark.v1.BrokerService.Subscribe")).to.include("rpc Subscribe ( stream .tidemark.v1.SubscribeRequest )");
    expect(grpcurl(undefined, "describe", "tidemark.v1.Deliveries")).to.match(/repeated \.tidemark\.v1\.Message messages = 1;/);
  });

  it("asks for health", () => {
    expect(JSON.parse(grpcurl({}, "grpc.health.v1.Health/Check"))).to.deep.equal({ status: "SERVING" });
    expect(JSON.parse(grpcurl({ service: "tidemark.v1.BrokerService" }, "grpc.health.v1.Health/Check"))).to.deep.equal({ status: "SERVING" });
  });

  it("reads a queue with one AUTO subscribe, as text", async () => {
    const stubs = new Stubs(server.address);
    await stubs.publish("notes", { event: "note.written", body: payload("remember the milk") });
    await stubs.publish("notes", { event: "draft.written", body: payload("not this one") });
    stubs.close();
    const open = { queue: "notes", events: ["note.*"], ackMode: "ACK_MODE_AUTO", startAt: "START_POSITION_EARLIEST", stopAtHead: true, textView: true };
    const frames = new JsonValues().take(grpcurl({ open }, "tidemark.v1.BrokerService/Subscribe"));
    const texts = frames.flatMap((frame) => (frame["deliveries"] as { messages: { text: string }[] } | undefined)?.messages ?? []).map(({ text }) => text);
    expect(frames[0]).to.have.property("opened");
    expect(texts).to.deep.equal(["remember the milk"]);
  });

  it("looks at a queue and its subscribers", () => {
    expect(admin("GetQueue", { queue: "notes" })["queue"]).to.include({ name: "notes", headOffset: "2", messageCount: "2" });
    const { queues } = admin("ListQueues", {}) as { queues: { name: string }[] };
    expect(queues.map(({ name }) => name)).to.deep.equal(["notes"]);
  });

  it("looks into a queue: its events, and the messages at its end", () => {
    const { events } = admin("ListEvents", { queue: "notes" }) as { events: { event: string }[] };
    expect(events.map(({ event }) => event)).to.deep.equal(["draft.written", "note.written"]);
    const { messages, headOffset } = admin("PeekMessages", { queue: "notes", lastMessages: 1, textView: true }) as { messages: { offset: string; text: string }[]; headOffset: string };
    expect(messages.map(({ offset, text }) => [offset, text])).to.deep.equal([["2", "not this one"]]);
    expect(headOffset).to.equal("2");
  });

  it("rejects a message, finds it among the dead letters, and watches who comes and goes meanwhile", async () => {
    const watch = streaming.call(server.address, "tidemark.v1.AdminService/WatchClients");
    const critic = streaming.call(server.address, "tidemark.v1.BrokerService/Subscribe");
    try {
      watch.send({ queue: "notes" });
      watch.halfClose();
      await watch.next("listed");
      critic.send({ open: { queue: "notes", subscriber: "critic", startAt: "START_POSITION_EARLIEST", clientId: "desk-7" } });
      await critic.next("deliveries");
      critic.send({ requestId: 1, settle: { rejects: [{ range: { first: 1 }, reason: "no milk" }] } });
      expect(await critic.next("result")).to.include({ committedOffset: "1" });
      await critic.finish();
      expect(((await watch.next("joined"))["client"] as { clientId: string }).clientId).to.equal("desk-7");
      expect(((await watch.next("left"))["client"] as { clientId: string }).clientId).to.equal("desk-7");
    } finally {
      await critic.kill();
      await watch.kill();
    }
    const { deadLetters } = admin("ListDeadLetters", { queue: "notes", subscriber: "critic", textView: true }) as { deadLetters: { message: { text: string } }[] };
    expect(deadLetters.map(({ message }) => message.text)).to.deep.equal(["remember the milk"]);
    expect(deadLetters[0]).to.include({ reason: "DEAD_LETTER_REASON_REJECTED", detail: "no milk", holderClientId: "desk-7" });
  });

  it("changes a setting of a queue, and empties it", async () => {
    await until("what its only subscriber has settled is gone", 10_000, () => (admin("GetQueue", { queue: "notes" })["queue"] as { messageCount: string }).messageCount === "1");
    const request = { queue: { name: "notes", dedupWindow: "30s" }, updateMask: { paths: ["dedup_window"] } };
    expect(admin("UpdateQueue", request)["queue"]).to.include({ name: "notes", dedupWindow: "30s" });
    expect(admin("PurgeQueue", { queue: "notes", dryRun: true })).to.include({ purgedCount: "1", throughOffset: "2" });
    expect(admin("PurgeQueue", { queue: "notes" })).to.include({ purgedCount: "1", throughOffset: "2" });
    expect(admin("GetQueue", { queue: "notes" })["queue"]).to.include({ headOffset: "2" }).and.not.have.property("messageCount");
  });

  it("puts a message off, finds it, and takes it back", () => {
    const published = JSON.parse(grpcurl({ queue: "notes", message: { event: "note.due", text: "milk", delay: "3600s" } }, "tidemark.v1.BrokerService/Publish")) as { scheduleId: string };
    const { scheduled } = admin("ListScheduled", { queue: "notes", textView: true }) as { scheduled: { scheduleId: string; message: { text: string } }[] };
    expect(scheduled.map(({ scheduleId, message }) => [scheduleId, message.text])).to.deep.equal([[published.scheduleId, "milk"]]);
    admin("CancelScheduled", { queue: "notes", scheduleId: published.scheduleId });
    expect(admin("ListScheduled", { queue: "notes" })).to.deep.equal({});
  });

  it("moves a subscriber back, and undoes it with what that answered", () => {
    admin("CreateSubscriber", { subscriber: { queue: "notes", name: "mover", startAt: "START_POSITION_LATEST" } });
    const moved = admin("SeekSubscriber", { queue: "notes", subscriber: "mover", toPosition: "START_POSITION_EARLIEST" });
    const back = admin("SeekSubscriber", { queue: "notes", subscriber: "mover", restore: moved["previousPosition"] });
    expect(back["position"]).to.deep.equal(moved["previousPosition"]);
    expect(back["previousPosition"]).to.deep.equal(moved["position"]);
    expect(back["skippedCount"]).to.equal(moved["repeatedCount"]);
    admin("DeleteSubscriber", { queue: "notes", subscriber: "mover" });
  });
});
