/** What a metric says, in one place: the code registers it from here, and docs/metrics.md is made of it. */
export interface MetricEntry {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** Of these, `queue` and `subscriber` have as many values as the two numbers below allow; all others come from a list in the contract. */
  readonly labels: readonly string[];
  /** What one is; a base unit. */
  readonly unit: string;
  /** One sentence, for the scrape and the docs. */
  readonly help: string;
  /** Upper bounds, of a histogram. */
  readonly buckets?: readonly number[];
}

/** How many queues and subscribers are told apart; those that come beyond share the series `(other)`. */
export const QUEUE_SERIES_MAX = 500;
export const SUBSCRIBER_SERIES_MAX = 1_000;

/** From a flush of a fast disk to one that is in trouble. */
const COMMIT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const OPERATIONS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

const QUEUE = ["queue"];
const SUBSCRIBER = ["queue", "subscriber"];

/** Every metric of Tidemark's own, by the name that the code has for it. */
export const METRICS = {
  buildInfo: gauge("tidemark_build_info", ["version", "engine", "durability"], "1", "Always 1; the labels say what runs."),
  queues: gauge("tidemark_queues", [], "queues", "Queues that there are, open or not."),
  sessions: gauge("tidemark_sessions", [], "sessions", "Open sessions."),
  streams: gauge("tidemark_streams", ["method"], "streams", "Open calls of the streaming methods."),

  queueMessages: gauge("tidemark_queue_messages", QUEUE, "messages", "Messages in the log."),
  queueBytes: gauge("tidemark_queue_bytes", QUEUE, "bytes", "Bytes of the messages in the log."),
  queueHeadOffset: gauge("tidemark_queue_head_offset", QUEUE, "offset", "The last message stored; 0 before the first. Not of (other)."),
  queueFirstOffset: gauge("tidemark_queue_first_offset", QUEUE, "offset", "The oldest message left; one beyond the head when there is none. Not of (other)."),
  queueSubscribers: gauge("tidemark_queue_subscribers", QUEUE, "subscribers", "Durable subscribers."),
  queueClients: gauge("tidemark_queue_clients", QUEUE, "sessions", "Open sessions of the queue, ephemeral ones included."),
  queueOpenBatchBytes: gauge("tidemark_queue_open_batch_bytes", QUEUE, "bytes", "Memory of what was published and waits for the disk."),
  queueScheduled: gauge("tidemark_queue_scheduled_messages", QUEUE, "messages", "Messages that were accepted and are not due yet."),

  publishedMessages: counter("tidemark_published_messages_total", QUEUE, "messages", "Messages stored."),
  publishedBytes: counter("tidemark_published_bytes_total", QUEUE, "bytes", "Bytes of the messages stored."),
  duplicateMessages: counter("tidemark_duplicate_messages_total", QUEUE, "messages", "Messages answered with the offset of an earlier one, since their message_id was known."),
  publishStalls: counter("tidemark_publish_stalls_total", QUEUE, "frames", "Publish frames after which the publisher was told to wait, because the open batch was full."),
  publishFailures: counter("tidemark_publish_failures_total", ["reason"], "publishes", "Publish calls, frames of a stream and messages of an independent frame that were refused, by error reason."),
  scheduledAppended: counter("tidemark_scheduled_appended_total", QUEUE, "messages", "Messages stored that had been put off and became due; published ones count them too."),
  expiredSubscribers: counter("tidemark_expired_subscribers_total", QUEUE, "subscribers", "Durable subscribers deleted because no client came within their expire_after."),
  trimmedMessages: counter("tidemark_trimmed_messages_total", QUEUE, "messages", "Messages let go of, since every durable subscriber had settled them; purged ones and those that a bound dropped are not among them."),
  trimmedBytes: counter("tidemark_trimmed_bytes_total", QUEUE, "bytes", "Bytes of the messages let go of that way."),

  droppedMessages: counter("tidemark_retention_dropped_messages_total", QUEUE, "messages", "Messages dropped by max_age, max_bytes or max_messages, settled or not."),
  droppedBytes: counter("tidemark_retention_dropped_bytes_total", QUEUE, "bytes", "Bytes of the messages dropped that way."),

  subscriberCommittedOffset: gauge("tidemark_subscriber_committed_offset", SUBSCRIBER, "offset", "Everything up to it is settled or filtered out, durably. Not of (other)."),
  subscriberLag: gauge("tidemark_subscriber_lag_offsets", SUBSCRIBER, "offsets", "How far the committed offset is behind the head."),
  subscriberBacklog: gauge("tidemark_subscriber_backlog_messages", SUBSCRIBER, "messages", "Messages that are neither settled nor in flight. With a filter: as far as counted, at most one scrape late."),
  subscriberInFlight: gauge("tidemark_subscriber_in_flight_messages", SUBSCRIBER, "messages", "Messages handed out and not settled."),
  subscriberWaitingRetry: gauge("tidemark_subscriber_waiting_retry_messages", SUBSCRIBER, "messages", "Messages that wait for the delay of their retry."),
  subscriberDeadLetters: gauge("tidemark_subscriber_dead_letters", SUBSCRIBER, "messages", "Dead letters kept."),
  subscriberClients: gauge("tidemark_subscriber_clients", SUBSCRIBER, "sessions", "Open sessions of the subscriber."),

  deliveries: counter("tidemark_deliveries_total", SUBSCRIBER, "messages", "Messages handed out, for the first time or again."),
  redeliveries: counter("tidemark_redeliveries_total", [...SUBSCRIBER, "cause"], "messages", "Messages handed out again, by DeliveryCause."),
  verdicts: counter("tidemark_verdicts_total", [...SUBSCRIBER, "verdict"], "messages", "Messages settled by a client: ack (under AUTO: taken by the transport), retry, reject, release."),
  lostLeases: counter("tidemark_lost_leases_total", [...SUBSCRIBER, "cause"], "messages", "Leases that ended without a verdict: TIMEOUT, DISCONNECT."),
  settleFailures: counter("tidemark_settle_failures_total", [...SUBSCRIBER, "code"], "ranges", "Parts of settles that came to nothing, by SettleFailure code."),
  lostMessages: counter("tidemark_lost_messages_total", SUBSCRIBER, "messages", "Messages that a purge or a bound of retention dropped before they were settled or in flight, as far as they were counted."),
  expiredMessages: counter("tidemark_expired_messages_total", SUBSCRIBER, "messages", "Messages that expired before they were settled, counted when the subscriber comes to them."),
  deadLetters: counter("tidemark_dead_letters_total", [...SUBSCRIBER, "reason"], "messages", "Messages given up for good, by DeadLetterReason."),

  commitSeconds: histogram("tidemark_commit_seconds", [], "seconds", "From the submission of the first operation of a commit until it is durable.", COMMIT_SECONDS),
  commitOperations: histogram("tidemark_commit_operations", [], "operations", "Appends, cursor writes and trims that shared a commit.", OPERATIONS),
  diskFreeBytes: gauge("tidemark_disk_free_bytes", [], "bytes", "Free on the disk of the data directory."),
  storeBytes: gauge("tidemark_store_bytes", [], "bytes", "Size of the store's file, room for reuse included."),
  diskHasRoom: gauge("tidemark_disk_has_room", [], "1", "Whether messages are taken in: 1, or 0 while publishing is refused for lack of room."),

  rpcRequests: counter("tidemark_rpc_requests_total", ["method", "code"], "calls", "Calls that ended, by method and gRPC status."),
  rpcSeconds: histogram("tidemark_rpc_seconds", ["method"], "seconds", "Duration of the calls of the unary methods.", COMMIT_SECONDS),
} as const satisfies Readonly<Record<string, MetricEntry>>;

function counter(name: string, labels: readonly string[], unit: string, help: string): MetricEntry {
  return { name, type: "counter", labels, unit, help };
}

function gauge(name: string, labels: readonly string[], unit: string, help: string): MetricEntry {
  return { name, type: "gauge", labels, unit, help };
}

function histogram(name: string, labels: readonly string[], unit: string, help: string, buckets: readonly number[]): MetricEntry {
  return { name, type: "histogram", labels, unit, help, buckets };
}
