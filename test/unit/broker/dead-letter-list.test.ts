import { expect } from "chai";
import { listDeadLetters } from "../../../src/broker/dead-letter-list.js";
import type { DeadLetterPage, DeadLetterQuery } from "../../../src/broker/dead-letter-list.js";
import type { DeadLetterFilter } from "../../../src/broker/dead-letter-filter.js";
import { encodeDeadLetter } from "../../../src/broker/dead-letter-record.js";
import { deadLetterKey } from "../../../src/broker/state-keys.js";
import { EventFilter } from "../../../src/core/event-filter.js";
import { LIMITS } from "../../../src/core/limits.js";
import { encodeMessage, patchOffset } from "../../../src/core/message-codec.js";
import { OffsetRanges } from "../../../src/core/offset-ranges.js";
import type { DeadLetter } from "../../../src/core/subscription/effects.js";
import { offset, wallMs } from "../../../src/core/units.js";
import { MemoryEngine } from "../../../src/engines/memory/memory-engine.js";
import { StateCorrupt } from "../../../src/ports/state.js";
import type { State } from "../../../src/ports/state.js";
import { EventLoopTurns } from "../../../src/system/turns.js";
import { newMessage } from "../../support/messages.js";
import { SeededRandom } from "../../support/seeded-random.js";
import { failure } from "./broker-harness.js";

interface Buried {
  readonly at: number;
  readonly event?: string;
  readonly reason?: DeadLetter["reason"];
  readonly timeMs?: number;
  readonly payload?: Buffer;
  /** The message could not be read any more. */
  readonly lost?: boolean;
}

const EVERYTHING: DeadLetterFilter = { offsets: undefined, events: EventFilter.parse([]), reasons: new Set(), afterTimeMs: undefined, beforeTimeMs: undefined };

function ranges(...runs: readonly (readonly [number, number])[]): OffsetRanges {
  const set = new OffsetRanges();
  for (const [first, last] of runs) set.add(offset(first), offset(last));
  return set;
}

/** A state in which some entries are damaged. */
function damaged(state: State, key: string): State {
  return {
    get: (wanted) => state.get(wanted),
    commit: (puts) => state.commit(puts),
    async list(prefix, after, limit) {
      const found = await state.list(prefix, after, limit);
      if (found.some((entry) => entry.key === key)) throw new StateCorrupt(key);
      return found;
    },
  };
}

describe("a list of dead letters", () => {
  let state: State;

  beforeEach(() => {
    state = new MemoryEngine().state("q");
  });

  async function bury(letters: readonly Buried[]): Promise<void> {
    const puts = letters.map(({ at, event = "order.created", reason = "REJECTED", timeMs = 1_000, payload = Buffer.from("x"), lost = false }) => {
      const message = encodeMessage(newMessage({ event, payload }), wallMs(1));
      patchOffset(message, 0, offset(at));
      const letter: DeadLetter = { offset: offset(at), reason, detail: "no", attempts: 1, deliveries: 2, holderSession: "s", holderClient: "c" };
      return { key: deadLetterKey("billing", offset(at)), value: encodeDeadLetter(letter, wallMs(timeMs), lost ? Buffer.alloc(0) : message), expect: "any" as const };
    });
    await state.commit(puts);
  }

  function list(filter: Partial<DeadLetterFilter> = {}, parts: Partial<DeadLetterQuery> = {}): Promise<DeadLetterPage> {
    const shelf = { queue: "orders", subscriber: "billing", state, turns: new EventLoopTurns() };
    return listDeadLetters(shelf, { filter: { ...EVERYTHING, ...filter }, after: offset(0), size: 100, omitPayload: false, ...parts });
  }

  const offsets = ({ letters }: DeadLetterPage): number[] => letters.map((letter) => letter.offset);

  it("has everything that was kept of a message, by growing offset", async () => {
    await bury([{ at: 300, timeMs: 5_000 }, { at: 2, event: "a.b" }]);
    const page = await list();
    expect(offsets(page)).to.deep.equal([2, 300]);
    expect(page.next).to.equal(undefined);
    expect(page.letters[1]).to.include({ reason: "REJECTED", detail: "no", attempts: 1, deliveries: 2, holderSession: "s", holderClient: "c", deadLetterTimeMs: 5_000, payloadBytes: 1 });
  });

  it("is empty for a subscriber that has none, and leaves those of others out", async () => {
    expect(await list()).to.deep.equal({ letters: [], next: undefined });
    await bury([{ at: 1 }]);
    await state.commit([{ key: deadLetterKey("billing2", offset(2)), value: Buffer.from("not ours"), expect: "any" }]);
    expect(offsets(await list())).to.deep.equal([1]);
  });

  it("comes in pages that end exactly", async () => {
    await bury(Array.from({ length: 20 }, (_, i) => ({ at: i + 1 })));
    const first = await list({}, { size: 10 });
    expect([offsets(first).length, first.next]).to.deep.equal([10, 10]);
    const second = await list({}, { size: 10, after: offset(10) });
    expect([offsets(second), second.next]).to.deep.equal([Array.from({ length: 10 }, (_, i) => i + 11), undefined]);
  });

  it("takes every condition of a filter, all of which must hold", async () => {
    await bury([
      { at: 1, event: "a", reason: "REJECTED", timeMs: 100 },
      { at: 2, event: "b", reason: "REJECTED", timeMs: 200 },
      { at: 3, event: "a", reason: "MAX_ATTEMPTS", timeMs: 300 },
      { at: 4, event: "a", reason: "MAX_DELIVERIES", timeMs: 400 },
    ]);
    expect(offsets(await list({ events: EventFilter.parse(["a"]) }))).to.deep.equal([1, 3, 4]);
    expect(offsets(await list({ reasons: new Set(["MAX_ATTEMPTS", "MAX_DELIVERIES"]) }))).to.deep.equal([3, 4]);
    expect(offsets(await list({ afterTimeMs: wallMs(200) }))).to.deep.equal([2, 3, 4]);
    expect(offsets(await list({ beforeTimeMs: wallMs(200) }))).to.deep.equal([1]);
    expect(offsets(await list({ offsets: ranges([2, 3], [9, 20]) }))).to.deep.equal([2, 3]);
    expect(offsets(await list({ offsets: ranges([1, 3]), events: EventFilter.parse(["a"]), reasons: new Set(["REJECTED"]) }))).to.deep.equal([1]);
  });

  it("keeps a letter whose message is lost, which only a filter that takes every event finds", async () => {
    await bury([{ at: 1, lost: true }, { at: 2 }]);
    const page = await list();
    expect(offsets(page)).to.deep.equal([1, 2]);
    expect(page.letters[0]?.payloadBytes).to.equal(0);
    expect(offsets(await list({ events: EventFilter.parse(["order.*"]) }))).to.deep.equal([2]);
  });

  it("ends a page at 3 MiB, but counts no payloads that are left out", async () => {
    await bury(Array.from({ length: 8 }, (_, i) => ({ at: i + 1, payload: Buffer.alloc(500_000) })));
    const page = await list();
    expect([offsets(page), page.next]).to.deep.equal([[1, 2, 3, 4, 5, 6], 6]);
    expect(offsets(await list({}, { omitPayload: true }))).to.have.length(8);
  });

  it("looks for a filter that seldom matches piece by piece", async () => {
    await bury(Array.from({ length: LIMITS.deadLettersReadMax + 10 }, (_, i) => ({ at: i + 1, event: i > LIMITS.deadLettersReadMax ? "rare" : "common" })));
    const rare = { events: EventFilter.parse(["rare"]) };
    const first = await list(rare);
    expect(first).to.deep.equal({ letters: [], next: LIMITS.deadLettersReadMax });
    const second = await list(rare, { after: first.next ?? offset(0) });
    expect([offsets(second).length, second.next]).to.deep.equal([9, undefined]);
  });

  it("stops when it has read as many bytes as one call may", async () => {
    await bury(Array.from({ length: 40 }, (_, i) => ({ at: i + 1, event: "common", payload: Buffer.alloc(500_000) })));
    const page = await list({ events: EventFilter.parse(["rare"]) });
    expect(page.letters).to.deep.equal([]);
    expect(page.next).to.be.within(30, 39);
  });

  it("goes straight to the offsets asked for", async () => {
    await bury(Array.from({ length: LIMITS.deadLettersReadMax + 10 }, (_, i) => ({ at: i + 1 })));
    const last = LIMITS.deadLettersReadMax + 5;
    expect(await list({ offsets: ranges([last, last]) })).to.have.nested.property("letters[0].offset", last);
  });

  it("ends before a letter that is damaged, then names it, and goes on behind it when asked to", async () => {
    await bury([{ at: 1 }, { at: 2 }, { at: 5 }, { at: 6 }]);
    state = damaged(state, deadLetterKey("billing", offset(5)));
    const page = await list();
    expect([offsets(page), page.next]).to.deep.equal([[1, 2], 2]);
    const error = await failure(list({}, { after: offset(2) }));
    expect(error).to.deep.include({ reason: "CHUNK_CORRUPT", metadata: { queue: "orders", subscriber: "billing", first: "5", last: "5" } });
    expect(offsets(await list({ offsets: ranges([1, 4], [6, 9]) }))).to.deep.equal([1, 2, 6]);
  });

  it("names a letter that is no record of ours", async () => {
    await bury([{ at: 1 }]);
    await state.commit([{ key: deadLetterKey("billing", offset(3)), value: Buffer.from([9, 0, 0, 0, 1]), expect: "any" }]);
    expect(offsets(await list())).to.deep.equal([1]);
    expect((await failure(list({}, { after: offset(1) }))).metadata).to.include({ first: "3" });
  });

  const source = SeededRandom.fromEnvironment();
  it(`finds every letter that a filter takes once, however it is paged (TIDEMARK_SEED=${source.seed})`, async () => {
    const events = ["a", "b.x", "b.y"] as const;
    const letters = new Map<number, string>();
    for (let i = 0; i < 300; i++) letters.set(source.between(1, 2_000), source.pick(events));
    await bury([...letters].map(([at, event]) => ({ at, event })));
    for (let round = 0; round < 100; round++) {
      const filter = EventFilter.parse(source.pick([[], ["a"], ["b.*"]]));
      const runs = Array.from({ length: source.between(0, 5) }, () => {
        const first = source.between(1, 2_000);
        return [first, first + source.between(0, 300)] as const;
      });
      const wanted = (at: number): boolean => runs.length === 0 || runs.some(([first, last]) => first <= at && at <= last);
      const expected = [...letters].filter(([at, event]) => wanted(at) && filter.matches(event)).map(([at]) => at);
      const found: number[] = [];
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page: DeadLetterPage = await list({ events: filter, offsets: runs.length === 0 ? undefined : ranges(...runs) }, { after: offset(after), size: source.between(1, 40) });
        found.push(...offsets(page));
        after = page.next;
      }
      expect(found).to.deep.equal(expected.sort((a, b) => a - b));
    }
  });
});
