/**
 * What this server can do beyond opening a stream: the names that `required_capabilities` may ask for and that `opened` lists.
 * A name, once here, keeps its meaning for good; new behaviour gets a new name.
 */
export const CAPABILITIES: readonly string[] = [
  /** ACK_MODE_AUTO, at most once. */
  "ack-auto",
  /** ACK_MODE_EXPLICIT with per-message verdicts. */
  "ack-explicit",
  /** `ack_through_batch_id`. */
  "ack-through-batch",
  /** Rejected and exhausted messages are kept as dead letters. */
  "dead-letters",
  /** `done`: settled at open. */
  "done-at-open",
  /** `drain`. */
  "drain",
  /** Named subscribers that remember their offset. */
  "durable-subscribers",
  /** Unnamed subscribers that end with their stream. */
  "ephemeral-subscribers",
  /** Event filters with `*` and `**`. */
  "event-filters",
  /** SHARING_EXCLUSIVE, with sessions that stand by. */
  "exclusive-subscribers",
  /** `extends` and `extend_all`. */
  "extend-leases",
  /** `flow` with `paused`. */
  "flow-control",
  /** Queues with ORDERING_ORDERED: `max_in_flight_per_lane`, `recall`. */
  "ordered-lanes",
  /** `processed_through`. */
  "processed-through",
  /** `releases`. */
  "release",
  /** `replaces_session_id`. */
  "replace-session",
  /** `retries` with a delay. */
  "retry-delay",
  /** SeekSubscriber: `recall` with DELIVERY_CAUSE_SEEK, on queues without order too. */
  "seek",
  /** Several clients on one subscriber. */
  "shared-subscribers",
  /** `start_after_offset`. */
  "start-after-offset",
  /** `start_from_time`. */
  "start-from-time",
  /** `stop_at_head` and `stop_after_messages` under ACK_MODE_AUTO. */
  "stop-auto",
  /** The same under ACK_MODE_EXPLICIT. */
  "stop-explicit",
  /** `text_view`. */
  "text-view",
];
