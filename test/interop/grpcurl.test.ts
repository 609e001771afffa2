import { spawnSync } from "node:child_process";
import { expect } from "chai";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { payload, Stubs } from "../support/stubs.js";
import { GRPCURL, needTool } from "./foreign-client.js";
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
    const { queue } = JSON.parse(grpcurl({ queue: "notes" }, "tidemark.v1.AdminService/GetQueue")) as { queue: Record<string, unknown> };
    expect(queue).to.include({ name: "notes", headOffset: "2", messageCount: "2" });
    const { queues } = JSON.parse(grpcurl({}, "tidemark.v1.AdminService/ListQueues")) as { queues: { name: string }[] };
    expect(queues.map(({ name }) => name)).to.deep.equal(["notes"]);
  });

  it("is told by name what is not built yet", () => {
    const { status, stderr } = spawnSync(GRPCURL, ["-plaintext", "-d", '{"queue":"notes"}', server.address, "tidemark.v1.AdminService/ReplayDeadLetters"], { encoding: "utf8" });
    expect(status).to.not.equal(0);
    expect(stderr).to.include("Unimplemented").and.to.include("ReplayDeadLetters");
  });
});
