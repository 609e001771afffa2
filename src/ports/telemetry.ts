import type { ErrorReason } from "../core/errors.js";
import { SubscriptionTally } from "../core/subscription/tally.js";

/** What one queue has done since the process started. Only grows; whoever holds it adds to it. */
export class QueueTally {
  /** Stored for good. */
  publishedMessages = 0;
  publishedBytes = 0;
  /** Messages that were answered with the offset of an earlier one. */
  duplicates = 0;
  /** Publish frames after which the publisher was told to wait, because the open batch was full. */
  stalls = 0;
  /** Let go of, since every durable subscriber had settled them. */
  trimmedMessages = 0;
  trimmedBytes = 0;
  /** Were put off, became due, and are stored. */
  scheduledAppended = 0;
  /** Dropped by a bound of retention, whoever had settled them. */
  droppedMessages = 0;
  droppedBytes = 0;
  /** Durable subscribers deleted because no client came for too long. */
  expiredSubscribers = 0;
}

/** What is counted of the calls of one method. */
export interface MethodMeter {
  started(): void;
  /** @param status gRPC's name of the code that the call ended with */
  ended(status: string, tookMs: number): void;
}

/**
 * Where everybody reports what they did. Counting must cost next to nothing: tallies are asked for once, held, and added to; no
 * call waits, throws, or keeps a name that a client made up, but for queues and subscribers, whose number is bounded.
 */
export interface Telemetry {
  /** The tally of a queue: the same until it is forgotten. */
  queue(queue: string): QueueTally;
  /** The tally of a subscriber of a queue that was asked for before; that of all its ephemeral ones for the empty name. */
  subscriber(queue: string, subscriber: string): SubscriptionTally;
  /** The queue is gone, and with it its subscribers. */
  forgetQueue(queue: string): void;
  forgetSubscriber(queue: string, subscriber: string): void;
  /** A publish call, a frame of a stream, or a message of an independent frame was refused. */
  publishFailed(reason: ErrorReason): void;
  /** An engine's transaction became durable, `waitedMs` after the first of its operations was submitted. */
  committed(operations: number, waitedMs: number): void;
  /** Once for each method, by its name in the contract: `Publish` of `tidemark.v1.BrokerService`. */
  method(service: string, method: string, streams: boolean): MethodMeter;
}

/** How things stand with the broker. Looking costs a walk over what is in memory, entry by entry as it is asked for. */
export interface BrokerView {
  /** Queues that there are, open or not. */
  readonly queueCount: number;
  readonly sessionCount: number;
  /** Those that are open. */
  views(): Iterable<QueueView>;
}

export interface QueueView {
  readonly name: string;
  readonly headOffset: number;
  readonly firstOffset: number;
  readonly messages: number;
  readonly bytes: number;
  /** What waits for the disk. */
  readonly openBatchBytes: number;
  readonly subscriberCount: number;
  readonly clientCount: number;
  /** Messages that are not due yet. */
  readonly scheduledCount: number;
  /** Durable ones. */
  subscribers(): Iterable<SubscriberView>;
}

export interface SubscriberView {
  readonly name: string;
  readonly committedOffset: number;
  /** How far that is behind the head. */
  readonly lag: number;
  /** As far as counted: nothing is waited for. */
  readonly backlogCount: number;
  readonly inFlightCount: number;
  readonly waitingRetryCount: number;
  readonly deadLetterCount: number;
  readonly clientCount: number;
}

const IDLE_METER: MethodMeter = { started: () => undefined, ended: () => undefined };

/** Nobody is curious: everything is counted and forgotten. */
export const NO_TELEMETRY: Telemetry = {
  queue: () => new QueueTally(),
  subscriber: () => new SubscriptionTally(),
  forgetQueue: () => undefined,
  forgetSubscriber: () => undefined,
  publishFailed: () => undefined,
  committed: () => undefined,
  method: () => IDLE_METER,
};
