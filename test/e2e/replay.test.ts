import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { DeleteDeadLettersRequest, ReplayDeadLettersRequest } from "../../generated/tidemark/v1/admin_service.js";
import type { DeleteDeadLettersResponse, ReplayDeadLettersResponse } from "../../generated/tidemark/v1/admin_service.js";
import { DeadLetterFilter, DeadLetterReason } from "../../generated/tidemark/v1/dead_letter.js";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { refusal } from "../support/raw-calls.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, payload } from "../support/stubs.js";

describe("ReplayDeadLetters and DeleteDeadLetters of a server process", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: StoredServer;

  beforeEach(async () => {
    server = await StoredServer.start();
  });

  afterEach(async () => {
    await server.remove();
  });

  const replay = (parts: Partial<ReplayDeadLettersRequest> = {}): Promise<ReplayDeadLettersResponse> =>
    answer((callback) => server.stubs.admin.replayDeadLetters({ ...ReplayDeadLettersRequest.create(), queue: "orders", subscriber: "billing", ...parts }, callback));
  const remove = (parts: Partial<DeleteDeadLettersRequest> = {}): Promise<DeleteDeadLettersResponse> =>
    answer((callback) => server.stubs.admin.deleteDeadLetters({ ...DeleteDeadLettersRequest.create(), queue: "orders", subscriber: "billing", ...parts }, callback));
  const letterCount = async (): Promise<bigint | undefined> =>
    (await answer<{ subscriber: { deadLetterCount: bigint } | undefined }>((callback) => server.stubs.admin.getSubscriber({ queue: "orders", subscriber: "billing" }, callback))).subscriber?.deadLetterCount;

  /** Publishes messages of these events, and has `billing` reject all of them. */
  async function reject(...events: string[]): Promise<void> {
    await server.stubs.publishBatch("orders", events.map((event, i) => ({ event, body: payload(`text ${i + 1}`), messageId: `id-${i + 1}` })));
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing", maxInFlightPerLane: 10 });
    const received = await stream.receive(events.length);
    await stream.settle({ rejects: received.map(({ offset, batchId }) => ({ range: { first: offset, last: offset, batchId }, reason: "no" })) });
    await stream.cancel();
  }

  for (const ordering of [Ordering.UNORDERED, Ordering.ORDERED]) {
    it(`delivers copies to the one subscriber of an ${Ordering[ordering]} queue, also when the server is killed right after the answer`, async () => {
      await answer((callback) => server.stubs.admin.createQueue({ queue: { ...Queue.create(), name: "orders", ordering } }, callback));
      const audit = server.stubs.subscribe({ queue: "orders", subscriber: "audit" });
      await audit.next("opened");
      await audit.cancel();
      await reject("a", "b");
      expect(await replay()).to.deep.equal({ replayedCount: 2n, remainingCount: 0n, firstOffset: 3n, lastOffset: 4n });
      await server.restart();
      expect(await letterCount()).to.equal(0n);
      await server.stubs.publish("orders", { event: "c" });
      const billing = server.stubs.subscribe({ queue: "orders", subscriber: "billing", maxInFlightPerLane: 10 });
      const copies = await billing.receive(3);
      expect(copies.map(({ offset, originOffset, event, payload: body, messageId }) => [offset, originOffset, event, body.toString(), messageId])).to.deep.equal([
        [3n, 1n, "a", "text 1", "id-1"],
        [4n, 2n, "b", "text 2", "id-2"],
        [5n, 0n, "c", "", ""],
      ]);
      const others = server.stubs.subscribe({ queue: "orders", subscriber: "audit", maxInFlightPerLane: 10 });
      expect((await others.receive(3)).map(({ offset }) => offset)).to.deep.equal([1n, 2n, 5n]);
    });
  }

  it("tells in heartbeats how many are left", async () => {
    await reject("a", "b", "a");
    const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
    expect(await stream.next("opened")).to.include({ deadLetterCount: 3n });
    await remove({ filter: { ...DeadLetterFilter.create(), events: ["a"] }, limit: 1 });
    stream.send({ $case: "ping", value: {} });
    expect(await stream.next("heartbeat")).to.include({ deadLetterCount: 2n });
  });

  it("counts in a dry run, and leaves them as they are", async () => {
    await reject("a", "b", "a");
    const filter = { ...DeadLetterFilter.create(), events: ["a"], reasons: [DeadLetterReason.REJECTED] };
    expect(await replay({ dryRun: true, filter, limit: 1 })).to.deep.equal({ replayedCount: 1n, remainingCount: 1n, firstOffset: 0n, lastOffset: 0n });
    expect(await remove({ dryRun: true, filter })).to.deep.equal({ deletedCount: 2n, remainingCount: 0n });
    expect(await letterCount()).to.equal(3n);
  });

  it("deletes for good, and says so again when there is nothing left", async () => {
    await reject("a", "b");
    expect(await remove()).to.deep.equal({ deletedCount: 2n, remainingCount: 0n });
    await server.restart();
    expect([await letterCount(), await remove(), (await replay()).replayedCount]).to.deep.equal([0n, { deletedCount: 0n, remainingCount: 0n }, 0n]);
  });

  it("refuses what is not there and what is no filter, naming the field", async () => {
    await reject("a");
    const bad: readonly [Partial<ReplayDeadLettersRequest>, code: Code, reason: string, field?: string][] = [
      [{ queue: "nowhere" }, Code.NOT_FOUND, "QUEUE_NOT_FOUND"],
      [{ subscriber: "nobody" }, Code.NOT_FOUND, "SUBSCRIBER_NOT_FOUND"],
      [{ subscriber: "" }, Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber"],
      [{ queue: ".." }, Code.INVALID_ARGUMENT, "INVALID_FIELD", "queue"],
      [{ filter: { ...DeadLetterFilter.create(), events: ["a b"] } }, Code.INVALID_ARGUMENT, "INVALID_FIELD", "filter.events[0]"],
      [{ filter: { ...DeadLetterFilter.create(), reasons: [DeadLetterReason.UNSPECIFIED] } }, Code.INVALID_ARGUMENT, "INVALID_FIELD", "filter.reasons[0]"],
      [{ filter: { ...DeadLetterFilter.create(), offsets: [{ first: 0n, last: 0n }] } }, Code.INVALID_ARGUMENT, "INVALID_FIELD", "filter.offsets[0].first"],
    ];
    for (const [parts, code, reason, field] of bad) {
      for (const call of [replay, remove]) {
        const end = await refusal(call(parts));
        expect(end, end.details).to.include({ code, reason });
        if (field !== undefined) expect(end).to.have.nested.property("metadata.field", field);
      }
    }
    expect(await letterCount()).to.equal(1n);
  });
});
