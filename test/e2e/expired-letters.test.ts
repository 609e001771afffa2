import { expect } from "chai";
import { ListDeadLettersRequest, ReplayDeadLettersRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { ListDeadLettersResponse, ReplayDeadLettersResponse } from "../../generated/tidemark/v1/admin_service.js";
import { DeadLetterFilter, DeadLetterReason } from "../../generated/tidemark/v1/dead_letter.js";
import { connect } from "../../src/client/index.js";
import { until } from "../support/condition.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";

const DEADLINE_MS = 30_000;
const TTL = { seconds: 1n, nanos: 0 };

describe("dead letters of messages that expired", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(120_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const list = (reasons: DeadLetterReason[] = []): Promise<ListDeadLettersResponse> =>
    answer((callback) => server.stubs.admin.listDeadLetters({ ...ListDeadLettersRequest.create(), queue: "orders", subscriber: "billing", filter: { ...DeadLetterFilter.create(), reasons }, textView: true }, callback));

  async function expireTwo(ordered: boolean): Promise<void> {
    const client = connect(server.address);
    await client.admin.createQueue("orders", { ordered, onExpiry: "DEAD_LETTER" });
    await client.admin.createSubscriber("orders", "billing", {});
    await client.close();
    for (const [text, ttl] of [["short", TTL], ["short too", TTL], ["long", undefined]] as const) await server.stubs.publish("orders", { event: "a", body: payload(text), ttl, orderingKey: "k" });
    const begun = Date.now();
    await until("two have expired", DEADLINE_MS, () => Date.now() > begun + 1_000);
  }

  for (const ordered of [false, true]) describe(ordered ? "of an ordered queue" : "of an unordered queue", () => {
    it("are listed by their reason, survive a kill, and come when they are replayed", async () => {
      await expireTwo(ordered);
      await server.crash();
      const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
      const [received] = await stream.receive(1);
      expect(received?.payload.toString()).to.equal("long");
      await stream.settle({ acks: [{ first: 3n, last: 3n, batchId: received?.batchId ?? 0n }] });
      await stream.cancel();
      await until("both are dead letters", DEADLINE_MS, async () => (await list()).deadLetters.length === 2);
      await server.crash();
      const { deadLetters } = await list([DeadLetterReason.EXPIRED]);
      expect(deadLetters.map(({ message, reason, attempts, deliveries, holderSessionId }) => [message?.text, reason, attempts, deliveries, holderSessionId])).to.have.deep.members([
        ["short", DeadLetterReason.EXPIRED, 1, 1, ""],
        ["short too", DeadLetterReason.EXPIRED, 1, 1, ""],
      ]);
      expect((await list([DeadLetterReason.REJECTED])).deadLetters).to.deep.equal([]);
      expect(await server.stubs.subscriber("orders", "billing")).to.deep.include({ expiredCount: 2n, deadLetterCount: 2n, committedOffset: 3n });
      const replayed = await answer<ReplayDeadLettersResponse>((callback) => server.stubs.admin.replayDeadLetters({ ...ReplayDeadLettersRequest.create(), queue: "orders", subscriber: "billing" }, callback));
      expect(replayed.replayedCount).to.equal(2n);
      const again = server.stubs.subscribe({ queue: "orders", subscriber: "billing", maxInFlightPerLane: 2 });
      const copies = await again.receive(2);
      expect(copies.map((copy) => copy.payload.toString())).to.have.members(["short", "short too"]);
      await again.cancel();
      const client = connect(server.address);
      for await (const { offset, expireTime } of client.admin.peek("orders")) if (offset > 3) expect(expireTime).to.equal(undefined);
      await client.close();
    });
  });

  it("are made while nobody is connected, and hold nothing in the log then", async () => {
    await expireTwo(false);
    await server.stubs.publish("orders", { event: "a", body: payload("last") });
    await until("both are dead letters", DEADLINE_MS, async () => (await list()).deadLetters.length === 2);
    expect(await server.stubs.subscriber("orders", "billing")).to.deep.include({ expiredCount: 2n, deadLetterCount: 2n, committedOffset: 2n, backlogCount: 2n });
  });
});
