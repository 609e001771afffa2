import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import type { DisconnectClientResponse, GetServerInfoResponse } from "../../generated/tidemark/v1/admin_service.js";
import { Durability } from "../../generated/tidemark/v1/message.js";
import { callEnd, refusal } from "../support/raw-calls.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { answer } from "../support/stubs.js";
import type { Stubs } from "../support/stubs.js";

describe("an operator", () => {
  let server: TestServer;
  let stubs: Stubs;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    stubs = await server.connect();
  });

  afterEach(async () => {
    await server.close();
  });

  async function refusesField(field: string, work: Promise<unknown>): Promise<void> {
    const end = await refusal(work);
    expect(end, end.details).to.include({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(end.metadata).to.include.keys("value", "limit").and.include({ field });
  }

  it("asks what the server is and what it accepts", async () => {
    const before = Date.now();
    const { server: info } = await answer<GetServerInfoResponse>((callback) => stubs.admin.getServerInfo({}, callback));
    expect(info).to.include({ engine: "memory", durability: Durability.MEMORY, autoCreateQueues: true, nodeId: "" });
    expect(info?.version).to.match(/^\d+\.\d+\.\d+/);
    expect(info?.capabilities).to.include.members(["ack-explicit", "dead-letters"]);
    expect(info?.limits).to.include({ messageBytesMax: 1_048_576n, batchMessagesMax: 1_000, settleRangesMax: 10_000 });
    expect(info?.subscriberDefaults).to.include({ maxAttempts: 10, maxDeliveries: 20, windowMessages: 1_000 });
    expect(info?.subscriberDefaults?.ackTimeout).to.deep.equal({ seconds: 60n, nanos: 0 });
    expect(Number(info?.startTime?.seconds)).to.be.within(before / 1_000 - 60, before / 1_000 + 1);
  });

  describe("disconnects a client", () => {
    const disconnect = (sessionId: string, reason = ""): Promise<DisconnectClientResponse> =>
      answer((callback) => stubs.admin.disconnectClient({ sessionId, reason }, callback));

    it("whose stream says so, and whose messages go to another at once", async () => {
      await stubs.publish("orders", { event: "order.created" });
      const stuck = stubs.subscribe({ queue: "orders", subscriber: "billing", clientId: "stuck" });
      const { sessionId } = await stuck.next("opened");
      await stuck.receive(1);
      const other = stubs.subscribe({ queue: "orders", subscriber: "billing" });
      await other.next("opened");
      const { client } = await disconnect(sessionId, "it hangs since Tuesday");
      expect(client).to.include({ sessionId, clientId: "stuck", inFlightCount: 1n });
      const end = callEnd(await stuck.ended);
      expect(end).to.include({ code: Code.ABORTED, reason: "DISCONNECTED" });
      expect(end.details).to.contain("it hangs since Tuesday");
      expect((await other.receive(1)).map(({ offset }) => offset)).to.deep.equal([1n]);
      expect(await refusal(disconnect(sessionId))).to.include({ code: Code.NOT_FOUND, reason: "SESSION_NOT_FOUND" });
    });

    it("only when it is named, and for reasons of bounded length", async () => {
      expect(await refusal(disconnect("f".repeat(32)))).to.include({ code: Code.NOT_FOUND, reason: "SESSION_NOT_FOUND" });
      await refusesField("session_id", disconnect(""));
      await refusesField("session_id", disconnect("s".repeat(129)));
      await refusesField("reason", disconnect("s", "r".repeat(1_025)));
    });
  });
});
