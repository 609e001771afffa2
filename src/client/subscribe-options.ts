import type { Delivery } from "./delivery.js";
import type { TidemarkError } from "./tidemark-error.js";

/** How to subscribe. Whatever is left out is the broker's default. */
export interface SubscribeOptions {
  /**
   * The durable name under which the broker remembers what is done; clients that use the same name share its messages.
   * Default: none, the subscription is ephemeral and gone when it is closed.
   */
  readonly subscriber?: string;
  /** Event filters: `order.created`, `order.*` (one token), `order.**` (one or more at the end). Default: every event. */
  readonly events?: readonly string[];
  /**
   * Where a new subscriber begins: at the oldest message, after the newest, after an offset (0: before the first), or with the
   * first message published at a time or later. An existing one goes on where it was. Default: "earliest" with a name,
   * "latest" without.
   */
  readonly from?: "earliest" | "latest" | { readonly afterOffset: number } | { readonly time: Date };
  /**
   * One client of the subscriber works, the others stand by (the `opened` event says so), and when it goes, the one that has
   * stood by longest takes over at once (a notice TAKEN_OVER). All clients of a subscriber have to say the same. Default:
   * false, all of them work side by side.
   */
  readonly exclusive?: boolean;
  /**
   * For an application that keeps its position in its own database: everything up to this offset is done, from 0. Said until
   * the subscription is open for the first time; from then on acks say it. Needs `subscriber`, `exclusive` and `queueId`. Less
   * than what was settled before ends the subscription with CLIENT_BEHIND. Default: none.
   */
  readonly processedThrough?: number;
  /**
   * The incarnation of the queue that is meant, from `client.admin.queue` or an `opened` event. Another one, since the queue was
   * deleted and made again, ends the subscription with QUEUE_ID_MISMATCH. Default: any.
   */
  readonly queueId?: string;
  /**
   * "explicit": a message is done when the application says so; what it does not settle comes again. "auto": it is done when
   * it was sent, so it comes at most once. Default: "explicit".
   */
  readonly acks?: "explicit" | "auto";
  /**
   * Ends after these: the messages that are in the queue when it opens, or a number of messages. With explicit acks, "at_head"
   * waits until all of those are settled, by whichever client; a number counts what this client acked or rejected. Default:
   * never.
   */
  readonly stop?: "at_head" | { readonly afterMessages: number };
  /** How many unsettled messages this client holds at most. Default: the broker's, 1,000. */
  readonly maxInFlightMessages?: number;
  /** How many bytes of unsettled messages this client holds at most; one message always passes. Default: the broker's, 8 MiB. */
  readonly maxInFlightBytes?: number;
  /**
   * On an ordered queue, how many messages of one ordering key this client holds at most. 1: the next one comes when the one
   * before is settled, and a loop that works on one message after the other keeps the order by itself. With more, acks of a
   * key may be sent early, and hold once everything before them is settled; when a message is retried, released or times out,
   * those behind it are recalled: what the application has not seen of them is dropped, the rest `isRecalled` and told of by
   * the event `recalled`, and all of them come again behind it. Unordered queues and `acks: "auto"` have no use for it.
   * Default: 1.
   */
  readonly maxInFlightPerLane?: number;
  /** How long a delivery stays with this client without a sign of life, 100 ms to 12 h. Default: the subscriber's, 60 s. */
  readonly ackTimeoutMs?: number;
  /**
   * Prolong the leases of what the application holds, for as long as it holds it, each third of the ack timeout. Turn it off
   * where a handler that hangs should lose its message to another client. Default: true.
   */
  readonly extendLeases?: boolean;
  /** How often the broker shows that it lives, from 1 s. After three times that in silence the client reconnects. Default: 15 s. */
  readonly heartbeatMs?: number;
  /** When it aborts, the subscription is closed as by `close()`, and the iteration ends without an error. */
  readonly signal?: AbortSignal;
  /** Told of everything that is no delivery. Must not throw. */
  readonly onEvent?: (event: SubscriptionEvent) => void;
}

/** What happens on a subscription beside deliveries. New types may come: ignore those that you don't know. */
export type SubscriptionEvent =
  /** A session is open: at first, and after each reconnect. */
  | {
      readonly type: "opened";
      readonly sessionId: string;
      /** The identity of this incarnation of the queue, for `SubscribeOptions.queueId`. */
      readonly queueId: string;
      /** Another client of an exclusive subscriber works; this one takes over when it is gone. */
      readonly standby: boolean;
      /** The subscriber did not exist before: a typo in its name shows here. */
      readonly created: boolean;
      /** Everything up to it is settled or filtered out. */
      readonly committedOffset: number;
      /** The newest message of the queue; 0 in an empty one. */
      readonly headOffset: number;
      /** Messages that wait for this subscriber. */
      readonly backlogCount: number;
      readonly ackTimeoutMs: number;
    }
  /** The stream broke; it is opened again after `delayMs`. What was held comes again. */
  | { readonly type: "reconnecting"; readonly cause: TidemarkError; readonly delayMs: number }
  /** The broker shuts down or moves; the client drains, and comes back after `reconnectAfterMs`. */
  | { readonly type: "going_away"; readonly graceMs: number; readonly reconnectAfterMs: number; readonly reason: string }
  | {
      readonly type: "heartbeat";
      readonly headOffset: number;
      readonly committedOffset: number;
      readonly backlogCount: number;
      readonly deadLetterCount: number;
      /** Why nothing comes, such as "NOTHING_NEW" or "FLOW"; "UNRECOGNIZED" for a reason newer than this client. */
      readonly waitingFor: string;
    }
  /** Retention dropped messages that this subscriber had not read. */
  | { readonly type: "gap"; readonly firstOffset: number; readonly lastOffset: number; readonly matchingCount: number }
  /** The broker has something to say: `reason` for programs (CAUGHT_UP, DEAD_LETTERED, TAKEN_OVER, POSITION_MOVED, …), `detail` for people. */
  | { readonly type: "notice"; readonly reason: string; readonly detail: string }
  /**
   * The application has these in hand, and an earlier message of their ordering key came back, for `cause`: stop working on
   * them. They come again behind it, uncounted; settles of them fail with LEASE_LOST. Only with `maxInFlightPerLane` above 1, or
   * with the cause "SEEK", when an operator has moved the subscriber: then what lies ahead of where it is now comes again.
   */
  | { readonly type: "recalled"; readonly deliveries: readonly Delivery[]; readonly cause: string }
  /** A settle did not hold for these offsets, mostly because the lease had run out: the messages come again. */
  | { readonly type: "settle_failed"; readonly firstOffset: number; readonly lastOffset: number; readonly error: TidemarkError };
