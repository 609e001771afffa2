import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { CliRun, type Ended } from "../support/cli-run.js";
import { until, within } from "../support/condition.js";
import { startTestServer, type TestServer } from "../support/server.js";
import { temporaryDataDir } from "../support/server-process.js";

const DEADLINE_MS = 15_000;

describe("the command line", function () {
  // Each test starts processes, which on a busy machine take their time.
  this.timeout(30_000);
  let server: TestServer;
  let runs: CliRun[];

  before(async () => {
    server = await startTestServer();
  });

  after(() => server.close());

  beforeEach(() => {
    runs = [];
  });

  afterEach(async () => {
    for (const run of runs) if (run.child.exitCode === null && run.child.signalCode === null) run.child.kill("SIGKILL");
    await Promise.all(runs.map((run) => run.ended));
  });

  function start(args: readonly string[], input?: string, environment: Record<string, string> = {}): CliRun {
    const run = new CliRun(args, input, { TIDEMARK_ADDRESS: server.address, NO_COLOR: "1", ...environment });
    runs.push(run);
    return run;
  }

  const tidemark = (args: readonly string[], input = "", environment: Record<string, string> = {}): Promise<Ended> =>
    within(`tidemark ${args.join(" ")}`, DEADLINE_MS, start(args, input, environment).ended);

  describe("publish", () => {
    it("takes the payload from its argument, from input, or from a file, and prints the offset as JSON", async () => {
      const folder = await mkdtemp(join(tmpdir(), "tidemark-cli-"));
      try {
        const file = join(folder, "payload.bin");
        await writeFile(file, Buffer.from([0xff, 0x00, 0x01]));
        const outcomes = [
          await tidemark(["publish", "sources", "a.b", "from the argument", "-H", "k=v=w", "--key", "lane", "--message-id", "id-1"]),
          await tidemark(["publish", "sources", "a.b"], "from input\n"),
          await tidemark(["publish", "sources", "a.b", "--file", file]),
        ];
        outcomes.forEach(({ code, out, err }, i) => {
          expect(err).to.equal("");
          expect(code).to.equal(0);
          expect(JSON.parse(out)).to.include({ queue: "sources", offset: i + 1, duplicate: false });
        });
      } finally {
        await rm(folder, { recursive: true });
      }
      const { out } = await tidemark(["subscribe", "sources", "--from", "earliest", "--until-head"]);
      const [argument, input, file] = out.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(argument).to.deep.include({ payload: "from the argument", headers: { k: "v=w" }, ordering_key: "lane", message_id: "id-1", event: "a.b" });
      expect(input).to.include({ payload: "from input\n" });
      expect(file).to.include({ payload_base64: "/wAB" }).and.not.have.property("payload");
    });

    it("stores a message id once", async () => {
      const publish = ["publish", "once", "a.b", "x", "--message-id", "m"];
      await tidemark(publish);
      expect(JSON.parse((await tidemark(publish)).out)).to.include({ offset: 1, duplicate: true });
    });

    it("makes a message of each line of input, in order", async () => {
      const count = 3_000;
      const run = await tidemark(["publish", "lines", "a.b", "--lines"], Array.from({ length: count }, (_, i) => `line ${i}\n`).join(""));
      expect(run.code).to.equal(0);
      const offsets = run.out.trim().split("\n").map((line) => (JSON.parse(line) as { offset: number }).offset);
      expect(offsets).to.deep.equal(Array.from({ length: count }, (_, i) => i + 1));
      const { out } = await tidemark(["subscribe", "lines", "--from", String(count - 1), "--count", "2"]);
      expect(out.trim().split("\n").map((line) => (JSON.parse(line) as { payload: string }).payload)).to.deep.equal([`line ${count - 2}`, `line ${count - 1}`]);
    });

    it("publishes a line as soon as it comes, and does not wait for the end of the input", async () => {
      const run = start(["publish", "live", "a.b", "--lines"]);
      run.child.stdin?.write("first\n");
      await until("the offset of the first line", DEADLINE_MS, () => run.lines.length === 1);
      run.child.stdin?.end("second");
      expect((await run.ended).code).to.equal(0);
      expect(run.lines.map(({ offset }) => offset)).to.deep.equal([1, 2]);
    });

    it("stops at the first line that is refused, and says how far it came", async () => {
      const large = "x".repeat(1024 * 1024);
      const run = await tidemark(["publish", "broken", "a.b", "--lines"], `one\ntwo\n${large}\n`);
      expect(run.code).to.equal(1);
      expect(run.err).to.match(/2 messages published before this failure, the last one is #2\ntidemark: .*1048576.*\(MESSAGE_TOO_LARGE\)\n$/s);
    });
  });

  describe("subscribe", () => {
    it("remembers what it has shown under a name", async () => {
      await tidemark(["publish", "named", "a.b", "--lines"], "1\n2\n3\n");
      const subscribe = ["subscribe", "named", "--subscriber", "s", "--count"];
      const payloads = ({ out }: Ended): unknown[] => out.trim().split("\n").map((line) => (JSON.parse(line) as { payload: string }).payload);
      expect(payloads(await tidemark([...subscribe, "2"]))).to.deep.equal(["1", "2"]);
      expect(payloads(await tidemark([...subscribe, "1"]))).to.deep.equal(["3"]);
      expect((await tidemark(["subscribe", "named", "--subscriber", "s", "--until-head"])).out).to.equal("");
    });

    it("takes the events that it is told, and only those", async () => {
      for (const event of ["order.created", "order.paid", "stock.low"]) await tidemark(["publish", "events", event, event]);
      const { out } = await tidemark(["subscribe", "events", "order.*", "--from", "earliest", "--until-head"]);
      expect(out.trim().split("\n").map((line) => (JSON.parse(line) as { event: string }).event)).to.deep.equal(["order.created", "order.paid"]);
    });

    it("leaves messages where they are with --no-ack", async () => {
      await tidemark(["publish", "peek", "a.b", "--lines"], "1\n2\n");
      const peek = ["subscribe", "peek", "--subscriber", "s", "--no-ack", "--count", "2"];
      const first = await tidemark(peek);
      expect(first.out.trim().split("\n")).to.have.length(2);
      const second = (await tidemark(peek)).out.trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
      expect(second.map(({ attempt, delivery_count: deliveries, cause }) => [attempt, deliveries, cause])).to.deep.equal([[1, 1, "RELEASED"], [1, 1, "RELEASED"]]);
    });

    it("works alone with --exclusive: another one stands by, and takes over when it leaves", async () => {
      const stubs = await server.connect();
      const command = ["subscribe", "alone", "--subscriber", "ledger", "--exclusive"];
      const first = start(command);
      await until("the first is there", DEADLINE_MS, async () => (await tidemark(["client", "list", "--queue", "alone"])).out.includes('"standby":false'));
      const second = start(command);
      await until("the second stands by", DEADLINE_MS, async () => (await tidemark(["client", "list", "--queue", "alone"])).out.includes('"sharing":"EXCLUSIVE","standby":true'));
      await stubs.publish("alone", { event: "a.b" });
      await until("the first has shown it", DEADLINE_MS, () => first.lines.length === 1);
      first.child.kill("SIGINT");
      expect((await first.ended).code).to.equal(0);
      await stubs.publish("alone", { event: "a.b" });
      await until("the second has shown the next", DEADLINE_MS, () => second.lines.length === 1);
      expect(second.lines[0]).to.include({ offset: 2 });
      const shared = await tidemark(["subscribe", "alone", "--subscriber", "ledger", "--count", "1"]);
      expect(shared.code).to.not.equal(0);
      expect(shared.err).to.contain("SHARING_EXCLUSIVE");
    });

    it("leaves no lease behind on Ctrl-C, and takes that for no failure", async () => {
      await tidemark(["publish", "leave", "a.b", "--lines"], "1\n2\n");
      const run = start(["subscribe", "leave", "--subscriber", "s"]);
      await until("both messages", DEADLINE_MS, () => run.lines.length === 2);
      run.child.kill("SIGINT");
      expect(await within("the end", DEADLINE_MS, run.ended)).to.include({ code: 0, signal: null, err: "" });
      const stubs = await server.connect();
      expect(await stubs.subscriber("leave", "s")).to.include({ inFlightCount: 0n, committedOffset: 2n });
    });

    it("ends quietly when its reader goes away, and acks nothing that nobody read", async () => {
      await tidemark(["publish", "reader", "a.b", "--lines"], Array.from({ length: 2_000 }, (_, i) => `${i} ${"x".repeat(200)}\n`).join(""));
      const run = start(["subscribe", "reader", "--subscriber", "s"]);
      await until("something to read", DEADLINE_MS, () => run.out !== "");
      run.child.stdout?.destroy();
      // Whatever comes next finds the pipe broken.
      await tidemark(["publish", "reader", "a.b", "one more"]);
      expect(await within("the end", DEADLINE_MS, run.ended)).to.include({ code: 0, signal: null, err: "" });
      const stubs = await server.connect();
      const { inFlightCount, backlogCount } = await stubs.subscriber("reader", "s");
      expect(inFlightCount).to.equal(0n);
      expect(Number(backlogCount)).to.be.greaterThan(0);
    });
  });

  describe("config", () => {
    it("shows what flags, environment and file amount to", async () => {
      const folder = await mkdtemp(join(tmpdir(), "tidemark-config-"));
      try {
        const file = join(folder, "server.json");
        await writeFile(file, '{"logLevel":"error","shutdownGraceMs":1,"engine":"memory"}');
        const { code, out, err } = await tidemark(["config", "--log-level", "warn"], "", { TIDEMARK_CONFIG: file, TIDEMARK_SHUTDOWN_GRACE_MS: "2" });
        expect({ code, err }).to.deep.equal({ code: 0, err: "" });
        const settings = JSON.parse(out) as Record<string, unknown>;
        expect(settings).to.deep.include({
          logLevel: { value: "warn", origin: "flag", said: "--log-level" },
          shutdownGraceMs: { value: 2, origin: "environment", said: "TIDEMARK_SHUTDOWN_GRACE_MS in the environment" },
          engine: { value: "memory", origin: "file", said: `engine in ${file}` },
          autoCreateQueues: { value: true, origin: "default", said: "the default" },
        });
        await writeFile(file, '{"listn":"x"}');
        for (const command of ["config", "serve"]) {
          const refused = await tidemark([command, "--config", file]);
          expect(refused.code).to.equal(2);
          expect(refused.err).to.match(/^tidemark: listn in .*server\.json is "x"; allowed: .*listen.*\n$/);
        }
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it("says which file cannot be read", async () => {
      const { code, err } = await tidemark(["config", "--config", "/no/such/file"]);
      expect(code).to.equal(2);
      expect(err).to.match(/^tidemark: the configuration file \/no\/such\/file cannot be read: .*\n$/);
    });
  });

  describe("serve", () => {
    it("says in one line where it listens and how it stores, and stops with 0 on SIGTERM", async () => {
      const data = await temporaryDataDir();
      try {
        const run = start(["serve", "--listen", "127.0.0.1:0", "--data", data.path]);
        await until("the start line", DEADLINE_MS, () => run.err.includes("\n"));
        const line = JSON.parse(run.err.split("\n")[0] ?? "") as Record<string, string>;
        expect(line).to.include({ dataDirectory: data.path, durability: "FSYNC" });
        expect(line.address).to.match(/^127\.0\.0\.1:[1-9]\d*$/);
        const published = await tidemark(["publish", "q", "e", "x", "--address", line.address ?? ""]);
        expect(JSON.parse(published.out)).to.include({ offset: 1 });

        const second = await tidemark(["serve", "--listen", "127.0.0.1:0", "--data", data.path]);
        expect(second.code).to.equal(1);
        expect(second.err).to.match(new RegExp(`^tidemark: cannot serve: .*${run.child.pid}`));

        run.child.kill("SIGTERM");
        expect(await within("the stop", DEADLINE_MS, run.ended)).to.include({ code: 0, signal: null });
      } finally {
        await data.remove();
      }
    });

    it("says in one line why it cannot start", async () => {
      const taken = await tidemark(["serve", "--memory", "--listen", server.address]);
      expect(taken).to.include({ code: 1 });
      expect(taken.err).to.equal(`tidemark: cannot serve: cannot listen on ${server.address}: another program does already; stop that, or choose another address with --listen\n`);
      expect(await tidemark(["serve", "--listen", "0.0.0.0:0"])).to.include({ code: 2 });
      expect((await tidemark(["serve", "--listen", "0.0.0.0:0"])).err).to.match(/^tidemark: --listen is "0\.0\.0\.0:0".*--insecure-allow-remote.*\n$/);
      expect((await tidemark(["serve", "--shutdown-grace-ms", "60000"])).err).to.match(/^tidemark: --shutdown-grace-ms is 60000; allowed: .*8000\n$/);
    });
  });

  it("tells how to start a broker when there is none", async () => {
    const commands = [["publish", "q", "e", "x"], ["publish", "q", "e", "--lines"], ["subscribe", "q"]];
    for (const run of await Promise.all(commands.map((args) => tidemark([...args, "--address", "127.0.0.1:1"])))) {
      expect(run).to.deep.include({ code: 1, out: "" });
      expect(run.err).to.equal('tidemark: no broker answers at 127.0.0.1:1; start one with "tidemark serve", or name another with --address host:port\n');
    }
  });

  it("tells a port where something else listens from one where nothing does", async () => {
    const web = createServer((_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
    try {
      const address = `127.0.0.1:${(web.address() as AddressInfo).port}`;
      const run = await tidemark(["queue", "list", "--address", address]);
      expect(run).to.deep.include({ code: 1, out: "" });
      expect(run.err).to.match(new RegExp(`^tidemark: something listens at ${address}, but it does not answer as a broker does: .*--address host:port\n$`));
    } finally {
      web.closeAllConnections();
      web.close();
    }
  });

  it("answers misuse with one line and exit code 2", async () => {
    const cases: [string[], RegExp][] = [
      [["publish", "q"], /^tidemark: missing required argument 'event'\n\(--help says what it takes\)\n$/],
      [["publish", "q", "e", "x", "--file", "f"], /^tidemark: the payload is given twice/],
      [["publish", "q", "e", "--lines", "--message-id", "m"], /^tidemark: --message-id names one message/],
      [["publish", "q", "e", "x", "-H", "novalue"], /^tidemark: .*name=value/],
      [["subscribe", "q", "--from", "tomorrow"], /^tidemark: .*earliest, latest/],
      [["subscribe", "q", "--count", "0"], /^tidemark: .*whole number/],
      [["subscribe", "q", "--no-ack", "--until-head"], /^tidemark: --until-head waits/],
      [["subscribe", "q", "--exclusive"], /^tidemark: --exclusive is for a durable name/],
      [["sbscribe", "q"], /^tidemark: unknown command 'sbscribe'\n\(Did you mean subscribe\?\)\n\(--help says what it takes\)\n$/],
      [["queue", "list", "--address", "localhost"], /^tidemark: .*must be host:port/],
    ];
    const outcomes = await Promise.all(cases.map(([args]) => tidemark(args)));
    cases.forEach(([args, words], i) => {
      expect(outcomes[i], args.join(" ")).to.include({ code: 2, out: "" });
      expect(outcomes[i]?.err, args.join(" ")).to.match(words);
    });
  });

  it("passes on what the broker refuses, in one line with its reason", async () => {
    await tidemark(["subscribe", "refused", "a.*", "--subscriber", "s", "--until-head"]);
    const other = await tidemark(["subscribe", "refused", "b.*", "--subscriber", "s"]);
    expect(other.code).to.equal(1);
    expect(other.err).to.match(/^tidemark: .*take another --subscriber\n$/);
    expect((await tidemark(["publish", "no queue", "e", "x"])).err).to.match(/^tidemark: .*no queue.*\(INVALID_FIELD\)\n$/);
    expect((await tidemark(["publish", "q", "e", "--file", "/nowhere/at/all"])).err).to.match(/^tidemark: cannot read \/nowhere\/at\/all: ENOENT.*\n$/);
  });

  it("knows its version, and helps with examples", async () => {
    const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
    expect(await tidemark(["--version"])).to.include({ code: 0, out: `${version}\n`, err: "" });
    const commands = [[], ["serve"], ["config"], ["publish"], ["subscribe"], ["queue"], ["subscriber"], ["client"]];
    const helps = await Promise.all(commands.map((command) => tidemark([...command, "--help"])));
    commands.forEach(([command = "serve"], i) => {
      expect(helps[i]).to.include({ code: 0, err: "" });
      expect(helps[i]?.out).to.include("Examples:").and.include(`tidemark ${command}`);
    });
  });
});
