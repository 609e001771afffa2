import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { CancelScheduledRequest, ListScheduledRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { CancelScheduledResponse, ListScheduledResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { NewMessage } from "../../generated/tidemark/v1/message.js";
import { connect } from "../../src/client/index.js";
import { CliRun, type Ended } from "../support/cli-run.js";
import { until, within } from "../support/condition.js";
import { refusal } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";

const DEADLINE_MS = 30_000;

describe("messages that are put off, with a server process", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(120_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const after = (ms: number): NewMessage["when"] => ({ $case: "delay", value: { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1e6 } });
  const list = (parts: Partial<ListScheduledRequest> = {}): Promise<ListScheduledResponse> =>
    answer((callback) => server.stubs.admin.listScheduled({ ...ListScheduledRequest.create(), queue: "orders", ...parts }, callback));
  const cancel = (scheduleId: string): Promise<CancelScheduledResponse> => answer((callback) => server.stubs.admin.cancelScheduled({ ...CancelScheduledRequest.create(), queue: "orders", scheduleId }, callback));

  it("are listed, survive a kill, can be taken back, and come when they are due", async () => {
    const { stubs } = server;
    const far = await stubs.publish("orders", { event: "a", body: payload("far"), when: after(3_600_000), messageId: "m" });
    expect(far).to.include({ offset: 0n, duplicate: false });
    const near = await stubs.publish("orders", { event: "b", body: payload("near"), when: after(1_000) });
    await server.crash();
    const { scheduled } = await list({ textView: true });
    expect(scheduled.map(({ scheduleId }) => scheduleId).filter((id) => id !== near.scheduleId)).to.deep.equal([far.scheduleId]);
    const found = scheduled.find(({ scheduleId }) => scheduleId === far.scheduleId);
    expect(found?.message).to.deep.include({ offset: 0n, event: "a", text: "far", messageId: "m", publishTime: undefined });
    expect(found?.payloadBytes).to.equal(3n);
    expect(await server.stubs.publish("orders", { event: "a", body: payload("far"), messageId: "m" })).to.include({ duplicate: true, offset: 0n, scheduleId: far.scheduleId });
    await until("the near one is in the log", DEADLINE_MS, async () => (await server.stubs.queue("orders")).headOffset === 1n);
    await until("the near one is scheduled no more", DEADLINE_MS, async () => (await server.stubs.queue("orders")).scheduledCount === 1n);
    expect((await cancel(far.scheduleId)).scheduled?.message?.event).to.equal("a");
    const error = await refusal(cancel(far.scheduleId));
    expect(error).to.include({ code: Code.NOT_FOUND, reason: "SCHEDULE_NOT_FOUND" });
    expect((await list()).scheduled).to.deep.equal([]);
  });

  it("come once each, however often the server is killed while they become due", async () => {
    const count = 400;
    await Promise.all(Array.from({ length: count }, (_, i) => server.stubs.publish("orders", { event: "tick", body: payload(String(i)), when: after(1_500 + i * 10) })));
    for (let kill = 0; kill < 5; kill++) {
      const before = (await server.stubs.queue("orders")).scheduledCount;
      await until("some more are in the log", DEADLINE_MS, async () => {
        const { scheduledCount } = await server.stubs.queue("orders");
        return scheduledCount < before || scheduledCount === 0n;
      });
      await server.crash();
    }
    await until("all are in the log", DEADLINE_MS, async () => (await server.stubs.queue("orders")).scheduledCount === 0n);
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "all", maxInFlightPerLane: 10 });
    const received = await stream.receive(count);
    await stream.cancel();
    expect((await server.stubs.queue("orders")).headOffset).to.equal(BigInt(count));
    expect(received.map(({ payload: body }) => Number(body.toString())).sort((a, b) => a - b)).to.deep.equal(Array.from({ length: count }, (_, i) => i));
  });

  it("are not found by what is no request for them, and the error says which field, or that there is none", async () => {
    await server.stubs.publish("orders", { event: "a" });
    const invalid = (field: string): object => ({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD", field });
    const errors: readonly [Promise<unknown>, object][] = [
      [list({ queue: "" }), invalid("queue")],
      [list({ queue: "nowhere" }), { code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND", field: undefined }],
      [list({ pageToken: "abc" }), invalid("page_token")],
      [list({ pageToken: Buffer.from("scheduled orders\nabc").toString("base64url") }), invalid("page_token")],
      [cancel(""), invalid("schedule_id")],
      [cancel("1".repeat(129)), invalid("schedule_id")],
      [cancel("../c"), { code: Code.NOT_FOUND, reason: "SCHEDULE_NOT_FOUND", field: undefined }],
    ];
    for (const [call, expected] of errors) {
      const { code, reason, metadata } = await refusal(call);
      expect({ code, reason, field: metadata["field"] }).to.deep.equal(expected);
    }
  });

  it("with a ttl begin to expire when they are due, and what has expired is not handed out, over a restart too", async () => {
    const { stubs } = server;
    const ttl = { seconds: 1n, nanos: 0 };
    await stubs.publish("orders", { event: "a", body: payload("short"), ttl });
    await stubs.publish("orders", { event: "a", body: payload("later and short"), ttl, when: after(100) });
    await stubs.publish("orders", { event: "a", body: payload("long"), ttl: { seconds: 3_600n, nanos: 0 } });
    await until("what was put off is in the log", DEADLINE_MS, async () => (await server.stubs.queue("orders")).headOffset === 3n);
    const begun = Date.now();
    await until("two have expired", DEADLINE_MS, () => Date.now() > begun + 1_000);
    await server.crash();
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "late" });
    const [received] = await stream.receive(1);
    expect(received?.payload.toString()).to.equal("long");
    expect((await server.stubs.subscriber("orders", "late")).expiredCount).to.equal(2n);
    await stream.cancel();
    const client = connect(server.address);
    const lifetimes: number[] = [];
    for await (const { publishTime, expireTime } of client.admin.peek("orders")) lifetimes.push((expireTime?.getTime() ?? 0) - (publishTime?.getTime() ?? 0));
    await client.close();
    expect(lifetimes).to.deep.equal([1_000, 3_600_000, 1_000]);
  });

  it("are published, listed and taken back through the client and the command line", async () => {
    const client = connect(server.address);
    const tidemark = (...args: string[]): Promise<Ended> => within(`tidemark ${args.join(" ")}`, DEADLINE_MS, new CliRun(args, "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" }).ended);
    const json = async (...args: string[]): Promise<unknown> => {
      const { code, out, err } = await tidemark(...args);
      expect([code, err], args.join(" ")).to.deep.equal([0, ""]);
      return JSON.parse(out);
    };
    try {
      const deliverTime = new Date(Date.now() + 3_600_000);
      const published = await client.publish("orders", { event: "later", payload: "x", deliverTime });
      expect(published).to.include({ offset: 0, duplicate: false });
      const id = published.scheduleId ?? "";
      expect(await json("schedule", "list", "orders")).to.deep.include({ schedule_id: id, event: "later", payload: "x", deliver_time: deliverTime.toISOString(), payload_bytes: 1 });
      for await (const found of client.admin.scheduled("orders", { omitPayload: true })) expect([found.scheduleId, found.message.payload.length, found.payloadBytes]).to.deep.equal([id, 0, 1]);
      expect((await client.admin.queue("orders")).scheduledCount).to.equal(1);
      expect(await json("schedule", "cancel", "orders", id)).to.deep.include({ schedule_id: id });
      const again = await tidemark("schedule", "cancel", "orders", id);
      expect(again.code).to.equal(1);
      expect(again.err).to.contain("it became due, was cancelled, or never was");
      const soon = (await json("publish", "orders", "soon", "y", "--delay", "2h")) as { schedule_id: string };
      expect((await client.admin.cancelScheduled("orders", soon.schedule_id)).message.event).to.equal("soon");
      const both = await tidemark("publish", "orders", "soon", "y", "--delay", "2h", "--deliver-at", "2099-01-01");
      expect([both.code, both.err]).to.satisfy(([code, err]: [number, string]) => code === 2 && err.includes("leave one out"));
      for (const message of [{ event: "a", delayMs: NaN }, { event: "a", delayMs: 1, deliverTime }, { event: "a", deliverTime: new Date(NaN) }]) {
        let error: unknown;
        await client.publish("orders", message).catch((cause: unknown) => (error = cause));
        expect(error).to.include({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" });
      }
    } finally {
      await client.close();
    }
  });
});
