import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { AdminServiceService, SeekSubscriberRequest, type SeekSubscriberResponse } from "../../generated/tidemark/v1/admin_service.js";
import type { OffsetRange } from "../../generated/tidemark/v1/message.js";
import { Ordering, Queue } from "../../generated/tidemark/v1/queue.js";
import { DeliveryCause, StartPosition } from "../../generated/tidemark/v1/subscribe.js";
import { connect } from "../../src/client/index.js";
import { CliRun, type Ended } from "../support/cli-run.js";
import { within } from "../support/condition.js";
import { rawUnary } from "../support/raw-calls.js";
import { startTestServer, type TestServer } from "../support/server.js";
import { StoredServer } from "../support/stored-server.js";
import { answer, type Stubs } from "../support/stubs.js";

type Target = NonNullable<SeekSubscriberRequest["target"]>;

const behind = (offset: bigint): Target => ({ $case: "afterOffset", value: offset });
const EARLIEST: Target = { $case: "toPosition", value: StartPosition.EARLIEST };
const LATEST: Target = { $case: "toPosition", value: StartPosition.LATEST };
const DEADLINE_MS = 15_000;

function seek(stubs: Stubs, target: Target, dryRun = false): Promise<SeekSubscriberResponse> {
  return answer((callback) => stubs.admin.seekSubscriber({ queue: "orders", subscriber: "billing", target, dryRun }, callback));
}

/** A queue with six messages of three keys; somebody else keeps them. */
async function fill(stubs: Stubs, ordering: Ordering): Promise<void> {
  await answer((callback) => stubs.admin.createQueue({ queue: { ...Queue.create(), name: "orders", ordering } }, callback));
  await stubs.publishBatch("orders", Array.from({ length: 6 }, (_, i) => ({ event: "order.created", orderingKey: `k${i % 3}` })));
  const keeper = stubs.subscribe({ queue: "orders", subscriber: "keeper", flow: { maxMessages: 1, maxBytes: 0n, paused: true } });
  await keeper.next("opened");
  await keeper.cancel();
}

for (const ordering of [Ordering.UNORDERED, Ordering.ORDERED]) {
  describe(`SeekSubscriber on a stored queue, ${Ordering[ordering]}`, function () {
    this.timeout(60_000);
    let server: StoredServer;

    beforeEach(async () => {
      server = await StoredServer.start();
      await fill(server.stubs, ordering);
    });

    afterEach(async () => {
      await server.remove();
    });

    it("moves a stream that is open back, is there after a kill, and is undone", async () => {
      const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing", maxInFlightPerLane: 10 });
      const all = await stream.receive(6);
      await stream.ack(all.slice(0, 4));
      const moved = await seek(server.stubs, behind(2n));
      expect(moved).to.deep.equal({ previousPosition: { committedOffset: 4n, settled: [] }, position: { committedOffset: 2n, settled: [] }, repeatedCount: 2n, skippedCount: 0n });
      expect((await stream.next("recall")).cause).to.equal(DeliveryCause.SEEK);
      let reason = "";
      while (reason !== "POSITION_MOVED") ({ reason } = await stream.next("notice"));
      const again = await stream.receive(4);
      expect(again.map(({ offset, cause, attempt, deliveryCount }) => [offset, cause, attempt, deliveryCount])).to.deep.equal([3n, 4n, 5n, 6n].map((offset) => [offset, DeliveryCause.SEEK, 1, 1]));
      expect((await stream.ack(all.slice(4))).failures).to.have.length(1);
      await server.crash();
      expect(await server.stubs.subscriber("orders", "billing")).to.include({ committedOffset: 2n, backlogCount: 4n });
      const back = await seek(server.stubs, { $case: "restore", value: moved.previousPosition ?? { committedOffset: 0n, settled: [] } });
      expect(back).to.deep.include({ position: moved.previousPosition, skippedCount: 2n });
      await server.crash();
      const next = server.stubs.subscribe({ queue: "orders", subscriber: "billing", maxInFlightPerLane: 10 });
      expect((await next.receive(2)).map(({ offset }) => offset)).to.deep.equal([5n, 6n]);
      await next.cancel();
    });

    it("moves a subscriber that nobody uses, which goes on there", async () => {
      const made = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
      await made.next("opened");
      await made.cancel();
      expect(await seek(server.stubs, behind(5n), true)).to.deep.include({ skippedCount: 5n });
      expect((await server.stubs.subscriber("orders", "billing")).committedOffset).to.equal(0n);
      expect(await seek(server.stubs, LATEST)).to.deep.include({ skippedCount: 6n });
      await server.restart();
      expect(await seek(server.stubs, EARLIEST)).to.deep.include({ repeatedCount: 6n, previousPosition: { committedOffset: 6n, settled: [] } });
      const stream = server.stubs.subscribe({ queue: "orders", subscriber: "billing", maxInFlightPerLane: 10 });
      expect(await stream.receive(6)).to.have.length(6);
      await stream.cancel();
    });

    it("refuses what lies beyond the log, with the valid range", async () => {
      const made = server.stubs.subscribe({ queue: "orders", subscriber: "billing" });
      await made.next("opened");
      await made.cancel();
      const refused = await seek(server.stubs, behind(7n)).then(() => expect.fail("it was moved"), (error: unknown) => error as { code: Code; details: string });
      expect([refused.code, refused.details]).to.deep.equal([Code.OUT_OF_RANGE, "after_offset is 7, and the last message of queue orders has offset 6: seek to 0 to 6"]);
    });
  });
}

describe("moving a subscriber from a program and a prompt", function () {
  this.timeout(60_000);

  it("goes back and ahead in TypeScript, and an open subscription follows", async () => {
    const server = await startTestServer({ engine: "memory" });
    const stubs = await server.connect();
    await fill(stubs, Ordering.UNORDERED);
    const client = connect(server.address);
    const subscription = client.subscribe("orders", { subscriber: "billing" });
    const take = async (count: number): Promise<readonly [number, string][]> => {
      const taken: [number, string][] = [];
      while (taken.length < count) {
        const { value } = await within("a delivery", DEADLINE_MS, subscription.next());
        if (value === undefined) throw new Error("the subscription has ended");
        await value.settle({ kind: "ack" });
        taken.push([value.offset, value.cause]);
      }
      return taken;
    };
    expect((await take(6)).at(-1)).to.deep.equal([6, "NEW"]);
    const moved = await client.admin.seekSubscriber("orders", "billing", { afterOffset: 4 });
    expect(moved).to.deep.equal({ previousPosition: { committedOffset: 6, settled: [] }, position: { committedOffset: 4, settled: [] }, repeatedCount: 2, skippedCount: 0 });
    expect(await take(2)).to.deep.equal([[5, "SEEK"], [6, "SEEK"]]);
    expect((await client.admin.seekSubscriber("orders", "billing", { time: new Date(0) }, { dryRun: true })).repeatedCount).to.equal(6);
    expect((await client.admin.seekSubscriber("orders", "billing", { restore: moved.previousPosition })).position.committedOffset).to.equal(6);
    await client.close();
    await server.close();
  });

  it("goes back and ahead with the command, which says how to undo it", async () => {
    const server = await startTestServer({ engine: "memory" });
    const stubs = await server.connect();
    await fill(stubs, Ordering.UNORDERED);
    const tidemark = (...args: string[]): Promise<Ended> =>
      within(`tidemark ${args.join(" ")}`, DEADLINE_MS, new CliRun(["subscriber", "seek", "orders", "billing", ...args], "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" }).ended);
    const stream = stubs.subscribe({ queue: "orders", subscriber: "billing" });
    const all = await stream.receive(6);
    await stream.ack([...all.slice(0, 2), ...all.slice(3, 5)]);
    await stream.cancel();
    const { code, out } = await tidemark("--earliest", "--yes");
    expect([code, JSON.parse(out)]).to.deep.equal([0, { queue: "orders", subscriber: "billing", dry_run: false, previous_position: "2,4-5", position: "0", repeated_count: 4, skipped_count: 0 }]);
    expect(JSON.parse((await tidemark("--to-offset", "4", "--dry-run")).out)).to.include({ dry_run: true, position: "3", skipped_count: 3 });
    expect(JSON.parse((await tidemark("--to-position", "2,4-5", "--yes")).out)).to.include({ previous_position: "0", position: "2,4-5", skipped_count: 4 });
    expect(JSON.parse((await tidemark("--to-time", "1h", "--yes")).out)).to.include({ position: "0" });
    expect(JSON.parse((await tidemark("--latest", "--yes")).out)).to.include({ position: "6" });
    for (const [args, words] of [
      [["--earliest"], /this moves billing of orders from #6 to #0: 6 messages will come again, 0 unread messages passed over.*say --yes/],
      [[], /say one place to go to/],
      [["--earliest", "--latest"], /say one place to go to/],
      [["--to-offset", "0"], /the first message wanted, from 1/],
      [["--to-position", "1,a"], /a position as a seek says it/],
      [["--to-offset", "99", "--yes"], /seek to 0 to 6 \(BEYOND_HEAD\)/],
    ] as const) {
      const refused = await tidemark(...args);
      expect(refused.code, args.join(" ")).to.not.equal(0);
      expect(refused.err).to.match(words);
    }
    await server.close();
  });
});

describe("SeekSubscriber refuses", () => {
  const U64_MAX = 2n ** 64n - 1n;
  let server: TestServer;
  let stubs: Stubs;

  before(async () => {
    server = await startTestServer({ engine: "memory" });
    stubs = await server.connect();
    await stubs.publish("bad", { event: "a" });
  });

  after(() => server.close());

  const seeking = (parts: Partial<SeekSubscriberRequest>): Buffer =>
    Buffer.from(SeekSubscriberRequest.encode({ ...SeekSubscriberRequest.create(), queue: "bad", subscriber: "nobody", target: behind(0n), ...parts }).finish());
  const restoring = (committedOffset: bigint, ...settled: OffsetRange[]): Buffer => seeking({ target: { $case: "restore", value: { committedOffset, settled } } });

  for (const [what, request, code, reason, field] of [
    ["with undecodable bytes", Buffer.from([0xff, 0xff]), Code.INVALID_ARGUMENT, "UNDECODABLE", undefined],
    ["without a queue", seeking({ queue: "" }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "queue"],
    ["without a subscriber", seeking({ subscriber: "" }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "subscriber"],
    ["without a target", seeking({ target: undefined }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "target"],
    ["to no position", seeking({ target: { $case: "toPosition", value: StartPosition.UNSPECIFIED } }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "to_position"],
    ["to a position from the future", seeking({ target: { $case: "toPosition", value: StartPosition.UNRECOGNIZED } }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "to_position"],
    ["to an offset beyond 2^53", seeking({ target: { $case: "afterOffset", value: U64_MAX } }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "after_offset"],
    ["to what is no time", seeking({ target: { $case: "fromTime", value: { seconds: 0n, nanos: -1 } } }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "from_time"],
    ["back to 10,001 runs", restoring(0n, ...Array.from({ length: 10_001 }, (_, i) => ({ first: BigInt(2 * i + 2), last: 0n }))), Code.INVALID_ARGUMENT, "INVALID_FIELD", "restore.settled"],
    ["back to a run that is committed", restoring(5n, { first: 5n, last: 6n }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "restore.settled[0].first"],
    ["back to runs out of order", restoring(0n, { first: 5n, last: 6n }, { first: 3n, last: 3n }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "restore.settled[1].first"],
    ["back to a run that runs backwards", restoring(0n, { first: 5n, last: 4n }), Code.INVALID_ARGUMENT, "INVALID_FIELD", "restore.settled[0].last"],
    ["back to a position beyond 2^53", restoring(U64_MAX), Code.INVALID_ARGUMENT, "INVALID_FIELD", "restore.committed_offset"],
    ["of a queue that is not there", seeking({ queue: "none" }), Code.NOT_FOUND, "QUEUE_NOT_FOUND", undefined],
    ["of a subscriber that is not there", seeking({}), Code.NOT_FOUND, "SUBSCRIBER_NOT_FOUND", undefined],
  ] as const) {
    it(what, async () => {
      const refused = await rawUnary(stubs.admin, AdminServiceService.seekSubscriber.path, request);
      expect([refused.code, refused.reason, refused.metadata["field"]]).to.deep.equal([code, reason, field]);
    });
  }
});
