import { expect } from "chai";
import { until } from "../support/condition.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import type { Stubs } from "../support/stubs.js";
import { TmuxTerminal } from "../support/tmux-terminal.js";

const DEADLINE_MS = 10_000;

describe("a question before something is lost", () => {
  let server: TestServer;
  let stubs: Stubs;
  let terminal: TmuxTerminal;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    stubs = await server.connect();
    await stubs.publish("orders", { event: "order.created" });
    terminal = await TmuxTerminal.open(server.address);
  });

  afterEach(async () => {
    terminal.close();
    await server.close();
  });

  async function ask(): Promise<void> {
    terminal.type("clear");
    // What was asked before must not be taken for this question, whose answer would come too early.
    await until("the screen is clear", DEADLINE_MS, () => !terminal.text.includes("Go on?"));
    terminal.type("tidemark queue delete orders");
    await terminal.shows("this deletes the queue orders with 1 message and 0 subscribers, for good. Go on? [y/N]");
  }

  const isThere = (): Promise<boolean> => stubs.queue("orders").then(() => true, () => false);

  it("keeps the queue at n, at Enter alone, and at Ctrl-D, and says so", async () => {
    for (const keys of [["n", "Enter"], ["Enter"], ["C-d"]]) {
      await ask();
      terminal.press(...keys);
      await terminal.shows("tidemark: nothing was changed");
      expect(await terminal.prompt(), keys.join(" ")).to.equal(1);
      expect(await isThere()).to.equal(true);
    }
  });

  it("keeps the queue at Ctrl-C", async () => {
    await ask();
    terminal.press("C-c");
    expect(await terminal.prompt()).to.equal(130);
    expect(await isThere()).to.equal(true);
  });

  it("deletes the queue at y", async () => {
    await ask();
    terminal.press("y", "Enter");
    await terminal.shows("✔ orders is deleted, with 1 message and 0 subscribers");
    expect(await terminal.prompt()).to.equal(0);
    expect(await isThere()).to.equal(false);
  });

  it("is asked before a client is sent away, who may come back", async () => {
    const stream = stubs.subscribe({ queue: "orders", clientId: "worker" });
    const { sessionId } = await stream.next("opened");
    terminal.type(`tidemark client disconnect ${sessionId.slice(0, 8)} --reason 'it hangs'`);
    await terminal.shows("this disconnects worker from orders, until it comes back. Go on? [y/N]");
    terminal.press("y", "Enter");
    await terminal.shows("✔ worker is disconnected from orders");
    expect((await stream.ended).details).to.contain("it hangs");
  });
}).timeout(60_000);
