import { BrokerError } from "../core/errors.js";
import type { OpenSession, SessionId, Settlement } from "../core/session.js";
import { monotonicMs } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import type { Clock } from "../ports/clock.js";
import type { Durability, Engine } from "../ports/engine.js";
import type { Journal } from "../ports/journal.js";
import type { Random } from "../ports/random.js";
import type { BrokerView, QueueView, Telemetry } from "../ports/telemetry.js";
import type { Turns } from "../ports/turns.js";
import type { BrokerApi, PublishFrame, PublishOutcome, PurgeOutcome, PurgeRequest, QueueInfo, QueueSettings, QueueUpdate, ServerFacts, SessionSink } from "./api.js";
import type { ClientFilter, ClientInfo, ClientWatch } from "./client-api.js";
import { ClientRegistry } from "./client-registry.js";
import type { DeadLetterChoice, DeletionOutcome, ReplayOutcome } from "./dead-letter-api.js";
import type { DeadLetterPage, DeadLetterQuery } from "./dead-letter-list.js";
import type { EventInfo } from "./event-list.js";
import type { MessageExplanation, SubscriberExplanation } from "./explanation-api.js";
import type { LiveSession } from "./live-session.js";
import type { PeekPage, PeekQuery } from "./peek.js";
import type { PullCall, PullOrder, SettleAnswer } from "./pull-api.js";
import { PullSessions } from "./pull-sessions.js";
import type { Queue } from "./queue.js";
import { QueueRegistry } from "./queue-registry.js";
import type { ScheduledInfo, ScheduledPage, ScheduledQuery } from "./schedule-api.js";
import { Scheduler } from "./scheduler.js";
import { SharedTurns } from "./shared-turns.js";
import type { SeekOutcome, SeekRequest } from "./seek-api.js";
import { drainingError, endWith, RECONNECT_AFTER_MS } from "./session-end.js";
import type { BrokerSettings } from "./settings.js";
import type { NewSubscriber, SubscriberInfo, SubscriberUpdate } from "./subscriber-api.js";
import { TailCache } from "./tail-cache.js";
import { WaitingPublishes } from "./waiting-publishes.js";

/** Newest messages kept in memory for live subscribers, over all queues. */
const TAIL_BYTES_MAX = 16 * 1024 * 1024;
/** Open sessions of one process: each costs some kilobytes, and a stream of the transport. */
const SESSIONS_MAX = 20_000;
/** How long the last commit may take when the broker stops, after its sessions have ended. */
const LAST_COMMIT_MS = 5_000;

/** What a broker is made of. */
export interface BrokerParts {
  /** Open, and not shared with another broker. It stays open when the broker stops. */
  readonly engine: Engine;
  readonly clock: Clock;
  readonly turns: Turns;
  readonly random: Random;
  readonly journal: Journal;
  readonly telemetry: Telemetry;
  readonly settings: BrokerSettings;
}

/** The broker without a transport: queues, publishers, subscribers, on one engine. */
export class Broker implements BrokerApi, BrokerView {
  readonly durability: Durability;
  private readonly startTimeMs: WallMs;
  private readonly scheduler: Scheduler;
  private readonly clients: ClientRegistry;
  private readonly queues: QueueRegistry;
  private readonly pulls: PullSessions;
  private readonly waiting = new Map<string, WaitingPublishes>();
  private opening = 0;
  private stopping: Promise<void> | undefined;

  constructor(private readonly parts: BrokerParts) {
    const { engine, clock, turns, random, journal, telemetry, settings } = parts;
    this.durability = engine.durability;
    this.startTimeMs = clock.wall();
    this.scheduler = new Scheduler(clock);
    this.clients = new ClientRegistry(clock, turns, SESSIONS_MAX);
    this.queues = new QueueRegistry({
      ...{ engine, clock, turns, random, journal, telemetry, settings },
      scheduler: this.scheduler,
      sharedTurns: new SharedTurns(turns),
      tails: new TailCache(TAIL_BYTES_MAX),
      clients: this.clients,
    });
    this.pulls = new PullSessions({ clock, turns, scheduler: this.scheduler }, this.clients, (open, sink) => this.openSession(open, sink));
  }

  /** Loads the catalog. Once, before any other call. Queues that something comes due in are opened, which is not waited for. */
  async start(): Promise<void> {
    await this.queues.load();
    void this.openEach(this.queues.namesWithDueTimes);
  }

  /**
   * Takes no new work, tells every session to go, and waits up to `graceMs` for what they hold to be settled; then gives the
   * rest back uncounted and waits for the last commit. Later calls join the first.
   */
  stop(graceMs: number): Promise<void> {
    this.stopping ??= this.drainAll(graceMs);
    return this.stopping;
  }

  publish(frame: PublishFrame, done: (outcome: PublishOutcome) => void): boolean {
    if (this.stopping !== undefined) {
      this.parts.turns.next(() => {
        done({ ok: false, error: drainingError() });
      });
      return true;
    }
    const waiting = this.waiting.get(frame.queue);
    if (waiting !== undefined) return waiting.publish(frame, done);
    const queue = this.queues.find(frame.queue);
    return queue === undefined ? this.openFor(frame.queue).publish(frame, done) : queue.publish(frame, done);
  }

  whenWritable(queue: string, f: () => void): void {
    const target = this.waiting.get(queue) ?? this.queues.find(queue);
    if (target === undefined) this.parts.turns.next(f);
    else target.whenWritable(f);
  }

  async openSession(open: OpenSession, sink: SessionSink): Promise<LiveSession> {
    this.checkRunning();
    if (this.clients.size + this.opening >= SESSIONS_MAX) {
      throw new BrokerError("SESSION_LIMIT", `the server has ${SESSIONS_MAX} sessions open, as many as it allows: close some`, { limit: String(SESSIONS_MAX) });
    }
    this.opening++;
    try {
      const queue = await this.queues.forSession(open, this.parts.settings.autoCreateQueues);
      this.checkRunning();
      return await queue.openSession(open, sink, () => {
        this.checkRunning();
      });
    } finally {
      this.opening--;
    }
  }

  pull(order: PullOrder): PullCall {
    this.checkRunning();
    return this.pulls.pull(order);
  }

  /** While the broker stops too: what is held is waited for. */
  async settle(session: SessionId, settlement: Settlement): Promise<SettleAnswer> {
    return this.pulls.settle(session, settlement);
  }

  async createQueue(settings: QueueSettings): Promise<QueueInfo> {
    this.checkRunning();
    const queue = await this.queues.create(settings);
    return queue.info();
  }

  async updateQueue(update: QueueUpdate): Promise<QueueInfo> {
    this.checkRunning();
    return (await this.queues.update(update)).info();
  }

  async getQueue(queue: string): Promise<QueueInfo> {
    return (await this.existing(queue)).info();
  }

  async listQueues(after: string | undefined, limit: number): Promise<readonly QueueInfo[]> {
    this.checkRunning();
    const infos: QueueInfo[] = [];
    for (const name of this.queues.names(after, limit)) {
      // It may be deleted while the others are opened.
      if (this.queues.exists(name)) infos.push((await this.queues.get(name, false)).info());
    }
    return infos;
  }

  async deleteQueue(queue: string): Promise<void> {
    this.checkRunning();
    await this.queues.delete(queue);
  }

  async purgeQueue({ queue: name, queueId, throughOffset, dryRun }: PurgeRequest): Promise<PurgeOutcome> {
    const queue = await this.existing(name);
    if (queueId !== "" && queue.id !== queueId) {
      throw new BrokerError("QUEUE_ID_MISMATCH", `queue ${name} is now incarnation ${queue.id}, not ${queueId}; nothing was purged`, { field: "queue_id", value: queueId, queue_id: queue.id });
    }
    const outcome = await queue.purge(throughOffset, dryRun);
    if (!dryRun) this.parts.journal.info("queue purged", { queue: name, queueId: queue.id, ...outcome });
    return outcome;
  }

  async createSubscriber(request: NewSubscriber): Promise<SubscriberInfo> {
    return (await this.existing(request.queue)).createSubscriber(request);
  }

  async updateSubscriber(update: SubscriberUpdate): Promise<SubscriberInfo> {
    return (await this.existing(update.queue)).updateSubscriber(update);
  }

  async seekSubscriber(request: SeekRequest): Promise<SeekOutcome> {
    return (await this.existing(request.queue)).seekSubscriber(request);
  }

  async getSubscriber(queue: string, subscriber: string): Promise<SubscriberInfo> {
    return (await this.existing(queue)).subscriber(subscriber);
  }

  async listSubscribers(queue: string, after: string | undefined, limit: number): Promise<readonly SubscriberInfo[]> {
    return (await this.existing(queue)).listSubscribers(after, limit);
  }

  async deleteSubscriber(queue: string, subscriber: string): Promise<void> {
    await (await this.existing(queue)).deleteSubscriber(subscriber);
  }

  listClients(queue: string | undefined, after: SessionId | undefined, limit: number): readonly ClientInfo[] {
    return this.clients.list(queue, after, limit);
  }

  disconnectClient(session: SessionId, reason: string): ClientInfo {
    this.checkRunning();
    const last = this.clients.disconnect(session, reason);
    this.parts.journal.info("a client was disconnected", { queue: last.queue, subscriber: last.subscriber, session, client: last.clientId, reason });
    return last;
  }

  async explainMessage(queue: string, at: Offset, subscriber: string | undefined): Promise<readonly MessageExplanation[]> {
    return (await this.existing(queue)).explainMessage(at, subscriber);
  }

  async explainSubscriber(queue: string, subscriber: string): Promise<SubscriberExplanation> {
    return (await this.existing(queue)).explainSubscriber(subscriber);
  }

  async listEvents(queue: string, after: string | undefined, limit: number): Promise<readonly EventInfo[]> {
    return (await this.existing(queue)).listEvents(after, limit);
  }

  async peek(queue: string, query: PeekQuery): Promise<PeekPage> {
    return (await this.existing(queue)).peek(query);
  }

  async listDeadLetters(queue: string, subscriber: string, query: DeadLetterQuery): Promise<DeadLetterPage> {
    return (await this.existing(queue)).listDeadLetters(subscriber, query);
  }

  async replayDeadLetters(queue: string, subscriber: string, choice: DeadLetterChoice): Promise<ReplayOutcome> {
    const outcome = await (await this.existing(queue)).replayDeadLetters(subscriber, choice);
    if (!choice.dryRun) this.parts.journal.info("dead letters replayed", { queue, subscriber, ...outcome });
    return outcome;
  }

  async deleteDeadLetters(queue: string, subscriber: string, choice: DeadLetterChoice): Promise<DeletionOutcome> {
    const outcome = await (await this.existing(queue)).deleteDeadLetters(subscriber, choice);
    if (!choice.dryRun) this.parts.journal.info("dead letters deleted", { queue, subscriber, ...outcome });
    return outcome;
  }

  async listScheduled(queue: string, query: ScheduledQuery): Promise<ScheduledPage> {
    return (await this.existing(queue)).schedules.list(query);
  }

  async cancelScheduled(queue: string, id: string): Promise<ScheduledInfo> {
    return (await this.existing(queue)).schedules.cancel(id);
  }

  watchClients(filter: ClientFilter, wake: () => void): ClientWatch {
    this.checkRunning();
    return this.clients.watch(filter, wake);
  }

  /** See BrokerView. */
  get queueCount(): number {
    return this.queues.count;
  }

  /** See BrokerView. */
  get sessionCount(): number {
    return this.clients.size;
  }

  /** See BrokerView. */
  *views(): Iterable<QueueView> {
    for (const queue of this.queues.opened()) yield queue.view();
  }

  /** See QueueRegistry.openEach, of the first `limit` queues by name: what is not open cannot be looked at. */
  openQueues(limit: number): Promise<void> {
    return this.openEach(this.queues.names(undefined, limit));
  }

  serverFacts(): ServerFacts {
    return { engine: this.parts.engine.name, startTimeMs: this.startTimeMs, settings: this.parts.settings };
  }

  private openEach(names: readonly string[]): Promise<void> {
    return this.queues.openEach(names, () => this.stopping === undefined);
  }

  private checkRunning(): void {
    if (this.stopping !== undefined) throw drainingError();
  }

  private existing(name: string): Promise<Queue> {
    this.checkRunning();
    return this.queues.get(name, false);
  }

  /** Opens a queue for its publishers, who wait in line. */
  private openFor(name: string): WaitingPublishes {
    const waiting = new WaitingPublishes(this.parts.turns);
    this.waiting.set(name, waiting);
    this.queues.get(name, this.parts.settings.autoCreateQueues).then(
      (queue) => {
        this.waiting.delete(name);
        if (this.stopping === undefined) waiting.handTo(queue);
        else waiting.refuse(drainingError());
      },
      (error: unknown) => {
        this.waiting.delete(name);
        if (!(error instanceof BrokerError)) this.parts.journal.error("a queue cannot be opened", { queue: name, error });
        waiting.refuse(error instanceof BrokerError ? error : new BrokerError("INTERNAL", `queue ${name} cannot be opened`));
      },
    );
    return waiting;
  }

  private async drainAll(graceMs: number): Promise<void> {
    const sessions = this.clients.all();
    this.parts.journal.info("the broker stops", { sessions: sessions.length, graceMs });
    for (const session of sessions) session.goAway(graceMs, RECONNECT_AFTER_MS, drainingError());
    await this.within(graceMs, (done) => {
      this.clients.whenEmpty(done);
    });
    for (const session of this.clients.all()) session.end(endWith(drainingError()));
    this.clients.closeWatches(drainingError());
    const inTime = await this.within(LAST_COMMIT_MS, (done) => {
      void Promise.all(this.queues.opened().map((queue) => queue.flush())).then(done);
    });
    if (!inTime) this.parts.journal.error("the last commit did not end in time; what was not confirmed comes again", { waitedMs: LAST_COMMIT_MS });
    for (const queue of this.queues.opened()) queue.abandon(drainingError());
    this.scheduler.stop();
  }

  /** Waits until `f` calls back, but no longer than this; false when it took too long. */
  private within(ms: number, f: (done: () => void) => void): Promise<boolean> {
    return new Promise((resolve) => {
      const alarm = this.scheduler.alarm(() => {
        resolve(false);
      });
      alarm.set(monotonicMs(this.parts.clock.monotonic() + ms));
      f(() => {
        alarm.clear();
        resolve(true);
      });
    });
  }
}
