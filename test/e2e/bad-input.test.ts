import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { status as Code } from "@grpc/grpc-js";
import { expect } from "chai";
import { AdminServiceService, CreateQueueRequest, ListDeadLettersRequest, PeekMessagesRequest, PurgeQueueRequest, UpdateQueueRequest } from "../../generated/tidemark/v1/admin_service.js";
import { BrokerServiceService } from "../../generated/tidemark/v1/broker_service.js";
import { DeadLetterFilter, DeadLetterReason } from "../../generated/tidemark/v1/dead_letter.js";
import { NewMessage, type OffsetRange } from "../../generated/tidemark/v1/message.js";
import { PublishBatchRequest, PublishRequest, PublishStreamRequest, PublishStreamResponse } from "../../generated/tidemark/v1/publish.js";
import type { PublishResult } from "../../generated/tidemark/v1/publish.js";
import { Ordering, Queue, Retention } from "../../generated/tidemark/v1/queue.js";
import { OnExpiry, OnPoison, SubscriberSettings } from "../../generated/tidemark/v1/settings.js";
import { AckMode, OpenSession, Settlement, SettleFailureCode, Sharing, SubscribeRequest } from "../../generated/tidemark/v1/subscribe.js";
import { until, within } from "../support/condition.js";
import { rawUnary, RawStream } from "../support/raw-calls.js";
import type { CallEnd } from "../support/raw-calls.js";
import { startTestServer } from "../support/server.js";
import type { TestServer } from "../support/server.js";
import { payload } from "../support/stubs.js";
import type { Stubs } from "../support/stubs.js";

const DEADLINE_MS = 5_000;
const MIB = 1024 * 1024;
const U64_MAX = 2n ** 64n - 1n;
const SECOND = { seconds: 1n, nanos: 0 };
const GARBAGE = Buffer.from([0xff, 0xff, 0xff, 0xff]);
/** Field 15, which no frame has: what a client from the future may send. */
const UNKNOWN_FIELD = Buffer.from([0x7a, 0x01, 0x00]);

type Expected = Partial<CallEnd> & { readonly field?: string };

/** What is sent, and how the call must end. */
type Case<Input> = readonly [title: string, input: Input, expected: Expected];

const INVALID = (field?: string): Expected => ({ code: Code.INVALID_ARGUMENT, reason: "INVALID_FIELD", ...(field === undefined ? {} : { field }) });
const UNDECODABLE: Expected = { code: Code.INVALID_ARGUMENT, reason: "UNDECODABLE" };

function message(parts: Partial<NewMessage> = {}): NewMessage {
  return { ...NewMessage.create(), event: "order.created", body: payload("x"), ...parts };
}

function publishBytes(parts: Partial<PublishRequest> = {}): Buffer {
  return Buffer.from(PublishRequest.encode({ ...PublishRequest.create(), queue: "bad", message: message(), ...parts }).finish());
}

function batchBytes(messages: NewMessage[]): Buffer {
  return Buffer.from(PublishBatchRequest.encode({ ...PublishBatchRequest.create(), queue: "bad", messages }).finish());
}

function frame(value: NonNullable<SubscribeRequest["frame"]>, requestId = 0n): Buffer {
  return Buffer.from(SubscribeRequest.encode({ requestId, frame: value }).finish());
}

function open(parts: Partial<OpenSession> = {}): Buffer {
  return frame({ $case: "open", value: { ...OpenSession.create(), queue: "bad", ...parts } });
}

function settle(parts: Partial<Settlement>): Buffer {
  return frame({ $case: "settle", value: { ...Settlement.create(), ...parts } }, 1n);
}

const ping = frame({ $case: "ping", value: {} });
const headers = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`h${i}`, "v"]));
const range = (first: bigint, last = 0n, batchId = 0n): { first: bigint; last: bigint; batchId: bigint } => ({ first, last, batchId });

function putOff(when: NewMessage["when"], parts: Partial<PublishRequest> = {}): Buffer {
  return publishBytes({ message: message({ when }), ...parts });
}

const UNARY: readonly Case<Buffer>[] = [
  ["bytes that are no protobuf", GARBAGE, UNDECODABLE],
  ["a message cut short", publishBytes().subarray(0, -1), UNDECODABLE],
  ["a text that is not UTF-8", Buffer.from([0x0a, 0x02, 0xc3, 0x28]), UNDECODABLE],
  ["a field number 0", Buffer.from([0x00, 0x00]), UNDECODABLE],
  ["nothing at all", Buffer.alloc(0), INVALID("queue")],
  ["no queue", publishBytes({ queue: "" }), INVALID("queue")],
  ["a queue that starts with a dot", publishBytes({ queue: ".hidden" }), INVALID("queue")],
  ["a queue with a slash", publishBytes({ queue: "a/b" }), INVALID("queue")],
  ["a queue of 129 characters", publishBytes({ queue: "q".repeat(129) }), INVALID("queue")],
  ["no message", publishBytes({ message: undefined }), INVALID("message")],
  ["no event", publishBytes({ message: message({ event: "" }) }), INVALID("message.event")],
  ["an event with an empty token", publishBytes({ message: message({ event: "a..b" }) }), INVALID("message.event")],
  ["an event with a wildcard", publishBytes({ message: message({ event: "order.*" }) }), INVALID("message.event")],
  ["an event of 17 tokens", publishBytes({ message: message({ event: Array(17).fill("a").join(".") }) }), INVALID("message.event")],
  ["65 headers", publishBytes({ message: message({ headers: headers(65) }) }), INVALID("message.headers")],
  ["headers over 8 KiB", publishBytes({ message: message({ headers: { a: "x".repeat(8 * 1024) } }) }), INVALID("message.headers")],
  ["a header of the broker's own", publishBytes({ message: message({ headers: { "tidemark-x": "1" } }) }), INVALID("message.headers")],
  ["a header without a name", publishBytes({ message: message({ headers: { "": "1" } }) }), INVALID("message.headers")],
  ["a message_id of 257 bytes", publishBytes({ message: message({ messageId: "i".repeat(257) }) }), INVALID("message.message_id")],
  ["an ordering_key of 257 bytes", publishBytes({ message: message({ orderingKey: "k".repeat(257) }) }), INVALID("message.ordering_key")],
  ["a ttl of nothing", publishBytes({ message: message({ ttl: { seconds: 0n, nanos: 0 } }) }), INVALID("message.ttl")],
  ["a ttl below zero", publishBytes({ message: message({ ttl: { seconds: -1n, nanos: 0 } }) }), INVALID("message.ttl")],
  ["a ttl of eleven years", publishBytes({ message: message({ ttl: { seconds: 11n * 365n * 86_400n, nanos: 0 } }) }), INVALID("message.ttl")],
  ["a delay below zero", putOff({ $case: "delay", value: { seconds: -1n, nanos: 0 } }), INVALID("message.delay")],
  ["a delay of 366 days", putOff({ $case: "delay", value: { seconds: 366n * 86_400n, nanos: 0 } }), INVALID("message.delay")],
  ["a delay beyond 2^53", putOff({ $case: "delay", value: { seconds: 2n ** 62n, nanos: 0 } }), INVALID("message.delay")],
  ["a deliver_time in 366 days", putOff({ $case: "deliverTime", value: { seconds: BigInt(Math.floor(Date.now() / 1_000)) + 366n * 86_400n, nanos: 0 } }), INVALID("message.deliver_time")],
  ["a deliver_time that is none", putOff({ $case: "deliverTime", value: { seconds: 0n, nanos: -1 } }), INVALID("message.deliver_time")],
  ["a delay with an expected offset", putOff({ $case: "delay", value: SECOND }, { expectedLastOffset: 0n }), INVALID("expected_last_offset")],
  [
    "a message over 1 MiB",
    publishBytes({ message: message({ body: payload("x".repeat(MIB)) }) }),
    { code: Code.INVALID_ARGUMENT, reason: "MESSAGE_TOO_LARGE", field: "message" },
  ],
  ["a request over what the transport takes", publishBytes({ message: message({ body: payload("x".repeat(5 * MIB)) }) }), { code: Code.RESOURCE_EXHAUSTED, reason: "" }],
  ["an expected offset beyond 2^53", publishBytes({ expectedLastOffset: U64_MAX }), INVALID("expected_last_offset")],
  ["an expected offset that is not the last", publishBytes({ expectedLastOffset: 999n }), { code: Code.FAILED_PRECONDITION, reason: "UNEXPECTED_LAST_OFFSET" }],
];

const BATCHES: readonly Case<Buffer>[] = [
  ["bytes that are no protobuf", GARBAGE, UNDECODABLE],
  ["no messages", batchBytes([]), INVALID("messages")],
  ["1,001 messages", batchBytes(Array<NewMessage>(1_001).fill(message())), { code: Code.INVALID_ARGUMENT, reason: "BATCH_TOO_LARGE", field: "messages" }],
  [
    "more than 3 MiB",
    batchBytes(Array<NewMessage>(4).fill(message({ body: payload("x".repeat(900_000)) }))),
    { code: Code.INVALID_ARGUMENT, reason: "BATCH_TOO_LARGE", field: "messages" },
  ],
  ["one bad message among good ones", batchBytes([message(), message({ event: "" })]), INVALID("messages[1].event")],
  ["a message that is put off", batchBytes([message({ when: { $case: "delay", value: SECOND } })]), INVALID("messages[0].delay")],
  [
    "one message_id twice",
    batchBytes([message({ messageId: "twice" }), message({ messageId: "twice" })]),
    { code: Code.INVALID_ARGUMENT, reason: "REPEATED_MESSAGE_ID" },
  ],
];

const adminPath = (method: keyof typeof AdminServiceService): string => AdminServiceService[method].path;

function peeking(parts: Partial<PeekMessagesRequest>): readonly [path: string, request: Buffer] {
  return [adminPath("peekMessages"), Buffer.from(PeekMessagesRequest.encode({ ...PeekMessagesRequest.create(), queue: "bad", ...parts }).finish())];
}

function listingLetters(parts: Partial<ListDeadLettersRequest>): readonly [path: string, request: Buffer] {
  const request = { ...ListDeadLettersRequest.create(), queue: "bad", subscriber: "bad", ...parts };
  return [adminPath("listDeadLetters"), Buffer.from(ListDeadLettersRequest.encode(request).finish())];
}

function letters(parts: Partial<DeadLetterFilter>): DeadLetterFilter {
  return { ...DeadLetterFilter.create(), ...parts };
}

function purging(parts: Partial<PurgeQueueRequest>): readonly [path: string, request: Buffer] {
  return [adminPath("purgeQueue"), Buffer.from(PurgeQueueRequest.encode({ ...PurgeQueueRequest.create(), queue: "bad", ...parts }).finish())];
}

function creating(parts: Partial<Queue>): readonly [path: string, request: Buffer] {
  return [adminPath("createQueue"), Buffer.from(CreateQueueRequest.encode({ queue: { ...Queue.create(), name: "bad-settings", ...parts } }).finish())];
}

function inheriting(parts: Partial<SubscriberSettings>): readonly [path: string, request: Buffer] {
  return creating({ subscriberDefaults: { ...SubscriberSettings.create(), ...parts } });
}

function updating(updateMask: string[], parts: Partial<Queue> = {}): readonly [path: string, request: Buffer] {
  return [adminPath("updateQueue"), Buffer.from(UpdateQueueRequest.encode({ queue: { ...Queue.create(), name: "none", ...parts }, updateMask }).finish())];
}

const MS = { seconds: 0n, nanos: 1_000_000 };
const DAY = { seconds: 86_400n, nanos: 0 };
const DEFAULTS_PATH = "queue.subscriber_defaults";

const ADMIN: readonly Case<readonly [path: string, request: Buffer]>[] = [
  ["GetQueue for a queue that is not there", [adminPath("getQueue"), Buffer.from("\n\u0004none")], { code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" }],
  ["GetQueue with undecodable bytes", [adminPath("getQueue"), GARBAGE], UNDECODABLE],
  ["GetQueue without a name", [adminPath("getQueue"), Buffer.alloc(0)], INVALID("queue")],
  ["CreateQueue without a queue", [adminPath("createQueue"), Buffer.alloc(0)], INVALID("queue")],
  ["CreateQueue with an ordering from the future", creating({ ordering: Ordering.UNRECOGNIZED }), INVALID("queue.ordering")],
  ["CreateQueue with a dedup_window over a day", creating({ dedupWindow: { seconds: 86_401n, nanos: 0 } }), INVALID("queue.dedup_window")],
  ["CreateQueue with a negative dedup_window", creating({ dedupWindow: { seconds: -1n, nanos: 0 } }), INVALID("queue.dedup_window")],
  ["CreateQueue with dedup_ids_max over 10 million", creating({ dedupIdsMax: 10_000_001n }), INVALID("queue.dedup_ids_max")],
  ["CreateQueue with dedup_ids_max beyond 2^53", creating({ dedupIdsMax: U64_MAX }), INVALID("queue.dedup_ids_max")],
  ["CreateQueue with an ack_timeout of 1 ms", inheriting({ ackTimeout: MS }), INVALID(`${DEFAULTS_PATH}.ack_timeout`)],
  ["CreateQueue with an ack_timeout of a day", inheriting({ ackTimeout: DAY }), INVALID(`${DEFAULTS_PATH}.ack_timeout`)],
  ["CreateQueue with 2 max_deliveries", inheriting({ maxDeliveries: 2 }), INVALID(`${DEFAULTS_PATH}.max_deliveries`)],
  ["CreateQueue with a window of 100,001 messages", inheriting({ windowMessages: 100_001 }), INVALID(`${DEFAULTS_PATH}.window_messages`)],
  ["CreateQueue with a window over 64 MiB", inheriting({ windowBytes: BigInt(64 * MIB + 1) }), INVALID(`${DEFAULTS_PATH}.window_bytes`)],
  ["CreateQueue with a first wait of a day", inheriting({ backoff: { minDelay: DAY, maxDelay: undefined, factor: 0 } }), INVALID(`${DEFAULTS_PATH}.backoff.min_delay`)],
  ["CreateQueue with a longest wait of a day", inheriting({ backoff: { minDelay: undefined, maxDelay: DAY, factor: 0 } }), INVALID(`${DEFAULTS_PATH}.backoff.max_delay`)],
  ["CreateQueue with waits that shrink", inheriting({ backoff: { minDelay: SECOND, maxDelay: MS, factor: 0 } }), INVALID(`${DEFAULTS_PATH}.backoff.max_delay`)],
  ["CreateQueue with a factor of 0.5", inheriting({ backoff: { minDelay: undefined, maxDelay: undefined, factor: 0.5 } }), INVALID(`${DEFAULTS_PATH}.backoff.factor`)],
  ["CreateQueue with a factor that is no number", inheriting({ backoff: { minDelay: undefined, maxDelay: undefined, factor: NaN } }), INVALID(`${DEFAULTS_PATH}.backoff.factor`)],
  ["CreateQueue with an on_poison from the future", inheriting({ onPoison: OnPoison.UNRECOGNIZED }), INVALID(`${DEFAULTS_PATH}.on_poison`)],
  ["CreateQueue with lanes to block where there are none", inheriting({ onPoison: OnPoison.BLOCK_LANE }), { code: Code.FAILED_PRECONDITION, reason: "ORDERED_QUEUE_REQUIRED", field: `${DEFAULTS_PATH}.on_poison` }],
  ["CreateQueue with an expire_after of 1 ms", inheriting({ expireAfter: MS }), INVALID(`${DEFAULTS_PATH}.expire_after`)],
  ["CreateQueue with an expire_after of 11 years", inheriting({ expireAfter: { seconds: 4_015n * 86_400n, nanos: 0 } }), INVALID(`${DEFAULTS_PATH}.expire_after`)],
  ["CreateQueue with an on_expiry from the future", inheriting({ onExpiry: OnExpiry.UNRECOGNIZED }), INVALID(`${DEFAULTS_PATH}.on_expiry`)],
  ["CreateQueue with a max_age of zero", creating({ retention: { ...Retention.create(), maxAge: { seconds: 0n, nanos: 0 } } }), INVALID("queue.retention.max_age")],
  ["UpdateQueue with undecodable bytes", [adminPath("updateQueue"), GARBAGE], UNDECODABLE],
  ["UpdateQueue without a queue", [adminPath("updateQueue"), Buffer.alloc(0)], INVALID("queue")],
  ["UpdateQueue without a name", updating([], { name: "" }), INVALID("queue.name")],
  ["UpdateQueue of a queue that is not there", updating(["dedup_window"]), { code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" }],
  ["UpdateQueue of a field that nobody knows", updating(["dedup_window", "colour"]), INVALID("update_mask")],
  ["UpdateQueue of the name", updating(["name"]), INVALID("update_mask")],
  ["UpdateQueue of the ordering", updating(["ordering"]), INVALID("update_mask")],
  ["UpdateQueue of what is output only", updating(["head_offset"]), INVALID("update_mask")],
  ["UpdateQueue of half a field name", updating(["subscriber_defaults.back"]), INVALID("update_mask")],
  ["UpdateQueue of a bad value", updating(["subscriber_defaults"], { subscriberDefaults: { ...SubscriberSettings.create(), ackTimeout: DAY } }), INVALID(`${DEFAULTS_PATH}.ack_timeout`)],
  ["UpdateQueue of retention with a bad value", updating(["retention"], { retention: { ...Retention.create(), maxAge: MS } }), INVALID("queue.retention.max_age")],
  ["UpdateQueue of a field of retention that nobody knows", updating(["retention.max_size"]), INVALID("update_mask")],
  ["DeleteQueue for a queue that is not there", [adminPath("deleteQueue"), Buffer.from("\n\u0004none")], { code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" }],
  ["GetSubscriber without a subscriber", [adminPath("getSubscriber"), Buffer.from("\n\u0003bad")], INVALID("subscriber")],
  ["ListQueues with a token from nowhere", [adminPath("listQueues"), Buffer.from("\u0012\u0003abc")], INVALID("page_token")],
  ["ListClients of a subscriber without its queue", [adminPath("listClients"), Buffer.from("\u0012\u0001s")], INVALID("queue")],
  ["ListEvents with undecodable bytes", [adminPath("listEvents"), GARBAGE], UNDECODABLE],
  ["ListEvents without a queue", [adminPath("listEvents"), Buffer.alloc(0)], INVALID("queue")],
  ["ListEvents with a token from nowhere", [adminPath("listEvents"), Buffer.from("\n\u0003bad\u001a\u0003abc")], INVALID("page_token")],
  ["ListEvents of a queue that is not there", [adminPath("listEvents"), Buffer.from("\n\u0004none")], { code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" }],
  ["PeekMessages with undecodable bytes", [adminPath("peekMessages"), GARBAGE], UNDECODABLE],
  ["PeekMessages without a queue", [adminPath("peekMessages"), Buffer.alloc(0)], INVALID("queue")],
  ["PeekMessages with a filter that is none", peeking({ events: ["a", "a..b"] }), INVALID("events[1]")],
  ["PeekMessages with 65 filters", peeking({ events: Array.from({ length: 65 }, (_, i) => `e${i}`) }), INVALID("events")],
  ["PeekMessages of the last 0 messages", peeking({ from: { $case: "lastMessages", value: 0 } }), INVALID("last_messages")],
  ["PurgeQueue without a queue", purging({ queue: "" }), INVALID("queue")],
  ["PurgeQueue of a queue with a slash", purging({ queue: "a/b" }), INVALID("queue")],
  ["PurgeQueue of a queue that there is not", purging({ queue: "none" }), { code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" }],
  ["PurgeQueue of another incarnation", purging({ queueId: "f".repeat(32) }), { code: Code.FAILED_PRECONDITION, reason: "QUEUE_ID_MISMATCH", field: "queue_id" }],
  ["PurgeQueue of an incarnation of 129 characters", purging({ queueId: "f".repeat(129) }), INVALID("queue_id")],
  ["PurgeQueue through an offset that is not there yet", purging({ throughOffset: 1_000_000n }), { code: Code.OUT_OF_RANGE, reason: "BEYOND_HEAD", field: "through_offset" }],
  ["PurgeQueue through an offset beyond 2^53", purging({ throughOffset: U64_MAX }), INVALID("through_offset")],
  ["PurgeQueue with bytes that are no protobuf", [adminPath("purgeQueue"), GARBAGE], UNDECODABLE],
  ["PeekMessages from an offset beyond 2^53", peeking({ from: { $case: "fromOffset", value: U64_MAX } }), INVALID("from_offset")],
  ["PeekMessages from an offset that is not there yet", peeking({ from: { $case: "fromOffset", value: 1_000_000n } }), { code: Code.OUT_OF_RANGE, reason: "BEYOND_HEAD", field: "from_offset" }],
  ["PeekMessages from a time with a whole second of nanos", peeking({ from: { $case: "fromTime", value: { seconds: 1n, nanos: 1_000_000_000 } } }), INVALID("from_time")],
  ["PeekMessages from a time before the year 1", peeking({ from: { $case: "fromTime", value: { seconds: -(2n ** 62n), nanos: 0 } } }), INVALID("from_time")],
  ["PeekMessages of a queue that is not there", peeking({ queue: "none" }), { code: Code.NOT_FOUND, reason: "QUEUE_NOT_FOUND" }],
  ["WatchClients of a subscriber without its queue", [adminPath("watchClients"), Buffer.from("\u0012\u0001s")], INVALID("queue")],
  ["WatchClients of a queue that cannot be", [adminPath("watchClients"), Buffer.from("\n\u0002-q")], INVALID("queue")],
  ["WatchClients with bytes that are no request", [adminPath("watchClients"), GARBAGE], UNDECODABLE],
  ["ListDeadLetters with undecodable bytes", [adminPath("listDeadLetters"), GARBAGE], UNDECODABLE],
  ["ListDeadLetters without a queue", listingLetters({ queue: "" }), INVALID("queue")],
  ["ListDeadLetters without a subscriber", listingLetters({ subscriber: "" }), INVALID("subscriber")],
  ["ListDeadLetters of a subscriber that is not there", listingLetters({ subscriber: "nobody" }), { code: Code.NOT_FOUND, reason: "SUBSCRIBER_NOT_FOUND" }],
  ["ListDeadLetters with a token from nowhere", listingLetters({ pageToken: "abc" }), INVALID("page_token")],
  ["ListDeadLetters of offset 0", listingLetters({ filter: letters({ offsets: [{ first: 1n, last: 2n }, { first: 0n, last: 2n }] }) }), INVALID("filter.offsets[1].first")],
  ["ListDeadLetters of offsets that run backwards", listingLetters({ filter: letters({ offsets: [{ first: 3n, last: 2n }] }) }), INVALID("filter.offsets[0].last")],
  ["ListDeadLetters of 1,001 runs", listingLetters({ filter: letters({ offsets: Array.from({ length: 1_001 }, (_, i) => ({ first: BigInt(2 * i + 1), last: 0n })) }) }), INVALID("filter.offsets")],
  ["ListDeadLetters with a pattern that is none", listingLetters({ filter: letters({ events: ["**.a"] }) }), INVALID("filter.events[0]")],
  ["ListDeadLetters of no reason", listingLetters({ filter: letters({ reasons: [DeadLetterReason.UNSPECIFIED] }) }), INVALID("filter.reasons[0]")],
  ["ListDeadLetters of a reason from the future", listingLetters({ filter: letters({ reasons: [DeadLetterReason.REJECTED, DeadLetterReason.UNRECOGNIZED] }) }), INVALID("filter.reasons[1]")],
  ["ListDeadLetters after no time", listingLetters({ filter: letters({ afterTime: { seconds: 1n, nanos: -1 } }) }), INVALID("filter.after_time")],
  ["ListDeadLetters before no time", listingLetters({ filter: letters({ beforeTime: { seconds: 2n ** 62n, nanos: 0 } }) }), INVALID("filter.before_time")],
  ["a method that nobody knows", ["/tidemark.v1.BrokerService/Steal", Buffer.alloc(0)], { code: Code.UNIMPLEMENTED, reason: "" }],
  ["a service that nobody knows", ["/tidemark.v9.BrokerService/Publish", Buffer.alloc(0)], { code: Code.UNIMPLEMENTED, reason: "" }],
];

/** The frames of a stream, from the first on; the stream must end by them. */
const STREAMS: readonly Case<readonly Buffer[]>[] = [
  ["no open first, but a ping", [ping], { code: Code.INVALID_ARGUMENT, reason: "OPEN_EXPECTED" }],
  ["no open first, but a settle", [settle({ acks: [range(1n)] })], { code: Code.INVALID_ARGUMENT, reason: "OPEN_EXPECTED" }],
  ["an empty frame", [Buffer.alloc(0)], { code: Code.UNIMPLEMENTED, reason: "UNKNOWN_FRAME" }],
  ["a frame from the future", [open(), UNKNOWN_FIELD], { code: Code.UNIMPLEMENTED, reason: "UNKNOWN_FRAME" }],
  ["bytes that are no frame", [GARBAGE], UNDECODABLE],
  ["bytes that are no frame, later", [open(), GARBAGE], UNDECODABLE],
  ["a second open", [open(), open()], { code: Code.INVALID_ARGUMENT, reason: "ALREADY_OPEN" }],
  ["a frame over what the transport takes", [open(), Buffer.alloc(5 * MIB)], { code: Code.RESOURCE_EXHAUSTED, reason: "" }],
  ["no queue", [open({ queue: "" })], INVALID("open.queue")],
  ["a bad subscriber", [open({ subscriber: "-x" })], INVALID("open.subscriber")],
  ["a bad client_id", [open({ clientId: "a b" })], INVALID("open.client_id")],
  ["a filter with ** inside", [open({ events: ["a.**.b"] })], INVALID("open.events[0]")],
  ["65 filters", [open({ events: Array.from({ length: 65 }, (_, i) => `e${i}`) })], INVALID("open.events")],
  ["labels over 8 KiB", [open({ labels: { a: "x".repeat(9_000) } })], INVALID("open.labels")],
  ["an ack_mode from the future", [open({ ackMode: AckMode.UNRECOGNIZED })], INVALID("open.ack_mode")],
  ["an ack_timeout of 99 ms", [open({ ackTimeout: { seconds: 0n, nanos: 99_000_000 } })], INVALID("open.ack_timeout")],
  ["an ack_timeout of 13 hours", [open({ ackTimeout: { seconds: 46_800n, nanos: 0 } })], INVALID("open.ack_timeout")],
  ["a negative ack_timeout", [open({ ackTimeout: { seconds: -1n, nanos: 0 } })], INVALID("open.ack_timeout")],
  ["a heartbeat of 1 ms", [open({ heartbeat: { seconds: 0n, nanos: 1_000_000 } })], INVALID("open.heartbeat")],
  ["a client_timeout of 1 ms", [open({ clientTimeout: { seconds: 0n, nanos: 1_000_000 } })], INVALID("open.client_timeout")],
  ["a start after 2^64 - 1", [open({ start: { $case: "startAfterOffset", value: U64_MAX } })], INVALID("open.start_after_offset")],
  ["a start beyond the head", [open({ start: { $case: "startAfterOffset", value: 1_000_000n } })], { code: Code.OUT_OF_RANGE, reason: "BEYOND_HEAD" }],
  ["a stop after 0 messages", [open({ stop: { $case: "stopAfterMessages", value: 0n } })], INVALID("open.stop_after_messages")],
  ["another incarnation of the queue", [open({ queueId: "0".repeat(32) })], { code: Code.FAILED_PRECONDITION, reason: "QUEUE_ID_MISMATCH" }],
  ["an unknown capability", [open({ requiredCapabilities: ["ack-auto", "telepathy"] })], { code: Code.UNIMPLEMENTED, reason: "UNKNOWN_CAPABILITY" }],
  ["a start_from_time that is no time", [open({ start: { $case: "startFromTime", value: { seconds: 0n, nanos: -1 } } })], INVALID("open.start_from_time")],
  ["a start_from_time in the year 10000", [open({ start: { $case: "startFromTime", value: { seconds: 253_402_300_800n, nanos: 0 } } })], INVALID("open.start_from_time")],
  ["a sharing from the future", [open({ sharing: Sharing.UNRECOGNIZED })], INVALID("open.sharing")],
  ["processed_through without EXCLUSIVE", [open({ subscriber: "s", queueId: "q", processedThrough: 1n })], INVALID("open.processed_through")],
  ["processed_through without queue_id", [open({ subscriber: "s", sharing: Sharing.EXCLUSIVE, processedThrough: 1n })], INVALID("open.queue_id")],
  ["processed_through without a subscriber", [open({ sharing: Sharing.EXCLUSIVE, queueId: "q", processedThrough: 1n })], INVALID("open.processed_through")],
  ["a processed_through beyond 2^53", [open({ subscriber: "s", sharing: Sharing.EXCLUSIVE, queueId: "q", processedThrough: U64_MAX })], INVALID("open.processed_through")],
  ["done without a subscriber", [open({ done: [{ first: 1n, last: 2n }] })], INVALID("open.done")],
  ["1,001 runs of done", [open({ subscriber: "s", done: Array<OffsetRange>(1_001).fill({ first: 1n, last: 1n }) })], INVALID("open.done")],
  ["a done run from 0", [open({ subscriber: "s", done: [{ first: 1n, last: 0n }, { first: 0n, last: 2n }] })], INVALID("open.done[1].first")],
  ["a done run that runs backwards", [open({ subscriber: "s", done: [{ first: 3n, last: 2n }] })], INVALID("open.done[0].last")],
  ["a done run beyond 2^53", [open({ subscriber: "s", done: [{ first: 1n, last: U64_MAX }] })], INVALID("open.done[0].last")],
  ["a done run beyond the last message", [open({ subscriber: "s", done: [{ first: 999n, last: 0n }] })], { code: Code.OUT_OF_RANGE, reason: "BEYOND_HEAD", field: "open.done[0].last" }],
  ["a replaces_session_id of 129 bytes", [open({ replacesSessionId: "s".repeat(129) })], INVALID("open.replaces_session_id")],
  ["10,001 ranges", [open(), settle({ acks: Array.from({ length: 10_001 }, (_, i) => range(BigInt(i + 1))) })], INVALID("settle")],
];

/** Settles that name nothing, or nothing any more: a failure item, and the stream goes on. */
const SETTLES: readonly (readonly [string, Partial<Settlement>, SettleFailureCode])[] = [
  ["an ack of what was never delivered", { acks: [range(5_000n)] }, SettleFailureCode.NOT_HELD],
  ["an ack of a batch that was never sent", { acks: [range(1n, 0n, 77n)] }, SettleFailureCode.NOT_HELD],
  ["an ack through a batch that was never sent", { ackThroughBatchId: 77n }, SettleFailureCode.NOT_HELD],
  ["an ack of offset 0", { acks: [range(0n)] }, SettleFailureCode.NOT_HELD],
  ["a range that starts at 0", { acks: [range(0n, 1_000n)] }, SettleFailureCode.NOT_HELD],
  ["a range that runs backwards", { acks: [range(3n, 1n)] }, SettleFailureCode.NOT_HELD],
  ["a range that runs backwards by one", { acks: [range(2n, 1n)] }, SettleFailureCode.NOT_HELD],
  ["a range backwards in a batch", { acks: [range(2n, 1n, 1n)] }, SettleFailureCode.NOT_HELD],
  ["offsets at the end of what a number holds", { acks: [range(U64_MAX, U64_MAX, 0n)] }, SettleFailureCode.NOT_HELD],
  ["a batch at the end of what a number holds", { acks: [range(1n, 1n, U64_MAX)] }, SettleFailureCode.NOT_HELD],
  ["a retry of what was never delivered", { retries: [{ range: range(5_000n), delay: undefined, reason: "" }] }, SettleFailureCode.NOT_HELD],
  ["a reject of what was never delivered", { rejects: [{ range: range(5_000n), reason: "" }] }, SettleFailureCode.NOT_HELD],
  ["a release of what was never delivered", { releases: [range(5_000n)] }, SettleFailureCode.NOT_HELD],
  ["a retry without a range", { retries: [{ range: undefined, delay: undefined, reason: "" }] }, SettleFailureCode.NOT_HELD],
  ["a reject without a range", { rejects: [{ range: undefined, reason: "" }] }, SettleFailureCode.NOT_HELD],
  ["an extend without a range", { extends: [{ range: undefined, lease: undefined }] }, SettleFailureCode.NOT_HELD],
  ["an extend of what was never delivered", { extends: [{ range: range(5_000n), lease: undefined }] }, SettleFailureCode.NOT_HELD],
];

describe("bad input", () => {
  let server: TestServer;
  let culprit: Stubs;
  let witness: Stubs;
  let orders = 0;

  before(async () => {
    server = await startTestServer({ engine: "memory" });
    culprit = await server.connect();
    witness = await server.connect();
    await witness.publish("bad", message());
  });

  after(async () => {
    await server.close();
  });

  afterEach("the server goes on serving another client", async () => {
    const { offset } = await witness.publish("good", { event: "order.created", body: payload(String(++orders)) });
    const reader = witness.subscribe({ queue: "good", ackMode: AckMode.AUTO, start: { $case: "startAfterOffset", value: offset - 1n } });
    expect((await reader.receive(1))[0]?.payload.toString()).to.equal(String(orders));
    await reader.cancel();
  });

  function check(end: CallEnd, { field, ...expected }: Expected): void {
    expect(end, end.details).to.deep.include(expected);
    if (field !== undefined) expect(end.metadata["field"]).to.equal(field);
    if (expected.reason === "INVALID_FIELD") {
      expect(end.metadata).to.include.keys("field", "value", "limit");
      expect(end.details).to.contain(end.metadata["field"]).and.contain(end.metadata["limit"]);
    }
  }

  describe("Publish refuses", () => {
    for (const [title, bytes, expected] of UNARY) {
      it(title, async () => {
        check(await rawUnary(culprit.broker, BrokerServiceService.publish.path, bytes), expected);
      });
    }
  });

  describe("PublishBatch refuses", () => {
    for (const [title, bytes, expected] of BATCHES) {
      it(title, async () => {
        check(await rawUnary(culprit.broker, BrokerServiceService.publishBatch.path, bytes), expected);
      });
    }
  });

  describe("PublishStream", () => {
    it("answers bad frames one by one, in order, and goes on", async () => {
      const stream = new RawStream(culprit.broker, BrokerServiceService.publishStream.path);
      const send = (requestId: bigint, parts: Partial<PublishStreamRequest>): void => {
        stream.write(PublishStreamRequest.encode({ ...PublishStreamRequest.create(), requestId, queue: "bad", messages: [message()], ...parts }).finish());
      };
      send(1n, { queue: "" });
      send(2n, {});
      send(3n, { messages: [] });
      send(4n, { messages: [message({ messageId: "m" }), message({ messageId: "m" })] });
      send(5n, { messages: [message({ when: { $case: "delay", value: SECOND } })] });
      send(6n, { messages: [message({ ttl: { seconds: 0n, nanos: 0 } })] });
      send(7n, {});
      const results = (): PublishResult[] => stream.received.flatMap((bytes) => PublishStreamResponse.decode(bytes).results);
      await until("seven results", DEADLINE_MS, () => results().length === 7);
      expect(results().map(({ requestId, reason }) => [requestId, reason])).to.deep.equal([
        [1n, "INVALID_FIELD"],
        [2n, ""],
        [3n, "INVALID_FIELD"],
        [4n, "REPEATED_MESSAGE_ID"],
        [5n, "INVALID_FIELD"],
        [6n, "INVALID_FIELD"],
        [7n, ""],
      ]);
      expect(await stream.end().ended).to.include({ code: Code.OK });
    });

    it("ends when bytes are no frame", async () => {
      check(await new RawStream(culprit.broker, BrokerServiceService.publishStream.path).write(GARBAGE).ended, UNDECODABLE);
    });
  });

  describe("Subscribe ends after", () => {
    for (const [title, frames, expected] of STREAMS) {
      it(title, async () => {
        const stream = new RawStream(culprit.broker, BrokerServiceService.subscribe.path);
        for (const bytes of frames) stream.write(bytes);
        check(await stream.ended, expected);
      });
    }

    it("a half-close without an open", async () => {
      check(await new RawStream(culprit.broker, BrokerServiceService.subscribe.path).end().ended, { code: Code.INVALID_ARGUMENT, reason: "OPEN_EXPECTED" });
    });
  });

  describe("Subscribe answers with a failure item, and goes on, after", () => {
    for (const [title, verdicts, code] of SETTLES) {
      it(title, async () => {
        const queue = "settles";
        const { offset } = await witness.publish(queue, { event: "a" });
        const stream = culprit.subscribe({ queue, start: { $case: "startAfterOffset", value: offset - 1n } });
        const [held] = await stream.receive(1);
        const result = await stream.settle(verdicts);
        expect(result.failures.map((failure) => failure.code)).to.deep.equal([code]);
        expect((await stream.settle({ acks: [range(held?.offset ?? 0n)] })).failures).to.deep.equal([]);
        expect((await stream.halfClose()).code).to.equal(Code.OK);
      });
    }

    it("another verdict on what is settled", async () => {
      const { offset } = await witness.publish("settles", { event: "a" });
      const stream = culprit.subscribe({ queue: "settles", start: { $case: "startAfterOffset", value: offset - 1n } });
      await stream.receive(1);
      await stream.settle({ acks: [range(offset)] });
      expect((await stream.settle({ acks: [range(offset)] })).failures, "the same verdict again").to.deep.equal([]);
      const { failures } = await stream.settle({ releases: [range(offset)] });
      expect(failures.map(({ code }) => code)).to.deep.equal([SettleFailureCode.ALREADY_SETTLED]);
      await stream.cancel();
    });
  });

  describe("AdminService and unknown methods:", () => {
    for (const [title, [path, request], expected] of ADMIN) {
      it(title, async () => {
        check(await rawUnary(culprit.admin, path, request), expected);
      });
    }
  });

  describe("below gRPC, the server survives", () => {
    const port = (): number => Number(server.address.split(":").at(-1));

    /** Writes bytes to a plain socket and waits until the server hangs up, which it may also have done before. */
    async function socketSends(bytes: Buffer): Promise<void> {
      const socket: Socket = connect(port(), "127.0.0.1");
      const closed = new Promise<void>((resolve) => {
        socket.once("close", () => {
          resolve();
        });
      });
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(bytes);
      await within("the server hangs up", DEADLINE_MS, closed);
    }

    it("bytes that are no HTTP/2", async () => {
      await socketSends(Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
      await socketSends(Buffer.alloc(64 * 1024, 0xff));
    });

    it("an HTTP/2 preface and then nonsense", async () => {
      await socketSends(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.alloc(1_024, 0xaa)]));
    });

    for (const [title, body, contentType] of [
      ["a body that is no gRPC frame", Buffer.from("hello"), "application/grpc"],
      ["a frame that promises more than comes", Buffer.from([0, 0, 0, 1, 0, 1]), "application/grpc"],
      ["a frame that promises 4 GiB", Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]), "application/grpc"],
      ["a compressed frame that is not compressed", Buffer.from([1, 0, 0, 0, 2, 1, 2]), "application/grpc"],
      ["a request that is no gRPC at all", Buffer.from("{}"), "application/json"],
    ] as const) {
      it(title, async () => {
        const session = connectHttp2(`http://127.0.0.1:${port()}`);
        session.on("error", () => undefined);
        try {
          for (const path of [BrokerServiceService.publish.path, BrokerServiceService.subscribe.path]) {
            const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType, "grpc-encoding": "gzip", te: "trailers" });
            const closed = new Promise<void>((resolve) => {
              stream.once("close", () => {
                resolve();
              });
            });
            stream.on("error", () => undefined);
            stream.resume();
            stream.end(body);
            await within("the stream is answered", DEADLINE_MS, closed);
          }
        } finally {
          session.destroy();
        }
      });
    }
  });
}).timeout(20_000);
