import { expect } from "chai";
import type { PeekPage, PeekQuery, PeekStart } from "../../../src/broker/peek.js";
import { messageBytes, messageStart } from "../../../src/core/chunk.js";
import { EventFilter } from "../../../src/core/event-filter.js";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeMessage } from "../../../src/core/message-codec.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { until } from "../../support/condition.js";
import { SeededRandom } from "../../support/seeded-random.js";
import { Bench, failure } from "./broker-harness.js";

interface Asked {
  readonly start?: PeekStart;
  readonly events?: readonly string[];
  readonly maxMessages?: number;
  readonly maxBytes?: number;
}

const from = (value: number): PeekStart => ({ kind: "offset", offset: offset(value) });
const last = (count: number): PeekStart => ({ kind: "last", count });

function offsetsOf({ parts }: PeekPage): number[] {
  return parts.flatMap(({ chunk, firstIndex, count }) =>
    Array.from({ length: count }, (_, i) => {
      const start = messageStart(chunk, firstIndex + i);
      return decodeMessage((chunk.body as Buffer).subarray(start, start + messageBytes(chunk, firstIndex + i))).offset;
    }),
  );
}

describe("peeking", () => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await Bench.start();
  });

  const peek = ({ start = { kind: "earliest" }, events = [], maxMessages = 100, maxBytes = LIMITS.peekBytesMax }: Asked = {}): Promise<PeekPage> => {
    const query: PeekQuery = { start, filter: EventFilter.parse(events), maxMessages, maxBytes };
    return bench.broker.peek("orders", query);
  };
  const offsets = async (asked?: Asked): Promise<number[]> => offsetsOf(await peek(asked));
  /** Publishes these events, one batch each, so that each has a chunk of its own. */
  const publishEach = async (...events: string[]): Promise<void> => {
    for (const event of events) await bench.accepted([{ event }]);
  };
  const queueId = async (): Promise<string> => (await bench.broker.getQueue("orders")).queueId;
  /** Has a subscriber settle everything up to an offset, and waits until it is trimmed. */
  const trimThrough = async (through: number): Promise<void> => {
    const session = await bench.subscribe({ subscriber: "trimmer" });
    await until("what is to be settled", 5_000, () => session.offsets.includes(through));
    await session.ack(session.offsets[0] ?? 0, through);
    session.lost();
    await bench.advanceUntil("the trim", async () => (await bench.broker.getQueue("orders")).firstOffset > through);
  };

  it("answers messages from the oldest on, and says where the queue begins and ends", async () => {
    await bench.publishMany(3);
    const page = await peek();
    expect(offsetsOf(page)).to.deep.equal([1, 2, 3]);
    expect(page).to.include({ nextOffset: 0, firstOffset: 1, headOffset: 3 });
  });

  it("has nothing to answer for a queue that never had a message", async () => {
    await bench.broker.createQueue({ name: "orders", ordering: "UNORDERED", own: {} });
    for (const start of [{ kind: "earliest" }, from(0), from(1), last(3), { kind: "time", timeMs: wallMs(0) }] as const) {
      expect(await peek({ start })).to.deep.equal({ parts: [], nextOffset: 0, firstOffset: 1, headOffset: 0 });
    }
  });

  it("ends a page at max_messages and goes on from next_offset", async () => {
    await bench.publishMany(5);
    const first = await peek({ maxMessages: 2 });
    expect([offsetsOf(first), first.nextOffset]).to.deep.equal([[1, 2], 3]);
    const second = await peek({ start: from(first.nextOffset), maxMessages: 3 });
    expect([offsetsOf(second), second.nextOffset]).to.deep.equal([[3, 4, 5], 0]);
  });

  it("ends a page at max_bytes, but lets one message pass", async () => {
    await bench.accepted([{ payload: Buffer.alloc(1_000) }, { payload: Buffer.alloc(1_000) }, { payload: Buffer.alloc(10) }]);
    const one = await peek({ maxBytes: 5 });
    expect([offsetsOf(one), one.nextOffset]).to.deep.equal([[1], 2]);
    const two = await peek({ maxBytes: 2_090 });
    expect([offsetsOf(two), two.nextOffset]).to.deep.equal([[1, 2], 3]);
  });

  it("answers only events that match, also of chunks that hold others", async () => {
    await bench.accepted(["a.x", "b", "a.y", "a.z", "c"].map((event) => ({ event })));
    await publishEach("b", "a.x");
    expect(await offsets({ events: ["a.*"] })).to.deep.equal([1, 3, 4, 7]);
    expect(await offsets({ events: ["a.*"], start: from(4) })).to.deep.equal([4, 7]);
    expect(await offsets({ events: ["none"] })).to.deep.equal([]);
  });

  it("begins with the first message after an offset that is gone", async () => {
    await publishEach("a", "a", "a", "a");
    await trimThrough(2);
    for (const start of [from(0), from(1), from(3), { kind: "earliest" } as const, last(100)]) {
      const page = await peek({ start });
      expect([offsetsOf(page), page.firstOffset, page.headOffset], start.kind).to.deep.equal([[3, 4], 3, 4]);
    }
    await trimThrough(4);
    expect(await peek()).to.deep.equal({ parts: [], nextOffset: 0, firstOffset: 5, headOffset: 4 });
  });

  it("shows nothing of what was purged, also inside a chunk, nor counts it by event", async () => {
    await bench.accepted(["a", "b", "a", "b"].map((event) => ({ event })));
    bench.clock.advance(LIMITS.eventIndexAgeMs);
    await bench.broker.listEvents("orders", undefined, 10);
    await bench.broker.purgeQueue({ queue: "orders", queueId: "", throughOffset: offset(2), dryRun: false });
    for (const start of [from(1), { kind: "earliest" } as const, last(9)]) expect(await offsets({ start }), start.kind).to.deep.equal([3, 4]);
    expect(await offsets({ start: last(9), events: ["a"] })).to.deep.equal([3]);
    bench.clock.advance(LIMITS.eventIndexAgeMs);
    expect((await bench.broker.listEvents("orders", undefined, 10)).map(({ event, messageCount }) => [event, messageCount])).to.deep.equal([["a", 1], ["b", 1]]);
  });

  it("refuses an offset beyond the next one, with the range", async () => {
    await bench.publishMany(3);
    expect(await offsets({ start: from(4) })).to.deep.equal([]);
    expect(await failure(peek({ start: from(5) }))).to.deep.include({ reason: "BEYOND_HEAD", metadata: { field: "from_offset", value: "5", limit: "1 to 4" } });
  });

  it("begins with the first message of a time or later", async () => {
    await publishEach("a", "a");
    bench.clock.advance(1_000);
    const time = bench.clock.wall();
    await publishEach("a", "a");
    const at = (timeMs: number): Promise<number[]> => offsets({ start: { kind: "time", timeMs: wallMs(timeMs) } });
    expect(await at(0)).to.deep.equal([1, 2, 3, 4]);
    expect(await at(time)).to.deep.equal([3, 4]);
    expect(await at(time - 999)).to.deep.equal([3, 4]);
    expect(await at(time + 1)).to.deep.equal([]);
  });

  it("counts last_messages from the end, matching ones alone", async () => {
    await bench.accepted(["a", "b", "a"].map((event) => ({ event })));
    await publishEach("b", "a", "b", "b");
    expect(await offsets({ start: last(2) })).to.deep.equal([6, 7]);
    expect(await offsets({ start: last(2), events: ["a"] })).to.deep.equal([3, 5]);
    expect(await offsets({ start: last(3), events: ["a"] })).to.deep.equal([1, 3, 5]);
    expect(await offsets({ start: last(99), events: ["a"] })).to.deep.equal([1, 3, 5]);
    expect(await offsets({ start: last(1), events: ["none"] })).to.deep.equal([]);
  });

  it("looks for a filter that seldom matches piece by piece", async function () {
    this.timeout(20_000);
    const chunks = LIMITS.peekChunksMax + 200;
    for (let i = 0; i < chunks; i++) await bench.accepted([{ event: i === chunks - 1 ? "rare" : "common" }]);
    const first = await peek({ events: ["rare"] });
    expect(offsetsOf(first)).to.deep.equal([]);
    expect(first.nextOffset).to.equal(LIMITS.peekChunksMax + 1);
    const second = await peek({ events: ["rare"], start: from(first.nextOffset) });
    expect([offsetsOf(second), second.nextOffset]).to.deep.equal([[chunks], 0]);
  });

  it("stops when it has read as many bytes as one call may", async () => {
    const chunks = 70;
    for (let i = 0; i < chunks; i++) await bench.accepted([{ event: "rare", payload: Buffer.alloc(1) }, { event: "large", payload: Buffer.alloc(250_000) }]);
    const page = await peek({ events: ["rare"] });
    expect(offsetsOf(page)).to.have.length.within(60, 69);
    expect(page.nextOffset).to.equal(2 * offsetsOf(page).length + 1);
    const rest = await offsets({ events: ["rare"], start: from(page.nextOffset) });
    expect(offsetsOf(page).length + rest.length).to.equal(chunks);
  });

  it("reads no body in which nothing matches: damage there does not matter", async () => {
    await publishEach("a", "b", "a");
    bench.disk.corrupt(await queueId(), 2, "body");
    expect(await offsets({ events: ["a"] })).to.deep.equal([1, 3]);
  });

  it("answers what lies before damage, then names the offsets that cannot be read", async () => {
    await publishEach("a", "a");
    await bench.publishMany(3, "a");
    await publishEach("a");
    bench.disk.corrupt(await queueId(), 4, "body");
    const page = await peek();
    expect([offsetsOf(page), page.nextOffset]).to.deep.equal([[1, 2], 3]);
    const error = await failure(peek({ start: from(page.nextOffset) }));
    expect(error).to.deep.include({ reason: "CHUNK_CORRUPT", metadata: { queue: "orders", first: "3", last: "5" } });
    expect(error.message).to.match(/go on from offset 6$/);
    expect(await offsets({ start: from(6) })).to.deep.equal([6]);
  });

  it("disturbs nobody: no lease, no position", async () => {
    await bench.publishMany(3);
    const session = await bench.subscribe({ flow: { maxMessages: 1, maxBytes: 0, paused: false } });
    await session.received(1);
    const before = await bench.broker.getSubscriber("orders", "billing");
    await peek();
    expect(await bench.broker.getSubscriber("orders", "billing")).to.deep.equal(before);
    expect(session.offsets).to.deep.equal([1]);
  });

  const source = SeededRandom.fromEnvironment();
  it(`finds every matching message once, however it is paged (TIDEMARK_SEED=${source.seed})`, async () => {
    const events = ["a", "b.x", "b.y", "c"] as const;
    const published: string[] = [];
    for (let i = 0; i < 60; i++) {
      const batch = Array.from({ length: source.between(1, 8) }, () => source.pick(events));
      published.push(...batch);
      await bench.accepted(batch.map((event) => ({ event, payload: Buffer.alloc(source.between(0, 200)) })));
    }
    for (let round = 0; round < 60; round++) {
      const patterns = source.pick([[], ["a"], ["b.*"], ["c", "b.x"]]);
      const filter = EventFilter.parse(patterns);
      const matching = published.flatMap((event, i) => (filter.matches(event) ? [i + 1] : []));
      const count = source.between(1, 400);
      const begin = source.between(0, published.length);
      const [start, expected] = source.chance(0.5) ? [last(count), matching.slice(-count)] : [from(begin), matching.filter((at) => at >= begin)];
      const found: number[] = [];
      const maxMessages = source.between(1, 50);
      const maxBytes = source.between(1, 4_000);
      for (let next: PeekStart | undefined = start; next !== undefined; ) {
        const page = await peek({ start: next, events: patterns, maxMessages, maxBytes });
        expect(offsetsOf(page)).to.have.length.within(0, maxMessages);
        found.push(...offsetsOf(page));
        next = page.nextOffset === 0 ? undefined : from(page.nextOffset);
      }
      expect(found).to.deep.equal(expected);
    }
  });
});
