import { expect } from "chai";
import { DeliveryCause } from "../../generated/tidemark/v1/subscribe.js";
import { until } from "../support/condition.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import type { Stubs } from "../support/stubs.js";
import { TmuxTerminal } from "../support/tmux-terminal.js";

const DEADLINE_MS = 20_000;
const MESSAGES = 3_000;
const WINDOW = 1_000;

describe("Ctrl-C in subscribe", () => {
  let server: TestServer;
  let stubs: Stubs;
  let terminal: TmuxTerminal;

  beforeEach(async () => {
    server = await startTestServer({ engine: "memory" });
    stubs = await server.connect();
    terminal = await TmuxTerminal.open(server.address);
  });

  afterEach(async () => {
    terminal.close();
    await server.close();
  });

  it("has acked what it showed, and gives the rest back at once, uncounted", async () => {
    terminal.type("tidemark subscribe orders --subscriber billing");
    await terminal.shows("● orders as billing (new)");
    // Whoever stops the output of the terminal stops the program, with a window of messages in hand.
    terminal.press("C-s");
    for (let sent = 0; sent < MESSAGES; sent += WINDOW) await stubs.publishBatch("orders", Array.from({ length: WINDOW }, () => ({ event: "order.created" })));
    await until("its window is full", DEADLINE_MS, async () => (await stubs.subscriber("orders", "billing")).inFlightCount === BigInt(WINDOW));
    terminal.press("C-c");
    const lines = await terminal.shows(/^[\d,]+ messages?$/m);
    const shown = Number(lines.find((line) => /^[\d,]+ messages?$/.test(line))?.replaceAll(/\D/g, ""));
    expect(await terminal.prompt()).to.equal(0);
    expect(shown).to.be.lessThan(MESSAGES);

    const subscriber = await stubs.subscriber("orders", "billing");
    expect(subscriber).to.include({ inFlightCount: 0n, clientCount: 0, committedOffset: BigInt(shown), backlogCount: BigInt(MESSAGES - shown), deadLetterCount: 0n });
    const next = stubs.subscribe({ queue: "orders", subscriber: "billing" });
    const [again] = await next.receive(1);
    expect(again).to.include({ offset: BigInt(shown + 1), attempt: 1, deliveryCount: 1, cause: DeliveryCause.RELEASED });
    await next.cancel();
  });
}).timeout(60_000);
