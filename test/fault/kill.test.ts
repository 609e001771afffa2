import { spawnSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { until, within } from "../support/condition.js";
import { summarize } from "../support/history.js";
import type { HistoryEvent } from "../support/history.js";
import { checkHistory } from "../support/history-checker.js";
import { SeededRandom } from "../support/seeded-random.js";
import { ServerProcess, temporaryDataDir } from "../support/server-process.js";
import { Stubs } from "../support/stubs.js";
import { LoadPublisher } from "./load-publisher.js";
import { LoadSubscriber } from "./load-subscriber.js";
import { batchRoute, StreamRoute, unaryRoute } from "./publish-route.js";
import { Recording } from "./recording.js";

const QUEUE = "load";
const KILLS = Number(process.env["TIDEMARK_KILLS"] ?? 50);
/** Of so many lives, one ends inside a commit: strace kills the server as it enters an fdatasync. */
const COMMIT_KILL_SHARE = 0.3;
const LIFE_MS_MIN = 5;
const LIFE_MS_MAX = 1_500;
/** strace counts the fdatasyncs of each thread by itself; the first few belong to opening the store. */
const COMMIT_MIN = 3;
const COMMIT_MAX = 30;
const COMMIT_LIFE_MS_MAX = 4_000;
const DRAIN_MS_MAX = 60_000;

/** Kills the server as one of its threads enters its k-th fdatasync, without becoming its parent: the process id stays the server's own. */
function killedInCommit(k: number): readonly string[] {
  return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", `inject=fdatasync:signal=KILL:when=${k}`];
}

describe("a server that is killed at random", () => {
  const random = SeededRandom.fromEnvironment();
  const recording = new Recording();
  let dataDir: Awaited<ReturnType<typeof temporaryDataDir>>;
  let server: ServerProcess;
  let address: string | undefined;
  let killsInCommit = 0;
  let lives: Promise<void> = Promise.resolve();
  let isOver = false;

  before(async () => {
    if (spawnSync("strace", ["-V"]).status !== 0) {
      throw new Error("this suite kills the server inside its commits with strace, which is missing: apt-get install strace");
    }
    dataDir = await temporaryDataDir();
  });

  after(async () => {
    isOver = true;
    await lives;
    if (server.running) await server.kill();
    await dataDir.remove();
  });

  async function start(wrapper: readonly string[] = []): Promise<void> {
    server = await ServerProcess.start({ dataDir: dataDir.path, wrapper, ...(address === undefined ? {} : { listen: address }) });
    ({ address } = server);
  }

  /** One life of the server: from its start to its sudden end. */
  async function liveAndDie(dice: SeededRandom): Promise<void> {
    const inCommit = dice.chance(COMMIT_KILL_SHARE);
    const lifeMs = inCommit ? COMMIT_LIFE_MS_MAX : dice.between(LIFE_MS_MIN, LIFE_MS_MAX);
    await start(inCommit ? killedInCommit(dice.between(COMMIT_MIN, COMMIT_MAX)) : []);
    await Promise.race([delay(lifeMs), server.exited]);
    if (server.running) await killNow();
    else {
      expect((await server.exited).signal, server.lastOutput).to.equal("SIGKILL");
      killsInCommit++;
      recording.add({ type: "server_killed", unanswered: recording.unanswered });
    }
  }

  /** The server that runs already is the first to die; the last one stays. */
  async function liveAndDieOften(dice: SeededRandom): Promise<void> {
    await delay(dice.between(LIFE_MS_MIN, LIFE_MS_MAX));
    await killNow();
    for (let kill = 1; kill < KILLS && !isOver; kill++) await liveAndDie(dice);
    await start();
  }

  async function killNow(): Promise<void> {
    const { unanswered } = recording;
    const gone = server.kill();
    recording.add({ type: "server_killed", unanswered });
    expect((await gone).signal, server.lastOutput).to.equal("SIGKILL");
  }

  function publishers(stubs: readonly Stubs[]): LoadPublisher[] {
    const [unary, batch, stream, plain] = stubs.map((one) => ({ stubs: one, recording, random: random.fork() }));
    return [
      new LoadPublisher({ ...unary!, name: "unary", route: unaryRoute(unary!.stubs, QUEUE), concurrency: 4, messagesPerFrame: 1, withIds: true }),
      new LoadPublisher({ ...batch!, name: "batch", route: batchRoute(batch!.stubs, QUEUE), concurrency: 2, messagesPerFrame: 5, withIds: true }),
      new LoadPublisher({ ...stream!, name: "stream", route: new StreamRoute(stream!.stubs, QUEUE), concurrency: 4, messagesPerFrame: 3, withIds: true }),
      new LoadPublisher({ ...plain!, name: "plain", route: unaryRoute(plain!.stubs, QUEUE), concurrency: 2, messagesPerFrame: 1, withIds: false }),
    ];
  }

  function subscribers(stubs: readonly Stubs[]): LoadSubscriber[] {
    const clients = [
      { subscriber: "everything", events: [], leaves: false },
      { subscriber: "everything", events: [], leaves: false },
      { subscriber: "orders", events: ["order.*"], leaves: false },
      { subscriber: "traveller", events: ["order.**", "stock.low"], leaves: true },
    ];
    return clients.map((client, i) => new LoadSubscriber({ ...client, queue: QUEUE, stubs: stubs[i]!, recording, random: random.fork() }));
  }

  /** Waits until every subscriber has settled everything, then until all of it is deleted. */
  async function drained(stubs: Stubs): Promise<void> {
    const head = (await stubs.queue(QUEUE)).headOffset;
    for (const name of ["everything", "orders", "traveller"]) {
      await until(`${name} reaches the head at ${head}`, DRAIN_MS_MAX, async () => {
        const { committedOffset, backlogCount } = await stubs.subscriber(QUEUE, name);
        return committedOffset === head && backlogCount === 0n;
      });
    }
    await until("what everybody settled is deleted", DRAIN_MS_MAX, async () => (await stubs.queue(QUEUE)).messageCount === 0n);
  }

  it(`keeps its promises through ${KILLS} kills under load`, async () => {
    console.log(`      TIDEMARK_SEED=${random.seed} TIDEMARK_KILLS=${KILLS}`);
    await start();
    if (address === undefined) throw new Error("the server has no address");
    const stubs = Array.from({ length: 9 }, () => new Stubs(address ?? ""));
    const [control] = stubs;
    const load = publishers(stubs.slice(1, 5));
    const consumers = subscribers(stubs.slice(5));
    const publishing = Promise.all(load.map((publisher) => publisher.run()));
    const consuming = Promise.all(consumers.map((subscriber) => subscriber.run()));
    // A failure in the load ends the test at once, not after the last kill.
    const failure = Promise.all([publishing, consuming]).then(() => undefined);

    lives = liveAndDieOften(random.fork());
    await Promise.race([lives, failure]);
    await lives;

    for (const publisher of load) publisher.stop();
    await within("every publisher has its answers", DRAIN_MS_MAX, publishing);
    for (const consumer of consumers) consumer.drain();
    await Promise.race([drained(control!), failure]);
    const counted = await deadLetterBounds(control!);
    for (const consumer of consumers) consumer.stop();
    await within("every subscriber stops", DRAIN_MS_MAX, consuming);
    for (const one of stubs) one.close();

    const summary = summarize(recording.events);
    console.log(`      ${JSON.stringify({ ...summary, killsInCommit })}`);
    expect(checkHistory(recording.events).slice(0, 20)).to.deep.equal([]);
    for (const { name, stored, least, most } of counted) expect(stored, `dead letters of ${name}`).to.be.within(least, most);

    // A run in which nothing happened proves nothing.
    expect(summary.kills).to.equal(KILLS);
    expect(killsInCommit, "kills inside a commit").to.be.at.least(Math.floor(KILLS / 10));
    expect(summary.answered, "answered publishes").to.be.at.least(40 * KILLS);
    expect(summary.confirmedAcks, "confirmed acks").to.be.at.least(40 * KILLS);
    expect(summary.redeliveries, "redeliveries").to.be.at.least(KILLS);
    expect(summary.countedRedeliveries, "redeliveries with a count").to.be.at.least(1);
    expect(summary.retriedAttempts, "retried attempts").to.be.at.least(1);
    expect(summary.killsWithUnanswered, "kills with publishes on their way").to.be.at.least(Math.floor(KILLS / 4));
    expect(summary.answeredAsDuplicate, "answers that only a retry got").to.be.at.least(1);
  });

  /** How many dead letters each subscriber has, and between which numbers that must lie: confirmed rejects and rejects sent. */
  async function deadLetterBounds(stubs: Stubs): Promise<{ name: string; stored: number; least: number; most: number }[]> {
    const names = ["everything", "orders", "traveller"];
    return Promise.all(
      names.map(async (name) => {
        const { sent, confirmed } = rejectsOf(recording.events, name);
        return { name, stored: Number((await stubs.subscriber(QUEUE, name)).deadLetterCount), least: confirmed.size, most: sent.size };
      }),
    );
  }
});

function rejectsOf(history: readonly HistoryEvent[], subscriber: string): { sent: Set<number>; confirmed: Set<number> } {
  const sent = new Set<number>();
  const confirmed = new Set<number>();
  const open = new Map<string, readonly number[]>();
  for (const event of history) {
    if (event.type === "settle_sent" && event.verdict === "reject" && event.session.startsWith(`${subscriber}.`)) {
      open.set(`${event.session} ${event.requestId}`, event.offsets);
      for (const offset of event.offsets) sent.add(offset);
    } else if (event.type === "settle_confirmed") {
      const offsets = open.get(`${event.session} ${event.requestId}`) ?? [];
      for (const offset of offsets) if (!event.failed.includes(offset)) confirmed.add(offset);
    }
  }
  return { sent, confirmed };
}
