import type { BrokerError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import type { OpenSession } from "../core/session.js";
import { offset, wallMs } from "../core/units.js";
import type { Offset, WallMs } from "../core/units.js";
import type { ChunkRecord } from "../ports/log.js";
import type { QueueView } from "../ports/telemetry.js";
import type { PublishFrame, PublishOutcome, PurgeOutcome, QueueInfo, SessionSink } from "./api.js";
import type { DeadLetterChoice, DeletionOutcome, ReplayOutcome } from "./dead-letter-api.js";
import type { DeadLetterPage, DeadLetterQuery } from "./dead-letter-list.js";
import { DeadLetters } from "./dead-letters.js";
import { DedupIndex } from "./dedup-index.js";
import { EventIndex } from "./event-index.js";
import { eventInfos } from "./event-list.js";
import type { EventInfo } from "./event-list.js";
import { EventMatches } from "./event-matches.js";
import { Explainer } from "./explainer.js";
import type { MessageExplanation, SubscriberExplanation } from "./explanation-api.js";
import type { LiveSession } from "./live-session.js";
import { firstSince, readHeaders } from "./log-headers.js";
import { peek } from "./peek.js";
import type { PeekPage, PeekQuery } from "./peek.js";
import { Publisher } from "./publisher.js";
import { readPurgeMark } from "./purge-record.js";
import { Purger } from "./purger.js";
import { queueInfo, queueView } from "./queue-info.js";
import { QueueLog } from "./queue-log.js";
import type { QueueParts } from "./queue-parts.js";
import type { QueueRecord } from "./queue-record.js";
import { QueueRoom } from "./queue-room.js";
import { settingsInEffect } from "./queue-settings.js";
import { Replayer } from "./replayer.js";
import { RetentionSweep } from "./retention-sweep.js";
import { Schedules } from "./schedules.js";
import type { SeekOutcome, SeekRequest } from "./seek-api.js";
import { SessionOpening } from "./session-opening.js";
import { retentionIn } from "./settings.js";
import type { BrokerSettings } from "./settings.js";
import { subscriberInfo } from "./subscriber-info.js";
import type { NewSubscriber, SubscriberInfo, SubscriberUpdate } from "./subscriber-api.js";
import { Subscribers } from "./subscribers.js";
import type { DurableSubscriber } from "./subscribers-parts.js";
import type { QueueTail } from "./tail-cache.js";
import { Trimmer } from "./trimmer.js";

/** One open queue: its log, who publishes to it, who subscribes to it, and what lets go of its old messages. */
export class Queue {
  readonly schedules: Schedules;
  private readonly subscribers: Subscribers;
  private readonly opening: SessionOpening;
  private readonly publisher: Publisher;
  private readonly trimmer: Trimmer;
  private readonly events: EventIndex;
  private readonly purger: Purger;
  private readonly sweep: RetentionSweep;
  private readonly room: QueueRoom;
  private readonly replayer: Replayer;
  private readonly deadLetters: DeadLetters;
  private readonly explainer: Explainer;
  private readonly tail: QueueTail;
  /** What holds here: the server's, and what this queue sets itself. */
  private settings: BrokerSettings;
  private closedBy: BrokerError | undefined;
  private lastPublishTimeMs: WallMs | undefined;

  private constructor(
    private record: QueueRecord,
    private readonly log: QueueLog,
    private readonly parts: QueueParts,
    private readonly dedup: DedupIndex,
    /** Publish time of the newest message that is there; 0: there is none. */
    lastTimeMs: WallMs,
  ) {
    this.lastPublishTimeMs = lastTimeMs === 0 ? undefined : lastTimeMs;
    const { engine, clock, scheduler, turns, sharedTurns, journal, telemetry } = parts;
    const settings = settingsInEffect(parts.settings, record.own);
    this.settings = settings;
    const tally = telemetry.queue(record.name);
    const matches: EventMatches = new EventMatches(() => this.subscribers.filters());
    this.tail = parts.tails.forQueue();
    this.subscribers = new Subscribers({
      ...{ log, tail: this.tail, clock, scheduler, turns, sharedTurns, journal, telemetry, settings, tally },
      queue: record.name,
      ordered: record.ordering === "ORDERED",
      state: engine.state(record.id),
      trimIdle: () => this.trimmer.idle(),
      changed: () => {
        matches.forget();
        this.trimmer.somethingChanged();
      },
      cursorSaved: () => {
        this.trimmer.somethingChanged();
        this.room.settledMoved();
      },
      sessionOver: (session, end) => {
        parts.clients.remove(session, end);
      },
    });
    this.opening = new SessionOpening(
      {
        ...{ id: record.id, ordered: record.ordering === "ORDERED", log, subscribers: this.subscribers },
        checkOpen: () => {
          if (this.closedBy !== undefined) throw this.closedBy;
        },
      },
      parts,
    );
    const scope = {
      settledThrough: () => this.settledThrough(),
      purgedThrough: () => log.purgedThrough,
      sleepers: () => this.subscribers.sleepers(),
      dedupNeedsFrom: () => dedup.neededFrom(clock.wall(), log.head().next),
    };
    this.trimmer = new Trimmer(scope, log, clock, scheduler, turns, journal, tally);
    this.events = new EventIndex({ log, clock, scheduler, turns, journal, first: () => log.head().first });
    this.explainer = new Explainer({ log, state: engine.state(record.id), turns, clock, peerOf: (session) => parts.clients.find(session)?.info().peer });
    this.purger = new Purger(record.name, log, engine.state(record.id), this.subscribers, this.trimmer, () => this.closedBy);
    this.room = new QueueRoom(retentionIn(settings), { queue: record.name, log, journal, settledThrough: () => this.settledThrough(), bytesWaiting: () => this.publisher.bodyBytes });
    this.sweep = new RetentionSweep(retentionIn(settings), {
      ...{ queue: record.name, log, clock, scheduler, turns, journal, tally },
      settledThrough: () => this.settledThrough(),
      expire: (through) => this.purger.expire(through),
    });
    this.replayer = new Replayer({
      ...{ queue: record.name, log, state: engine.state(record.id), turns },
      publish: (frame, done) => this.publisher.publish(frame, done),
      driver: (subscriber) => this.subscribers.find(subscriber).then(
        ({ driver }) => driver,
        // There is no other reason to refuse than that there is none.
        () => undefined,
      ),
      closedBy: () => this.closedBy,
    });
    this.deadLetters = new DeadLetters(
      this.replayer,
      async (subscriber) => (await this.subscribers.find(subscriber)).driver,
      (subscriber) => ({ queue: record.name, subscriber, state: engine.state(record.id), turns }),
    );
    this.schedules = new Schedules({
      ...{ engine, log, clock, scheduler, turns, journal, tally, queue: record.name, queueId: record.id },
      publish: (frame, done) => this.publisher.publish(frame, done),
      closedBy: () => this.closedBy,
    });
    this.publisher = new Publisher(
      {
        ...{ log, clock, turns, journal, dedup, matches, tally, room: this.room, schedules: this.schedules.book },
        hasRoom: () => engine.hasRoom,
        appended: (chunks) => {
          this.appended(chunks);
        },
      },
      lastTimeMs,
    );
  }

  /** Opens the log, learns the message ids of the dedup window, and loads the subscribers. */
  static async open(record: QueueRecord, parts: QueueParts): Promise<Queue> {
    const { engine, clock, turns } = parts;
    const settings = settingsInEffect(parts.settings, record.own);
    const log = new QueueLog(await engine.openLog(record.id), await readPurgeMark(engine.state(record.id)));
    const { next } = log.head();
    const [newest] = next > 1 ? await log.headers(offset(next - 1), 1) : [];
    const lastTimeMs = wallMs(newest?.lastTimeMs ?? 0);
    const dedup = new DedupIndex(settings.dedupWindowMs, settings.dedupIdsMax);
    const from = await firstSince(log, wallMs(Math.max(clock.wall(), lastTimeMs) - settings.dedupWindowMs), next);
    for await (const chunk of readHeaders(log, from, next, turns)) {
      dedup.learn(chunk);
      dedup.expire(chunk.lastTimeMs);
    }
    const queue = new Queue(record, log, parts, dedup, lastTimeMs);
    await queue.subscribers.load();
    await queue.replayer.load();
    await queue.schedules.load();
    queue.sweep.hold(retentionIn(settings));
    return queue;
  }

  get name(): string {
    return this.record.name;
  }

  get id(): string {
    return this.record.id;
  }

  /** See BrokerApi.publish. */
  publish(frame: PublishFrame, done: (outcome: PublishOutcome) => void): boolean {
    return frame.when === undefined ? this.publisher.publish(frame, done) : this.schedules.publish(frame, done);
  }

  /** See BrokerApi.whenWritable. */
  whenWritable(f: () => void): void {
    this.publisher.whenWritable(f);
  }

  /** See BrokerApi.openSession. `mayOpen` throws when the broker has changed its mind since. */
  openSession(open: OpenSession, sink: SessionSink, mayOpen: () => void): Promise<LiveSession> {
    return this.opening.open(open, sink, mayOpen);
  }

  /** The catalog has a record with other settings: they hold from now on. */
  settingsChanged(record: QueueRecord): void {
    this.record = record;
    this.settings = settingsInEffect(this.parts.settings, record.own);
    this.dedup.bound(this.settings.dedupWindowMs, this.settings.dedupIdsMax);
    this.trimmer.somethingChanged();
    this.sweep.hold(retentionIn(this.settings));
    this.room.hold(retentionIn(this.settings));
    this.subscribers.settingsChanged(this.settings);
    this.parts.journal.info("queue settings changed", { queue: this.name, queueId: this.id, ...record.own });
  }

  info(): QueueInfo {
    return queueInfo(this.record, this.log, this.subscribers, this.schedules.book.count, this.lastPublishTimeMs);
  }

  /** How things stand now, for telemetry. */
  view(): QueueView {
    return queueView(this.record.name, this.log, this.subscribers, this.schedules.book.count, this.publisher.waitingBytes);
  }

  /** See BrokerApi.purgeQueue. */
  purge(through: Offset, dryRun: boolean): Promise<PurgeOutcome> {
    return this.purger.purge(through, dryRun);
  }

  /** See BrokerApi.getSubscriber. */
  async subscriber(name: string): Promise<SubscriberInfo> {
    return this.infoOf(await this.subscribers.find(name));
  }

  /** See BrokerApi.createSubscriber. */
  async createSubscriber(request: NewSubscriber): Promise<SubscriberInfo> {
    return this.infoOf(await this.subscribers.make(request));
  }

  /** See BrokerApi.updateSubscriber. */
  async updateSubscriber(update: SubscriberUpdate): Promise<SubscriberInfo> {
    return this.infoOf(await this.subscribers.update(update));
  }

  /** See SeekApi. */
  seekSubscriber(request: SeekRequest): Promise<SeekOutcome> {
    return this.untilClosed(this.subscribers.seeker.seek(request));
  }

  /** See BrokerApi.listSubscribers. */
  async listSubscribers(after: string | undefined, limit: number): Promise<readonly SubscriberInfo[]> {
    const infos: SubscriberInfo[] = [];
    for (const known of this.subscribers.list(after, limit)) infos.push(await this.infoOf(known));
    return infos;
  }

  /** See BrokerApi.deleteSubscriber. */
  async deleteSubscriber(name: string): Promise<void> {
    await this.subscribers.delete(name);
  }

  /** See BrokerApi.explainMessage. */
  async explainMessage(at: Offset, name: string | undefined): Promise<readonly MessageExplanation[]> {
    const subscribers = name === undefined ? this.subscribers.list(undefined, LIMITS.explanationsMax) : [await this.subscribers.find(name)];
    return this.explainer.message(at, subscribers);
  }

  /** See BrokerApi.explainSubscriber. */
  async explainSubscriber(name: string): Promise<SubscriberExplanation> {
    return this.explainer.subscriber(await this.subscribers.find(name));
  }

  /** See BrokerApi.listEvents. */
  async listEvents(after: string | undefined, limit: number): Promise<readonly EventInfo[]> {
    const counts = await this.untilClosed(this.events.current());
    const found = counts.list(after, limit);
    const takers = this.subscribers.list(undefined, Number.MAX_SAFE_INTEGER).map(({ record, driver }) => ({ name: record.name, filter: driver.filters.current }));
    return eventInfos(found, takers, this.parts.turns);
  }

  /** See BrokerApi.peek. */
  peek(query: PeekQuery): Promise<PeekPage> {
    return peek({ queue: this.name, log: this.log, turns: this.parts.turns, first: () => this.log.head().first }, query);
  }

  /** See BrokerApi.listDeadLetters. */
  listDeadLetters(name: string, query: DeadLetterQuery): Promise<DeadLetterPage> {
    return this.deadLetters.list(name, query);
  }

  /** See BrokerApi.replayDeadLetters. */
  replayDeadLetters(name: string, choice: DeadLetterChoice): Promise<ReplayOutcome> {
    return this.deadLetters.replay(name, choice);
  }

  /** See BrokerApi.deleteDeadLetters. */
  deleteDeadLetters(name: string, choice: DeadLetterChoice): Promise<DeletionOutcome> {
    return this.deadLetters.delete(name, choice);
  }

  /** Resolves when everything published and settled so far is durable. */
  async flush(): Promise<void> {
    await Promise.all([this.publisher.flush(), this.subscribers.flush()]);
  }

  /** The queue is deleted: every session ends and every publish is answered with this error, now and from now on. */
  close(error: BrokerError): void {
    this.publisher.close(error);
    this.end(error);
  }

  /** The broker ends. Publishes in flight are left unanswered. */
  abandon(error: BrokerError): void {
    this.publisher.abandon(error);
    this.end(error);
  }

  private infoOf(known: DurableSubscriber): Promise<SubscriberInfo> {
    return subscriberInfo(this.name, known, this.subscribers.settingsOf(known.record), this.subscribers.expiry, this.explainer);
  }

  /** Everything up to it may go: settled by every durable subscriber, or of a log dropped by its bounds, and passed by all. */
  private settledThrough(): Offset {
    const settled = this.subscribers.settledThrough();
    return this.settings.retentionMode === "LOG" ? offset(Math.min(settled, this.log.purgedThrough)) : settled;
  }

  /** What fails since the queue was closed meanwhile fails for that. */
  private untilClosed<T>(work: Promise<T>): Promise<T> {
    return work.catch((error: unknown) => { throw this.closedBy ?? error; });
  }

  private end(error: BrokerError): void {
    this.closedBy ??= error;
    this.trimmer.stop();
    this.schedules.stop();
    this.sweep.stop();
    this.events.forget();
    this.subscribers.close(error);
    this.tail.clear();
  }

  private appended(chunks: readonly ChunkRecord[]): void {
    if (this.subscribers.isAwake) for (const { chunk } of chunks) this.tail.push(chunk);
    else this.tail.clear();
    this.lastPublishTimeMs = chunks[chunks.length - 1]?.chunk.lastTimeMs ?? this.lastPublishTimeMs;
    this.subscribers.headAdvanced();
    this.trimmer.somethingChanged();
    this.sweep.headAdvanced();
  }
}
