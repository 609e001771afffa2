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
import { LoadPuller } from "./load-puller.js";
import { LoadSubscriber } from "./load-subscriber.js";
import { batchRoute, StreamRoute, unaryRoute } from "./publish-route.js";
import { Recording } from "./recording.js";

const QUEUE = "load";
const ORDERED_QUEUE = "lanes";
/** Few, so that lanes are long; the empty one is the lane of messages without a key. */
const ORDERING_KEYS = ["", "a", "b", "c", "d", "e", "f", "g"] as const;
const KILLS = Number(process.env["TIDEMARK_KILLS"] ?? 50);
/** This share of the lives ends inside a commit: strace kills the server as it enters an fdatasync. */
const COMMIT_KILL_SHARE = 0.3;
const LIFE_MS_MIN = 5;
const LIFE_MS_MAX = 1_500;
/** strace counts the fdatasyncs of each thread by itself; the first few belong to opening the store. */
const COMMIT_MIN = 3;
const COMMIT_MAX = 30;
const COMMIT_LIFE_MS_MAX = 4_000;
const DRAIN_MS_MAX = 60_000;
/** A life and the start before it take three seconds on a busy machine. */
const RUN_MS_MAX = 5 * 60_000 + KILLS * 6_000;

/** Kills the server as one of its threads enters its k-th fdatasync, without becoming its parent: the process id stays the server's own. */
function killedInCommit(k: number): readonly string[] {
  return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", `inject=fdatasync:signal=KILL:when=${k}`];
}

describe("a server that is killed at random", () => {
  const random = SeededRandom.fromEnvironment();
  const recording = new Recording();
  const ordered = new Recording();
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
  async function liveAndDie(kill: number, dice: SeededRandom): Promise<void> {
    // Evenly spread, so that no seed has too few.
    const inCommit = Math.floor((kill + 1) * COMMIT_KILL_SHARE) > Math.floor(kill * COMMIT_KILL_SHARE);
    const lifeMs = inCommit ? COMMIT_LIFE_MS_MAX : dice.between(LIFE_MS_MIN, LIFE_MS_MAX);
    await start(inCommit ? killedInCommit(dice.between(COMMIT_MIN, COMMIT_MAX)) : []);
    await Promise.race([delay(lifeMs), server.exited]);
    if (server.running) await killNow();
    else {
      expect((await server.exited).signal, server.lastOutput).to.equal("SIGKILL");
      killsInCommit++;
      noteKill(recording.unanswered + ordered.unanswered);
    }
  }

  function noteKill(unanswered: number): void {
    for (const one of [recording, ordered]) one.add({ type: "server_killed", unanswered });
  }

  /** The server that runs already is the first to die; the last one stays. */
  async function liveAndDieOften(dice: SeededRandom): Promise<void> {
    await delay(dice.between(LIFE_MS_MIN, LIFE_MS_MAX));
    await killNow();
    for (let kill = 1; kill < KILLS && !isOver; kill++) await liveAndDie(kill, dice);
    await start();
  }

  async function killNow(): Promise<void> {
    const unanswered = recording.unanswered + ordered.unanswered;
    const gone = server.kill();
    noteKill(unanswered);
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

  /** They share a subscriber, and have no stream. */
  function pullers(stubs: readonly Stubs[]): LoadPuller[] {
    return stubs.map((one) => new LoadPuller({ subscriber: "cron", queue: QUEUE, stubs: one, recording, random: random.fork() }));
  }

  function orderedPublishers(stubs: readonly Stubs[]): LoadPublisher[] {
    const [unary, stream] = stubs.map((one) => ({ stubs: one, recording: ordered, random: random.fork(), withIds: true, orderingKeys: ORDERING_KEYS }));
    return [
      new LoadPublisher({ ...unary!, name: "lanes-unary", route: unaryRoute(unary!.stubs, ORDERED_QUEUE), concurrency: 3, messagesPerFrame: 1 }),
      new LoadPublisher({ ...stream!, name: "lanes-stream", route: new StreamRoute(stream!.stubs, ORDERED_QUEUE), concurrency: 3, messagesPerFrame: 4 }),
    ];
  }

  function orderedSubscribers(stubs: readonly Stubs[]): LoadSubscriber[] {
    const some = ["order.**", "stock.low"];
    const clients = [
      { subscriber: "single", events: [], leaves: false, laneDepth: 1 },
      { subscriber: "single", events: [], leaves: true, laneDepth: 1 },
      { subscriber: "deep", events: some, leaves: false, laneDepth: 10 },
      { subscriber: "deep", events: some, leaves: true, laneDepth: 3 },
    ];
    return clients.map((client, i) => new LoadSubscriber({ ...client, queue: ORDERED_QUEUE, stubs: stubs[i]!, recording: ordered, random: random.fork() }));
  }

  /** Waits until these subscribers have settled everything, then until all of it is deleted. Answers how many reached the head. */
  async function drained(stubs: Stubs, queue: string, names: readonly string[]): Promise<number> {
    const head = (await stubs.queue(queue)).headOffset;
    for (const name of names) {
      await until(`${name} reaches the head of ${queue} at ${head}`, DRAIN_MS_MAX, async () => {
        const { committedOffset, backlogCount } = await stubs.subscriber(queue, name);
        return committedOffset === head && backlogCount === 0n;
      });
    }
    await until("what everybody settled is deleted", DRAIN_MS_MAX, async () => (await stubs.queue(queue)).messageCount === 0n);
    return names.length;
  }

  it(`keeps its promises through ${KILLS} kills under load`, async () => {
    console.log(`      TIDEMARK_SEED=${random.seed} TIDEMARK_KILLS=${KILLS}`);
    await start();
    if (address === undefined) throw new Error("the server has no address");
    const stubs = Array.from({ length: 17 }, () => new Stubs(address ?? ""));
    const [control] = stubs;
    await control!.ready();
    await control!.createOrderedQueue(ORDERED_QUEUE);
    const load = [...publishers(stubs.slice(1, 5)), ...orderedPublishers(stubs.slice(9, 11))];
    const consumers = [...subscribers(stubs.slice(5, 9)), ...orderedSubscribers(stubs.slice(11, 15)), ...pullers(stubs.slice(15))];
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
    const drains = drained(control!, QUEUE, ["everything", "orders", "traveller", "cron"]);
    const orderedDrains = drained(control!, ORDERED_QUEUE, ["single", "deep"]);
    const drainsToHead = await Promise.race([Promise.all([drains, orderedDrains]).then(([one, other]) => one + other), failure.then(() => 0)]);
    const counted = [
      ...(await deadLetterBounds(control!, QUEUE, recording, ["everything", "orders", "traveller", "cron"])),
      ...(await deadLetterBounds(control!, ORDERED_QUEUE, ordered, ["single", "deep"])),
    ];
    for (const consumer of consumers) consumer.stop();
    await within("every subscriber stops", DRAIN_MS_MAX, consuming);
    for (const one of stubs) one.close();

    const summary = summarize(recording.events);
    const inLanes = summarize(ordered.events);
    console.log(`      ${JSON.stringify({ ...summary, killsInCommit, drainsToHead, longestAbsenceMs: Math.max(recording.longestAbsenceMs, ordered.longestAbsenceMs) })}`);
    console.log(`      in lanes: ${JSON.stringify(inLanes)}`);
    expect(checkHistory(recording.events).slice(0, 20)).to.deep.equal([]);
    expect(checkHistory(ordered.events).slice(0, 20)).to.deep.equal([]);
    for (const { name, stored, least, most } of counted) expect(stored, `dead letters of ${name}`).to.be.within(least, most);

    // A run in which nothing happened proves nothing. A slow machine does a tenth of what a quiet one does, and still passes.
    expect(summary.kills).to.equal(KILLS);
    expect(killsInCommit, "kills inside a commit").to.be.at.least(Math.floor(KILLS / 10));
    expect(summary.killsWithUnanswered, "kills with publishes on their way").to.be.at.least(Math.floor(KILLS / 5));
    expect(summary.answeredAsDuplicate + inLanes.answeredAsDuplicate, "answers that only a retry got").to.be.at.least(1);
    expect(drainsToHead, "subscribers that reached the head").to.equal(6);
    expect(summary.answered, "answered publishes").to.be.at.least(20 * KILLS);
    expect(summary.confirmedAcks, "confirmed acks").to.be.at.least(20 * KILLS);
    expect(summary.redeliveries, "redeliveries").to.be.at.least(KILLS);
    expect(summary.countedRedeliveries, "redeliveries with a count").to.be.at.least(1);
    expect(summary.countsOverKills + inLanes.countsOverKills, "counts that outlived a kill").to.be.at.least(Math.floor(KILLS / 10));
    expect(summary.retriedAttempts, "retried attempts").to.be.at.least(1);
    expect(inLanes.answered, "answered publishes with a key").to.be.at.least(10 * KILLS);
    expect(inLanes.confirmedAcks, "confirmed acks in lanes").to.be.at.least(10 * KILLS);
    expect(inLanes.countedRedeliveries, "redeliveries with a count in lanes").to.be.at.least(1);
    expect(inLanes.retriedAttempts, "retried attempts in lanes").to.be.at.least(Math.floor(KILLS / 4));
    expect(inLanes.recalls, "recalls").to.be.at.least(Math.floor(KILLS / 10));
    expect(inLanes.deepHandOuts, "hand-outs behind one in flight").to.be.at.least(3 * KILLS);
    expect(inLanes.lanesWithRedeliveries, "lanes in which a message came again").to.equal(2 * ORDERING_KEYS.length);
  }).timeout(RUN_MS_MAX);

  /** How many dead letters each subscriber has, and between which numbers that must lie: confirmed rejects and rejects sent. */
  async function deadLetterBounds(stubs: Stubs, queue: string, seen: Recording, names: readonly string[]): Promise<{ name: string; stored: number; least: number; most: number }[]> {
    return Promise.all(
      names.map(async (name) => {
        const { sent, confirmed } = rejectsOf(seen.events, name);
        return { name, stored: Number((await stubs.subscriber(queue, name)).deadLetterCount), least: confirmed.size, most: sent.size };
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
