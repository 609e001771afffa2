import { expect } from "chai";
import type { Pulled } from "../../../src/broker/pull-api.js";
import { LIMITS } from "../../../src/core/limits.js";
import type { Settlement } from "../../../src/core/session.js";
import { until } from "../../support/condition.js";
import { Bench, failure, messagesOf, run, settled, settlementOf } from "./broker-harness.js";

const DEADLINE_MS = 2_000;

const offsetsOf = ({ batches }: Pulled): number[] => batches.flatMap(({ parts }) => parts.flatMap(messagesOf)).map(({ offset }) => offset);
const sessionOf = ({ opened }: Pulled): string => opened.sessionId;

/** Acks and waits until that is durable. */
async function settle(bench: Bench, sessionId: string, settlement: Partial<Settlement>): Promise<readonly { readonly code: string }[]> {
  return (await bench.broker.settle(sessionId, settlementOf(settlement))).failures;
}

/** Sessions of now, by id. */
function sessions(bench: Bench): readonly string[] {
  return bench.broker.listClients(undefined, undefined, 100).map(({ sessionId }) => sessionId);
}

async function inFlight(bench: Bench): Promise<number> {
  return (await bench.broker.getSubscriber("orders", "billing")).inFlightCount;
}

describe("A pull", () => {
  it("leases what is there, up to what it asks for, and says to which session", async () => {
    const bench = await Bench.start();
    await bench.publishMany(5);
    const pulled = await bench.pull({ maxMessages: 3 }).answer;
    expect(offsetsOf(pulled)).to.deep.equal([1, 2, 3]);
    expect(pulled.batches[0]?.batch).to.include({ batchId: 1, attempt: 1, deliveryCount: 1, cause: "NEW", leaseMs: 60_000 });
    expect(pulled.opened).to.include({ created: true, headOffset: 5, backlogCount: 2, ackTimeoutMs: 60_000 });
    expect(bench.broker.listClients(undefined, undefined, 10)).to.have.length(1);
    expect(bench.broker.listClients(undefined, undefined, 10)[0]).to.deep.include({ sessionId: sessionOf(pulled), kind: "PULL", inFlightCount: 3, waitingFor: "PAUSED" });
  });

  it("is answered at once and empty when there is nothing and it would not wait", async () => {
    const bench = await Bench.start();
    const pulled = await bench.pull().answer;
    expect(pulled.batches).to.deep.equal([]);
    expect(pulled.opened.created).to.equal(true);
  });

  it("waits as long as it said for a first message", async () => {
    const bench = await Bench.start();
    let answered: Pulled | undefined;
    void bench.pull({ waitMs: 5_000 }).answer.then((pulled) => (answered = pulled));
    await settled();
    bench.clock.advance(4_999);
    await settled();
    expect(answered).to.equal(undefined);
    bench.clock.advance(1);
    await settled();
    expect(answered?.batches).to.deep.equal([]);
  });

  it("is answered as soon as a message comes while it waits", async () => {
    const bench = await Bench.start();
    const { answer } = bench.pull({ waitMs: 5_000 });
    await settled();
    await bench.publishMany(2);
    expect(offsetsOf(await answer)).to.deep.equal([1, 2]);
  });

  it("takes no more bytes than it asked for, and what came beyond them comes as if for the first time", async () => {
    const bench = await Bench.start();
    await bench.accepted(Array.from({ length: 4 }, () => ({ payload: Buffer.alloc(1_000) })));
    const first = await bench.pull({ maxBytes: 2_500 }).answer;
    expect(offsetsOf(first)).to.deep.equal([1, 2]);
    expect(await inFlight(bench)).to.equal(2);
    const second = await bench.pull({ maxBytes: 1 }).answer;
    expect(offsetsOf(second), "one message always passes").to.deep.equal([3]);
    expect(second.batches[0]?.batch).to.include({ cause: "NEW", attempt: 1, deliveryCount: 1 });
    expect(offsetsOf(await bench.pull().answer)).to.deep.equal([4]);
  });

  it("has retried and new messages in one answer, in batches that share their attempt", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const first = await bench.pull({ maxMessages: 1 }).answer;
    expect(await settle(bench, sessionOf(first), { retries: [{ range: run(1), delayMs: 0, reason: "busy" }] })).to.deep.equal([]);
    const second = await bench.pull().answer;
    expect(second.batches.map(({ batch }) => [batch.attempt, batch.cause, batch.lastReason])).to.deep.equal([[2, "RETRY", "busy"], [1, "NEW", ""]]);
    expect(offsetsOf(second)).to.deep.equal([1, 2, 3]);
  });

  it("gets one message of a lane at a time", async () => {
    const bench = await Bench.start();
    await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: {} });
    await bench.accepted(["a", "a", "b", "b"].map((orderingKey) => ({ orderingKey })));
    const first = await bench.pull().answer;
    expect(offsetsOf(first)).to.deep.equal([1, 3]);
    expect(offsetsOf(await bench.pull({ sessionId: sessionOf(first) }).answer)).to.deep.equal([]);
    await settle(bench, sessionOf(first), { acks: [run(1)], rejects: [{ range: run(3), reason: "bad" }] });
    expect(offsetsOf(await bench.pull({ sessionId: sessionOf(first) }).answer)).to.deep.equal([2, 4]);
  });

  it("keeps the order of lanes when bytes beyond what it asked for go back", async () => {
    const bench = await Bench.start();
    await bench.broker.createQueue({ name: "orders", ordering: "ORDERED", own: {} });
    await bench.accepted(["a", "b", "a", "b"].map((orderingKey) => ({ orderingKey, payload: Buffer.alloc(1_000) })));
    const first = await bench.pull({ maxBytes: 1_500 }).answer;
    expect(offsetsOf(first)).to.deep.equal([1]);
    const second = await bench.pull().answer;
    expect(offsetsOf(second)).to.deep.equal([2]);
    expect(second.batches[0]?.batch).to.include({ cause: "NEW", deliveryCount: 1 });
    await settle(bench, sessionOf(first), { acks: [run(1)] });
    await settle(bench, sessionOf(second), { acks: [run(2)] });
    expect(offsetsOf(await bench.pull().answer)).to.deep.equal([3, 4]);
  });

  it("shares with streams and other pulls, and each gets its own", async () => {
    const bench = await Bench.start();
    await bench.publishMany(4);
    const stream = await bench.subscribe({ flow: { maxMessages: 2, maxBytes: 0, paused: false } });
    await stream.received(2);
    const pulled = await bench.pull().answer;
    expect(offsetsOf(pulled)).to.deep.equal([3, 4]);
    expect(stream.offsets).to.deep.equal([1, 2]);
  });

  it("is refused where a subscriber lets one session work at a time, and says what to do", async () => {
    const bench = await Bench.start();
    await bench.subscribe({ sharing: "EXCLUSIVE" });
    const error = await failure(bench.pull().answer);
    expect(error).to.include({ reason: "SHARING_MISMATCH" });
    expect(error.metadata).to.include({ field: "subscriber", value: "billing", open: "SHARING_EXCLUSIVE" });
    expect(sessions(bench)).to.have.length(1);
  });

  it("is refused another filter than the stored one, by the field's own name", async () => {
    const bench = await Bench.start();
    await bench.pull({}, { events: ["order.*"] }).answer;
    const error = await failure(bench.pull({}, { events: ["invoice.*"] }).answer);
    expect(error).to.include({ reason: "FILTER_MISMATCH" });
    expect(error.metadata).to.include({ field: "events" });
  });

  it("holds nothing when its caller goes while it waits", async () => {
    const bench = await Bench.start();
    const call = bench.pull({ waitMs: 5_000 });
    await until("a session", DEADLINE_MS, () => sessions(bench).length === 1);
    call.gone("CANCELLED");
    expect(sessions(bench)).to.deep.equal([]);
    await bench.publishMany(1);
    expect(await inFlight(bench)).to.equal(0);
    expect((await bench.pull().answer).batches[0]?.batch).to.include({ cause: "NEW", deliveryCount: 1 });
  });

  it("holds nothing when its caller goes before its session is open", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const call = bench.pull({ waitMs: 5_000 });
    call.gone("CANCELLED");
    await settled();
    expect(sessions(bench)).to.deep.equal([]);
    expect((await bench.pull().answer).batches[0]?.batch).to.include({ cause: "NEW", deliveryCount: 1 });
  });

  it("gives back what was handed over to a caller that has just gone, as if it had not been handed out", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const call = bench.pull();
    expect(offsetsOf(await call.answer)).to.deep.equal([1]);
    call.gone("CONNECTION_LOST");
    expect(await inFlight(bench)).to.equal(0);
    const again = await bench.pull().answer;
    expect(again.batches[0]?.batch).to.include({ cause: "NEW", deliveryCount: 1, attempt: 1 });
  });

  it("gives back what came in the very turn in which its caller went", async () => {
    const bench = await Bench.start();
    const call = bench.pull({ waitMs: 5_000 });
    await until("a session", DEADLINE_MS, () => sessions(bench).length === 1);
    await bench.publishMany(1);
    call.gone("CANCELLED");
    expect(await inFlight(bench)).to.equal(0);
    expect((await bench.pull().answer).batches[0]?.batch).to.include({ cause: "NEW", deliveryCount: 1 });
  });

  it("finds what has to be read from disk, though it would not wait", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    await bench.crashAndRestart();
    const { answer } = bench.pull();
    await settled();
    bench.clock.advance(100);
    expect(offsetsOf(await answer)).to.deep.equal([1, 2, 3]);
  });

  it("is answered empty when what had to be read from disk is for nobody", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    await bench.crashAndRestart();
    let answered: Pulled | undefined;
    void bench.pull({}, { events: ["invoice.*"] }).answer.then((pulled) => (answered = pulled));
    await bench.advanceUntil("an answer", () => answered !== undefined, 5);
    expect(answered?.batches).to.deep.equal([]);
  });
});

describe("A pull session", () => {
  it("goes on when it is named: its leases stay, batches go on counting, and it is new only once", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const first = await bench.pull({ maxMessages: 1 }).answer;
    const second = await bench.pull({ maxMessages: 1, sessionId: sessionOf(first) }).answer;
    expect(sessionOf(second)).to.equal(sessionOf(first));
    expect(second.opened.created).to.equal(false);
    expect(second.batches.map(({ batch }) => batch.batchId)).to.deep.equal([2]);
    expect(await inFlight(bench)).to.equal(2);
    expect(await settle(bench, sessionOf(first), { acks: [run(1, 2)] })).to.deep.equal([]);
  });

  it("takes nothing by itself when verdicts make room", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const first = await bench.pull({ maxMessages: 1 }).answer;
    await settle(bench, sessionOf(first), { acks: [run(1)] });
    await settled();
    expect(await inFlight(bench)).to.equal(0);
  });

  it("gets no more than a pull asks for when verdicts make room while it waits", async () => {
    const bench = await Bench.start();
    await bench.publishMany(4);
    const first = await bench.pull().answer;
    const { answer } = bench.pull({ sessionId: sessionOf(first), maxMessages: 2, waitMs: 5_000 });
    await settled();
    await settle(bench, sessionOf(first), { retries: [{ range: run(1, 4), delayMs: 0, reason: "" }] });
    expect(offsetsOf(await answer)).to.deep.equal([1, 2]);
    expect(await inFlight(bench)).to.equal(2);
  });

  it("ends some time after everything is settled, and until then repeating a verdict is no failure", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const pulled = await bench.pull().answer;
    expect(await settle(bench, sessionOf(pulled), { acks: [run(1)] })).to.deep.equal([]);
    bench.clock.advance(LIMITS.pullIdleMs - 1);
    expect(await settle(bench, sessionOf(pulled), { acks: [run(1)] })).to.deep.equal([]);
    bench.clock.advance(LIMITS.pullIdleMs - 1);
    expect(sessions(bench)).to.have.length(1);
    bench.clock.advance(1);
    expect(sessions(bench)).to.have.length(0);
    expect(await failure(bench.broker.settle(sessionOf(pulled), settlementOf({ acks: [run(1)] })))).to.include({ reason: "SESSION_NOT_FOUND" });
    expect(await failure(bench.pull({ sessionId: sessionOf(pulled) }).answer)).to.include({ reason: "SESSION_NOT_FOUND" });
  });

  it("ends some time after its last lease ran out, which counts, and what it held comes again for anyone", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const pulled = await bench.pull({}, { ackTimeoutMs: 1_000 }).answer;
    bench.clock.advance(1_000);
    const failures = await settle(bench, sessionOf(pulled), { acks: [run(1)] });
    expect(failures.map(({ code }) => code)).to.deep.equal(["LEASE_LOST"]);
    const again = await bench.pull().answer;
    expect(again.batches[0]?.batch).to.include({ cause: "TIMEOUT", deliveryCount: 2 });
    bench.clock.advance(LIMITS.pullIdleMs);
    expect(sessions(bench)).to.deep.equal([sessionOf(again)]);
  });

  it("lives as long as leases that were extended", async () => {
    const bench = await Bench.start();
    await bench.publishMany(2);
    const pulled = await bench.pull({}, { ackTimeoutMs: 1_000 }).answer;
    await settle(bench, sessionOf(pulled), { extends: [{ range: run(1), leaseMs: 100_000 }] });
    bench.clock.advance(1_000 + LIMITS.pullIdleMs);
    expect(await inFlight(bench)).to.equal(1);
    expect(await settle(bench, sessionOf(pulled), { acks: [run(1)] })).to.deep.equal([]);
  });

  it("is told of as gone because its leases are over", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const watch = bench.broker.watchClients({ queue: undefined, subscriber: undefined }, () => undefined);
    const pulled = await bench.pull().answer;
    await settle(bench, sessionOf(pulled), { acks: [run(1)] });
    bench.clock.advance(LIMITS.pullIdleMs);
    const news = Array.from({ length: 5 }, () => watch.take()).filter((one) => one !== undefined);
    expect(news.find(({ type }) => type === "left")).to.include({ reason: "LEASES_OVER" });
  });

  it("lets the last pull of several wait, and answers the others", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const { opened } = await bench.pull().answer;
    const earlier = bench.pull({ sessionId: opened.sessionId, waitMs: 5_000 });
    const later = bench.pull({ sessionId: opened.sessionId, waitMs: 5_000 });
    expect((await earlier.answer).batches).to.deep.equal([]);
    await bench.publishMany(1);
    expect(offsetsOf(await later.answer)).to.deep.equal([2]);
  });

  it("keeps what it held before when the caller of a later pull goes", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const { opened } = await bench.pull().answer;
    const call = bench.pull({ sessionId: opened.sessionId, waitMs: 5_000 });
    await settled();
    call.gone("CANCELLED");
    expect(await inFlight(bench)).to.equal(1);
    expect(await settle(bench, opened.sessionId, { acks: [run(1)] })).to.deep.equal([]);
  });

  it("is refused by a name that says other things of it", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const { opened } = await bench.pull({}, { events: ["order.*"], ackTimeoutMs: 5_000 }).answer;
    const { sessionId } = opened;
    const stream = await bench.subscribe({ subscriber: "other" });
    const fields = async (open: Parameters<Bench["pull"]>[1], session = sessionId): Promise<string> => {
      const error = await failure(bench.pull({ sessionId: session }, open).answer);
      return `${error.reason} ${error.metadata.field ?? ""}`;
    };
    expect(await fields({ queue: "invoices" })).to.equal("INVALID_FIELD queue");
    expect(await fields({ subscriber: "other" })).to.equal("INVALID_FIELD subscriber");
    expect(await fields({ events: ["invoice.*"] })).to.equal("FILTER_MISMATCH events");
    expect(await fields({ ackTimeoutMs: 6_000 })).to.equal("INVALID_FIELD ack_timeout");
    expect(await fields({ subscriber: "other" }, stream.session.id)).to.equal("INVALID_FIELD session_id");
    expect(await fields({}, "nobody")).to.equal("SESSION_NOT_FOUND ");
    expect((await bench.pull({ sessionId }, { events: ["order.*"], ackTimeoutMs: 5_000 }).answer).opened.sessionId).to.equal(sessionId);
  });

  it("ends with a pull that waits when an operator disconnects it", async () => {
    const bench = await Bench.start();
    const { answer } = bench.pull({ waitMs: 5_000 });
    const [sessionId = ""] = await until("a session", DEADLINE_MS, () => (sessions(bench).length > 0 ? sessions(bench) : false));
    bench.broker.disconnectClient(sessionId, "make room");
    expect(await failure(answer)).to.include({ reason: "DISCONNECTED" });
  });

  it("ends with a pull that waits when the queue is deleted", async () => {
    const bench = await Bench.start();
    const { answer } = bench.pull({ waitMs: 5_000 });
    await until("a session", DEADLINE_MS, () => sessions(bench).length > 0);
    await bench.broker.deleteQueue("orders");
    expect(await failure(answer)).to.include({ reason: "QUEUE_DELETED" });
  });

  it("can settle while the server stops, and does not keep it longer than what it holds", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const pulled = await bench.pull().answer;
    const waiting = bench.pull({ waitMs: 5_000 });
    await until("two sessions", DEADLINE_MS, () => sessions(bench).length === 2);
    const refused = failure(waiting.answer);
    const stopped = bench.broker.stop(10_000);
    expect(await refused).to.include({ reason: "DRAINING", status: "UNAVAILABLE" });
    expect(() => bench.pull()).to.throw().with.property("reason", "DRAINING");
    expect(await settle(bench, sessionOf(pulled), { acks: [run(1)] })).to.deep.equal([]);
    await stopped;
  });

  it("gives back uncounted what it holds when the server has waited long enough", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    await bench.pull().answer;
    const stopped = bench.broker.stop(1_000);
    bench.clock.advance(1_000);
    await stopped;
    await bench.crashAndRestart();
    expect((await bench.pull().answer).batches[0]?.batch).to.include({ deliveryCount: 1, attempt: 1 });
  });

  it("makes way when more than so many hold nothing, the longest first", async () => {
    const bench = await Bench.start();
    const first = await bench.pull().answer;
    const second = await bench.pull().answer;
    for (let i = 2; i <= LIMITS.idlePullSessionsMax; i++) await bench.pull().answer;
    expect(bench.broker.sessionCount).to.equal(LIMITS.idlePullSessionsMax);
    expect(sessions(bench)).to.not.include(sessionOf(first));
    expect(sessions(bench)).to.include(sessionOf(second));
  });
});

describe("Settle", () => {
  it("applies verdicts to a stream of another connection, whose window then has room", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const stream = await bench.subscribe({ flow: { maxMessages: 1, maxBytes: 0, paused: false } });
    await stream.received(1);
    expect(await settle(bench, stream.session.id, { acks: [run(1)] })).to.deep.equal([]);
    expect(await stream.received(2)).to.deep.equal([1, 2]);
    expect(stream.heard.results, "the stream did not ask").to.deep.equal([]);
    expect((await stream.ack(2)).failures).to.deep.equal([]);
  });

  it("is answered when it is durable, and not before", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const pulled = await bench.pull().answer;
    bench.breakDisk();
    let answered = false;
    const answer = bench.broker.settle(sessionOf(pulled), settlementOf({ acks: [run(1)] })).then(() => (answered = true), (error: unknown) => error);
    await settled();
    expect(answered).to.equal(false);
    await bench.crashAndRestart();
    expect(offsetsOf(await bench.pull().answer), "it comes again").to.deep.equal([1]);
    void answer;
  });

  it("names what could not be applied, and applies the rest", async () => {
    const bench = await Bench.start();
    await bench.publishMany(3);
    const pulled = await bench.pull({ maxMessages: 2 }).answer;
    const id = sessionOf(pulled);
    expect(await settle(bench, id, { acks: [run(1)], rejects: [{ range: run(2), reason: "" }] })).to.deep.equal([]);
    const { failures, committedOffset } = await bench.broker.settle(id, settlementOf({ acks: [run(2), run(3)], releases: [run(1)] }));
    expect(failures.map(({ range, code }) => [range.first, code])).to.deep.equal([[2, "ALREADY_SETTLED"], [3, "NOT_HELD"], [1, "ALREADY_SETTLED"]]);
    expect(committedOffset).to.equal(2);
  });

  it("rejects for a session that is not there", async () => {
    const bench = await Bench.start();
    expect(await failure(bench.broker.settle("nobody", settlementOf({ acks: [run(1)] })))).to.include({ reason: "SESSION_NOT_FOUND" });
  });

  it("rejects with what ended the session before its verdicts were durable", async () => {
    const bench = await Bench.start();
    await bench.publishMany(1);
    const pulled = await bench.pull().answer;
    const answer = bench.broker.settle(sessionOf(pulled), settlementOf({ acks: [run(1)] }));
    bench.broker.disconnectClient(sessionOf(pulled), "");
    expect(await failure(answer)).to.include({ reason: "DISCONNECTED" });
  });
});
