import { expect } from "chai";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { Stubs } from "../support/stubs.js";
import { TmuxTerminal } from "../support/tmux-terminal.js";

describe("top on a terminal", () => {
  let data: Awaited<ReturnType<typeof temporaryDataDir>>;
  let server: ServerProcess;
  let stubs: Stubs;
  let terminal: TmuxTerminal;

  beforeEach(async () => {
    data = await temporaryDataDir();
    server = await ServerProcess.start({ dataDir: data.path });
    stubs = new Stubs(server.address);
    await stubs.ready();
    terminal = await TmuxTerminal.open(server.address);
  });

  afterEach(async () => {
    terminal.close();
    stubs.close();
    if (server.running) await server.kill();
    await data.remove();
  });

  /** The screen is the shell's again, and nothing of the program is left on it. */
  async function expectRestored(code: number): Promise<void> {
    expect(await terminal.prompt()).to.equal(code);
    expect(terminal.isTaken).to.equal(false);
    expect(terminal.text).not.to.contain("q quit");
    terminal.type("echo still $((40 + 2))");
    await terminal.shows(/^still 42$/m);
  }

  it("draws what is there, and what is published while it looks", async () => {
    await stubs.publish("orders", { event: "order.created" });
    const stream = stubs.subscribe({ queue: "orders", subscriber: "billing", clientId: "worker", flow: { maxMessages: 1, maxBytes: 0n, paused: false } });
    await stream.receive(1);
    terminal.type("tidemark top --interval 300ms");
    const lines = await terminal.shows(/^orders +1 /m);
    expect(lines[0]).to.match(/^tidemark \d+\.\d+\.\d+ · lmdb, fsync · up \w+.* · 127\.0\.0\.1:\d+ · \d\d:\d\d:\d\d$/);
    expect(lines.at(-1)).to.match(/^q quit · s order: what hurts first/);
    expect(terminal.isTaken).to.equal(true);
    await terminal.shows(/^billing +orders +0 +1 /m);
    await terminal.shows(/^[0-9a-f]{8} +worker +127\.0\.0\.1:\d+ +orders +billing +explicit +1\/1 +0 +nothing new/m);
    for (let i = 0; i < 4; i++) await stubs.publish("orders", { event: "order.created" });
    await terminal.shows(/^orders +5 /m);
    await terminal.shows(/^billing +orders +4 +1 /m);
    await stream.cancel();
    await terminal.shows(/^\d\d:\d\d:\d\d {2}worker {2}orders\/billing {2}cancelled, with 1 message in flight$/m);
    terminal.press("q");
    await expectRestored(0);
  });

  it("survives another size, scrolls what does not fit, and changes the order", async () => {
    for (let i = 10; i < 40; i++) await stubs.publish(`queue-${i}`, { event: "a" });
    terminal.type("tidemark top --interval 300ms");
    await terminal.shows(/^queue-10 .*\n(.*\n)+q quit/m);
    terminal.resize(50, 12);
    const small = await terminal.shows(/^q quit · s order.*\s*$/m);
    expect(small).to.have.length(12);
    await terminal.shows(/^QUEUE +MESSAGES/m);
    expect(Math.max(...terminal.lines.map((line) => line.length))).to.be.at.most(50);
    for (let i = 0; i < 9; i++) terminal.press("Down");
    terminal.press("j");
    await terminal.shows(/^queue-18 /m);
    expect(terminal.text).not.to.match(/^queue-17 /m);
    terminal.press("k");
    await terminal.shows(/^queue-17 /m);
    terminal.resize(140, 45);
    await terminal.shows(/^queue-10 (.*\n)+queue-39 (.*\n)+q quit · s order: what hurts first\s*$/m);
    terminal.press("s");
    await terminal.shows("s order: by name");
    terminal.press("q");
    await expectRestored(0);
  });

  it("gives the screen back at Ctrl-C, and when it is told to end", async () => {
    terminal.type("tidemark top");
    await terminal.shows("q quit");
    terminal.press("C-c");
    await expectRestored(0);
    terminal.type("clear; tidemark top");
    await terminal.shows("q quit");
    terminal.signal("SIGTERM");
    await expectRestored(0);
  });

  it("says since when the broker is gone, and goes on when it is back", async () => {
    await stubs.publish("orders", { event: "order.created" });
    terminal.type("tidemark top --interval 300ms");
    await terminal.shows(/^orders +1 /m);
    await server.kill();
    const lines = await terminal.shows(/no answer since \d\d:\d\d:\d\d: .*; trying again/);
    expect(lines.some((line) => line.startsWith("orders ")), "what was there is still shown").to.equal(true);
    server = await ServerProcess.start({ dataDir: data.path, listen: server.address });
    await terminal.shows(/^1 queue · 0 subscribers · 0 clients/m);
    terminal.press("q");
    await expectRestored(0);
  });

  it("leaves the screen alone when there is no broker", async () => {
    await server.stop();
    terminal.type("tidemark top");
    await terminal.shows(/^tidemark: no broker answers at 127\.0\.0\.1:\d+; start one with "tidemark serve"/m);
    await expectRestored(1);
  });
}).timeout(90_000);
