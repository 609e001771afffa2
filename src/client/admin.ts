import type {
  CancelScheduledResponse,
  CreateQueueResponse,
  CreateSubscriberResponse,
  DeleteDeadLettersResponse,
  DeleteQueueResponse,
  DeleteSubscriberResponse,
  DisconnectClientResponse,
  ExplainMessageResponse,
  ExplainSubscriberResponse,
  GetQueueResponse,
  GetServerInfoResponse,
  GetSubscriberResponse,
  ListClientsResponse,
  ListDeadLettersResponse,
  ListEventsResponse,
  ListQueuesResponse,
  ListScheduledResponse,
  ListSubscribersResponse,
  PeekMessagesResponse,
  PurgeQueueResponse,
  ReplayDeadLettersResponse,
  UpdateQueueResponse,
  SeekSubscriberResponse,
  UpdateSubscriberResponse,
} from "../../generated/tidemark/v1/admin_service.js";
import { type ClientInfo, clientInfo } from "./client-info.js";
import { type ClientEvent, watchClients, type WatchOptions } from "./client-watch.js";
import type { Connection } from "./connection.js";
import { type DeadLetterChoice, type DeadLetterFilter, type DeadLetterInfo, deadLetterInfo, type DeletedLetters, type ReplayedLetters, wireChoice, wireFilter } from "./dead-letter-info.js";
import { type EventInfo, eventInfo } from "./event-info.js";
import { type MessageExplanation, messageExplanation, type SubscriberExplanation, subscriberExplanation } from "./explanation.js";
import { pages } from "./pages.js";
import { peekMessages, type PeekOptions } from "./peek.js";
import { type QueueInfo, queueInfo } from "./queue-info.js";
import { newQueue, type QueueChanges, type QueueSettings, queueUpdate } from "./queue-settings.js";
import { safeNumber } from "./safe-number.js";
import { type ScheduledInfo, scheduledInfo, type ScheduledOptions } from "./scheduled-info.js";
import { type ServerInfo, serverInfo } from "./server-info.js";
import type { StoredMessage } from "./stored-message.js";
import { newSubscriber, type SubscriberChanges, type SubscriberOptions, subscriberUpdate } from "./subscriber-control.js";
import { seekRequest, type SeekOptions, type SeekTarget, type SoughtSubscriber, soughtSubscriber } from "./seek.js";
import { type SubscriberInfo, subscriberInfo } from "./subscriber-info.js";
import { TidemarkError } from "./tidemark-error.js";
import { unaryCall } from "./unary-call.js";

/** What a queue is made with; whatever is left out is the broker's default. */
export interface QueueOptions extends QueueSettings {
  /** True: messages of one ordering key are done one after the other. Never changes afterwards. Default: false. */
  readonly ordered?: boolean;
}

/** What to purge. */
export interface PurgeOptions {
  /** The last offset to drop. Default: the last message of that moment. */
  readonly throughOffset?: number;
  /** Only count, and drop nothing. Default: false. */
  readonly dryRun?: boolean;
  /** The incarnation that is meant; another one is refused with QUEUE_ID_MISMATCH. Default: any. */
  readonly queueId?: string;
}

/** What a purge has dropped, or would drop. */
export interface PurgedQueue {
  readonly purgedCount: number;
  /** Stored encodings of these messages together. */
  readonly purgedBytes: number;
  /** Everything up to it is gone. */
  readonly throughOffset: number;
}

/**
 * Queues, subscribers and clients of a broker. Each call waits for a connection up to the client's `patienceMs`; lists come page
 * by page as they are iterated, sorted, and nothing is listed twice. Rejects with a TidemarkError, such as QUEUE_NOT_FOUND.
 */
export class Admin {
  constructor(
    private readonly connection: Connection,
    private readonly patienceMs: number,
    /** Aborted when the client is closed: watches end. */
    private readonly closed: AbortSignal,
  ) {}

  /**
   * Makes a queue. Made before with the same options it is answered as it is, and a setting that is left out makes no claim; with
   * other options it is refused with QUEUE_EXISTS. Rejects with INVALID_FIELD for a setting out of its range, and with
   * ORDERED_QUEUE_REQUIRED for lanes to block where there are none.
   */
  async createQueue(name: string, options: QueueOptions = {}): Promise<QueueInfo> {
    const queue = newQueue(name, options.ordered === true, options);
    const response = await unaryCall<CreateQueueResponse>(this.connection, this.patienceMs, (done) => this.stub.createQueue({ queue }, done));
    return queueInfo(present(response.queue, "queue"));
  }

  /**
   * Changes settings of a queue while it is in use: subscribers have them at once. The lease and the window of an open stream stay
   * what they were. Rejects with INVALID_FIELD, ORDERED_QUEUE_REQUIRED or QUEUE_ID_MISMATCH.
   *
   *     await client.admin.updateQueue("orders", { ackTimeoutMs: 30_000, maxAttempts: "inherit" });
   *
   * @param changes what is left out stays as it is; `"inherit"` goes back to the server's
   * @param queueId the incarnation that is meant. Default: any
   * @returns the queue as it is then
   */
  async updateQueue(name: string, changes: QueueChanges, queueId = ""): Promise<QueueInfo> {
    const request = queueUpdate(name, queueId, changes);
    const response = await unaryCall<UpdateQueueResponse>(this.connection, this.patienceMs, (done) => this.stub.updateQueue(request, done));
    return queueInfo(present(response.queue, "queue"));
  }

  async queue(name: string): Promise<QueueInfo> {
    const response = await unaryCall<GetQueueResponse>(this.connection, this.patienceMs, (done) => this.stub.getQueue({ queue: name }, done));
    return queueInfo(present(response.queue, "queue"));
  }

  /** All queues, by name. */
  queues(): AsyncIterable<QueueInfo> {
    return pages(async (pageToken) => {
      const request = { pageSize: 0, pageToken };
      const response = await unaryCall<ListQueuesResponse>(this.connection, this.patienceMs, (done) => this.stub.listQueues(request, done));
      return { entries: response.queues.map(queueInfo), nextPageToken: response.nextPageToken };
    });
  }

  /**
   * Drops the messages of a queue up to an offset, settled or not; dead letters stay, and offsets go on growing. There is no way
   * back: it is durable when this resolves. Rejects with BEYOND_HEAD or QUEUE_ID_MISMATCH.
   */
  async purgeQueue(name: string, options: PurgeOptions = {}): Promise<PurgedQueue> {
    const { throughOffset = 0, dryRun = false, queueId = "" } = options;
    const request = { queue: name, queueId, throughOffset: BigInt(throughOffset), dryRun };
    const response = await unaryCall<PurgeQueueResponse>(this.connection, this.patienceMs, (done) => this.stub.purgeQueue(request, done));
    return {
      purgedCount: safeNumber(response.purgedCount, "purged_count"),
      purgedBytes: safeNumber(response.purgedBytes, "purged_bytes"),
      throughOffset: safeNumber(response.throughOffset, "through_offset"),
    };
  }

  /**
   * Deletes a queue with everything in it. There is no way back.
   *
   * @param queueId the incarnation that is meant; another one is refused with QUEUE_ID_MISMATCH. Default: any
   */
  async deleteQueue(name: string, queueId = ""): Promise<void> {
    await unaryCall<DeleteQueueResponse>(this.connection, this.patienceMs, (done) => this.stub.deleteQueue({ queue: name, queueId }, done));
  }

  /**
   * Makes a subscriber before any client comes, so that messages are kept for it. Made before with the same filter and start it is
   * answered as it is, and a setting that is left out makes no claim; otherwise it is refused with FILTER_MISMATCH, START_MISMATCH
   * or SUBSCRIBER_EXISTS. The queue must be there. Rejects with BEYOND_HEAD, INVALID_FIELD or ORDERED_QUEUE_REQUIRED.
   *
   *     await client.admin.createSubscriber("orders", "billing", { events: ["order.*"], expireAfterMs: 30 * 86_400_000 });
   */
  async createSubscriber(queue: string, name: string, options: SubscriberOptions = {}): Promise<SubscriberInfo> {
    const subscriber = newSubscriber(queue, name, options);
    const response = await unaryCall<CreateSubscriberResponse>(this.connection, this.patienceMs, (done) => this.stub.createSubscriber({ subscriber }, done));
    return subscriberInfo(present(response.subscriber, "subscriber"));
  }

  /**
   * Changes filter, settings or pause of a subscriber while it is in use; its position stays. Open streams have the change at once,
   * but for their lease and window, and hear of it. Rejects with INVALID_FIELD, ORDERED_QUEUE_REQUIRED or FILTER_CHANGES_PENDING.
   *
   *     await client.admin.updateSubscriber("orders", "billing", { paused: true, resumeTime: new Date(Date.now() + 3_600_000) });
   *
   * @param changes what is left out stays as it is; a setting that is `"inherit"` goes back to the queue's
   * @returns the subscriber as it is then
   */
  async updateSubscriber(queue: string, name: string, changes: SubscriberChanges): Promise<SubscriberInfo> {
    const request = subscriberUpdate(queue, name, changes);
    const response = await unaryCall<UpdateSubscriberResponse>(this.connection, this.patienceMs, (done) => this.stub.updateSubscriber(request, done));
    return subscriberInfo(present(response.subscriber, "subscriber"));
  }

  /**
   * Moves a subscriber back or ahead; durable when it resolves. Open streams go on from there: what they hold is lost to them, and
   * what comes again says cause "SEEK". Rejects with BEYOND_HEAD or BEFORE_FIRST where there are no messages any more, or not yet.
   *     const { previousPosition } = await client.admin.seekSubscriber("orders", "billing", { time: new Date("2026-11-24T08:30Z") });
   *     await client.admin.seekSubscriber("orders", "billing", { restore: previousPosition });
   */
  async seekSubscriber(queue: string, name: string, to: SeekTarget, options: SeekOptions = {}): Promise<SoughtSubscriber> {
    const request = seekRequest(queue, name, to, options);
    return soughtSubscriber(await unaryCall<SeekSubscriberResponse>(this.connection, this.patienceMs, (done) => this.stub.seekSubscriber(request, done)));
  }

  async subscriber(queue: string, name: string): Promise<SubscriberInfo> {
    const request = { queue, subscriber: name };
    const response = await unaryCall<GetSubscriberResponse>(this.connection, this.patienceMs, (done) => this.stub.getSubscriber(request, done));
    return subscriberInfo(present(response.subscriber, "subscriber"));
  }

  /** The durable subscribers of a queue, by name. */
  subscribers(queue: string): AsyncIterable<SubscriberInfo> {
    return pages(async (pageToken) => {
      const request = { queue, pageSize: 0, pageToken };
      const response = await unaryCall<ListSubscribersResponse>(this.connection, this.patienceMs, (done) => this.stub.listSubscribers(request, done));
      return { entries: response.subscribers.map(subscriberInfo), nextPageToken: response.nextPageToken };
    });
  }

  /** Deletes a subscriber with its position and its dead letters; its streams end. There is no way back. */
  async deleteSubscriber(queue: string, name: string): Promise<void> {
    const request = { queue, subscriber: name };
    await unaryCall<DeleteSubscriberResponse>(this.connection, this.patienceMs, (done) => this.stub.deleteSubscriber(request, done));
  }

  /**
   * Says where a message stands with a subscriber, or with every durable one of its queue, by name. One that is gone or not there
   * yet is an answer. Rejects with QUEUE_NOT_FOUND or SUBSCRIBER_NOT_FOUND.
   *
   *     for (const { sentence } of await client.admin.explainMessage("orders", 4711)) console.log(sentence);
   *
   * @param subscriber Default: every one, up to 1,000
   */
  async explainMessage(queue: string, offset: number, subscriber = ""): Promise<readonly MessageExplanation[]> {
    const request = { queue, offset: BigInt(offset), subscriber };
    const response = await unaryCall<ExplainMessageResponse>(this.connection, this.patienceMs, (done) => this.stub.explainMessage(request, done));
    return response.explanations.map(messageExplanation);
  }

  /** Says what a subscriber is waiting for. Rejects with QUEUE_NOT_FOUND or SUBSCRIBER_NOT_FOUND. */
  async explainSubscriber(queue: string, subscriber: string): Promise<SubscriberExplanation> {
    const request = { queue, subscriber };
    const response = await unaryCall<ExplainSubscriberResponse>(this.connection, this.patienceMs, (done) => this.stub.explainSubscriber(request, done));
    return subscriberExplanation(present(response.explanation, "explanation"));
  }

  /** The open sessions, by session id: of one queue, of one subscriber of it, or all. */
  clients(queue = "", subscriber = ""): AsyncIterable<ClientInfo> {
    return pages(async (pageToken) => {
      const request = { queue, subscriber, pageSize: 0, pageToken };
      const response = await unaryCall<ListClientsResponse>(this.connection, this.patienceMs, (done) => this.stub.listClients(request, done));
      return { entries: response.clients.map(clientInfo), nextPageToken: response.nextPageToken };
    });
  }

  /**
   * Tells who is connected, live: first everybody who is there, then `listed`, then who comes, changes and goes, and why. Ends when
   * the loop is left, the signal is aborted or the client closed; throws a TidemarkError when the broker stops or the connection breaks. Whoever reads
   * slowly gets the newest state of each session, and always its end.
   *
   *     for await (const event of client.admin.watchClients({ queue: "orders" })) {
   *       if (event.type === "left") console.log(event.client.clientId, event.reason, event.detail);
   *     }
   */
  watchClients(options: WatchOptions = {}): AsyncIterable<ClientEvent> {
    return watchClients(this.connection, this.patienceMs, this.closed, options);
  }

  /**
   * Ends a session: what it held is free at once. Nothing keeps the client from coming back. Rejects with SESSION_NOT_FOUND.
   *
   * @param reason for the client and whoever watches, up to 1 KiB. Default: none
   * @returns the session as it was last
   */
  async disconnectClient(sessionId: string, reason = ""): Promise<ClientInfo> {
    const request = { sessionId, reason };
    const response = await unaryCall<DisconnectClientResponse>(this.connection, this.patienceMs, (done) => this.stub.disconnectClient(request, done));
    return clientInfo(present(response.client, "client"));
  }

  /** What runs at the other end. */
  async server(): Promise<ServerInfo> {
    const response = await unaryCall<GetServerInfoResponse>(this.connection, this.patienceMs, (done) => this.stub.getServerInfo({}, done));
    return serverInfo(present(response.server, "server"));
  }

  /**
   * Messages of a queue, by offset, without leasing or settling any. Goes on until the end of the queue or the limit is reached.
   * Throws CHUNK_CORRUPT where the broker's disk has lost messages; `metadata.last` is the offset to go on behind.
   */
  peek(queue: string, options: PeekOptions = {}): AsyncIterable<StoredMessage> {
    return peekMessages(queue, options, (request) =>
      unaryCall<PeekMessagesResponse>(this.connection, this.patienceMs, (done) => this.stub.peekMessages(request, done)),
    );
  }

  /** The events in a queue, by name: how many messages there are of each, and who takes them. */
  events(queue: string): AsyncIterable<EventInfo> {
    return pages(async (pageToken) => {
      const request = { queue, pageSize: 0, pageToken };
      const response = await unaryCall<ListEventsResponse>(this.connection, this.patienceMs, (done) => this.stub.listEvents(request, done));
      return { entries: response.events.map(eventInfo), nextPageToken: response.nextPageToken };
    });
  }

  /** The dead letters of a subscriber, by offset. Throws CHUNK_CORRUPT before one that the broker's disk has lost. */
  deadLetters(queue: string, subscriber: string, filter: DeadLetterFilter = {}): AsyncIterable<DeadLetterInfo> {
    return pages(async (pageToken) => {
      const request = { queue, subscriber, filter: wireFilter(filter), pageSize: 0, pageToken, textView: false, omitPayload: filter.omitPayload ?? false };
      const response = await unaryCall<ListDeadLettersResponse>(this.connection, this.patienceMs, (done) => this.stub.listDeadLetters(request, done));
      return { entries: response.deadLetters.map(deadLetterInfo), nextPageToken: response.nextPageToken };
    });
  }

  /**
   * Delivers dead letters again: each becomes a new message at the end of its queue, for this subscriber alone, with both counts at 1
   * and `originOffset` set, and is a dead letter no more. When it fails, those before were replayed and the rest stays: repeat
   * it. Rejects with CHUNK_CORRUPT at one that the broker's disk has lost.
   *
   *     await client.admin.replayDeadLetters("orders", "billing", { events: ["order.*"], limit: 100 });
   */
  async replayDeadLetters(queue: string, subscriber: string, choice: DeadLetterChoice = {}): Promise<ReplayedLetters> {
    const request = wireChoice(queue, subscriber, choice);
    const response = await unaryCall<ReplayDeadLettersResponse>(this.connection, this.patienceMs, (done) => this.stub.replayDeadLetters(request, done));
    return {
      replayedCount: safeNumber(response.replayedCount, "replayed_count"),
      remainingCount: safeNumber(response.remainingCount, "remaining_count"),
      firstOffset: safeNumber(response.firstOffset, "first_offset"),
      lastOffset: safeNumber(response.lastOffset, "last_offset"),
    };
  }

  /** Deletes dead letters. There is no way back. When it fails, some are deleted: repeat it. */
  async deleteDeadLetters(queue: string, subscriber: string, choice: DeadLetterChoice = {}): Promise<DeletedLetters> {
    const request = wireChoice(queue, subscriber, choice);
    const response = await unaryCall<DeleteDeadLettersResponse>(this.connection, this.patienceMs, (done) => this.stub.deleteDeadLetters(request, done));
    return { deletedCount: safeNumber(response.deletedCount, "deleted_count"), remainingCount: safeNumber(response.remainingCount, "remaining_count") };
  }

  /** The messages of a queue that are put off, by due time. Throws CHUNK_CORRUPT before one that the broker's disk has lost. */
  scheduled(queue: string, { omitPayload = false }: ScheduledOptions = {}): AsyncIterable<ScheduledInfo> {
    return pages(async (pageToken) => {
      const request = { queue, pageSize: 0, pageToken, textView: false, omitPayload };
      const response = await unaryCall<ListScheduledResponse>(this.connection, this.patienceMs, (done) => this.stub.listScheduled(request, done));
      return { entries: response.scheduled.map(scheduledInfo), nextPageToken: response.nextPageToken };
    });
  }

  /**
   * Takes back a message that is not due yet, and answers it. Its message id is free at once. Rejects with SCHEDULE_NOT_FOUND when it
   * became due, was cancelled, or never was.
   */
  async cancelScheduled(queue: string, scheduleId: string): Promise<ScheduledInfo> {
    const request = { queue, scheduleId };
    const response = await unaryCall<CancelScheduledResponse>(this.connection, this.patienceMs, (done) => this.stub.cancelScheduled(request, done));
    return scheduledInfo(present(response.scheduled, "scheduled"));
  }

  private get stub(): Connection["admin"] {
    return this.connection.admin;
  }
}

function present<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new TidemarkError("INTERNAL", "", `the broker's answer has no ${field}`);
  return value;
}
