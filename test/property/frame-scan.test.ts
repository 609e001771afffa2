import { expect } from "chai";
import fc from "fast-check";
import { NewMessage as WireMessage } from "../../generated/tidemark/v1/message.js";
import { PublishStreamRequest } from "../../generated/tidemark/v1/publish.js";
import type { PublishFrame, PublishOutcome } from "../../src/broker/api.js";
import { DedupIndex } from "../../src/broker/dedup-index.js";
import { EventMatches } from "../../src/broker/event-matches.js";
import { FrameJudge } from "../../src/broker/frame-judge.js";
import { ScheduleBook } from "../../src/broker/schedule-book.js";
import { OpenBatch } from "../../src/broker/open-batch.js";
import { QueueRoom } from "../../src/broker/queue-room.js";
import { EncodedMessages } from "../../src/core/encoded-messages.js";
import { BrokerError } from "../../src/core/errors.js";
import { EventFilter } from "../../src/core/event-filter.js";
import type { Retention } from "../../src/core/retention.js";
import { offset, wallMs } from "../../src/core/units.js";
import { decodeRequest } from "../../src/grpc/codec.js";
import { MemoryEngine } from "../../src/engines/memory/memory-engine.js";
import { scanFrame } from "../../src/grpc/frame-scan.js";
import { prepareFrame, readFrame } from "../../src/grpc/publish-frame.js";
import { ManualClock } from "../support/manual-clock.js";
import { RecordedJournal } from "../support/recorded-journal.js";

const FIRST = offset(2 ** 32 - 1);
const TIME = wallMs(1_764_000_000_123);
/** Nothing is put off here. */
const SCHEDULES = new ScheduleBook({ queue: "orders", queueId: "1", engine: new MemoryEngine(), clock: new ManualClock(), kept: () => undefined });
const NO_BYTES = new Uint8Array(0);
const UNBOUNDED: Retention = { mode: "UNTIL_ACKED", maxAgeMs: 0, maxBytes: 0, maxMessages: 0, whenFull: "REJECT_NEW" };

/** What becomes of a frame on a queue with these bounds: the answer, and the records that are stored. */
function judged(frame: PublishFrame, bounds: Retention): { outcome: PublishOutcome; records: string[] } {
  const matches = new EventMatches(() => [EventFilter.parse(["order.*"]), EventFilter.parse(["order.created"])]);
  const batch = new OpenBatch(FIRST, TIME);
  const head = { first: FIRST, next: FIRST, cumulativeMessages: 5, cumulativeBytes: 500, messages: 5, bytes: 500 };
  const log = { head: () => head, storedThrough: () => Promise.resolve(head) };
  const room = new QueueRoom(bounds, { queue: "orders", log, journal: new RecordedJournal(), settledThrough: () => offset(0), bytesWaiting: () => batch.bodyBytes });
  const outcome = new FrameJudge(new DedupIndex(1_000, 1_000), matches, SCHEDULES, room).judge(frame, batch);
  const chunks = batch.count === 0 ? [] : batch.seal(head);
  return { outcome, records: chunks.map(({ chunk, header }) => `${header.toString("hex")} ${chunk.body.toString("hex")}`) };
}

/** The same of a frame as it was read; the message of the error when it is refused. */
function answered(read: ReturnType<typeof readFrame>, bytes: Buffer, bounds: Retention): unknown {
  try {
    const { frame } = prepareFrame(read, bytes.length);
    return frame && judged(frame, bounds);
  } catch (error) {
    if (error instanceof BrokerError) return error.message;
    throw error;
  }
}

/** Whether the frame was scanned; if it was, it has to come out as the decoded one does. */
function scansAlike(bytes: Buffer, bounds = UNBOUNDED): boolean {
  const scanned = scanFrame(bytes);
  if (scanned === undefined) return false;
  const decoded = PublishStreamRequest.decode(bytes);
  const { messages, ...envelope } = scanned;
  expect(messages).to.be.instanceOf(EncodedMessages);
  expect(envelope).to.deep.equal({ requestId: decoded.requestId, queue: decoded.queue, resume: decoded.resume, haltOnFailure: decoded.haltOnFailure, independent: decoded.independent });
  expect(answered(scanned, bytes, bounds)).to.deep.equal(answered(decodeRequest(PublishStreamRequest, "PublishStreamRequest", bytes), bytes, bounds));
  return true;
}

const event = fc.constantFrom("order.created", "order.paid", "order", "a.b.c", `long.${"x".repeat(40)}`);
const ascii = fc.string({ unit: "binary-ascii", maxLength: 30 });
// The decoder keeps headers in an object, which puts names that are numbers first.
const headerName = fc.stringMatching(/^[A-Za-z-]{1,12}$/);

const usual = fc.record({
  event,
  body: fc.option(
    fc.uint8Array({ minLength: 1, maxLength: 400 }).map((value) => ({ $case: "payload" as const, value: Buffer.from(value) })),
    { nil: undefined },
  ),
  headers: fc.dictionary(headerName, ascii.filter((text) => text !== ""), { maxKeys: 4 }).map((entries) => ({ ...entries })),
  messageId: fc.constant(""),
  orderingKey: fc.oneof(fc.constant(""), ascii),
  ttl: fc.constant(undefined),
  when: fc.constant(undefined),
});

/** Fields that the scan leaves to the decoder, or that are errors. */
const unusual = fc.oneof(
  fc.constant({ event: "bad..event" }),
  fc.constant({ event: "" }),
  fc.constant({ event: "order.crëated" }),
  fc.constant({ body: { $case: "payload" as const, value: Buffer.from(NO_BYTES) } }),
  fc.constant({ body: { $case: "text" as const, value: "text" } }),
  fc.constant({ headers: { "tidemark-x": "1" } }),
  fc.constant({ headers: { "TideMark-x": "1" } }),
  fc.constant({ headers: { "": "1" } }),
  fc.constant({ headers: { a: "" } }),
  fc.constant({ headers: { ключ: "значение" } }),
  fc.constant({ headers: { large: "x".repeat(9_000) } }),
  fc.constant({ messageId: "m-1" }),
  fc.constant({ orderingKey: "ключ" }),
  fc.constant({ orderingKey: "k".repeat(257) }),
  fc.constant({ ttl: { seconds: 1n, nanos: 0 } }),
  fc.constant({ when: { $case: "delay" as const, value: { seconds: 1n, nanos: 0 } } }),
);

const envelope = { requestId: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 53n }), fc.constant(2n ** 64n - 1n)), queue: fc.constantFrom("orders", "q", "a-1", ".bad", "", "ü"), resume: fc.boolean(), haltOnFailure: fc.boolean(), independent: fc.boolean() };

function encoded(request: Partial<PublishStreamRequest>): Buffer {
  return Buffer.from(PublishStreamRequest.encode(PublishStreamRequest.fromPartial(request as Parameters<typeof PublishStreamRequest.fromPartial>[0])).finish());
}

const bounds = fc.record({
  mode: fc.constantFrom("UNTIL_ACKED", "LOG"),
  maxAgeMs: fc.constant(0),
  maxBytes: fc.oneof(fc.constant(0), fc.integer({ min: 100, max: 4_000 })),
  maxMessages: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 25 })),
  whenFull: fc.constantFrom("REJECT_NEW", "DROP_OLDEST"),
});

describe("a frame that is scanned", () => {
  it("is stored and answered, to the byte, as if it had been decoded, whatever the bounds of its queue", () => {
    let scanned = 0;
    fc.assert(
      fc.property(fc.record({ ...envelope, messages: fc.array(usual, { maxLength: 20 }) }), bounds, (request, retention) => {
        if (scansAlike(encoded(request), retention)) scanned++;
      }),
      { numRuns: 300 },
    );
    expect(scanned, "frames that were scanned at all").to.be.greaterThan(50);
  });

  it("is none that has to be refused, or that is stored in another form than it has", () => {
    fc.assert(
      fc.property(fc.array(usual, { maxLength: 5 }), usual, unusual, fc.nat({ max: 5 }), (messages, one, odd, at) => {
        messages.splice(at, 0, { ...one, ...odd } as (typeof messages)[number]);
        expect(scansAlike(encoded({ queue: "orders", messages, independent: true }))).to.equal(false);
      }),
      { numRuns: 300 },
    );
  });

  it("comes out the same whatever happened to its bytes, or is left to the decoder", () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(usual, { minLength: 1, maxLength: 4 }), flips, fc.nat(), (whole, changes, cut) => {
        // One header each: two of them may get names that are numbers.
        const messages = whole.map((message) => ({ ...message, headers: Object.fromEntries(Object.entries(message.headers).slice(0, 1)) }));
        const bytes = encoded({ requestId: 1n, queue: "orders", messages, independent: true });
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        scansAlike(bytes);
        scansAlike(bytes.subarray(0, cut % (bytes.length + 1)));
      }),
      { numRuns: 2_000 },
    );
  });

  it("fills chunks as single messages do", () => {
    const message = { event: "order.created", body: { $case: "payload" as const, value: Buffer.alloc(1_000, 1) } };
    const messages = Array.from({ length: 1_000 }, () => WireMessage.fromPartial(message));
    expect(scansAlike(encoded({ queue: "orders", messages }))).to.equal(true);
    expect(scansAlike(encoded({ queue: "orders", messages: [...messages, WireMessage.fromPartial(message)] })), "over the limit").to.equal(false);
  });

  it("may be as large as any", () => {
    const large = WireMessage.fromPartial({ event: "e", body: { $case: "payload", value: Buffer.alloc(1024 * 1024 - 100) } });
    expect(scansAlike(encoded({ queue: "orders", messages: [large, large] }))).to.equal(true);
    expect(scansAlike(encoded({ queue: "orders", messages: [large, large, large, large] })), "over the limit").to.equal(false);
  });

  it("is read as a whole or not at all", () => {
    const bytes = encoded({ requestId: 1n, queue: "orders", messages: [WireMessage.fromPartial({ event: "e" })], independent: true });
    expect(readFrame(bytes).messages).to.be.instanceOf(EncodedMessages);
    expect(readFrame(Buffer.concat([bytes, encoded({ queue: "another" })])).queue, "the last of a repeated field holds").to.equal("another");
  });
});
