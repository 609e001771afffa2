import { expect } from "chai";
import { connect, type TidemarkClient } from "../../src/client/index.js";
import { CliRun, type Ended } from "../support/cli-run.js";
import { within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";

const DEADLINE_MS = 15_000;

describe("tidemark dead-letter replay and delete", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(60_000);
  let server: TestServer;
  let client: TidemarkClient;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    client = connect(server.address, { clientId: "worker-1" });
    await client.publishBatch("orders", ["order.created", "stock.low", "order.paid"].map((event) => ({ event, payload: event })));
    for await (const delivery of client.subscribe("orders", { subscriber: "billing" })) {
      await delivery.settle({ kind: "reject", reason: "no" });
      if (delivery.offset === 3) break;
    }
  });

  afterEach(async () => {
    await client.close();
    await server.close();
  });

  const tidemark = (...args: string[]): Promise<Ended> =>
    within(`tidemark ${args.join(" ")}`, DEADLINE_MS, new CliRun(args, "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" }).ended);

  async function said(...args: string[]): Promise<unknown> {
    const { code, out, err } = await tidemark("dead-letter", ...args);
    expect([code, err], args.join(" ")).to.deep.equal([0, ""]);
    return JSON.parse(out);
  }

  it("says what it would do, does it, and shows the copy with its origin", async () => {
    const names = { queue: "orders", subscriber: "billing" };
    expect(await said("replay", "orders", "billing", "--event", "order.*", "--dry-run")).to.deep.equal({ ...names, dry_run: true, replayed_count: 2, remaining_count: 0, first_offset: 0, last_offset: 0 });
    expect(await said("replay", "orders", "billing", "--event", "order.*", "--limit", "1", "--yes")).to.deep.equal({ ...names, dry_run: false, replayed_count: 1, remaining_count: 1, first_offset: 4, last_offset: 4 });
    const peeked = await tidemark("peek", "orders", "--from", "4");
    expect(JSON.parse(peeked.out)).to.deep.include({ offset: 4, event: "order.created", origin_offset: 1 });
    expect(await said("delete", "orders", "billing", "--offsets", "2", "--yes")).to.deep.equal({ ...names, dry_run: false, deleted_count: 1, remaining_count: 0 });
    expect(await said("delete", "orders", "billing", "--offsets", "2", "--yes")).to.include({ deleted_count: 0 });
    expect((await client.admin.subscriber("orders", "billing")).deadLetterCount).to.equal(1);
  });

  it("does nothing without --yes where nobody can be asked", async () => {
    for (const [verb, words] of [["replay", /delivers 3 dead letters of billing again, at the end of queue orders/], ["delete", /deletes 3 dead letters of billing of queue orders, for good/]] as const) {
      const { code, out, err } = await tidemark("dead-letter", verb, "orders", "billing");
      expect([code, out]).to.deep.equal([2, ""]);
      expect(err).to.match(words).and.match(/say --yes to go on/);
    }
    expect((await client.admin.subscriber("orders", "billing")).deadLetterCount).to.equal(3);
  });

  it("works through more than one call takes", async () => {
    await client.publishBatch("orders", Array.from({ length: 999 }, () => ({ event: "many", payload: "x" })));
    await client.publishBatch("orders", Array.from({ length: 999 }, () => ({ event: "many", payload: "x" })));
    for await (const delivery of client.subscribe("orders", { subscriber: "billing" })) {
      delivery.reject("no");
      if (delivery.offset === 2_001) break;
    }
    expect(await said("replay", "orders", "billing", "--yes")).to.include({ replayed_count: 2_001, remaining_count: 0, first_offset: 2_002, last_offset: 4_002 });
  });
});
