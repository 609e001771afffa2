import type { EncodedMessages } from "../core/encoded-messages.js";
import type { BrokerError } from "../core/errors.js";
import type { NewMessage } from "../core/message.js";
import type {
  BatchFacts,
  DeliveryCause,
  DeliveryRun,
  FlowWindow,
  OpenSession,
  OffsetRun,
  SessionId,
  SettleFailure,
  Settlement,
  WaitingFor,
} from "../core/session.js";
import type { DeliveryPart } from "../core/subscription/effects.js";
import type { Offset, WallMs } from "../core/units.js";
import type { Durability } from "../ports/engine.js";
import type { When } from "../core/schedule.js";
import type { ClientFilter, ClientInfo, ClientWatch } from "./client-api.js";
import type { DeadLetterApi, Replay } from "./dead-letter-api.js";
import type { EventInfo } from "./event-list.js";
import type { MessageExplanation, SubscriberExplanation } from "./explanation-api.js";
import type { PeekPage, PeekQuery } from "./peek.js";
import type { PullApi } from "./pull-api.js";
import type { Ordering, OwnSettings, SettingChanges } from "./queue-settings.js";
import type { ScheduleApi } from "./schedule-api.js";
import type { SeekApi } from "./seek-api.js";
import type { LossReason } from "./session-end.js";
import type { SessionOpened } from "./session-opened.js";
import type { BrokerSettings } from "./settings.js";
import type { NewSubscriber, SubscriberInfo, SubscriberUpdate } from "./subscriber-api.js";

/** What an edge (gRPC today) may ask of the broker. Everything handed in is validated: names, sizes, ranges. */
export interface BrokerApi extends DeadLetterApi, PullApi, ScheduleApi, SeekApi {
  readonly durability: Durability;
  /**
   * Takes one publish frame for one queue. `done` is called once, never before this returns, after the messages are durable
   * or were refused. False: the queue's open batch is full, stop sending until `whenWritable` calls back; this frame was
   * taken all the same. Twice past that bound frames are refused with PUBLISH_BACKLOG.
   */
  publish(frame: PublishFrame, done: (outcome: PublishOutcome) => void): boolean;
  /** Calls `f` once, as soon as the queue's open batch has room again (at once, but not in this turn, if it has now). */
  whenWritable(queue: string, f: () => void): void;

  /**
   * Opens a session. Rejects with BrokerError. The sink hears `opened` before anything else; it may be called from within
   * this call's own turn on.
   */
  openSession(open: OpenSession, sink: SessionSink): Promise<Session>;

  /**
   * Where there is a queue of that name it answers it; settings left out make no claim. Rejects with QUEUE_EXISTS when it has
   * another ordering or another value of a setting that is named.
   */
  createQueue(settings: QueueSettings): Promise<QueueInfo>;
  /** Changes settings, durably and for open sessions too. QUEUE_ID_MISMATCH, ORDERED_QUEUE_REQUIRED, INVALID_FIELD. */
  updateQueue(update: QueueUpdate): Promise<QueueInfo>;
  getQueue(queue: string): Promise<QueueInfo>;
  /** Sorted by name, those that sort after `after`. */
  listQueues(after: string | undefined, limit: number): Promise<readonly QueueInfo[]>;
  deleteQueue(queue: string): Promise<void>;
  /**
   * Drops everything up to an offset, settled or not. Resolves when that is durable and every open session was told; the disk
   * space is freed afterwards. Rejects with BEYOND_HEAD, or QUEUE_ID_MISMATCH.
   */
  purgeQueue(request: PurgeRequest): Promise<PurgeOutcome>;
  /**
   * Where there is a subscriber of that name it answers it, if it has that filter and start, and every setting that is named.
   * FILTER_MISMATCH, START_MISMATCH, SUBSCRIBER_EXISTS; BEYOND_HEAD, INVALID_FIELD, ORDERED_QUEUE_REQUIRED.
   */
  createSubscriber(request: NewSubscriber): Promise<SubscriberInfo>;
  /** Changes filter, settings and pause, durably and for open sessions too. INVALID_FIELD, ORDERED_QUEUE_REQUIRED, FILTER_CHANGES_PENDING. */
  updateSubscriber(update: SubscriberUpdate): Promise<SubscriberInfo>;
  getSubscriber(queue: string, subscriber: string): Promise<SubscriberInfo>;
  listSubscribers(queue: string, after: string | undefined, limit: number): Promise<readonly SubscriberInfo[]>;
  deleteSubscriber(queue: string, subscriber: string): Promise<void>;
  /** Sorted by session id; `queue` undefined: everywhere. */
  listClients(queue: string | undefined, after: SessionId | undefined, limit: number): readonly ClientInfo[];
  /**
   * Ends a session as DISCONNECTED; what it held is free at once and counts as handed out without a verdict. Throws
   * SESSION_NOT_FOUND.
   * @param reason the operator's words for the client; may be empty
   * @returns the session as it was last
   */
  disconnectClient(session: SessionId, reason: string): ClientInfo;
  /** Where a message stands with a subscriber, or with every durable one, sorted by name, up to LIMITS.explanationsMax. */
  explainMessage(queue: string, at: Offset, subscriber: string | undefined): Promise<readonly MessageExplanation[]>;
  explainSubscriber(queue: string, subscriber: string): Promise<SubscriberExplanation>;
  /** Sorted by name, those that sort after `after`. */
  listEvents(queue: string, after: string | undefined, limit: number): Promise<readonly EventInfo[]>;
  /** Looks at messages; nothing is leased or settled. Rejects with BEYOND_HEAD or CHUNK_CORRUPT. */
  peek(queue: string, query: PeekQuery): Promise<PeekPage>;
  /**
   * Tells who is there, and who comes, changes and goes from then on. Throws DRAINING.
   * @param wake called, never before this returns, when there is something to take that there was not before: at the start, and then
   *   when something happened
   */
  watchClients(filter: ClientFilter, wake: () => void): ClientWatch;

  serverFacts(): ServerFacts;
}

/** What runs here, as far as the broker knows it. */
export interface ServerFacts {
  /** The engine's name: "lmdb", "memory". */
  readonly engine: string;
  readonly startTimeMs: WallMs;
  readonly settings: BrokerSettings;
}

export interface PublishFrame {
  readonly queue: string;
  readonly messages: readonly NewMessage[] | EncodedMessages;
  /** `undefined`: no condition. 0: the queue never had a message. */
  readonly expectedLastOffset: number | undefined;
  /** Every message stands alone; otherwise all or nothing. */
  readonly independent: boolean;
  /** The messages are copies of dead letters. Absent: they come from a publisher. */
  readonly replay?: Replay;
  /** Puts the message off; of a frame with one message, without a condition, all or nothing. Absent: it is due now. */
  readonly when?: When;
  /** As `when`, as soon as the queue knows the time: later than the time at which it learned it. */
  readonly dueTimeMs?: WallMs;
  /** The messages were put off and are due. Absent: they come from a publisher. */
  readonly due?: DueMessages;
}

/** Messages on their way from the schedule into the log. */
export interface DueMessages {
  /** The number in the schedule of each. */
  readonly numbers: readonly number[];
}

export type PublishOutcome = PublishAccepted | PublishRefused;

export interface PublishAccepted {
  readonly ok: true;
  /** 0 when an independent frame stored nothing. */
  readonly firstOffset: Offset;
  /** All of it was known: nothing was stored now. */
  readonly duplicate: boolean;
  readonly publishTimeMs: WallMs;
  /** Of a message that is put off, or the duplicate of one: its identity until it is due; `firstOffset` is 0. Absent: it is in the log. */
  readonly scheduleId?: string;
  /** Durable subscribers whose filter takes the frame's first message: for unary Publish. */
  readonly matchedSubscribers: number;
  /** Messages that no durable subscriber's filter takes. */
  readonly unmatchedCount: number;
  /** Independent frames only: the messages that were duplicates or failed. The others have firstOffset, firstOffset + 1, … in order. */
  readonly outcomes: readonly MessageOutcome[];
}

export interface PublishRefused {
  readonly ok: false;
  readonly error: BrokerError;
}

export interface MessageOutcome {
  readonly index: number;
  readonly offset: Offset;
  readonly duplicate: boolean;
  readonly error: BrokerError | undefined;
}

/** The edge's half of an open session: how the broker speaks to the client. No call may throw. */
export interface SessionSink {
  opened(facts: SessionOpened): void;
  /** Sends one batch. The bytes of the parts are shared and read-only. */
  deliver(batch: BatchFacts, parts: readonly DeliveryPart[], backlogCount: number): void;
  result(requestIds: readonly bigint[], failures: readonly SettleFailure[], committedOffset: Offset): void;
  heartbeat(facts: HeartbeatFacts): void;
  /** On an ordered queue: these deliveries are lost to the session and will come again, in order. */
  recall(ranges: readonly DeliveryRun[], cause: DeliveryCause): void;
  gap(first: Offset, last: Offset, matchingCount: number): void;
  notice(reason: string, detail: string, range: OffsetRun | DeliveryRun | undefined): void;
  goingAway(graceMs: number, reconnectAfterMs: number, reason: string): void;
  /** Ends the stream: OK without an error. The session is over for the broker already. */
  end(error: BrokerError | undefined): void;
}

/** The broker's half of an open session: how the client speaks to it. Calls after the end are ignored. */
export interface Session {
  readonly id: SessionId;
  settle(requestId: bigint, settlement: Settlement): void;
  flow(window: FlowWindow): void;
  /** No more deliveries; the sink's `end` is called when nothing is held. */
  drain(): void;
  /** Any client frame: it is alive (clientTimeout), and a ping asks for a heartbeat. */
  ping(): void;
  heard(): void;
  /**
   * The client seems to have finished sending; `halfClosed` or `lost` says what that was. AUTO goes on. EXPLICIT: what was sent
   * is answered, nothing more is delivered, what is held stays held; with nothing held, the sink's `end(undefined)`.
   */
  finishing(): void;
  /**
   * The client finished sending. AUTO goes on. EXPLICIT: what was sent is answered, what is held goes back uncounted, then
   * the sink's `end(undefined)`.
   */
  halfClosed(): void;
  /** The transport's write buffer is full, or has room again. */
  transportChanged(ready: boolean): void;
  /** AUTO: the transport took this batch. */
  taken(batchId: number): void;
  /**
   * The stream is gone (cancel, reset, death): leases are free at once and count as hand-outs without a verdict.
   * @param reason as far as it can be told. Default: CANCELLED
   */
  lost(reason?: LossReason): void;
  /** The edge has ended the stream with this error, for a mistake of the client or its own. Otherwise as `lost`. */
  failed(error: BrokerError): void;
}

export interface HeartbeatFacts {
  readonly headOffset: Offset;
  readonly committedOffset: Offset;
  readonly inFlightCount: number;
  readonly backlogCount: number;
  readonly deadLetterCount: number;
  readonly waitingFor: WaitingFor | undefined;
}

/** What may be said of a queue when it is made. */
export interface QueueSettings {
  readonly name: string;
  readonly ordering: Ordering;
  readonly own: OwnSettings;
}

/** A change of a queue's settings. */
export interface QueueUpdate {
  readonly name: string;
  /** Empty: any incarnation. */
  readonly queueId: string;
  /** It never changes: a claim that is checked. `undefined`: none. */
  readonly ordering: Ordering | undefined;
  readonly changes: SettingChanges;
}

export interface QueueInfo extends QueueSettings {
  readonly queueId: string;
  readonly createTimeMs: WallMs;
  /** The last message stored; 0 before the first. */
  readonly headOffset: Offset;
  /** The oldest message that is still there; headOffset + 1 when there is none. */
  readonly firstOffset: Offset;
  readonly messageCount: number;
  readonly bytes: number;
  readonly subscriberCount: number;
  /** Open sessions, those of ephemeral subscribers included. */
  readonly clientCount: number;
  /** Of all its subscribers. */
  readonly deadLetterCount: number;
  /** Messages that were accepted and are not in the log yet. */
  readonly scheduledCount: number;
  /** Of the newest message; undefined: none yet, or it is gone since before the broker started. */
  readonly lastPublishTimeMs: WallMs | undefined;
}

/** What to drop. */
export interface PurgeRequest {
  readonly queue: string;
  /** The incarnation that is meant; empty: any. */
  readonly queueId: string;
  /** The last offset to drop; 0: the head of the moment. */
  readonly throughOffset: Offset;
  /** Only counts. */
  readonly dryRun: boolean;
}

/** What was dropped, or would be. */
export interface PurgeOutcome {
  readonly purgedCount: number;
  /** Stored encodings of these messages together. */
  readonly purgedBytes: number;
  /** Everything up to it is gone. */
  readonly throughOffset: Offset;
}
