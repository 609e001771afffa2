import { expect } from "chai";
import { CliRun, type Ended, rowsOf } from "../support/cli-run.js";
import { within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";

const DEADLINE_MS = 15_000;

describe("the commands that make, change and pause subscribers", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(30_000);
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ engine: "memory" });
  });

  after(() => server.close());

  const tidemark = (...args: string[]): Promise<Ended> =>
    within(`tidemark ${args.join(" ")}`, DEADLINE_MS, new CliRun(args, "", { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1" }).ended);

  async function rows(...args: string[]): Promise<Record<string, unknown>[]> {
    return rowsOf(args, await tidemark(...args));
  }

  it("make one with its filter, start and settings, before any client comes", async () => {
    await rows("publish", "orders", "order.created", "1");
    const [made] = await rows("subscriber", "create", "orders", "billing", "order.*", "--from", "latest", "--max-attempts", "3", "--expire-after", "30d");
    expect(made).to.deep.include({ queue: "orders", name: "billing", events: ["order.*"], committed_offset: 1, client_count: 0, paused: false, settings: { max_attempts: 3, expire_after_ms: 30 * 86_400_000 } });
    expect(made).to.have.property("expire_time");
    await rows("publish", "orders", "order.paid", "2");
    await rows("publish", "orders", "refund.paid", "3");
    expect((await rows("subscribe", "orders", "--subscriber", "billing", "--until-head")).map(({ offset }) => offset)).to.deep.equal([2]);
    expect((await rows("subscriber", "show", "orders", "billing"))[0]).to.have.property("last_client_time");
    expect((await tidemark("subscriber", "create", "orders", "billing")).err).to.match(/billing takes order\.\*, not every event: change it with UpdateSubscriber, which is "tidemark subscriber update" \(FILTER_MISMATCH\)\n$/);
    expect((await tidemark("subscriber", "create", "orders", "billing", "order.*")).err).to.match(/began latest, not earliest: say the same, or seek \(START_MISMATCH\)\n$/);
    expect((await tidemark("subscriber", "create", "orders", "billing", "order.*", "--from", "latest", "--max-attempts", "4")).err).to.match(/max_attempts is 3, not 4.*"tidemark subscriber update" \(SUBSCRIBER_EXISTS\)\n$/);
    expect((await tidemark("subscriber", "create", "none", "billing")).err).to.match(/there is no queue none/);
  });

  it("make one that begins at a time, and let one be made by subscribing", async () => {
    await rows("publish", "since", "order.created", "1");
    expect((await rows("subscriber", "create", "since", "all", "--from", "1h"))[0]).to.include({ committed_offset: 0, backlog_count: 1 });
    expect((await rows("subscriber", "create", "since", "none", "--from", "2999-01-01"))[0]).to.include({ committed_offset: 1, backlog_count: 0 });
    expect(await rows("subscribe", "since", "--subscriber", "log", "--from", "10m", "--until-head")).to.have.length(1);
    expect((await tidemark("subscribe", "since", "--from", "soon")).err).to.match(/It must be earliest, latest, the offset/);
  });

  it("change a filter and settings, and have settings inherited again", async () => {
    await rows("publish", "changes", "order.created", "1");
    await rows("subscriber", "create", "changes", "billing", "order.*", "--ack-timeout", "5s");
    const [changed] = await rows("subscriber", "update", "changes", "billing", "refund.*", "order.*", "--max-unsettled", "7", "--ack-timeout", "inherit");
    expect(changed).to.deep.include({ events: ["order.*", "refund.*"], settings: { max_unsettled: 7 }, backlog_count: 1 });
    expect((await rows("subscriber", "update", "changes", "billing", "--every-event"))[0]).to.deep.include({ events: [], settings: { max_unsettled: 7 } });
    for (const [args, words] of [
      [[], /^tidemark: nothing to change: name event filters, or a setting such as --ack-timeout 30s; "tidemark subscriber update --help" shows them all\n$/],
      [["a", "--every-event"], /contradict each other/],
      [["--dedup-ids", "5"], /unknown option '--dedup-ids'/],
    ] as const) {
      const refused = await tidemark("subscriber", "update", "changes", "billing", ...args);
      expect([refused.code, refused.out]).to.deep.equal([2, ""]);
      expect(refused.err).to.match(words);
    }
    expect((await tidemark("subscriber", "update", "changes", "nobody", "--every-event")).err).to.match(/has no subscriber nobody; "tidemark subscriber list changes"/);
  });

  it("pause one for good, for a while or until a time, and resume it", async () => {
    await rows("publish", "pauses", "a", "1");
    await rows("subscriber", "create", "pauses", "billing");
    expect((await rows("subscriber", "pause", "pauses", "billing"))[0]).to.include({ paused: true }).and.not.have.property("resume_time");
    const [shown] = await rows("subscriber", "pause", "pauses", "billing", "--for", "1h");
    expect(Date.parse(String(shown?.["resume_time"]))).to.be.within(Date.now() + 3_500_000, Date.now() + 3_600_000);
    expect((await rows("subscriber", "pause", "pauses", "billing", "--until", "2999-01-01T00:00:00Z"))[0]).to.include({ resume_time: "2999-01-01T00:00:00.000Z" });
    expect((await rows("subscriber", "resume", "pauses", "billing"))[0]).to.include({ paused: false });
    expect((await rows("subscriber", "resume", "pauses", "billing"))[0]).to.include({ paused: false });
    expect((await tidemark("subscriber", "pause", "pauses", "billing", "--until", "2020-01-01")).err).to.match(/has passed: say a time to come/);
    expect((await tidemark("subscriber", "pause", "pauses", "billing", "--for", "1h", "--until", "2999-01-01")).err).to.match(/say one of them/);
    expect((await tidemark("subscriber", "pause", "pauses", "billing", "--for", "soon")).err).to.match(/It must be a time with its unit/);
  });
});
