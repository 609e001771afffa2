import { expect } from "chai";
import fc from "fast-check";
import { EventFilter } from "../../src/core/event-filter.js";
import type { Claims } from "../../src/core/session.js";
import { offset } from "../../src/core/units.js";
import { TurnBudget } from "../../src/core/subscription/turn-budget.js";
import { range, SETTINGS, SubscriptionHarness } from "../support/subscription-harness.js";
import { Oracle, PLACES, type Sightings } from "../support/subscription-oracle.js";

const SESSIONS = ["a", "b", "c"];
/** Request ids from here on are of acks that the oracle itself sends after a purge. */
const EVENTS = ["order.created", "order.paid", "user.joined"];

type Action =
  | { do: "publish"; messages: { event: number; lane: number; ttlMs: number | undefined }[] }
  | { do: "open"; session: number; window: number; auto: boolean; batch: number; depth: number; claims: "none" | "through" | "done"; from: number; count: number }
  | { do: "drain"; session: number }
  | { do: "end"; session: number; graceful: boolean }
  | { do: "settle"; session: number; verdict: "ack" | "retry" | "reject" | "release" | "extend" | "through"; from: number; count: number; named: boolean }
  | { do: "withdraw"; session: number; from: number }
  | { do: "flow"; session: number; window: number; paused: boolean }
  | { do: "transport"; session: number; ready: boolean }
  | { do: "pass"; ms: number }
  | { do: "saved" }
  | { do: "turn" }
  | { do: "purge"; behindHead: number }
  | { do: "copied" }
  | { do: "rules"; blocks: boolean; maxAttempts: number; maxDeliveries: number; maxUnsettled: number }
  | { do: "by hand"; session: number; verdict: "retry" | "reject"; which: number; delayMs: number | undefined }
  | { do: "seek"; to: number; runs: number }
  | { do: "crash" };

const session = fc.nat({ max: SESSIONS.length - 1 });
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const), messages: fc.array(fc.record({ event: fc.nat({ max: 2 }), lane: fc.nat({ max: 3 }), ttlMs: fc.constantFrom(undefined, undefined, undefined, 1, 200, 6_000) }), { minLength: 1, maxLength: 12 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("open" as const), session, window: fc.integer({ min: 1, max: 20 }), auto: fc.constantFrom(false, false, false, true), batch: fc.integer({ min: 1, max: 8 }), depth: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 1_000 })), claims: fc.constantFrom("none" as const, "none" as const, "through" as const, "done" as const), from: fc.nat({ max: 60 }), count: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drain" as const), session }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), session, graceful: fc.boolean() }) },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant("settle" as const),
      session,
      verdict: fc.constantFrom("ack" as const, "retry" as const, "retry" as const, "reject" as const, "release" as const, "extend" as const, "through" as const, "ack" as const),
      // Mostly somewhere in the last batch, now and then far off.
      from: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 4, max: 8 }) }, { weight: 1, arbitrary: fc.nat({ max: 40 }) }),
      count: fc.integer({ min: 1, max: 12 }),
      named: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("withdraw" as const), session, from: fc.nat({ max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("flow" as const), session, window: fc.integer({ min: 1, max: 20 }), paused: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("transport" as const), session, ready: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1, 60, 500, 5_000, 20_000) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("saved" as const) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("seek" as const), to: fc.nat({ max: 60 }), runs: fc.nat({ max: 2 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("purge" as const), behindHead: fc.nat({ max: 15 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("copied" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("rules" as const),
      blocks: fc.constantFrom(true, true, false),
      maxAttempts: fc.constantFrom(1, 1, 2, 4),
      maxDeliveries: fc.integer({ min: 3, max: 6 }),
      maxUnsettled: fc.integer({ min: 5, max: 40 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("by hand" as const),
      session,
      verdict: fc.constantFrom("retry" as const, "reject" as const),
      which: fc.nat({ max: 3 }),
      delayMs: fc.constantFrom(undefined, 0, 400),
    }),
  },
);

function perform(harness: SubscriptionHarness, oracle: Oracle, step: Action, requestId: bigint, open: Set<string>): void {
  const id = "session" in step ? (SESSIONS[step.session] ?? "") : "";
  switch (step.do) {
    case "publish":
      harness.publishInLanes(...step.messages.map(({ event, lane, ttlMs }) => [EVENTS[event] ?? "", lane, ttlMs] as const));
      return;
    case "open":
      // Ids of sessions are never used again; one that has not given everything back is still known.
      if (harness.machine.census().held.has(id)) return;
      oracle.opened(id, step.window, step.auto);
      oracle.depths.set(id, step.auto ? Infinity : step.depth);
      harness.open(
        id,
        {
          ackMode: step.auto ? "AUTO" : "EXPLICIT",
          flow: { maxMessages: step.window, maxBytes: 1_000, paused: false },
          maxBatchMessages: step.batch,
          maxInFlightPerLane: step.depth,
          sharing: oracle.exclusive ? "EXCLUSIVE" : "SHARED",
        },
        claimsOf(harness, oracle, id, step, open),
      );
      open.add(id);
      return;
    case "drain":
      if (!open.has(id)) return;
      oracle.draining.add(id);
      harness.step({ type: "drain_requested", session: id });
      return;
    case "end":
      if (open.delete(id)) harness.end(id, step.graceful);
      return;
    case "settle":
      if (open.has(id)) settle(harness, oracle, id, step, requestId);
      return;
    case "withdraw":
      if (open.has(id) && !oracle.isAuto(id)) withdraw(harness, id, step.from);
      return;
    case "flow":
      // A window may shrink below what is in flight; only growth is checked.
      oracle.windows.set(id, Math.max(step.window, oracle.windows.get(id) ?? 0));
      harness.step({ type: "flow_changed", session: id, flow: { maxMessages: step.window, maxBytes: 1_000, paused: step.paused } });
      return;
    case "transport":
      harness.step({ type: "transport_changed", session: id, ready: step.ready });
      return;
    case "pass":
      harness.pass(step.ms);
      return;
    case "saved":
      harness.finishBurying();
      harness.finishSaving();
      return;
    case "turn":
      harness.nextTurn();
      return;
    case "copied":
      harness.finishBurying();
      return;
    case "rules": {
      const { maxAttempts, maxDeliveries, maxUnsettled } = step;
      harness.changeRules({ maxAttempts, maxDeliveries, maxUnsettled, onPoison: step.blocks && harness.settings.ordered ? "BLOCK_LANE" : "DEAD_LETTER" });
      return;
    }
    case "by hand":
      if (open.has(id)) decide(harness, oracle, id, step, requestId);
      return;
    case "seek": {
      const after = Math.max(harness.purgedThrough, Math.min(step.to, harness.head));
      const settled = step.runs === 0 ? [] : oracle.settledBeyond(after);
      oracle.moved(after, settled, () => { harness.seek(after, settled); });
      return;
    }
    case "crash":
      harness.crash();
      oracle.crashed();
      open.clear();
      return;
    case "purge": {
      const through = harness.head - step.behindHead;
      if (through < 1) return;
      oracle.purged(through, () => { harness.purge(through); });
      return;
    }
  }
}

/** The end of the last batch never got as far as the client. */
function withdraw(harness: SubscriptionHarness, id: string, from: number): void {
  const last = harness.received.findLast((batch) => batch.session === id);
  const first = last?.offsets[Math.min(from, last.offsets.length - 1)];
  if (last !== undefined && first !== undefined) harness.step({ type: "hand_out_withdrawn", session: id, batchId: last.batch.batchId, first: offset(first) });
}

/** What a client may claim at this moment; it never says less than was settled. */
function claimsOf(harness: SubscriptionHarness, oracle: Oracle, id: string, step: Extract<Action, { do: "open" }>, open: ReadonlySet<string>): Partial<Claims> {
  const { machine, head } = harness;
  if (step.claims === "through" && oracle.exclusive) {
    // What is on its way to the dead letters goes there, whatever is claimed.
    harness.finishBurying();
    const through = Math.max(Math.min(step.from, head), machine.settledThrough);
    // One that stands by is heard when it takes over, which may be in this very step; while one leaves, another may come first.
    const oneLeaves = [...machine.census().held.keys()].some((other) => !open.has(other));
    const works = !oneLeaves && [...open].every((other) => machine.standsBy(other));
    oracle.claims(id, Array.from({ length: through }, (_, i) => i + 1), works);
    return { processedThrough: offset(through) };
  }
  const last = Math.min(head, step.from + step.count);
  if (step.claims !== "done" || step.from === 0 || last < step.from) return {};
  const held = [...machine.census().held.values()].flat();
  const burying = machine.census().burying;
  const done = Array.from({ length: last - step.from + 1 }, (_, i) => step.from + i);
  const free = done.filter((at) => !burying.includes(offset(at)) && !held.some((run) => run.first <= at && at <= run.last));
  // In lanes it depends on what is before them.
  oracle.claims(id, free, !harness.settings.ordered);
  return { done: [{ first: offset(step.from), last: offset(last) }] };
}

function settle(harness: SubscriptionHarness, oracle: Oracle, id: string, step: Extract<Action, { do: "settle" }>, requestId: bigint): void {
  const batch = harness.received.findLast((received) => received.session === id);
  if (step.verdict === "through") {
    harness.settle(id, { ackThroughBatchId: batch?.batch.batchId ?? 1 }, requestId);
    return;
  }
  const first = Math.max(1, (batch?.offsets[0] ?? 1) + step.from - 5);
  const target = range(first, first + step.count - 1, step.named ? (batch?.batch.batchId ?? 0) : 0);
  const held = new Set(harness.machine.census().held.get(id)?.flatMap((run) => Array.from({ length: run.last - run.first + 1 }, (_, i) => run.first + i)));
  const mine = target.batchId === 0 ? held : new Set(batch?.offsets.filter((at) => held.has(at)));
  if (step.verdict === "ack" || step.verdict === "reject") {
    oracle.sent(requestId, [...mine].filter((at) => at >= target.first && at <= target.last));
  }
  harness.settle(
    id,
    {
      acks: step.verdict === "ack" ? [target] : [],
      retries: step.verdict === "retry" ? [{ range: target, delayMs: undefined, reason: "busy" }] : [],
      rejects: step.verdict === "reject" ? [{ range: target, reason: "bad" }] : [],
      releases: step.verdict === "release" ? [target] : [],
      extends: step.verdict === "extend" ? [{ range: target, leaseMs: 15_000 }] : [],
    },
    requestId,
  );
}

/** An operator's verdict on one of the messages that block a lane. */
function decide(harness: SubscriptionHarness, oracle: Oracle, id: string, step: Extract<Action, { do: "by hand" }>, requestId: bigint): void {
  const { blocked } = harness.machine.census();
  const at = blocked[step.which % Math.max(1, blocked.length)];
  if (at === undefined) return;
  if (step.verdict === "reject") oracle.sent(requestId, [at]);
  const verdict = { range: range(at), reason: "by hand" };
  harness.settle(id, step.verdict === "reject" ? { rejects: [verdict] } : { retries: [{ ...verdict, delayMs: step.delayMs }] }, requestId);
}

/** One healthy consumer until nothing is left, and one way or the other out of blocked lanes. */
function drain(harness: SubscriptionHarness, oracle: Oracle, open: Set<string>, byHand: boolean): void {
  harness.diskIsFast = true;
  harness.buriesLate = false;
  harness.turnsComeLate = false;
  harness.nextTurn();
  harness.finishBurying();
  for (const id of open) harness.end(id, true);
  harness.finishBurying();
  while (harness.isSaving) harness.finishSaving();
  let seen = harness.received.length;
  harness.open("drain", { maxInFlightPerLane: 2, sharing: oracle.exclusive ? "EXCLUSIVE" : "SHARED" });
  harness.changeRules({ maxUnsettled: 30, ...(byHand ? {} : { onPoison: "DEAD_LETTER" }) });
  for (const at of harness.machine.census().blocked) harness.settle("drain", { rejects: [{ range: range(at), reason: "by hand" }] });
  for (let turn = 0; turn < 2_000 && harness.machine.counts().committedOffset < harness.head; turn++) {
    for (; seen < harness.received.length; seen++) {
      const batch = harness.received[seen];
      if (batch?.session !== "drain") continue;
      for (const at of batch.offsets) harness.settle("drain", { acks: [range(at, at, batch.batch.batchId)] });
    }
    if (seen === harness.received.length) harness.pass(1_000);
  }
}

describe("the subscription machine, whatever happens", function () {
  this.timeout(60_000);
  const RUNS = Number(process.env["TIDEMARK_RUNS"] ?? 400);
  const seed = Number(process.env["TIDEMARK_SEED"] ?? Date.now() % 0x7fffffff);

  for (const ordered of [false, true]) {
    for (const patterns of [[], ["order.*"], ["user.joined"]]) {
      const what = ordered ? "keeps every lane in order" : "keeps every message in one place";
      it(`${what} and settles all of them in the end, with the filter [${patterns.join()}] (seed ${seed})`, () => {
        const settings = { ...SETTINGS, ordered, filter: EventFilter.parse(patterns), maxUnsettled: 30 };
        const seen: Sightings = new Map();
        fc.assert(
          fc.property(fc.array(action, { maxLength: 60, size: "max" }), fc.boolean(), fc.boolean(), fc.boolean(), fc.constantFrom(true, true, true, false), fc.constantFrom(1, 1, 2, 3), fc.constantFrom(Infinity, 4, 12), fc.constantFrom("SETTLE" as const, "DEAD_LETTER" as const), (actions, diskIsFast, exclusive, buriesLate, blocks, maxAttempts, turnMessages, onExpiry) => {
            const harness = new SubscriptionHarness({ ...settings, maxAttempts, onExpiry, onPoison: ordered && blocks ? "BLOCK_LANE" : "DEAD_LETTER" }, diskIsFast, undefined, new TurnBudget(turnMessages, 1_000));
            harness.buriesLate = buriesLate;
            harness.turnsComeLate = true;
            checkHistory(harness, exclusive, actions, seen);
          }),
          { seed, numRuns: RUNS },
        );
        // A place that no message ever was in was not checked.
        for (const place of PLACES) expect((seen.get(place) ?? 0) > 0, `some message was seen ${place}`).to.equal(RUNS < 100 ? seen.has(place) : ordered || place !== "blocked");
      });
    }
  }
});

function checkHistory(harness: SubscriptionHarness, exclusive: boolean, actions: readonly Action[], seen: Sightings): void {
  const oracle = new Oracle(harness, exclusive, seen);
  const open = new Set<string>();
  actions.forEach((step, i) => {
    perform(harness, oracle, step, BigInt(i + 1), open);
    const { held } = harness.machine.census();
    for (const id of open) if (!held.has(id) || harness.finished.has(id)) open.delete(id);
    oracle.check();
    oracle.checkWorkers(open);
  });
  drain(harness, oracle, open, actions.length % 2 === 0);
  oracle.check();
  const matching = harness.matching(harness.purgedThrough + 1, harness.head);
  expect(harness.machine.counts()).to.include({ committedOffset: offset(harness.head), unsettled: 0, blockedLanes: 0 });
  const buried = harness.deadLetters.map((letter) => letter.offset as number);
  // A message that comes again may be given up again.
  if (!actions.some(({ do: it }) => it === "seek")) expect(new Set(buried).size, "a dead letter was copied twice").to.equal(buried.length);
  const delivered = new Set(harness.offsetsReceived());
  const keepsExpired = harness.settings.onExpiry === "DEAD_LETTER";
  const letters = new Set(buried);
  expect(matching.filter((at) => !delivered.has(at) && !oracle.claimed.has(at) && (keepsExpired ? !letters.has(at) : !harness.hasExpired(at))), "never delivered").to.deep.equal([]);
  const expired = harness.deadLetters.filter(({ reason }) => reason === "EXPIRED");
  if (keepsExpired) expect(harness.machine.counts().expired, "counted as expired").to.equal(expired.length);
  else expect(expired, "dead letters of what expired").to.deep.equal([]);
}
